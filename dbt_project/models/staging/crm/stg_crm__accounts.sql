-- Grain: account.

select
    account_id,
    account_name,
    parent_account_id,
    segment,
    industry,
    region,
    csm,
    created_at,
    {{ day_number('created_at') }} as created_day
from {{ source('raw', 'accounts') }}
