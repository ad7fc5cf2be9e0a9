-- Grain: touchpoint.

select
    touchpoint_id,
    account_id,
    contact_id,
    occurred_at,
    {{ day_number('occurred_at') }} as occurred_day,
    channel,
    direction,
    duration_minutes,
    responded as is_responded,
    sentiment
from {{ source('raw', 'touchpoints') }}
