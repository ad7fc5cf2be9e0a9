-- Grain: advocacy event.

select
    advocacy_id,
    account_id,
    occurred_at,
    {{ day_number('occurred_at') }} as occurred_day,
    kind
from {{ source('raw', 'advocacy_events') }}
