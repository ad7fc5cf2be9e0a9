-- Grain: as_of_date, for the days on which drift is looked for: over the accounts in use on the day, events per active user against the account's
-- own rate of the 28 days before. The windows of the metrics dilute a feed that is sent twice; this rate doubles on the day itself.

with days as (

    select as_of_date, {{ day_number('as_of_date') }} as day from {{ source('control', 'drift_days') }}

),

account_days as (

    select
        account_id,
        day,
        cast(events as bigint) as events,
        active_users
    from {{ ref('int_usage__account_days') }}
    where
        day >= (select min(day) - 28 from days)
        and day <= (select max(day) from days)

),

rates as (

    select
        account_id,
        day,
        cast(events as double) / active_users as rate,
        cast(sum(events) over days_before as double) / sum(active_users) over days_before as usual_rate
    from account_days
    window days_before as (partition by account_id order by day range between 28 preceding and 1 preceding)

)

select
    days.as_of_date,
    cast(count(*) as integer) as accounts,
    cast(sum(case when rates.rate > rates.usual_rate then 1 else 0 end) as integer) as moved_up,
    cast(sum(case when rates.rate < rates.usual_rate then 1 else 0 end) as integer) as moved_down,
    cast(sum({{ exact('rates.usual_rate') }}) as double) / count(*) as mean_before,
    cast(sum({{ exact('rates.rate') }}) as double) / count(*) as mean_after
from rates
inner join days on rates.day = days.day
inner join {{ ref('stg_crm__accounts') }} as accounts on rates.account_id = accounts.account_id
where rates.usual_rate is not null
group by days.as_of_date
