{# The fields that the team's playbooks name: a list of {name, kind, key, is_text, column}. A field is a column of int_actions__facts; a row of
   a seed chooses it by name, so no text of a seed becomes SQL. #}
{% macro playbook_fields() %}
    {%- set fields = [] %}
    {%- if has_warehouse() %}
        {%- for row in run_query('select field, kind, key, is_text from ' ~ source('control', 'playbook_fields') ~ ' order by field').rows %}
            {%- do fields.append({'name': row[0], 'kind': row[1], 'key': row[2], 'is_text': row[3], 'column': 'field_' ~ loop.index}) %}
        {%- endfor %}
    {%- endif %}
    {{- return(fields) }}
{% endmacro %}

{# The value of the field that `name` names, out of the facts; null if it is of the other type. #}
{% macro chosen_field(fields, name, is_text) -%}
    {%- set matching = fields | selectattr('is_text') | list if is_text else fields | rejectattr('is_text') | list -%}
    cast(
        {%- if matching -%}
        case {{ name }} {% for field in matching %}when '{{ field.name }}' then facts.{{ field.column }} {% endfor %}end
        {%- else -%}
        null
        {%- endif %} as {{ 'string' if is_text else 'double' }})
{%- endmacro %}
