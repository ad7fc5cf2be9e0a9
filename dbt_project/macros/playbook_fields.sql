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

{# The team's playbooks: a list of {number, is_fallback, conditions}, and of each condition {position, field, operator, kind}: the SQL of its field out
   of the facts, how it is compared, and whether with a number or a text, which is the row `position` of control.playbook_conditions. #}
{% macro playbook_conditions(fields) %}
    {%- set playbooks = {} %}
    {%- set query %}
        select conditions.field, conditions.operator, conditions.position, playbooks.number, playbooks.is_fallback
        from {{ source('control', 'playbook_conditions') }} as conditions
        inner join {{ source('control', 'playbooks') }} as playbooks on conditions.playbook_key = playbooks.playbook_key
        order by conditions.position
    {%- endset %}
    {%- for name, operator, position, number, is_fallback in (run_query(query).rows if has_warehouse() else []) %}
        {%- set field = fields | selectattr('name', 'equalto', name) | first %}
        {%- do playbooks.setdefault(number, {'number': number, 'is_fallback': is_fallback, 'conditions': []}).conditions.append({
            'position': position,
            'kind': 'text' if field.is_text else 'number',
            'field': 'facts.' ~ field.column if field.is_text else 'round(cast(facts.' ~ field.column ~ ' as double), 9)',
            'operator': {'<': '<', '<=': '<=', '>': '>', '>=': '>=', '=': '=', '!=': '<>'}[operator],
        }) %}
    {%- endfor %}
    {{- return(playbooks.values() | list) }}
{% endmacro %}
