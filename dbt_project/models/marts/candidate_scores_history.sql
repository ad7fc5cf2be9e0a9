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
    candidates.raw_tier,
    substr(caps.key, 5) as cap_key,
    active_scorecards.config_version as active_config_version,
    scores.health_score as active_health_score,
    scores.raw_tier as active_raw_tier,
    round(candidates.health_score - scores.health_score, 1) as difference,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_whatif__candidate_scores') }} as candidates
inner join {{ ref('int_scoring__account_scores') }} as scores
    on candidates.account_id = scores.account_id
    and candidates.as_of_date = scores.as_of_date
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on candidates.scorecard_code = scorecards.scorecard_code
inner join {{ ref('int_scoring__scorecard_names') }} as active_scorecards on scores.scorecard_code = active_scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on candidates.run_code = runs.run_code
left join {{ source('control', 'codes') }} as caps
    on caps.kind = 'metric'
    and candidates.cap_code = caps.code
