-- Grain: pulse.

select
    pulse_id,
    account_id,
    rated_at,
    {{ day_number('rated_at') }} as rated_day,
    rating,
    author,
    note
from {{ source('raw', 'csm_pulses') }}
