{{ config(materialized='view') }}

-- Grain: account x as_of_date on which its tier became another one, and what moved the score most in that direction.

select
    changes.account_id,
    changes.as_of_date,
    changes.from_tier,
    changes.to_tier,
    changes.cause,
    overrides.reason as override_reason,
    cast(changes.k as integer) as k,
    {{ component_name('changes.component') }} as component,
    metrics.key as metric_key,
    changes.points,
    scorecards.config_version,
    runs.run_id,
    runs.configuration_hash
from {{ ref('int_trend__tier_changes') }} as changes
inner join {{ ref('int_scoring__account_scores') }} as scores
    on changes.account_id = scores.account_id
    and changes.as_of_date = scores.as_of_date
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on scores.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on scores.run_code = runs.run_code
left join {{ ref('stg_crm__score_overrides') }} as overrides on changes.override_id = overrides.override_id
left join {{ source('control', 'codes') }} as metrics
    on metrics.kind = 'metric'
    and changes.metric_code = metrics.code
