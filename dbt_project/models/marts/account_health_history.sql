{{ config(materialized='view') }}

-- Grain: account x as_of_date. Not additive over days. Scores as computed now; published revisions keep what was once shown.

select
    scores.account_id,
    scores.as_of_date,
    scores.health_score,
    scores.uncapped_score,
    scores.raw_tier,
    scores.coverage,
    scores.stage,
    scores.segment,
    scorecards.scorecard_key,
    scorecards.config_version,
    scores.tenure as tenure_days,
    scores.seats,
    scores.mrr,
    round(scores.mrr * 12, 2) as arr,
    substr(caps.key, 5) as cap_key,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_scoring__account_scores') }} as scores
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on scores.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on scores.run_code = runs.run_code
left join {{ source('control', 'codes') }} as caps
    on caps.kind = 'metric'
    and scores.cap_code = caps.code
