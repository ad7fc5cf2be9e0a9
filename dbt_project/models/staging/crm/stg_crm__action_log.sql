-- Grain: entry.

select
    entry_id,
    account_id,
    playbook_key,
    logged_at,
    {{ day_number('logged_at') }} as logged_day,
    state,
    snoozed_until,
    owner,
    author,
    note
from {{ source('raw', 'action_log') }}
