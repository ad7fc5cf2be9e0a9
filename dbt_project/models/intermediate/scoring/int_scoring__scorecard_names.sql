{{ config(materialized='view') }}

-- Grain: every scorecard that ever scored, in each state of its rules, also those that the seeds no longer hold.

select
    cast(scorecard_code as smallint) as scorecard_code,
    config_version,
    scorecard_key,
    rules_hash
from {{ source('control', 'scorecard_codes') }}
