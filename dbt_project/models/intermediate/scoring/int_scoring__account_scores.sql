{{ config(materialized='incremental', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date: the account's own score with everything that explains it, one wide row (columns: see int_scoring__scores). Published as
-- it is; metric_scores_history and dimension_scores_history are views over it.

select
    scores.*,
    scorecards.scorecard_key,
    scorecards.config_version,
    scorecards.rules_hash,
    run.run_id,
    run.configuration_hash
from {{ ref('int_scoring__scores') }} as scores
inner join {{ source('control', 'scorecard_rules') }} as scorecards on scores.scorecard_id = scorecards.scorecard_id
cross join {{ source('control', 'run') }} as run
where scores.track = 'own'
