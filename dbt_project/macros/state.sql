{# The states of section 3 as small integers: the long tables hold tens of millions of them. #}
{% macro states() %}
    {{ return({'measured': 1, 'not_applicable': 2, 'stale': 3, 'missing': 4, 'late': 5}) }}
{% endmacro %}

{% macro state(name) %}{{ return(states()[name]) }}{% endmacro %}

{# The integer of a state in words; without a state it is missing. #}
{% macro state_code(expression) -%}
    cast(case {{ expression }} {% for name, code in states().items() if name != 'missing' %}when '{{ name }}' then {{ code }} {% endfor %}else {{ state('missing') }} end as tinyint)
{%- endmacro %}

{% macro state_name(expression) %}{{ return(name_of(states(), expression)) }}{% endmacro %}

{# The name that a small integer stands for; `codes` is a dictionary of name to integer. #}
{% macro name_of(codes, expression) -%}
    case {{ expression }} {% for name, code in codes.items() %}when {{ code }} then '{{ name }}' {% endfor %}end
{%- endmacro %}
