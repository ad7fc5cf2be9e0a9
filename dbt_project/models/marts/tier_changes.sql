{{ config(materialized='view') }}

-- Grain: account x as_of_date on which its tier became another one, and what moved the score most in that direction.

with changes as (

    select
        changes.*,
        scores.scorecard_code,
        scores.run_code
    from {{ ref('int_trend__tier_changes') }} as changes
    inner join {{ ref('int_scoring__account_scores') }} as scores
        on changes.account_id = scores.account_id
        and changes.as_of_date = scores.as_of_date

)

select
    changes.account_id,
    changes.as_of_date,
    changes.from_tier,
    changes.to_tier,
    changes.cause,
    case changes.cause
        when 'override' then 'Set by a person' || coalesce(': ' || overrides.reason, '')
        when 'override_ended' then 'A tier set by a person ended'
        when 'coverage' then case when changes.to_tier = 'unknown' then 'Too little could be measured' else 'Enough can be measured again' end
        else coalesce(
            {{ change_label('changes', 'metrics', 'caps', 'earlier_caps') }},
            'No single change; the new tier has held long enough to count'
        )
    end as reason,
    overrides.reason as override_reason,
    cast(changes.k as integer) as k,
    {{ component_name('changes.component') }} as component,
    metrics.metric_key,
    case when changes.points < 0 then caps.cap_key else earlier_caps.cap_key end as cap_key,
    changes.points,
    scorecards.config_version,
    runs.run_id,
    runs.configuration_hash
from changes
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on changes.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on changes.run_code = runs.run_code
left join {{ ref('stg_crm__score_overrides') }} as overrides on changes.override_id = overrides.override_id{{ join_change_names('changes') }}
