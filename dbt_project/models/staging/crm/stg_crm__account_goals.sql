-- Grain: goal x measured_on. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    account_goals.goal_id,
    account_goals.account_id,
    account_goals.measured_on,
    {{ day_number('account_goals.measured_on') }} as measured_day,
    account_goals.target_value,
    account_goals.actual_value,
    account_goals.value_delivered
from {{ source('raw', 'account_goals') }} as account_goals
inner join {{ ref('stg_crm__accounts') }} as accounts on account_goals.account_id = accounts.account_id
