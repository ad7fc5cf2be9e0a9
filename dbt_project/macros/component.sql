{# The components of the change ledger (section 7) as small integers. #}
{% macro components() %}
    {{ return({'configuration': 1, 'scorecard': 2, 'availability': 3, 'cap': 4, 'behaviour': 5}) }}
{% endmacro %}

{% macro component(name) %}cast({{ components()[name] }} as tinyint){% endmacro %}

{% macro component_name(expression) -%}
    case {{ expression }} {% for name, code in components().items() %}when {{ code }} then '{{ name }}' {% endfor %}end
{%- endmacro %}
