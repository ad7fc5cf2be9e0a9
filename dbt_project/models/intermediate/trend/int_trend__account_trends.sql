{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date, for the run's days and all scored days after them, whose past it may have changed.
-- Differences of the published health_score, exactly 7, 28 and 90 days apart, and its slope over 28 days.

{% set ledger_days = var('ledger_days') %}
{% set lags = ledger_days + [90] %}

with restated as (

    select as_of_date, {{ day_number('as_of_date') }} as day from {{ source('control', 'restated_days') }}

),

scores as (

    select
        account_id,
        as_of_date,
        {{ day_number('as_of_date') }} as day,
        health_score,
        -- The published score has one decimal: in tenths all sums are whole numbers, so the slope depends on no order of adding.
        cast(round(health_score * 10) as bigint) as tenths
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date > (select {{ date_of_day('min(day) - 28') }} from restated)

),

sums as (

    select
        *,
        cast(count(*) over last_28_days as bigint) as n,
        cast(sum(cast(day as bigint)) over last_28_days as bigint) as sum_x,
        cast(sum(cast(day as bigint) * day) over last_28_days as bigint) as sum_xx,
        cast(sum(tenths) over last_28_days as bigint) as sum_y,
        cast(sum(tenths * day) over last_28_days as bigint) as sum_xy
    from scores
    window last_28_days as (partition by account_id order by day range between 27 preceding and current row)

),

{% for lag in lags %}
before_{{ lag }} as (

    select
        scores.account_id,
        restated.as_of_date,
        scores.health_score
    from restated
    inner join {{ ref('int_scoring__account_scores') }} as scores on scores.as_of_date = {{ date_of_day('restated.day - ' ~ lag) }}

),
{% endfor %}

deltas as (

    select
        sums.*,
        {%- for lag in lags %}
        {{ rounded('sums.health_score - before_' ~ lag ~ '.health_score', 1) }} as delta_{{ lag }}d
        {{- "," if not loop.last }}
        {%- endfor %}
        {%- for lag in ledger_days %},
        ledger_{{ lag }}.availability as availability_{{ lag }}d
        {%- endfor %}
    from sums
    inner join restated on sums.as_of_date = restated.as_of_date
    {%- for lag in ledger_days %}
    left join {{ ref('int_ledger__changes') }} as ledger_{{ lag }}
        on ledger_{{ lag }}.k = {{ lag }}
        and sums.account_id = ledger_{{ lag }}.account_id
        and sums.as_of_date = ledger_{{ lag }}.as_of_date
    {%- endfor %}
    {%- for lag in lags %}
    left join before_{{ lag }}
        on sums.account_id = before_{{ lag }}.account_id
        and sums.as_of_date = before_{{ lag }}.as_of_date
    {%- endfor %}

)

select
    account_id,
    as_of_date,
    {%- for lag in lags %}
    delta_{{ lag }}d,
    {%- endfor %}

    -- Of the difference, what comes from data that came or went, such as a feed that is late: nothing is known to have changed but that.
    {%- for lag in ledger_days %}
    case when delta_{{ lag }}d is not null then coalesce(availability_{{ lag }}d, 0) end as availability_{{ lag }}d,
    {%- endfor %}
    case
        when n >= 7 then 7e-1 * cast(n * sum_xy - sum_x * sum_y as double) / cast(n * sum_xx - sum_x * sum_x as double)
    end as slope_28d,
    case
        when delta_28d is null then 'new'
        when delta_28d >= 5 then 'improving'
        when delta_28d <= -5 then 'declining'
        else 'stable'
    end as trend
from deltas
