-- Grain: account x as_of_date x scorecard that is not the account's own on that day: what would it have scored there?
-- Candidate versions are scored beside the active one on the days of the run. The change ledger scores an earlier day under the rules of a
-- later one where the two differ. is_member = 0: the account only visits the scorecard (its own key is another), so others are not
-- compared with it. Where peers count, all members of the scorecard are scored along.

with staged as (

    select account_id, as_of_date, segment, stage from {{ ref('int_scoring__account_scorecards') }}

),

{{ assigned_scorecards('staged', 'candidate') }},

names as (

    select * from {{ ref('int_scoring__scorecard_names') }}

),

pairs as (

    select * from {{ ref('int_ledger__pairs') }}

),

asked as (

    select distinct
        account_id,
        earlier_date as as_of_date,
        same_key_scorecard_code as scorecard_code
    from pairs
    where same_key_scorecard_code <> earlier_scorecard_code
    union
    select distinct
        account_id,
        earlier_date,
        scorecard_code
    from pairs
    where scorecard_code <> earlier_scorecard_code

),

peer_groups as (

    select distinct
        asked.as_of_date,
        asked.scorecard_code
    from asked
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics on asked.scorecard_code = scorecard_metrics.scorecard_code
    where scorecard_metrics.method in ('percentile', 'zscore')

),

own as (

    select
        scores.account_id,
        scores.as_of_date,
        names.scorecard_key
    from {{ ref('int_scoring__account_scores') }} as scores
    inner join names on scores.scorecard_code = names.scorecard_code
    where scores.as_of_date in (select as_of_date from asked)

),

members as (

    select
        own.account_id,
        own.as_of_date,
        peer_groups.scorecard_code
    from peer_groups
    inner join names on peer_groups.scorecard_code = names.scorecard_code
    inner join own
        on peer_groups.as_of_date = own.as_of_date
        and names.scorecard_key = own.scorecard_key

),

for_ledger as (

    select * from asked
    union
    select * from members

),

all_scorings as (

    select
        account_id,
        as_of_date,
        scorecard_code,
        true as is_candidate,
        1 as is_member
    from assigned
    union all
    select
        for_ledger.account_id,
        for_ledger.as_of_date,
        for_ledger.scorecard_code,
        false,
        case when names.scorecard_key = own.scorecard_key then 1 else 0 end
    from for_ledger
    inner join names on for_ledger.scorecard_code = names.scorecard_code
    inner join own
        on for_ledger.account_id = own.account_id
        and for_ledger.as_of_date = own.as_of_date

)

select
    account_id,
    as_of_date,
    scorecard_code,
    bool_or(is_candidate) as is_candidate,
    max(is_member) as is_member
from all_scorings
group by account_id, as_of_date, scorecard_code
