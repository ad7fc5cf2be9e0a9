{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date, for the run's days and all scored days after them. The confirmed tier, the tier after overrides, and since when.
-- Every day carries what the next one needs (streak, confirmed_tier, tier_since), so a run reads one earlier row of each account,
-- however long its history. `unknown` never confirms and never stays: it holds on exactly the days that have it.

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

scored as (

    select
        scores.account_id,
        scores.as_of_date,
        scores.raw_tier,
        scores.confirm_days,
        false as is_carried
    from {{ ref('int_scoring__account_scores') }} as scores
    inner join restated on scores.as_of_date = restated.as_of_date

),

-- Of several overrides in force the one that began last holds, then the greater key.
overrides as (

    select
        account_id,
        as_of_date,
        override_id,
        tier
    from (
        select
            scored.account_id,
            scored.as_of_date,
            overrides.override_id,
            overrides.tier,
            row_number() over (
                partition by scored.account_id, scored.as_of_date
                order by overrides.starts_on desc, overrides.override_id desc
            ) as position
        from scored
        inner join {{ ref('stg_crm__score_overrides') }} as overrides
            on scored.account_id = overrides.account_id
            and scored.as_of_date >= overrides.starts_on
            and scored.as_of_date < overrides.expires_on
    ) as in_force
    where position = 1

),

{% if is_incremental() %}
last_days as (

    select
        account_id,
        max(as_of_date) as as_of_date
    from {{ this }}
    where as_of_date < (select min(as_of_date) from restated)
    group by account_id

),

carried as (

    select history.*
    from {{ this }} as history
    inner join last_days
        on history.account_id = last_days.account_id
        and history.as_of_date = last_days.as_of_date

),
{% endif %}

days as (

    select
        scored.account_id,
        scored.as_of_date,
        scored.raw_tier,
        scored.confirm_days,
        scored.is_carried,
        overrides.override_id,
        overrides.tier as override_tier,
        cast(null as integer) as carried_streak,
        cast(null as varchar) as carried_confirmed_tier,
        cast(null as varchar) as carried_tier,
        cast(null as date) as carried_tier_since,
        cast(null as varchar) as carried_previous_tier
    from scored
    left join overrides
        on scored.account_id = overrides.account_id
        and scored.as_of_date = overrides.as_of_date
    {% if is_incremental() %}
    union all
    select
        account_id,
        as_of_date,
        raw_tier,
        cast(null as integer),
        true,
        cast(null as varchar),
        cast(null as varchar),
        streak,
        confirmed_tier,
        tier,
        tier_since,
        previous_tier
    from carried
    {% endif %}

),

-- Consecutive scored days of one raw tier.
steps as (

    select
        *,
        lag(as_of_date) over (partition by account_id order by as_of_date) as previous_as_of_date,
        case when lag(raw_tier) over (partition by account_id order by as_of_date) = raw_tier then 0 else 1 end as is_new_streak
    from days

),

streaks as (

    select
        *,
        sum(is_new_streak) over (partition by account_id order by as_of_date rows unbounded preceding) as streak_number
    from steps

),

counted as (

    select
        *,
        cast(
            -- The carried day brings the days before it along.
            row_number() over (partition by account_id, streak_number order by as_of_date)
            + coalesce(max(carried_streak) over (partition by account_id, streak_number) - 1, 0) as integer
        ) as streak
    from streaks

),

confirmed as (

    select
        *,
        coalesce(
            -- A carried day brings the tier confirmed up to then.
            {{ last_known("case when is_carried then carried_confirmed_tier when streak >= confirm_days and raw_tier <> 'unknown' then raw_tier end") }}
                over (partition by account_id order by as_of_date rows between unbounded preceding and current row),
            {{ first_known("case when raw_tier <> 'unknown' then raw_tier end") }}
                over (partition by account_id order by as_of_date rows between unbounded preceding and current row)
        ) as confirmed_tier
    from counted

),

tiers as (

    select
        *,
        case when raw_tier = 'unknown' then 'unknown' else confirmed_tier end as model_tier,
        case
            when is_carried then carried_tier
            when override_tier is not null then override_tier
            when raw_tier = 'unknown' then 'unknown'
            else confirmed_tier
        end as tier
    from confirmed

),

changes as (

    select
        *,
        lag(tier) over (partition by account_id order by as_of_date) as tier_before
    from tiers

),

runs as (

    select
        *,
        -- The beginning of each run of days with one tier, and the tier before it. A carried day brings both along.
        case when is_carried then carried_tier_since when tier_before is null or tier_before <> tier then as_of_date end as run_begins_on,
        case when is_carried then carried_previous_tier when tier_before <> tier then tier_before end as tier_before_run
    from changes

),

numbered as (

    select
        *,
        count(run_begins_on) over (partition by account_id order by as_of_date rows unbounded preceding) as run_number
    from runs

),

since as (

    select
        *,
        max(run_begins_on) over (partition by account_id, run_number) as tier_since,
        max(tier_before_run) over (partition by account_id, run_number) as previous_tier
    from numbered

)

select
    account_id,
    as_of_date,
    previous_as_of_date,
    raw_tier,
    streak,
    confirmed_tier,
    model_tier,
    override_id,
    tier,
    tier_since,
    previous_tier
from since
where not is_carried
