{{ config(materialized='view') }}

-- Grain: subscription x started_day, of known accounts. mrr is in the reporting currency, at the rate in force on started_on. A currency
-- without a rate never gets here: the extraction quarantines it. foreign_currency is null where mrr_in_currency needs no rate.
-- A trial is worth nothing: its mrr is 0. Where rows of one subscription overlap, the earlier one ends when the later begins.

with subscriptions as (

    select
        subscriptions.*,
        case when subscriptions.is_trial then 0 else subscriptions.mrr end as mrr_in_currency,
        nullif(subscriptions.currency, upper(run.reporting_currency)) as foreign_currency,
        lead(subscriptions.started_day) over (partition by subscriptions.subscription_id order by subscriptions.started_day) as next_started_day
    from {{ ref('stg_billing__subscriptions') }} as subscriptions
    inner join {{ ref('stg_crm__accounts') }} as accounts on subscriptions.account_id = accounts.account_id
    cross join {{ source('control', 'run') }} as run

)

select
    subscriptions.subscription_id,
    subscriptions.account_id,
    subscriptions.is_trial,
    subscriptions.seats,
    subscriptions.mrr_in_currency * case when subscriptions.foreign_currency is null then 1 else fx_rates.rate end as mrr,
    subscriptions.mrr_in_currency,
    subscriptions.foreign_currency,
    subscriptions.started_day,
    least(subscriptions.ended_day, subscriptions.next_started_day) as ended_day,
    subscriptions.term_ends_day
from subscriptions
left join {{ ref('stg_billing__fx_rates') }} as fx_rates
    on subscriptions.foreign_currency = fx_rates.currency
    and fx_rates.valid_from <= subscriptions.started_on
    and (fx_rates.valid_to is null or fx_rates.valid_to > subscriptions.started_on)
