{# The tier by one day's score. `limits` is a row of int_scoring__tier_limits. #}
{% macro raw_tier(scores, limits, percentiles) -%}
    case
        when {{ scores }}.coverage < {{ limits }}.min_coverage then 'unknown'
        {%- for tier in ['healthy', 'at_risk'] %}
        when {{ limits }}.tier_mode = 'threshold' and {{ scores }}.health_score >= {{ limits }}.{{ tier }}_score then '{{ tier }}'
        when {{ limits }}.tier_mode = 'quantile' and {{ percentiles }}.percentile > {{ limits }}.{{ tier }}_percentile then '{{ tier }}'
        {%- endfor %}
        else 'poor'
    end
{%- endmacro %}

{# Confirmed tiers with hysteresis (docs/scoring.md, "Hysteresis"): a score that swings around a limit changes nothing.

   `days` is a CTE with one row for each scored day of a `history` (an account, or an account under other rules): as_of_date, day, raw_tier,
   health_score, coverage_if_not_late, the columns of int_scoring__tier_limits, and of a first row that brings the days before it along (is_carried):
   carried_<tier>_streak, carried_<tier>_before_run, carried_is_<tier>, carried_known_day.

   Renders the CTE `confirmed`: the columns of `days` and, for each of the two limits,
     <tier>_side    1 on or above it, -1 below, 0 where the raw tier is unknown
     <tier>_streak  number of scored days in a row on that side
     <tier>_before_run  the scored day before those days
     is_<tier>      whether the limit was last crossed upwards; one never crossed is as on the first day with a known raw tier
   and known_day, is_tier_held and model_tier. #}
{% macro confirmed_tiers() %}
sides as (

    select
        *,
        case
            when is_carried then sign(carried_healthy_streak)
            when raw_tier = 'unknown' then 0
            when raw_tier = 'healthy' then 1
            else -1
        end as healthy_side,
        case
            when is_carried then sign(carried_at_risk_streak)
            when raw_tier = 'unknown' then 0
            when raw_tier in ('healthy', 'at_risk') then 1
            else -1
        end as at_risk_side
    from days

),

turns as (

    select
        *
        {%- for tier in ['healthy', 'at_risk'] %},
        coalesce(lag({{ tier }}_side) over (partition by history order by as_of_date) <> {{ tier }}_side, true) as {{ tier }}_turns
        {%- endfor %},
        lag(as_of_date) over (partition by history order by as_of_date) as previous_date,
        row_number() over (partition by history order by as_of_date) as position
    from sides

),

-- A carried day, always the first, brings the days before it along.
streaks as (

    select
        *
        {%- for tier in ['healthy', 'at_risk'] %},
        cast(
            position - {{ last_known('case when ' ~ tier ~ '_turns then position - coalesce(abs(carried_' ~ tier ~ '_streak), 1) end') }} over days_so_far as integer
        ) as {{ tier }}_streak,
        {{ last_known('case when is_carried then carried_' ~ tier ~ '_before_run when ' ~ tier ~ '_turns then previous_date end') }}
            over days_so_far as {{ tier }}_before_run
        {%- endfor %}
    from turns
    window days_so_far as (partition by history order by as_of_date rows between unbounded preceding and current row)

),

crossings as (

    select
        *
        {%- for tier in ['healthy', 'at_risk'] %},
        case
            when is_carried then carried_is_{{ tier }}
            when {{ tier }}_streak < confirm_days then null
            when {{ tier }}_side = 1 and (tier_mode = 'quantile' or health_score >= round({{ tier }}_score + tier_margin, 9)) then true
            when {{ tier }}_side = -1 and (tier_mode = 'quantile' or health_score < round({{ tier }}_score - tier_margin, 9)) then false
        end as {{ tier }}_crossed
        {%- endfor %}
    from streaks

),

limits_crossed as (

    select
        *
        {%- for tier in ['healthy', 'at_risk'] %},
        coalesce(
            {{ last_known(tier ~ '_crossed') }} over (partition by history order by as_of_date rows between unbounded preceding and current row),
            {{ first_known('case when ' ~ tier ~ '_side <> 0 then ' ~ tier ~ '_side = 1 end') }}
                over (partition by history order by as_of_date rows between unbounded preceding and current row)
        ) as is_{{ tier }}
        {%- endfor %},
        max(case when is_carried then carried_known_day when raw_tier <> 'unknown' then day end)
            over (partition by history order by as_of_date rows unbounded preceding) as known_day
    from crossings

),

held as (

    select
        *,
        -- Nothing is known to have changed but the feed.
        raw_tier = 'unknown' and coverage_if_not_late >= min_coverage and coalesce(day - known_day <= 7, false) as is_tier_held
    from limits_crossed

),

confirmed as (

    select
        *,
        case
            when raw_tier = 'unknown' and not is_tier_held then 'unknown'
            when is_healthy then 'healthy'
            when is_at_risk then 'at_risk'
            else 'poor'
        end as model_tier
    from held

)
{% endmacro %}
