-- Grain: account. left_day: the first day on which a daily delivery of the whole table lacks the account; null where it is not delivered so.

select
    account_id,
    account_name,
    parent_account_id,
    segment,
    industry,
    region,
    csm,
    created_at,
    {{ day_number('created_at') }} as created_day,
    {{ day_number('left_on') }} as left_day
from {{ source('raw', 'accounts') }}
