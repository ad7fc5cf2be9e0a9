-- Grain: advocacy event. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    advocacy_events.advocacy_id,
    advocacy_events.account_id,
    advocacy_events.occurred_at,
    {{ day_number('advocacy_events.occurred_at') }} as occurred_day,
    advocacy_events.kind
from {{ source('raw', 'advocacy_events') }} as advocacy_events
inner join {{ ref('stg_crm__accounts') }} as accounts on advocacy_events.account_id = accounts.account_id
