{{ config(meta={'dagster': {'ref': {'name': 'int_scoring__account_scores'}}}) }}

select account_id, as_of_date, health_score, uncapped_score, coverage
from {{ ref('int_scoring__account_scores') }}
where
    as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
    and (
        health_score is null or health_score not between 0 and 100
        or uncapped_score not between -1e-9 and 100 + 1e-9
        or coverage is null or coverage not between 0 and 1
    )
