{{ config(materialized='incremental', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date x candidate version: what the candidate would have scored. Never published as the score.

-- depends_on: {{ ref('int_scoring__scores') }}, {{ ref('int_scoring__account_scores') }}, {{ ref('int_scoring__scorings') }}
select
    scores.account_id,
    scores.as_of_date,
    scores.scorecard_id,
    scores.uncapped_score,
    scores.health_score,
    scores.coverage,
    scores.coverage_if_not_late,
    scores.cap_key,
    run.run_id,
    run.configuration_hash
from {{ scores_on('candidate') }} as scores
cross join {{ source('control', 'run') }} as run
