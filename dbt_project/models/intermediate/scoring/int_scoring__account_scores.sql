{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The score before and after caps, how sure it is, and the raw tier.

with dimension_scores as (

    select *
    from {{ ref('int_scoring__dimension_scores') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})

),

{{ account_scores(ref('int_scoring__account_scorecards'), 'dimension_scores', ref('int_scoring__metric_values'), own_keys()) }}

select
    tiered.account_id,
    tiered.as_of_date,
    tiered.scorecard_code,
    tiered.stage,
    tiered.segment,
    tiered.parent_account_id,
    tiered.tenure,
    tiered.seats,
    tiered.mrr,
    tiered.term_ends_day,
    tiered.uncapped_score,
    tiered.exact_score,
    tiered.health_score,
    tiered.coverage,
    tiered.cap_code,
    tiered.cap_value,
    tiered.cap_points,
    tiered.raw_tier,
    tiered.confirm_days,
    run.run_code
from tiered
cross join {{ source('control', 'run') }} as run
