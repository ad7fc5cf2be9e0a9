{# What one scoring is. An account has one scorecard of its own on a day; what-if scorings put it on others beside it. #}
{% macro own_keys() %}{{ return(['account_id', 'as_of_date']) }}{% endmacro %}

{% macro whatif_keys() %}{{ return(['account_id', 'as_of_date', 'scorecard_code']) }}{% endmacro %}

{# `left.key = right.key and ...` #}
{% macro on_keys(left, right, keys) -%}
    {%- for key in keys %}{{ left }}.{{ key }} = {{ right }}.{{ key }}{{ ' and ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{# `relation.key, ...` #}
{% macro columns_of(relation, keys) -%}
    {%- for key in keys %}{{ relation ~ '.' if relation }}{{ key }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}
