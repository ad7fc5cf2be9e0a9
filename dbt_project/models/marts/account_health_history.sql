{{ config(materialized='view') }}

-- Grain: account x as_of_date. Not additive over days. Scores as computed now; published revisions keep what was once shown.

select
    scores.account_id,
    scores.as_of_date,
    scores.health_score,
    scores.uncapped_score,
    scores.raw_tier,
    tiers.model_tier,
    tiers.tier,
    tiers.override_id,
    tiers.tier_since,
    cast({{ dbt.datediff('tiers.tier_since', 'scores.as_of_date', 'day') }} + 1 as integer) as days_in_tier,
    tiers.previous_tier,
    trends.delta_7d,
    trends.delta_28d,
    trends.delta_90d,
    trends.slope_28d,
    trends.trend,
    scores.coverage,
    scores.stage,
    scores.segment,
    scores.parent_account_id,
    scorecards.scorecard_key,
    scorecards.config_version,
    scorecards.rules_hash,
    scores.tenure as tenure_days,
    scores.seats,
    scores.mrr,
    round(scores.mrr * 12, 2) as arr,
    substr(caps.key, 5) as cap_key,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_scoring__account_scores') }} as scores
inner join {{ ref('int_trend__account_tiers') }} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
inner join {{ ref('int_trend__account_trends') }} as trends
    on scores.account_id = trends.account_id
    and scores.as_of_date = trends.as_of_date
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on scores.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on scores.run_code = runs.run_code
left join {{ source('control', 'codes') }} as caps
    on caps.kind = 'metric'
    and scores.cap_code = caps.code
