{# A whole number with a comma before every three digits. #}
{% macro thousands_text(expression) %}{{ return(adapter.dispatch('thousands_text')(expression)) }}{% endmacro %}

{% macro duckdb__thousands_text(expression) %}format('{:,d}', {{ expression }}){% endmacro %}

{% macro spark__thousands_text(expression) %}format_number({{ expression }}, 0){% endmacro %}
