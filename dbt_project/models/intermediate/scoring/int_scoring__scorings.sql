-- Grain: account x as_of_date x scorecard x track: everything that the run scores, on one chain of models.
--   own        the account on the scorecard that is its own on the day: what is published
--   candidate  the account on the scorecard of a candidate version: what if
--   earlier    an earlier day under the rules of a later one, where the two differ: what the change ledger asks for
-- is_member: the scorecard's key is the account's own, so others are compared with it; a visitor changes nobody's rank. Where peers count, all
-- members of an earlier scorecard are scored along.

with assigned as (

    select
        accounts.account_id,
        accounts.as_of_date,
        matching.scorecard_id,
        case matching.status when 'active' then 'own' else matching.status end as track
    from {{ ref('int_accounts__scored_days') }} as accounts
    inner join {{ ref('int_scoring__matching_scorecards') }} as matching
        on accounts.as_of_date = matching.as_of_date
        and accounts.stage = matching.stage
        and (accounts.segment = matching.segment or (accounts.segment is null and matching.segment is null))

),

asked as (

    select account_id, earlier_date as as_of_date, same_key_scorecard_id as scorecard_id
    from {{ ref('int_ledger__pairs') }}
    where same_key_scorecard_id <> earlier_scorecard_id
    union
    select account_id, earlier_date, scorecard_id
    from {{ ref('int_ledger__pairs') }}
    where scorecard_id <> earlier_scorecard_id

),

peer_groups as (

    select distinct
        asked.as_of_date,
        asked.scorecard_id,
        scorecards.scorecard_key
    from asked
    inner join {{ ref('int_scoring__scorecard_metrics') }} as rules on asked.scorecard_id = rules.scorecard_id
    inner join {{ source('control', 'scorecard_rules') }} as scorecards on asked.scorecard_id = scorecards.scorecard_id
    where rules.method in ('percentile', 'zscore')

),

own as (

    select
        days.account_id,
        days.as_of_date,
        scorecards.scorecard_key
    from {{ ref('int_scoring__account_days') }} as days
    inner join {{ source('control', 'scorecard_rules') }} as scorecards on days.scorecard_id = scorecards.scorecard_id
    where days.as_of_date in (select as_of_date from asked)

),

earlier as (

    select account_id, as_of_date, scorecard_id from asked
    union
    select own.account_id, own.as_of_date, peer_groups.scorecard_id
    from peer_groups
    inner join own
        on peer_groups.as_of_date = own.as_of_date
        and peer_groups.scorecard_key = own.scorecard_key

)

select
    account_id,
    as_of_date,
    scorecard_id,
    track,
    true as is_member
from assigned
union all
select
    earlier.account_id,
    earlier.as_of_date,
    earlier.scorecard_id,
    'earlier',
    scorecards.scorecard_key = own.scorecard_key
from earlier
inner join {{ source('control', 'scorecard_rules') }} as scorecards on earlier.scorecard_id = scorecards.scorecard_id
inner join own
    on earlier.account_id = own.account_id
    and earlier.as_of_date = own.as_of_date
