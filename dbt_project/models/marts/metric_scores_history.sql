{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric of the account's scorecard, and one row `cap:<cap_key>` where a cap binds.
-- The points of an account and day sum to its exact score - 50: this table is the explanation of every score.

select
    points.account_id,
    points.as_of_date,
    metrics.key as metric_key,
    dimensions.key as dimension_key,
    points.value,
    {{ state_name('points.state') }} as state,
    points.normalized_score,
    points.nominal_weight,
    points.effective_weight,
    points.points,
    scorecards.scorecard_key,
    scorecards.config_version,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_scoring__metric_points') }} as points
inner join {{ source('control', 'codes') }} as metrics
    on metrics.kind = 'metric'
    and points.metric_code = metrics.code
inner join {{ source('control', 'codes') }} as dimensions
    on dimensions.kind = 'dimension'
    and points.dimension_code = dimensions.code
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on points.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on points.run_code = runs.run_code
