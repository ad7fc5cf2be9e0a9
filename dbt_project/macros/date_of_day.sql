{# The date of a day number, see day_number. #}
{% macro date_of_day(expression) %}(date '1970-01-01' + cast({{ expression }} as integer)){% endmacro %}
