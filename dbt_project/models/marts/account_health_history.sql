{{ config(materialized='view') }}

-- Grain: account x as_of_date. Not additive over days. Scores as computed now; published revisions keep what was once shown.

select
    scores.account_id,
    scores.as_of_date,
    scores.health_score,
    scores.uncapped_score,
    tiers.raw_tier,
    tiers.model_tier,
    tiers.tier,
    tiers.is_tier_held,
    tiers.override_id,
    tiers.tier_since,
    {{ day_number('scores.as_of_date') }} - {{ day_number('tiers.tier_since') }} + 1 as days_in_tier,
    tiers.previous_tier,
    trends.delta_7d,
    trends.delta_28d,
    trends.delta_90d,
    trends.availability_7d,
    trends.availability_28d,
    trends.slope_28d,
    trends.trend,
    scores.coverage,
    days.stage,
    days.segment,
    days.parent_account_id,
    scores.scorecard_key,
    scores.config_version,
    days.tenure as tenure_days,
    days.seats,
    days.mrr,
    {{ rounded('days.mrr * 12', 2) }} as arr,
    days.currency,
    scores.cap_key,
    scores.rules_hash,
    scores.run_id,
    scores.configuration_hash
from {{ ref('int_scoring__account_scores') }} as scores
inner join {{ ref('int_scoring__account_days') }} as days
    on scores.account_id = days.account_id
    and scores.as_of_date = days.as_of_date
inner join {{ ref('int_trend__account_tiers') }} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
inner join {{ ref('int_trend__account_trends') }} as trends
    on scores.account_id = trends.account_id
    and scores.as_of_date = trends.as_of_date
