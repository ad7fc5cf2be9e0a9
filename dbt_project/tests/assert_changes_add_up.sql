{{ config(meta={'dagster': {'ref': {'name': 'int_ledger__components'}}}) }}

-- For every account and day with a score k = 7 or 28 days before, the ledger's rows sum to the exact change of the score: together with the
-- later score taken off and the earlier one added on they leave nothing. One group by, no join.

with ledger_days as (

    select as_of_date from {{ source('control', 'ledger_days') }}

),

all_rows as (

    select account_id, as_of_date, k, points, 0 as later, 0 as earlier
    from {{ ref('int_ledger__components') }}
    where as_of_date in (select as_of_date from ledger_days)
    union all
    select account_id, as_of_date, k, points, 0, 0
    from {{ ref('int_ledger__behaviour') }}
    where as_of_date in (select as_of_date from ledger_days)
    {% for k in ledger_lags() %}
    union all
    select account_id, as_of_date, {{ k }}, -exact_score, 1, 0
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select as_of_date from ledger_days)
    union all
    select account_id, cast({{ dbt.dateadd('day', k, 'as_of_date') }} as date), {{ k }}, exact_score, 0, 1
    from {{ ref('int_scoring__account_scores') }}
    where cast({{ dbt.dateadd('day', k, 'as_of_date') }} as date) in (select as_of_date from ledger_days)
    {% endfor %}

),

sums as (

    select
        account_id,
        as_of_date,
        k,
        sum(points) as rest,
        sum(later) as later,
        sum(earlier) as earlier,
        count(*) - sum(later) - sum(earlier) as components
    from all_rows
    group by account_id, as_of_date, k

)

select *
from sums
where
    (later = 1 and earlier = 1 and abs(rest) > 1e-9)
    or later > 1
    or earlier > 1
    -- Components of a change whose ends are not both scored.
    or ((later = 0 or earlier = 0) and components > 0)
