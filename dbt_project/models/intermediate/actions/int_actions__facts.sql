-- Grain: account x as_of_date, for the run's days and all scored days after them: the fields that the playbooks name, a column each.
-- delta_7d and delta_28d without what data that came or went did to the score: a late feed asks nobody to act.

{% set fields = playbook_fields() %}
{% set metrics = scorecard_metrics() | map(attribute='key') | list %}
{% set account_columns = {
    'health_score': 'scores.health_score',
    'uncapped_score': 'scores.uncapped_score',
    'coverage': 'scores.coverage',
    'delta_7d': 'round(trends.delta_7d - trends.availability_7d, 1)',
    'delta_28d': 'round(trends.delta_28d - trends.availability_28d, 1)',
    'delta_90d': 'trends.delta_90d',
    'slope_28d': 'trends.slope_28d',
    'days_in_tier': dbt.datediff('tiers.tier_since', 'scores.as_of_date', 'day') ~ ' + 1',
    'arr': 'round(days.mrr * 12, 2)',
    'mrr': 'days.mrr',
    'seats': 'days.seats',
    'tenure_days': 'days.tenure',
    'tier': 'tiers.tier',
    'model_tier': 'tiers.model_tier',
    'raw_tier': 'tiers.raw_tier',
    'previous_tier': 'tiers.previous_tier',
    'trend': 'trends.trend',
    'stage': 'days.stage',
    'segment': 'days.segment',
    'scorecard_key': 'scores.scorecard_key',
    'account_name': 'accounts.account_name',
    'industry': 'accounts.industry',
    'region': 'accounts.region',
    'csm': 'accounts.csm',
} %}

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

)

select
    scores.account_id,
    scores.as_of_date,
    tiers.previous_as_of_date
    {%- for field in fields %},
    {% if field.kind == 'account' -%}
        {{ account_columns[field.key] }}
    {%- elif field.kind == 'dimension' -%}
        scores.{{ field.key }}__score
    {%- elif field.key not in metrics -%}
        cast(null as double)
    {%- elif field.kind == 'metric' -%}
        scores.{{ field.key }}
    {%- elif field.kind == 'change' -%}
        scores.{{ field.key }} - earlier.{{ field.key }}
    {%- elif field.kind == 'score' -%}
        scores.{{ field.key }}__score
    {%- endif %} as {{ field.column }}
    {%- endfor %}
from {{ ref('int_scoring__account_scores') }} as scores
inner join restated on scores.as_of_date = restated.as_of_date
inner join {{ ref('int_scoring__account_days') }} as days
    on scores.account_id = days.account_id
    and scores.as_of_date = days.as_of_date
inner join {{ ref('int_trend__account_tiers') }} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
inner join {{ ref('int_trend__account_trends') }} as trends
    on scores.account_id = trends.account_id
    and scores.as_of_date = trends.as_of_date
left join {{ ref('stg_crm__accounts') }} as accounts on scores.account_id = accounts.account_id
left join {{ ref('int_scoring__account_scores') }} as earlier
    on scores.account_id = earlier.account_id
    and scores.as_of_date = {{ dbt.dateadd('day', 28, 'earlier.as_of_date') }}
