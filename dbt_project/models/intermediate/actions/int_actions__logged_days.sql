{{ config(materialized='view') }}

-- Grain: account x playbook x day with an entry in the action log: what holds from that day until the next such day, by the last entry of the
-- day. Whoever it was given to may have been named on an earlier day (owner_named_day), of an action before, which its reader leaves out.

with entries as (

    select
        *,
        {{ first_known('owner') }} over up_to_entry as last_owner,
        {{ first_known('case when owner is not null then logged_day end') }} over up_to_entry as owner_named_day,
        row_number() over (
            partition by account_id, playbook_key, logged_day order by logged_at desc, entry_id desc
        ) as position
    from {{ ref('stg_crm__action_log') }}
    window up_to_entry as (
        partition by account_id, playbook_key order by logged_at desc, entry_id desc
        rows between current row and unbounded following
    )

)

select
    account_id,
    playbook_key,
    logged_day,
    lead(logged_day) over (partition by account_id, playbook_key order by logged_day) as next_logged_day,
    state,
    snoozed_until,
    last_owner as owner,
    owner_named_day
from entries
where position = 1
