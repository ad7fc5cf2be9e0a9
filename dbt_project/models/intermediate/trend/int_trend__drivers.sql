-- Grain: account of the newest scored day x kind (positive, negative, change) x position 1 to 3: what holds its score up, what holds it down, and what
-- moved it most in 28 days, in words.

with newest as (

    select max(as_of_date) as as_of_date from {{ ref('int_scoring__account_scores') }}

),

points as (

    select *
    from {{ ref('int_scoring__metric_points') }}
    where as_of_date in (select as_of_date from newest)

),

points_before as (

    select
        account_id,
        metric_code,
        value
    from {{ ref('int_scoring__metric_points') }}
    where as_of_date in (select {{ dbt.dateadd('day', -28, 'as_of_date') }} from newest)

),

named_points as (

    select
        points.account_id,
        case when points.points > 0 then 'positive' else 'negative' end as kind,
        coalesce(metrics.metric_key, 'cap:' || caps.cap_key) as driver_key,
        coalesce(metrics.label, caps.label) as label,
        points.points,
        {{ value_with_unit('points.value', 'coalesce(metrics.unit, caps.unit)') }} as value_text,
        {{ state_name('points.state') }} as state
    from points
    left join {{ ref('int_scoring__metric_names') }} as metrics on points.metric_code = metrics.metric_code
    left join {{ ref('int_scoring__cap_names') }} as caps
        on points.metric_code = caps.cap_code
        and points.scorecard_code = caps.scorecard_code
    where abs(points.points) >= 0.005

),

changes as (

    select
        account_id,
        component,
        cast(null as smallint) as metric_code,
        points,
        cap_code,
        earlier_cap_code,
        scorecard_code,
        earlier_scorecard_code
    from {{ ref('int_ledger__components') }}
    where k = 28 and as_of_date in (select as_of_date from newest)
    union all
    select
        account_id,
        {{ component('behaviour') }},
        metric_code,
        points,
        null,
        null,
        scorecard_code,
        null
    from {{ ref('int_ledger__behaviour') }}
    where k = 28 and as_of_date in (select as_of_date from newest)

),

named_changes as (

    select
        changes.account_id,
        'change' as kind,
        coalesce(metrics.metric_key, {{ component_name('changes.component') }}) as driver_key,
        {{ change_label('changes', 'metrics', 'caps', 'earlier_caps') }} as label,
        changes.points,
        case when changes.metric_code is not null then
            coalesce({{ value_with_unit('points.value', 'metrics.unit') }}, 'no value (' || {{ state_name('points.state') }} || ')')
            || coalesce(' (was ' || {{ value_text('points_before.value', 'metrics.unit') }} || ')', '')
        end as value_text,
        'measured' as state
    from changes{{ join_change_names('changes') | indent }}
    left join points
        on changes.account_id = points.account_id
        and changes.metric_code = points.metric_code
    left join points_before
        on changes.account_id = points_before.account_id
        and changes.metric_code = points_before.metric_code
    where abs(changes.points) >= 0.005

),

all_drivers as (

    select * from named_points
    union all
    select * from named_changes

),

ranked as (

    select
        all_drivers.account_id,
        all_drivers.kind,
        all_drivers.driver_key,
        all_drivers.label,
        round(all_drivers.points, 2) as points,
        -- A metric that counts without a value does so by its missing_policy.
        coalesce(all_drivers.value_text, case when all_drivers.state <> 'measured' then 'no value (' || all_drivers.state || ')' end) as value_text,
        row_number() over (
            partition by all_drivers.account_id, all_drivers.kind
            order by abs(all_drivers.points) desc, all_drivers.driver_key
        ) as position
    from all_drivers

)

select *
from ranked
where position <= 3
