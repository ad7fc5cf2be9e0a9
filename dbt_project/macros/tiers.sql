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

{# What a day carries over to the next one, so that a run reads one earlier row of each account: columns of int_trend__account_tiers. #}
{% macro carried_tier_state() -%}
    {{ return({
        'as_of_date': 'date', 'healthy_streak': 'integer', 'at_risk_streak': 'integer', 'healthy_before_run': 'date', 'at_risk_before_run': 'date',
        'is_healthy': 'boolean', 'is_at_risk': 'boolean', 'known_day': 'integer',
    }) }}
{%- endmacro %}

{# A select of the confirmed tiers, with hysteresis (docs/scoring.md, "Tiers"): a score that swings around a limit changes nothing.

   `days` names a CTE with one row for each scored day of a `history` (an account, or an account under other rules): as_of_date, day, raw_tier,
   health_score, coverage_if_not_late, the columns of int_scoring__tier_limits, and of the day before the first one carried_<column> for each
   column of `carried_tier_state`, null where there is none.

   It has the columns of `days` and previous_date, known_day, is_tier_held, model_tier and, for each of the two limits,
     <tier>_streak      number of scored days in a row on one side of it: positive on or above it, negative below, 0 where the raw tier is unknown
     <tier>_before_run  the scored day before those days
     is_<tier>          whether the limit was last crossed upwards; one never crossed is as on the first day with a known raw tier #}
{% macro confirmed_tiers(days) %}
    {%- set tiers = ['healthy', 'at_risk'] %}
    with sides as (

        select
            *,
            case when raw_tier = 'unknown' then 0 when raw_tier = 'healthy' then 1 else -1 end as healthy_side,
            case when raw_tier = 'unknown' then 0 when raw_tier in ('healthy', 'at_risk') then 1 else -1 end as at_risk_side
        from {{ days }}

    ),

    turns as (

        select
            *
            {%- for tier in tiers %},
            coalesce(
                {{ tier }}_side <> coalesce(lag({{ tier }}_side) over (partition by history order by as_of_date), sign(carried_{{ tier }}_streak)),
                true
            ) as {{ tier }}_turns
            {%- endfor %},
            coalesce(lag(as_of_date) over (partition by history order by as_of_date), carried_as_of_date) as previous_date,
            row_number() over (partition by history order by as_of_date) as position
        from sides

    ),

    streaks as (

        select
            *
            {%- for tier in tiers %},
            position - coalesce(
                {{ last_known('case when ' ~ tier ~ '_turns then position - 1 end') }} over days_so_far, -abs(carried_{{ tier }}_streak)
            ) as {{ tier }}_days_on_side,
            coalesce(
                {{ last_known('case when ' ~ tier ~ '_turns then previous_date end') }} over days_so_far, carried_{{ tier }}_before_run
            ) as {{ tier }}_before_run
            {%- endfor %}
        from turns
        window days_so_far as (partition by history order by as_of_date rows between unbounded preceding and current row)

    ),

    crossings as (

        select
            *
            {%- for tier in tiers %},
            case
                when {{ tier }}_days_on_side < confirm_days then null
                when {{ tier }}_side = 1 and (tier_mode = 'quantile' or health_score >= round({{ tier }}_score + tier_margin, 9)) then true
                when {{ tier }}_side = -1 and (tier_mode = 'quantile' or health_score < round({{ tier }}_score - tier_margin, 9)) then false
            end as {{ tier }}_crossed
            {%- endfor %}
        from streaks

    ),

    limits_crossed as (

        select
            *
            {%- for tier in tiers %},
            cast({{ tier }}_side * {{ tier }}_days_on_side as integer) as {{ tier }}_streak,
            coalesce(
                {{ last_known(tier ~ '_crossed') }} over days_so_far,
                carried_is_{{ tier }},
                {{ first_known('case when ' ~ tier ~ '_side <> 0 then ' ~ tier ~ '_side = 1 end') }} over days_so_far
            ) as is_{{ tier }}
            {%- endfor %},
            coalesce(max(case when raw_tier <> 'unknown' then day end) over days_so_far, carried_known_day) as known_day
        from crossings
        window days_so_far as (partition by history order by as_of_date rows between unbounded preceding and current row)

    ),

    held as (

        select
            *,
            -- Nothing is known to have changed but the feed.
            raw_tier = 'unknown' and coverage_if_not_late >= min_coverage and coalesce(day - known_day <= 7, false) as is_tier_held
        from limits_crossed

    )

    select
        *,
        case
            when raw_tier = 'unknown' and not is_tier_held then 'unknown'
            when is_healthy then 'healthy'
            when is_at_risk then 'at_risk'
            else 'poor'
        end as model_tier
    from held
{% endmacro %}
