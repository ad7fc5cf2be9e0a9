{# The date of a day number, see day_number. #}
{% macro date_of_day(expression) %}{{ return(adapter.dispatch('date_of_day')(expression)) }}{% endmacro %}

{% macro default__date_of_day(expression) %}cast({{ dbt.dateadd('day', expression, "date '1970-01-01'") }} as date){% endmacro %}

{% macro duckdb__date_of_day(expression) %}(date '1970-01-01' + cast({{ expression }} as integer)){% endmacro %}
