{# A data state (docs/scoring.md, "Data states"). In DuckDB an enum: one byte instead of sixteen for each metric of each account-day. #}
{% macro data_state(expression) %}{{ return(adapter.dispatch('data_state')(expression)) }}{% endmacro %}

{% macro spark__data_state(expression) %}{{ expression }}{% endmacro %}

{% macro duckdb__data_state(expression) %}cast({{ expression }} as enum('measured', 'not_applicable', 'missing', 'stale', 'late')){% endmacro %}
