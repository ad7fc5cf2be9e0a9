{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date on which `tier` became another one, with the cause, and what moved the score most in that direction: of the ledger of
-- 7 days, or of 28 where there is none.
-- The cause is `rules` where the tier would still be the old one under the rules of the scored day before the run of days that confirmed the change.

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

limits as (

    select * from {{ ref('int_scoring__tier_limits') }}

),

changed as (

    select
        now.account_id,
        now.as_of_date,
        now.previous_tier as from_tier,
        now.tier as to_tier,
        now.override_id,
        case
            when now.override_id is not null then 'override'
            when before.override_id is not null then 'override_ended'
            when now.tier = 'unknown' or now.previous_tier = 'unknown' then 'coverage'
        end as cause,
        {% set rank = "case {} when 'poor' then 1 when 'at_risk' then 2 when 'healthy' then 3 end" %}
        sign({{ rank.format('now.tier') }} - {{ rank.format('now.previous_tier') }}) as direction,
        -- The tier was left where the limit next to it was crossed.
        case
            when now.previous_tier = 'healthy' then now.healthy_before_run
            when now.previous_tier = 'poor' then now.at_risk_before_run
            when now.tier = 'healthy' then now.healthy_before_run
            else now.at_risk_before_run
        end as before_run
    from {{ ref('int_trend__account_tiers') }} as now
    inner join {{ ref('int_trend__account_tiers') }} as before
        on now.account_id = before.account_id
        and now.previous_as_of_date = before.as_of_date
    where
        now.as_of_date in (select as_of_date from restated)
        and now.tier_since = now.as_of_date
        and now.previous_tier is not null

),

-- Changes in whose run any day has other rules than the day before it.
under_other_rules as (

    select distinct
        changed.account_id,
        changed.as_of_date,
        changed.before_run,
        earlier.scorecard_id
    from changed
    inner join {{ ref('int_trend__account_tiers') }} as earlier
        on changed.account_id = earlier.account_id
        and changed.before_run = earlier.as_of_date
    -- They are there. As an inner join the engine may join the days of an account with each other first, all with all.
    left join {{ ref('int_trend__account_tiers') }} as run_days
        on changed.account_id = run_days.account_id
        and run_days.as_of_date > changed.before_run
        and run_days.as_of_date <= changed.as_of_date
    inner join limits as limits_before on earlier.scorecard_id = limits_before.scorecard_id
    inner join limits as limits_then on run_days.scorecard_id = limits_then.scorecard_id
    where
        changed.cause is null
        and (
            limits_before.tier_mode <> limits_then.tier_mode
            {%- for rule in ['tier_margin', 'confirm_days', 'min_coverage', 'healthy_score', 'at_risk_score', 'healthy_percentile', 'at_risk_percentile'] %}
            or limits_before.{{ rule }} <> limits_then.{{ rule }}
            {%- endfor %}
        )

),

-- The days of that run, once more under the rules of the day before it, and with the state of that day.
days as (

    select
        scores.account_id || ' ' || cast(under_other_rules.as_of_date as string) as history,
        scores.account_id,
        under_other_rules.as_of_date as changed_on,
        scores.as_of_date,
        {{ day_number('scores.as_of_date') }} as day,
        {{ raw_tier('scores', 'limits', 'scores') }} as raw_tier,
        scores.health_score,
        scores.coverage_if_not_late,
        limits.*
        {%- for column in carried_tier_state() %},
        before.{{ column }} as carried_{{ column }}
        {%- endfor %}
    from under_other_rules
    inner join {{ ref('int_scoring__raw_tiers') }} as scores
        on not scores.is_candidate
        and under_other_rules.account_id = scores.account_id
        and scores.as_of_date > under_other_rules.before_run
        and scores.as_of_date <= under_other_rules.as_of_date
    inner join {{ ref('int_trend__account_tiers') }} as before
        on under_other_rules.account_id = before.account_id
        and under_other_rules.before_run = before.as_of_date
    inner join limits on under_other_rules.scorecard_id = limits.scorecard_id

),

confirmed as (

    {{ confirmed_tiers('days') }}

),

with_cause as (

    select
        changed.*,
        coalesce(changed.cause, case when confirmed.model_tier = changed.from_tier then 'rules' else 'score' end) as known_cause
    from changed
    left join confirmed
        on changed.account_id = confirmed.account_id
        and changed.as_of_date = confirmed.changed_on
        and changed.as_of_date = confirmed.as_of_date

),

ranked as (

    select
        changes.*,
        row_number() over (
            partition by changes.account_id, changes.as_of_date
            order by changes.k, abs(changes.points) desc, changes.component, changes.metric_key
        ) as position
    from {{ ref('score_changes') }} as changes
    inner join with_cause
        on changes.account_id = with_cause.account_id
        and changes.as_of_date = with_cause.as_of_date
    where
        -- Said once more, so that a run of one day reads no history.
        changes.as_of_date in (select as_of_date from restated)
        and with_cause.known_cause not in ('override', 'override_ended')
        and (with_cause.direction is null or changes.points * with_cause.direction > 0)

)

select
    with_cause.account_id,
    with_cause.as_of_date,
    with_cause.from_tier,
    with_cause.to_tier,
    with_cause.known_cause as cause,
    with_cause.override_id,
    strongest.k,
    strongest.component,
    strongest.metric_key,
    case when strongest.component = 'cap' then ledger.cap_key end as cap_key,
    strongest.label,
    strongest.points
from with_cause
left join ranked as strongest
    on with_cause.account_id = strongest.account_id
    and with_cause.as_of_date = strongest.as_of_date
    and strongest.position = 1
left join {{ ref('int_ledger__changes') }} as ledger
    on strongest.account_id = ledger.account_id
    and strongest.as_of_date = ledger.as_of_date
    and strongest.k = ledger.k
