{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date, for the run's days and all scored days after them. The confirmed tier, the tier after overrides, and since when.
-- Every day carries what the next one needs (streaks, limits crossed, last known day, tier_since), so a run reads one earlier row of each account,
-- however long its history.

{% set carried_state = dict(carried_tier_state(), tier='string', tier_since='date', previous_tier='string') %}

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
-- The last scored day of each account before the restated ones.
carried as (

    select history.*
    from {{ this }} as history
    inner join (
        select
            account_id,
            max(as_of_date) as as_of_date
        from {{ this }}
        where as_of_date < (select min(as_of_date) from restated)
        group by account_id
    ) as last_days
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
        overrides.tier as override_tier
        {%- for column, type in carried_state.items() %},
        {{ 'carried.' ~ column if is_incremental() else 'cast(null as ' ~ type ~ ')' }} as carried_{{ column }}
        {%- endfor %}
    from scored
    inner join {{ ref('int_scoring__tier_limits') }} as limits on scored.scorecard_id = limits.scorecard_id
    left join overrides
        on scored.account_id = overrides.account_id
        and scored.as_of_date = overrides.as_of_date
    {% if is_incremental() -%}
    left join carried on scored.account_id = carried.account_id
    {%- endif %}

),

confirmed as (

    {{ confirmed_tiers('days') }}

),

tiers as (

    select
        *,
        coalesce(override_tier, model_tier) as tier
    from confirmed

),

changes as (

    select
        *,
        coalesce(lag(tier) over (partition by history order by as_of_date), carried_tier) as tier_before
    from tiers

),

-- A run of days with one tier begins where there is another tier before, or none.
since as (

    select
        *,
        coalesce(
            {{ last_known('case when tier_before is null or tier_before <> tier then as_of_date end') }} over days_so_far, carried_tier_since
        ) as tier_since,
        coalesce({{ last_known('case when tier_before <> tier then tier_before end') }} over days_so_far, carried_previous_tier) as previous_tier
    from changes
    window days_so_far as (partition by history order by as_of_date rows between unbounded preceding and current row)

)

select
    history as account_id,
    as_of_date,
    previous_date as previous_as_of_date,
    scorecard_id,
    health_score,
    raw_tier,
    healthy_streak,
    at_risk_streak,
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
