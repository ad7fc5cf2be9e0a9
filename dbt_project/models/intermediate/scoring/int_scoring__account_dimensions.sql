{{ config(materialized='view') }}

-- Grain: account x as_of_date: the dimensions of int_scoring__account_scores, without the metrics.

select
    account_id,
    as_of_date
    {%- for dimension in dimensions() %},
    {{ dimension }}__score,
    {{ dimension }}__nominal_weight,
    {{ dimension }}__effective_weight,
    {{ dimension }}__coverage
    {%- endfor %},
    scorecard_key,
    config_version,
    run_id,
    configuration_hash
from {{ ref('int_scoring__account_scores') }}
