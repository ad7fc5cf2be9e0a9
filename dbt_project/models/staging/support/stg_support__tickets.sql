-- Grain: ticket. A reply, resolution or escalation dated before the opening counts as at the opening.
-- Rows of unknown accounts (orphans) are left out; data_freshness counts them.

with tickets as (

    select
        tickets.ticket_id,
        tickets.account_id,
        tickets.opened_at,
        case when tickets.first_replied_at < tickets.opened_at then tickets.opened_at else tickets.first_replied_at end as first_replied_at,
        case when tickets.resolved_at < tickets.opened_at then tickets.opened_at else tickets.resolved_at end as resolved_at,
        case when tickets.escalated_at < tickets.opened_at then tickets.opened_at else tickets.escalated_at end as escalated_at,
        tickets.priority,
        tickets.topic
    from {{ source('raw', 'tickets') }} as tickets
    inner join {{ ref('stg_crm__accounts') }} as accounts on tickets.account_id = accounts.account_id

)

select
    *,
    {{ day_number('opened_at') }} as opened_day,
    {{ day_number('first_replied_at') }} as first_replied_day,
    {{ day_number('resolved_at') }} as resolved_day,
    {{ day_number('escalated_at') }} as escalated_day
from tickets
