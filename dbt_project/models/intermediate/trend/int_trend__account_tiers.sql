{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date, for the run's days and all scored days after them. The confirmed tier, the tier after overrides, and since when.
-- Every day carries what the next one needs (streaks, limits crossed, last known day, tier_since), so a run reads one earlier row of each account,
-- however long its history.

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

scored as (

    select tiers.*
    from {{ ref('int_scoring__raw_tiers') }} as tiers
    inner join restated on tiers.as_of_date = restated.as_of_date
    where not tiers.is_candidate

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
        scored.account_id as history,
        scored.as_of_date,
        {{ day_number('scored.as_of_date') }} as day,
        scored.raw_tier,
        scored.health_score,
        scored.coverage_if_not_late,
        limits.*,
        overrides.override_id,
        overrides.tier as override_tier,
        false as is_carried,
        cast(null as integer) as carried_healthy_streak,
        cast(null as integer) as carried_at_risk_streak,
        cast(null as date) as carried_healthy_before_run,
        cast(null as date) as carried_at_risk_before_run,
        cast(null as boolean) as carried_is_healthy,
        cast(null as boolean) as carried_is_at_risk,
        cast(null as integer) as carried_known_day,
        cast(null as varchar) as carried_tier,
        cast(null as date) as carried_tier_since,
        cast(null as varchar) as carried_previous_tier
    from scored
    inner join {{ ref('int_scoring__tier_limits') }} as limits on scored.scorecard_id = limits.scorecard_id
    left join overrides
        on scored.account_id = overrides.account_id
        and scored.as_of_date = overrides.as_of_date
    {% if is_incremental() %}
    union all
    select
        carried.account_id,
        carried.as_of_date,
        {{ day_number('carried.as_of_date') }},
        carried.raw_tier,
        carried.health_score,
        cast(null as double),
        limits.*,
        carried.override_id,
        cast(null as varchar),
        true,
        carried.healthy_streak,
        carried.at_risk_streak,
        carried.healthy_before_run,
        carried.at_risk_before_run,
        carried.is_healthy,
        carried.is_at_risk,
        carried.known_day,
        carried.tier,
        carried.tier_since,
        carried.previous_tier
    from carried
    inner join {{ ref('int_scoring__tier_limits') }} as limits on carried.scorecard_id = limits.scorecard_id
    {% endif %}

),

{{ confirmed_tiers() }},

tiers as (

    select
        *,
        case
            when is_carried then carried_tier
            else coalesce(override_tier, model_tier)
        end as tier
    from confirmed

),

changes as (

    select
        *,
        lag(tier) over (partition by history order by as_of_date) as tier_before
    from tiers

),

tier_runs as (

    select
        *,
        -- The beginning of each run of days with one tier, and the tier before it. A carried day brings both along.
        case when is_carried then carried_tier_since when tier_before is null or tier_before <> tier then as_of_date end as run_begins_on,
        case when is_carried then carried_previous_tier when tier_before <> tier then tier_before end as tier_before_run
    from changes

),

since as (

    select
        *,
        {{ last_known('run_begins_on') }} over days_so_far as tier_since,
        {{ last_known('tier_before_run') }} over days_so_far as previous_tier
    from tier_runs
    window days_so_far as (partition by history order by as_of_date rows between unbounded preceding and current row)

)

select
    history as account_id,
    as_of_date,
    previous_date as previous_as_of_date,
    scorecard_id,
    health_score,
    raw_tier,
    healthy_side * healthy_streak as healthy_streak,
    at_risk_side * at_risk_streak as at_risk_streak,
    healthy_before_run,
    at_risk_before_run,
    is_healthy,
    is_at_risk,
    known_day,
    model_tier,
    is_tier_held,
    override_id,
    tier,
    tier_since,
    previous_tier
from since
where not is_carried
