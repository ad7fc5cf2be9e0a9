{{ config(meta={'dagster': {'ref': {'name': 'int_ledger__changes'}}}) }}

-- For every account and day with a score k = 7 or 28 days before there is one row of the ledger, and its components sum to the exact change of the score.

{% set metrics = scorecard_metrics() %}

with scores as (

    select account_id, as_of_date, exact_score from {{ ref('int_scoring__account_scores') }}

),

expected as (

    select
        later.account_id,
        later.as_of_date,
        ledger_days.k,
        later.exact_score - earlier.exact_score as change
    from {{ source('control', 'ledger_days') }} as ledger_days
    inner join scores as later on ledger_days.as_of_date = later.as_of_date
    inner join scores as earlier
        on later.account_id = earlier.account_id
        and ledger_days.earlier_date = earlier.as_of_date

),

found as (

    select
        account_id,
        as_of_date,
        k,
        count(*) as found_rows,
        sum(
            {{ sum_over(metrics, 'coalesce(METRIC, 0)') }}
            {%- for component in var('ledger_components') %} + coalesce({{ component }}, 0){% endfor %}
        ) as components
    from {{ ref('int_ledger__changes') }}
    where as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})
    group by account_id, as_of_date, k

)

select
    coalesce(expected.account_id, found.account_id) as account_id,
    coalesce(expected.as_of_date, found.as_of_date) as as_of_date,
    coalesce(expected.k, found.k) as k,
    expected.change,
    found.components,
    found.found_rows
from expected
full outer join found
    on expected.account_id = found.account_id
    and expected.as_of_date = found.as_of_date
    and expected.k = found.k
where
    expected.account_id is null
    or coalesce(found.found_rows, 0) <> 1
    or abs(expected.change - found.components) > 1e-9
