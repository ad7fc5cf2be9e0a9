{# The values of a group as one text in an order, nulls left out; null where there is none. `dbt.listagg` drops the order on Spark. #}
{% macro list_text(expression, separator, order_by) %}{{ return(adapter.dispatch('list_text')(expression, separator, order_by)) }}{% endmacro %}

{% macro duckdb__list_text(expression, separator, order_by) %}string_agg({{ expression }}, {{ separator }} order by {{ order_by }}){% endmacro %}

{% macro spark__list_text(expression, separator, order_by) -%}
    listagg({{ expression }}, {{ separator }}) within group (order by {{ order_by }})
{%- endmacro %}
