-- Grain: outcome of an account, up to the newest scored day: what was delivered, and what subscriptions and accounts say themselves.
--   churned, renewed, expanded, contracted  as delivered (source account_outcomes)
--   started_paying  the first subscription that is not a trial begins
--   ended           the last subscription in force ends, and none begins within 15 days of that: only of accounts that ever paid, once the 15
--                   days have passed
--   removed         a daily delivery of all accounts lacks the account from this day on
-- An account that churns and whose subscription ends has both rows: count accounts, not rows.

{% set return_days = var('return_days') %}

with as_of as (

    select {{ day_number('max(as_of_date)') }} as day from {{ ref('int_scoring__account_scores') }}

),

accounts as (

    select * from {{ ref('stg_crm__accounts') }}

),

delivered as (

    select outcomes.*
    from {{ ref('stg_crm__account_outcomes') }} as outcomes
    inner join accounts on outcomes.account_id = accounts.account_id

),

-- An end that is still to come is none yet.
subscriptions as (

    select
        subscriptions.account_id,
        subscriptions.is_trial,
        subscriptions.started_day,
        case when subscriptions.ended_day <= as_of.day then subscriptions.ended_day else 99999999 end as ended_day
    from {{ ref('int_billing__subscriptions') }} as subscriptions
    cross join as_of
    where
        subscriptions.started_day <= as_of.day
        and (subscriptions.ended_day is null or subscriptions.ended_day > subscriptions.started_day)

),

paying as (

    select
        account_id,
        min(started_day) as day
    from subscriptions
    where not is_trial
    group by account_id

),

in_force as (

    select
        account_id,
        started_day,
        max(ended_day) over (
            partition by account_id order by started_day, ended_day rows between unbounded preceding and current row
        ) as ended_day
    from subscriptions

),

followed as (

    select
        account_id,
        ended_day,
        lead(started_day) over (partition by account_id order by started_day, ended_day) as next_started_day
    from in_force

),

ended as (

    select
        followed.account_id,
        followed.ended_day as day
    from followed
    inner join paying on followed.account_id = paying.account_id
    cross join as_of
    where
        followed.ended_day + {{ return_days }} <= as_of.day
        and (followed.next_started_day is null or followed.next_started_day > followed.ended_day + {{ return_days }})

),

outcomes as (

    select
        delivered.outcome_id,
        delivered.account_id,
        delivered.occurred_day as day,
        delivered.kind,
        delivered.arr_delta,
        'account_outcomes' as source
    from delivered
    union all
    select cast(null as string), account_id, day, 'started_paying', cast(null as double), 'subscriptions' from paying
    union all
    select null, account_id, day, 'ended', null, 'subscriptions' from ended
    union all
    select null, account_id, left_day, 'removed', null, 'accounts' from accounts where left_day is not null

)

select
    outcomes.account_id,
    {{ date_of_day('outcomes.day') }} as occurred_on,
    outcomes.kind,
    outcomes.source,
    outcomes.outcome_id,
    outcomes.arr_delta,
    run.reporting_currency as currency
from outcomes
inner join as_of on outcomes.day <= as_of.day
cross join {{ source('control', 'run') }} as run
