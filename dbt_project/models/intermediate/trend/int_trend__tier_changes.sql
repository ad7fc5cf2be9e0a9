{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date on which `tier` became another one, with what moved the score most in that direction: of the ledger of 7 days, or
-- of 28 where there is none.

with tiers as (

    select * from {{ ref('int_trend__account_tiers') }}

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
            when now.model_tier = 'unknown' or before.model_tier = 'unknown' then 'coverage'
            else 'score'
        end as cause
    from tiers as now
    inner join tiers as before
        on now.account_id = before.account_id
        and now.previous_as_of_date = before.as_of_date
    where
        now.as_of_date in (select as_of_date from {{ source('control', 'restated_days') }})
        and now.tier_since = now.as_of_date
        and now.previous_tier is not null

),

ordered as (

    select
        *,
        {% set rank = "case {} when 'poor' then 1 when 'at_risk' then 2 when 'healthy' then 3 end" %}
        sign({{ rank.format('to_tier') }} - {{ rank.format('from_tier') }}) as direction
    from changed

),

ledger as (

    select
        account_id,
        as_of_date,
        k,
        component,
        cast(null as smallint) as metric_code,
        points,
        cap_code,
        earlier_cap_code,
        earlier_scorecard_code
    from {{ ref('int_ledger__components') }}
    where as_of_date in (select as_of_date from changed)
    union all
    select
        account_id,
        as_of_date,
        k,
        {{ component('behaviour') }},
        metric_code,
        points,
        null,
        null,
        null
    from {{ ref('int_ledger__behaviour') }}
    where as_of_date in (select as_of_date from changed)

),

ranked as (

    select
        ledger.*,
        row_number() over (
            partition by ledger.account_id, ledger.as_of_date
            order by ledger.k, abs(ledger.points) desc, ledger.component, ledger.metric_code
        ) as position
    from ledger
    inner join ordered
        on ledger.account_id = ordered.account_id
        and ledger.as_of_date = ordered.as_of_date
    where
        ordered.cause not in ('override', 'override_ended')
        and (ordered.direction is null or ledger.points * ordered.direction > 0)

)

select
    ordered.account_id,
    ordered.as_of_date,
    ordered.from_tier,
    ordered.to_tier,
    ordered.cause,
    ordered.override_id,
    strongest.k,
    strongest.component,
    strongest.metric_code,
    strongest.points,
    strongest.cap_code,
    strongest.earlier_cap_code,
    strongest.earlier_scorecard_code
from ordered
left join ranked as strongest
    on ordered.account_id = strongest.account_id
    and ordered.as_of_date = strongest.as_of_date
    and strongest.position = 1
