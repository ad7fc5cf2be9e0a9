{{ config(materialized='view') }}

-- Grain: as_of_date x parent account with a scored child on that day. Children only; the parent's own score is its own row elsewhere.
-- mean_score is weighted by arr over the children whose arr is known; where none is, it is the plain mean.

with children as (

    select
        *,
        row_number() over (partition by as_of_date, parent_account_id order by health_score, account_id) as position
    from {{ ref('account_health_history') }}
    where parent_account_id is not null

),

totals as (

    select
        as_of_date,
        parent_account_id,
        cast(count(*) as integer) as children,
        cast(sum(case when tier = 'healthy' then 1 else 0 end) as integer) as healthy,
        cast(sum(case when tier = 'at_risk' then 1 else 0 end) as integer) as at_risk,
        cast(sum(case when tier = 'poor' then 1 else 0 end) as integer) as poor,
        cast(sum(case when tier = 'unknown' then 1 else 0 end) as integer) as unknown,
        cast(sum(cast(arr as decimal(38, 2))) as double) as arr,
        max(currency) as currency,
        cast(count(arr) as integer) as children_with_arr,
        cast(sum({{ exact('health_score') }}) as double) / count(*) as plain_mean,
        cast(sum({{ exact('arr * health_score') }}) as double) as weighted_sum,
        max(case when position = 1 then account_id end) as worst_child_id,
        max(case when position = 1 then health_score end) as worst_child_score,
        max(case when position = 1 then tier end) as worst_child_tier,
        max(config_version) as config_version,
        max(run_id) as run_id,
        max(configuration_hash) as configuration_hash
    from children
    group by as_of_date, parent_account_id

)

select
    totals.as_of_date,
    totals.parent_account_id,
    accounts.account_name as parent_name,
    totals.children,
    case when totals.arr > 0 then totals.weighted_sum / totals.arr else totals.plain_mean end as mean_score,
    totals.worst_child_id,
    totals.worst_child_score,
    totals.worst_child_tier,
    totals.healthy,
    totals.at_risk,
    totals.poor,
    totals.unknown,
    totals.arr,
    totals.currency,
    totals.children_with_arr,
    totals.config_version,
    totals.run_id,
    totals.configuration_hash
from totals
left join {{ ref('stg_crm__accounts') }} as accounts on totals.parent_account_id = accounts.account_id
