{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric, for the days of the run, all metrics: also those that the account's scorecard leaves out.

{% set account_scorecards = ref('int_scoring__account_scorecards') %}

{% for dimension in ['adoption', 'commercial', 'support', 'voice', 'outcomes'] %}
{{ unpivot_metrics(ref('int_metrics__' ~ dimension), account_scorecards) }}
{{ 'union all' if not loop.last }}
{% endfor %}
