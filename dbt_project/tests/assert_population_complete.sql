{{ config(meta={'dagster': {'ref': {'name': 'int_scoring__account_scores'}}}) }}

-- Every account of the scored population has a score on every day of the run, and nobody else has.

select
    coalesce(scored_days.account_id, scores.account_id) as account_id,
    coalesce(scored_days.as_of_date, scores.as_of_date) as as_of_date
from {{ ref('int_accounts__scored_days') }} as scored_days
full outer join (
    select account_id, as_of_date
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
) as scores
    on scored_days.account_id = scores.account_id
    and scored_days.as_of_date = scores.as_of_date
where scored_days.account_id is null or scores.account_id is null
