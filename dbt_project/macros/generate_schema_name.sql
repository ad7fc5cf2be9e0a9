{#
Schemas are named for their layer, without the target's schema in front: marts.account_health, not main_marts.account_health. The published
mart has one schema only.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name and target.name != 'published' else target.schema }}
{%- endmacro %}
