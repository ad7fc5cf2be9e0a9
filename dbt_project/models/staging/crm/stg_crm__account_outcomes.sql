-- Grain: outcome.

select
    outcome_id,
    account_id,
    occurred_on,
    {{ day_number('occurred_on') }} as occurred_day,
    kind,
    arr_delta
from {{ source('raw', 'account_outcomes') }}
