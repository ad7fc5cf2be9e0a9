-- Grain: pulse. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    csm_pulses.pulse_id,
    csm_pulses.account_id,
    csm_pulses.rated_at,
    {{ day_number('csm_pulses.rated_at') }} as rated_day,
    csm_pulses.rating,
    csm_pulses.author,
    csm_pulses.note
from {{ source('raw', 'csm_pulses') }} as csm_pulses
inner join {{ ref('stg_crm__accounts') }} as accounts on csm_pulses.account_id = accounts.account_id
