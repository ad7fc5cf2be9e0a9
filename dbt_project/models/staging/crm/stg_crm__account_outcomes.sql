-- Grain: outcome. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    account_outcomes.outcome_id,
    account_outcomes.account_id,
    account_outcomes.occurred_on,
    {{ day_number('account_outcomes.occurred_on') }} as occurred_day,
    account_outcomes.kind,
    account_outcomes.arr_delta
from {{ source('raw', 'account_outcomes') }} as account_outcomes
inner join {{ ref('stg_crm__accounts') }} as accounts on account_outcomes.account_id = accounts.account_id
