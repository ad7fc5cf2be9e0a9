{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date x candidate version: what the candidate would have scored. Never published as the score.

with candidates as (

    select account_id, as_of_date, scorecard_code
    from {{ ref('int_whatif__scorings') }}
    where is_candidate

),

{{ account_scores('candidates', ref('int_whatif__dimension_scores'), ref('int_whatif__metric_values'), whatif_keys()) }}

select
    tiered.account_id,
    tiered.as_of_date,
    tiered.scorecard_code,
    tiered.uncapped_score,
    tiered.health_score,
    tiered.coverage,
    tiered.cap_code,
    tiered.raw_tier,
    run.run_code
from tiered
cross join {{ source('control', 'run') }} as run
