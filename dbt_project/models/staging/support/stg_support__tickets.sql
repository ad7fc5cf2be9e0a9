-- Grain: ticket. A reply, resolution or escalation dated before the opening counts as at the opening.

with tickets as (

    select
        ticket_id,
        account_id,
        opened_at,
        case when first_replied_at < opened_at then opened_at else first_replied_at end as first_replied_at,
        case when resolved_at < opened_at then opened_at else resolved_at end as resolved_at,
        case when escalated_at < opened_at then opened_at else escalated_at end as escalated_at,
        priority,
        topic
    from {{ source('raw', 'tickets') }}

)

select
    *,
    {{ day_number('opened_at') }} as opened_day,
    {{ day_number('first_replied_at') }} as first_replied_day,
    {{ day_number('resolved_at') }} as resolved_day,
    {{ day_number('escalated_at') }} as escalated_day
from tickets
