{{ config(materialized='view') }}

-- Grain: account x as_of_date x dimension of the account's scorecard. The points of the dimensions sum to uncapped_score - 50.

select
    scores.account_id,
    scores.as_of_date,
    dimensions.key as dimension_key,
    scores.dimension_score,
    scores.nominal_weight,
    scores.effective_weight,
    scores.points,
    coalesce(scores.measured_weight / nullif(scores.applicable_weight, 0), 0) as coverage,
    scorecards.scorecard_key,
    scorecards.config_version,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_scoring__dimension_scores') }} as scores
inner join {{ ref('int_scoring__account_scores') }} as account_scores
    on scores.account_id = account_scores.account_id
    and scores.as_of_date = account_scores.as_of_date
inner join {{ source('control', 'codes') }} as dimensions
    on dimensions.kind = 'dimension'
    and scores.dimension_code = dimensions.code
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on scores.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on account_scores.run_code = runs.run_code
