{# The dimensions, each with its wide model int_metrics__<dimension>. #}
{% macro dimensions() %}{{ return(['adoption', 'commercial', 'support', 'voice', 'outcomes']) }}{% endmacro %}

{# All metric values of the accounts and days of `scorings`, long, each with its scoring's scorecard. #}
{% macro all_metric_values(scorings) %}
{% for dimension in dimensions() %}
{{ unpivot_metrics(ref('int_metrics__' ~ dimension), scorings) }}
{{ 'union all' if not loop.last }}
{% endfor %}
{% endmacro %}
