-- Grain: account of the newest scored day x kind (positive, negative, change) x position 1 to 3: what holds its score up, what holds it down, and what
-- moved it most in 28 days, in words.

with newest as (

    select max(as_of_date) as as_of_date from {{ ref('int_scoring__account_scores') }}

),

caps as (

    select
        scores.account_id,
        scores.cap_label,
        metrics.unit
    from {{ ref('int_scoring__account_scores') }} as scores
    left join {{ ref('metrics') }} as metrics on scores.cap_metric_key = metrics.metric_key
    where scores.as_of_date in (select as_of_date from newest)

),

points as (

    select
        points.*,
        coalesce(metrics.label, points.metric_key) as label,
        metrics.unit
    from {{ ref('metric_scores_history') }} as points
    left join {{ ref('metrics') }} as metrics on points.metric_key = metrics.metric_key
    where points.as_of_date in (select as_of_date from newest)

),

points_before as (

    select
        account_id,
        metric_key,
        value
    from {{ ref('metric_scores_history') }}
    where as_of_date in (select as_of_date - 28 from newest)

),

named_points as (

    select
        points.account_id,
        case when points.points > 0 then 'positive' else 'negative' end as kind,
        points.metric_key as driver_key,
        case when points.dimension_key = 'cap' then caps.cap_label else points.label end as label,
        points.points,
        {{ value_with_unit('points.value', "case when points.dimension_key = 'cap' then caps.unit else points.unit end") }} as value_text,
        points.state
    from points
    inner join caps on points.account_id = caps.account_id
    where abs(points.points) >= 5e-3

),

named_changes as (

    select
        changes.account_id,
        'change' as kind,
        coalesce(changes.metric_key, changes.component) as driver_key,
        changes.label,
        changes.points,
        case when changes.metric_key is not null then
            coalesce({{ value_with_unit('points.value', 'points.unit') }}, 'no value (' || points.state || ')')
            || coalesce(' (was ' || {{ value_text('points_before.value', 'points.unit') }} || ')', '')
        end as value_text,
        'measured' as state
    from {{ ref('score_changes') }} as changes
    left join points
        on changes.account_id = points.account_id
        and changes.metric_key = points.metric_key
    left join points_before
        on changes.account_id = points_before.account_id
        and changes.metric_key = points_before.metric_key
    where
        changes.k = 28
        and changes.as_of_date in (select as_of_date from newest)
        and abs(changes.points) >= 5e-3

),

all_drivers as (

    select * from named_points
    union all
    select * from named_changes

),

ranked as (

    select
        account_id,
        kind,
        driver_key,
        label,
        {{ rounded('points', 2) }} as points,
        -- A metric that counts without a value does so by its missing_policy.
        coalesce(value_text, case when state <> 'measured' then 'no value (' || state || ')' end) as value_text,
        row_number() over (partition by account_id, kind order by abs(points) desc, driver_key) as position
    from all_drivers

)

select *
from ranked
where position <= 3
