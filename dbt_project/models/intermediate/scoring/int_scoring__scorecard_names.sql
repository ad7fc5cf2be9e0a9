{{ config(materialized='view') }}

-- Grain: every scorecard of every config_version that ever scored, also those that the seeds no longer hold.

select
    cast(code as smallint) as scorecard_code,
    {{ dbt.split_part('key', "'/'", 1) }} as config_version,
    {{ dbt.split_part('key', "'/'", 2) }} as scorecard_key
from {{ source('control', 'codes') }}
where kind = 'scorecard'
