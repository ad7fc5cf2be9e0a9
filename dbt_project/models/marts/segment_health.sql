{{ config(materialized='view') }}

-- Grain: as_of_date x segment x stage x tier. Accounts and arr are additive over segments, stages and tiers, mean_score is not.

select
    as_of_date,
    segment,
    stage,
    tier,
    cast(count(*) as integer) as accounts,
    cast(sum(cast(arr as decimal(38, 2))) as double) as arr,
    max(currency) as currency,
    cast(count(arr) as integer) as accounts_with_arr,
    cast(sum({{ exact('health_score') }}) as double) / count(*) as mean_score,
    max(config_version) as config_version,
    max(run_id) as run_id,
    max(configuration_hash) as configuration_hash
from {{ ref('account_health_history') }}
group by as_of_date, segment, stage, tier
