{{ config(meta={'dagster': {'ref': {'name': 'int_scoring__account_scores'}}}) }}

select
    account_id,
    as_of_date,
    count(*) as rows_found
from {{ ref('int_scoring__account_scores') }}
group by account_id, as_of_date
having count(*) > 1
