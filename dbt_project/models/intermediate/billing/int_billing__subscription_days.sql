-- Grain: account x day of the run with a subscription in force. Not additive over days.
-- mrr is at the rates of started_on. mrr_at_rates_of_day and mrr_90d_before, what was in force 90 days before, are both at the rates of the day:
-- a change between them is one of price, seats or subscriptions, never of the exchange rate.

with days as (

    select as_of_date, day from {{ source('control', 'as_of_days') }}

),

rates_of_day as (

    select
        days.day,
        fx_rates.currency,
        fx_rates.rate
    from days
    inner join {{ ref('stg_billing__fx_rates') }} as fx_rates
        on fx_rates.valid_from <= days.as_of_date
        and (fx_rates.valid_to is null or fx_rates.valid_to > days.as_of_date)

),

looked_at as (

    select day, day as day_in_force, true as is_now from days
    union all
    select day, day - 90, false from days

),

in_force as (

    select
        subscriptions.account_id,
        looked_at.day,
        looked_at.is_now,
        subscriptions.seats,
        subscriptions.mrr,
        subscriptions.mrr_in_currency * case when subscriptions.foreign_currency is null then 1 else rates_of_day.rate end as mrr_at_rates_of_day,
        subscriptions.started_day,
        case when subscriptions.term_ends_day >= looked_at.day then subscriptions.term_ends_day end as term_ends_day
    from {{ ref('int_billing__subscriptions') }} as subscriptions
    inner join looked_at
        on subscriptions.started_day <= looked_at.day_in_force
        and (subscriptions.ended_day is null or subscriptions.ended_day > looked_at.day_in_force)
    left join rates_of_day
        on subscriptions.foreign_currency = rates_of_day.currency
        and looked_at.day = rates_of_day.day

)

select
    account_id,
    day,
    -- A sum over nulls alone is null: without seats, without a price.
    cast(sum(case when is_now then seats end) as bigint) as seats,
    cast(sum(case when is_now then {{ exact('mrr') }} end) as double) as mrr,
    cast(sum(case when is_now then {{ exact('mrr_at_rates_of_day') }} end) as double) as mrr_at_rates_of_day,
    cast(sum(case when not is_now then {{ exact('mrr_at_rates_of_day') }} end) as double) as mrr_90d_before,
    max(case when is_now then started_day end) as started_day,
    min(case when is_now then term_ends_day end) as term_ends_day
from in_force
group by account_id, day
having max(case when is_now then 1 else 0 end) = 1
