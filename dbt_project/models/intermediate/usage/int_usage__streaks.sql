-- Grain: account x as_of_date, for the days of the run: consecutive 28-day periods, counted back from the day, that have an event.
-- Period i of day d is [d - 28i - 27, d - 28i]: empty exactly where d - 28i lies in a stretch of days whose last 28 days have no
-- event. Such stretches are few, so the first period that falls into one is found without looking at each period.

with bounds as (

    select
        min(day) as first_day,
        max(day) as last_day
    from {{ source('control', 'as_of_days') }}

),

scored_days as (

    select account_id, as_of_date, day from {{ ref('int_accounts__scored_days') }}

),

active_days as (

    select
        account_id,
        day,
        lag(day) over (partition by account_id order by day) as previous_day,
        lead(day) over (partition by account_id order by day) as next_day
    from {{ ref('int_usage__account_days') }}
    where
        -- Thirteen periods: 364 days.
        day >= (select first_day from bounds) - 363
        and day <= (select last_day from bounds)

),

quiet_stretches as (

    select account_id, cast(-1000000 as integer) as from_day, day - 1 as to_day
    from active_days
    where previous_day is null
    union all
    select account_id, day + 28, coalesce(next_day - 1, 1000000)
    from active_days
    where next_day is null or next_day - day > 28

),

first_empty_period as (

    select
        scored_days.account_id,
        scored_days.day,
        -- The smallest i with d - 28i <= to_day, if that day lies in the stretch.
        min(
            case
                when scored_days.day <= quiet_stretches.to_day then 0
                when scored_days.day - 28 * cast(ceil((scored_days.day - quiet_stretches.to_day) / 28e0) as integer) >= quiet_stretches.from_day
                    then cast(ceil((scored_days.day - quiet_stretches.to_day) / 28e0) as integer)
            end
        ) as period
    from scored_days
    inner join quiet_stretches
        on scored_days.account_id = quiet_stretches.account_id
        and scored_days.day >= quiet_stretches.from_day
        and scored_days.day - 336 <= quiet_stretches.to_day
    group by scored_days.account_id, scored_days.day

),

accounts_with_activity as (

    select distinct account_id from active_days

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    scored_days.day,
    case
        when accounts_with_activity.account_id is null then 0
        else least(coalesce(first_empty_period.period, 13), 13)
    end as active_periods_streak
from scored_days
left join accounts_with_activity on scored_days.account_id = accounts_with_activity.account_id
left join first_empty_period
    on scored_days.account_id = first_empty_period.account_id
    and scored_days.day = first_empty_period.day
