{{ config(materialized='view') }}

-- Grain: account x as_of_date x candidate version: what the candidate would have scored, beside what the active version did.

select
    candidates.account_id,
    candidates.as_of_date,
    scorecards.config_version,
    scorecards.scorecard_key,
    candidates.health_score,
    candidates.uncapped_score,
    candidates.coverage,
    tiers.raw_tier,
    candidates.cap_key,
    scores.config_version as active_config_version,
    scores.health_score as active_health_score,
    active_tiers.raw_tier as active_raw_tier,
    {{ rounded('candidates.health_score - scores.health_score', 1) }} as difference,
    candidates.run_id,
    candidates.configuration_hash
from {{ ref('int_scoring__candidate_scores') }} as candidates
inner join {{ source('control', 'scorecard_rules') }} as scorecards on candidates.scorecard_id = scorecards.scorecard_id
inner join {{ ref('int_scoring__raw_tiers') }} as tiers
    on tiers.is_candidate
    and candidates.account_id = tiers.account_id
    and candidates.as_of_date = tiers.as_of_date
    and candidates.scorecard_id = tiers.scorecard_id
inner join {{ ref('int_scoring__account_scores') }} as scores
    on candidates.account_id = scores.account_id
    and candidates.as_of_date = scores.as_of_date
inner join {{ ref('int_trend__account_tiers') }} as active_tiers
    on candidates.account_id = active_tiers.account_id
    and candidates.as_of_date = active_tiers.as_of_date
