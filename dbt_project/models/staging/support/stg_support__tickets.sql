-- Grain: ticket. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    tickets.ticket_id,
    tickets.account_id,
    tickets.opened_at,
    tickets.first_replied_at,
    tickets.resolved_at,
    tickets.escalated_at,
    {{ day_number('tickets.opened_at') }} as opened_day,
    {{ day_number('tickets.first_replied_at') }} as first_replied_day,
    {{ day_number('tickets.resolved_at') }} as resolved_day,
    {{ day_number('tickets.escalated_at') }} as escalated_day,
    tickets.priority,
    tickets.topic
from {{ source('raw', 'tickets') }} as tickets
inner join {{ ref('stg_crm__accounts') }} as accounts on tickets.account_id = accounts.account_id
