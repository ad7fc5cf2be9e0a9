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

metrics as (

    select
        codes.code as metric_code,
        metrics.metric_key,
        coalesce(metrics.label, metrics.metric_key) as label,
        metrics.unit
    from {{ ref('metrics') }} as metrics
    inner join {{ source('control', 'codes') }} as codes
        on codes.kind = 'metric'
        and codes.key = metrics.metric_key

),

caps as (

    select
        names.scorecard_code,
        codes.code as metric_code,
        'cap:' || caps.cap_key as metric_key,
        coalesce(caps.reason, 'Cap ' || caps.cap_key) as label,
        metrics.unit
    from {{ ref('score_caps') }} as caps
    inner join {{ ref('int_scoring__scorecard_names') }} as names
        on caps.config_version = names.config_version
        and caps.scorecard_key = names.scorecard_key
    inner join {{ source('control', 'codes') }} as codes
        on codes.kind = 'metric'
        and codes.key = 'cap:' || caps.cap_key
    left join metrics on caps.metric_key = metrics.metric_key

),

named_points as (

    select
        points.account_id,
        case when points.points > 0 then 'positive' else 'negative' end as kind,
        coalesce(metrics.metric_key, caps.metric_key) as driver_key,
        coalesce(metrics.label, caps.label) as label,
        points.points,
        {{ value_with_unit('points.value', 'coalesce(metrics.unit, caps.unit)') }} as value_text,
        {{ state_name('points.state') }} as state
    from points
    left join metrics on points.metric_code = metrics.metric_code
    left join caps
        on points.metric_code = caps.metric_code
        and points.scorecard_code = caps.scorecard_code
    where abs(points.points) >= 0.005

),

changes as (

    select
        account_id,
        component,
        cast(null as smallint) as metric_code,
        points
    from {{ ref('int_ledger__components') }}
    where k = 28 and as_of_date in (select as_of_date from newest)
    union all
    select
        account_id,
        {{ component('behaviour') }},
        metric_code,
        points
    from {{ ref('int_ledger__behaviour') }}
    where k = 28 and as_of_date in (select as_of_date from newest)

),

named_changes as (

    select
        changes.account_id,
        'change' as kind,
        coalesce(metrics.metric_key, {{ component_name('changes.component') }}) as driver_key,
        coalesce(
            metrics.label,
            case {{ component_name('changes.component') }}
                when 'configuration' then 'The rules of the score changed'
                when 'scorecard' then 'Another scorecard (stage or segment)'
                when 'availability' then 'Data came or went'
                when 'cap' then 'A cap began, ended or moved'
            end
        ) as label,
        changes.points,
        case when changes.metric_code is not null then
            coalesce({{ value_with_unit('points.value', 'metrics.unit') }}, 'no value (' || {{ state_name('points.state') }} || ')')
            || coalesce(' (was ' || {{ value_text('points_before.value', 'metrics.unit') }} || ')', '')
        end as value_text,
        'measured' as state
    from changes
    left join metrics on changes.metric_code = metrics.metric_code
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
