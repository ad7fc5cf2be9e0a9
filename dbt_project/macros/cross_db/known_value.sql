{# The last, or first, value of a window frame that is not null. #}
{% macro last_known(expression) %}{{ return(adapter.dispatch('last_known')(expression)) }}{% endmacro %}

{% macro duckdb__last_known(expression) %}last_value({{ expression }} ignore nulls){% endmacro %}

{% macro spark__last_known(expression) %}last_value({{ expression }}) ignore nulls{% endmacro %}

{% macro first_known(expression) %}{{ return(adapter.dispatch('first_known')(expression)) }}{% endmacro %}

{% macro duckdb__first_known(expression) %}first_value({{ expression }} ignore nulls){% endmacro %}

{% macro spark__first_known(expression) %}first_value({{ expression }}) ignore nulls{% endmacro %}
