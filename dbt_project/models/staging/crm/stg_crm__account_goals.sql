-- Grain: goal x measured_on.

select
    goal_id,
    account_id,
    measured_on,
    {{ day_number('measured_on') }} as measured_day,
    target_value,
    actual_value,
    value_delivered
from {{ source('raw', 'account_goals') }}
