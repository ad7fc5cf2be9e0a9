{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric, for the days of the run, all metrics: also those that the account's scorecard leaves out.

with metric_values as (

    {% for dimension in ['adoption', 'commercial', 'support', 'voice', 'outcomes'] %}
    {{ unpivot_metrics(ref('int_metrics__' ~ dimension)) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    metric_values.account_id,
    metric_values.as_of_date,
    account_scorecards.scorecard_code,
    metric_values.metric_code,
    metric_values.value,
    metric_values.state
from metric_values
inner join {{ ref('int_scoring__account_scorecards') }} as account_scorecards
    on metric_values.account_id = account_scorecards.account_id
    and metric_values.as_of_date = account_scorecards.as_of_date
