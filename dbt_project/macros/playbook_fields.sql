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

{# The team's playbooks: a list of {number, is_fallback, conditions, reason}. Of each condition {position, field, operator, kind}: the SQL of its field
   out of the facts, how it is compared, and whether with a number or a text, which is the row `position` of control.playbook_conditions. A reason is
   a list of pieces: {position} of words, which are the row `position` of control.playbook_parts, or {field}. #}
{% macro team_playbooks(fields) %}
    {%- set playbooks = {} %}
    {%- set conditions %}
        select conditions.field, conditions.operator, conditions.position, playbooks.number, playbooks.is_fallback
        from {{ source('control', 'playbook_conditions') }} as conditions
        inner join {{ source('control', 'playbooks') }} as playbooks on conditions.playbook_key = playbooks.playbook_key
        order by conditions.position
    {%- endset %}
    {%- set parts %}
        select parts.field, parts.position, playbooks.number
        from {{ source('control', 'playbook_parts') }} as parts
        inner join {{ source('control', 'playbooks') }} as playbooks on parts.playbook_key = playbooks.playbook_key
        order by parts.position
    {%- endset %}
    {%- for name, operator, position, number, is_fallback in (run_query(conditions).rows if has_warehouse() else []) %}
        {%- set field = fields | selectattr('name', 'equalto', name) | first %}
        {%- do playbooks.setdefault(number, {'number': number, 'is_fallback': is_fallback, 'conditions': [], 'reason': []}).conditions.append({
            'position': position,
            'kind': 'text' if field.is_text else 'number',
            'field': 'facts.' ~ field.column if field.is_text else 'round(cast(facts.' ~ field.column ~ ' as double), 9)',
            'operator': {'<': '<', '<=': '<=', '>': '>', '>=': '>=', '=': '=', '!=': '<>'}[operator],
        }) %}
    {%- endfor %}
    {%- for name, position, number in (run_query(parts).rows if has_warehouse() else []) %}
        {%- do playbooks[number].reason.append({
            'position': none if name else position,
            'field': fields | selectattr('name', 'equalto', name) | first if name else none,
        }) %}
    {%- endfor %}
    {{- return(playbooks.values() | list) }}
{% endmacro %}

{# A field of the facts in words, as a reason shows it. `unit`: SQL of the unit of a metric. #}
{% macro field_in_words(field, unit) -%}
    {%- set value = 'facts.' ~ field.column %}
    {%- if field.is_text -%} {{ value }}
    {%- elif field.kind == 'metric' -%} {{ value_text(value, unit) }}
    {%- elif field.kind == 'change' -%} {{ change_text(value, unit) }}
    {%- elif field.key in ('arr', 'mrr') -%} {{ number_text('round(' ~ value ~ ')') }} || ' ' || words.reporting_currency
    {%- elif field.key == 'coverage' -%} {{ value_text(value, "'share of weight'") }}
    {%- elif field.key.startswith('delta_') -%} {{ change_text(value, "''") }}
    {%- else -%} {{ number_text(value) }}
    {%- endif %}
{%- endmacro %}
