-- Grain: touchpoint.

select
    touchpoint_id,
    account_id,
    {{ same_user('contact_id') }} as contact_id,
    occurred_at,
    {{ day_number('occurred_at') }} as occurred_day,
    channel,
    direction,
    duration_minutes,
    responded as is_responded,
    sentiment
from {{ source('raw', 'touchpoints') }}
