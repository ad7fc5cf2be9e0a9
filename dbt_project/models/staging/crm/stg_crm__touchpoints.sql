-- Grain: touchpoint. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    touchpoints.touchpoint_id,
    touchpoints.account_id,
    touchpoints.occurred_at,
    {{ day_number('touchpoints.occurred_at') }} as occurred_day,
    touchpoints.channel,
    touchpoints.direction,
    touchpoints.duration_minutes,
    touchpoints.responded as is_responded,
    touchpoints.sentiment
from {{ source('raw', 'touchpoints') }} as touchpoints
inner join {{ ref('stg_crm__accounts') }} as accounts on touchpoints.account_id = accounts.account_id
