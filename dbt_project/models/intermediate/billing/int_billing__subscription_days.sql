-- Grain: account x day with a subscription in force, for the days of the run and the days 90 before them.
-- Not additive over days.

with wanted_days as (

    select day from {{ source('control', 'as_of_days') }}
    union
    select day - 90 from {{ source('control', 'as_of_days') }}

),

in_force as (

    select
        subscriptions.account_id,
        wanted_days.day,
        subscriptions.seats,
        subscriptions.mrr,
        subscriptions.started_day,
        case when subscriptions.term_ends_day >= wanted_days.day then subscriptions.term_ends_day end as term_ends_day
    from {{ ref('stg_billing__subscriptions') }} as subscriptions
    inner join wanted_days
        on subscriptions.started_day <= wanted_days.day
        and (subscriptions.ended_day is null or subscriptions.ended_day > wanted_days.day)

)

select
    account_id,
    day,
    -- A sum over nulls alone is null: without seats, without a price.
    cast(sum(seats) as bigint) as seats,
    cast(sum({{ exact('mrr') }}) as double) as mrr,
    max(started_day) as started_day,
    min(term_ends_day) as term_ends_day
from in_force
group by account_id, day
