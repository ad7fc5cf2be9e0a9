{# Days since 1970-01-01 as an integer. Windows are integer arithmetic on it: the same on every engine and cheaper than intervals. #}
{% macro day_number(expression) %}{{ return(adapter.dispatch('day_number')(expression)) }}{% endmacro %}

{% macro duckdb__day_number(expression) %}cast(cast({{ expression }} as date) - date '1970-01-01' as integer){% endmacro %}

{% macro spark__day_number(expression) %}unix_date(cast({{ expression }} as date)){% endmacro %}
