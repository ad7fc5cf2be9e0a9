{% macro state(name) %}{{ return("'" ~ name ~ "'") }}{% endmacro %}
