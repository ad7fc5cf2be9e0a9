{# The components of the change ledger (section 7) as small integers. #}
{% macro components() %}
    {{ return({'configuration': 1, 'scorecard': 2, 'availability': 3, 'cap': 4, 'behaviour': 5}) }}
{% endmacro %}

{% macro component(name) %}cast({{ components()[name] }} as tinyint){% endmacro %}

{% macro component_name(expression) %}{{ return(name_of(components(), expression)) }}{% endmacro %}

{# The ledger looks back this many days; LEDGER_DAYS in orchestration/transform.py says which days that touches. #}
{% macro ledger_lags() %}{{ return([7, 28]) }}{% endmacro %}
