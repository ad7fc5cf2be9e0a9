-- Grain: account x as_of_date x k, for the days whose ledger the run computes: the two days that a change lies between.
-- same_key_scorecard_id is the scorecard that would hold the earlier day's key in the version of the later day, as that version was
-- when the later day was scored; where the key is gone, the later day's own scorecard.

with account_days as (

    select
        days.account_id,
        days.as_of_date,
        days.scorecard_id,
        days.configuration_hash,
        scorecards.config_version,
        scorecards.scorecard_key
    from {{ ref('int_scoring__account_days') }} as days
    inner join {{ source('control', 'scorecard_rules') }} as scorecards on days.scorecard_id = scorecards.scorecard_id

),

configured as (

    select
        configurations.configuration_hash,
        scorecards.config_version,
        scorecards.scorecard_key,
        scorecards.scorecard_id
    from {{ source('control', 'configurations') }} as configurations
    inner join {{ source('control', 'scorecard_rules') }} as scorecards on configurations.scorecard_id = scorecards.scorecard_id

)

select
    later.account_id,
    later.as_of_date,
    ledger_days.k,
    earlier.as_of_date as earlier_date,
    later.scorecard_id,
    earlier.scorecard_id as earlier_scorecard_id,
    case
        when later.scorecard_id = earlier.scorecard_id then later.scorecard_id
        else coalesce(configured.scorecard_id, later.scorecard_id)
    end as same_key_scorecard_id
from {{ source('control', 'ledger_days') }} as ledger_days
inner join account_days as later on ledger_days.as_of_date = later.as_of_date
inner join account_days as earlier
    on later.account_id = earlier.account_id
    and ledger_days.earlier_date = earlier.as_of_date
left join configured
    on later.configuration_hash = configured.configuration_hash
    and later.config_version = configured.config_version
    and earlier.scorecard_key = configured.scorecard_key
