{# The order in which a table is stored. DuckDB skips blocks of rows by it; Spark would sort all rows across its workers and gain nothing. #}
{% macro stored_order(columns) %}{{ return(adapter.dispatch('stored_order')(columns)) }}{% endmacro %}

{% macro duckdb__stored_order(columns) %}order by {{ columns }}{% endmacro %}

{% macro spark__stored_order(columns) %}{% endmacro %}
