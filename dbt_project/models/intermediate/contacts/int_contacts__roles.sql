-- Grain: account x contact x joined_day. Where two rows of a contact of an account overlap, the earlier one ends when the later one begins.

select
    account_id,
    contact_id,
    user_id,
    role,
    joined_day,
    least(left_day, next_joined_day) as left_day,
    next_joined_day
from (
    select
        *,
        lead(joined_day) over (partition by account_id, contact_id order by joined_day) as next_joined_day
    from {{ ref('stg_crm__contacts') }}
) as contacts
