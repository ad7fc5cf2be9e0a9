{{ config(meta={'dagster': {'ref': {'name': 'int_ledger__components'}}}) }}

-- For every account and day with a score k = 7 or 28 days before, the ledger's rows sum to the exact change of the score.

with rows_found as (

    select account_id, as_of_date, k, points from {{ ref('int_ledger__components') }}
    union all
    select account_id, as_of_date, k, points from {{ ref('int_ledger__behaviour') }}

),

sums as (

    select
        account_id,
        as_of_date,
        k,
        sum(points) as points
    from rows_found
    where as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})
    group by account_id, as_of_date, k

),

scores as (

    select * from {{ ref('int_scoring__account_scores') }}

),

changes as (

    select
        later.account_id,
        later.as_of_date,
        lags.k,
        later.exact_score - earlier.exact_score as change
    from scores as later
    cross join (select 7 as k union all select 28) as lags
    inner join scores as earlier
        on later.account_id = earlier.account_id
        and later.as_of_date = {{ dbt.dateadd('day', 'lags.k', 'earlier.as_of_date') }}
    where later.as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})

)

select
    coalesce(changes.account_id, sums.account_id) as account_id,
    coalesce(changes.as_of_date, sums.as_of_date) as as_of_date,
    coalesce(changes.k, sums.k) as k,
    changes.change,
    sums.points
from changes
full outer join sums
    on changes.account_id = sums.account_id
    and changes.as_of_date = sums.as_of_date
    and changes.k = sums.k
where
    changes.account_id is null
    or abs(changes.change - coalesce(sums.points, 0)) > 1e-9
