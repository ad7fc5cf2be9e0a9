{{ config(materialized='view') }}

-- Grain: account x as_of_date on which its tier became another one, and what moved the score most in that direction.

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
        when 'rules' then 'The limits of the tiers changed'
        else coalesce(changes.label, 'No single change; the new tier has held long enough to count')
    end as reason,
    overrides.reason as override_reason,
    changes.k,
    changes.k as days,
    changes.component,
    changes.metric_key,
    changes.cap_key,
    changes.points,
    scores.config_version,
    scores.run_id,
    scores.configuration_hash
from {{ ref('int_trend__tier_changes') }} as changes
inner join {{ ref('int_scoring__account_scores') }} as scores
    on changes.account_id = scores.account_id
    and changes.as_of_date = scores.as_of_date
left join {{ ref('stg_crm__score_overrides') }} as overrides on changes.override_id = overrides.override_id
