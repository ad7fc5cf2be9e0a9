{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('drift_days') }}") }}

-- Grain: as_of_date x feature that entered or left, on this day, what anyone used in 90 days: the denominator of feature_breadth_90d.
-- is_listed: feature_releases has it. A name that enters without being listed may be a renamed one.

with days as (

    select as_of_date, {{ day_number('as_of_date') }} as day from {{ source('control', 'drift_days') }}

),

used as (

    select distinct
        feature_days.feature,
        feature_days.day
    from {{ ref('int_usage__feature_days') }} as feature_days
    inner join {{ ref('stg_crm__accounts') }} as accounts on feature_days.account_id = accounts.account_id
    where
        feature_days.day >= (select min(day) - 90 from days)
        and feature_days.day <= (select max(day) from days)

),

neighbours as (

    select
        feature,
        day,
        lag(day) over (partition by feature order by day) as day_before,
        lead(day) over (partition by feature order by day) as day_after
    from used

),

changes as (

    select feature, day, 'entered' as change
    from neighbours
    where day_before is null or day - day_before > 90
    union all
    select feature, day + 90, 'left'
    from neighbours
    where day_after is null or day_after - day > 90

)

select
    days.as_of_date,
    changes.feature,
    changes.change,
    releases.feature is not null as is_listed
from changes
inner join days on changes.day = days.day
left join {{ ref('stg_product__feature_releases') }} as releases
    on changes.feature = releases.feature
    and releases.released_day <= changes.day
