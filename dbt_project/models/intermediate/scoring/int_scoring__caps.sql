-- Grain: scoring (own or candidate) for which the condition of any cap holds: the lowest of its caps. It binds where the score is above it.

{% set metrics = scorecard_metrics('scorecard_metrics.metric_key in (select metric_key from ' ~ ref('score_caps') ~ ')') %}

-- depends_on: {{ ref('int_metrics__adoption') }}, {{ ref('int_metrics__commercial') }}, {{ ref('int_metrics__support') }}, {{ ref('int_metrics__voice') }}, {{ ref('int_metrics__outcomes') }}
with caps as (

    select
        scorecards.scorecard_id,
        caps.metric_key,
        caps.cap_key,
        coalesce(caps.reason, 'Cap ' || caps.cap_key) as cap_label,
        caps.operator,
        caps.threshold,
        caps.max_score
    from {{ ref('score_caps') }} as caps
    inner join {{ ref('int_scoring__scorecards') }} as scorecards
        on caps.config_version = scorecards.config_version
        and caps.scorecard_key = scorecards.scorecard_key

),

measured as (

    {{ measured_values(metrics) }}

),

-- Few values meet a condition, and scorecards share conditions: these come before the scorings.
met as (

    select
        measured.*,
        conditions.operator,
        conditions.threshold
    from measured
    inner join (select distinct metric_key, operator, threshold from caps) as conditions
        on measured.metric_key = conditions.metric_key
        and {{ compare('round(measured.value, 9)', 'conditions.operator', 'conditions.threshold') }}

),

holding as (

    select
        scorings.account_id,
        scorings.as_of_date,
        scorings.scorecard_id,
        scorings.track,
        caps.metric_key,
        caps.cap_key,
        caps.cap_label,
        caps.max_score,
        met.value as cap_value
    from met
    inner join caps
        on met.metric_key = caps.metric_key
        and met.operator = caps.operator
        and met.threshold = caps.threshold
    inner join {{ ref('int_scoring__scorings') }} as scorings
        on met.account_id = scorings.account_id
        and met.as_of_date = scorings.as_of_date
        and caps.scorecard_id = scorings.scorecard_id
    where scorings.track <> 'earlier'

),

ranked as (

    select
        *,
        row_number() over (partition by account_id, as_of_date, scorecard_id, track order by max_score, cap_key) as position
    from holding

)

select
    account_id,
    as_of_date,
    scorecard_id,
    track,
    cap_key,
    cap_label,
    metric_key as cap_metric_key,
    cap_value,
    max_score
from ranked
where position = 1
