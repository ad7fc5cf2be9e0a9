{# The materialization of a model that is a view but for its length: a column for each metric. Spark would compute it again for each use, and its
   metastore on Derby holds no view of more than 32,700 characters. #}
{% macro long_view() %}{{ return(adapter.dispatch('long_view')()) }}{% endmacro %}

{% macro duckdb__long_view() %}{{ return('view') }}{% endmacro %}

{% macro spark__long_view() %}{{ return('table') }}{% endmacro %}
