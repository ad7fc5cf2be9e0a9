{{ config(materialized='view') }}

-- Grain: invoice. Money is in the reporting currency, at the rate in force on issued_on. A currency without a rate never gets here: the
-- extraction quarantines it.
-- An invoice is settled when it is paid or written off, whichever comes first. One with nothing open (or less, if too much was paid)
-- and neither date was paid on an unknown day; it counts as paid when it was due. owed_amount is what is owed until then.

with invoices as (

    select
        invoices.*,
        coalesce(invoices.currency, upper(run.reporting_currency)) as invoice_currency,
        coalesce(case when open_amount < 0 then 0 else open_amount end, amount) as owed_in_currency,
        case when invoices.currency is null or invoices.currency = upper(run.reporting_currency) then 1 else fx_rates.rate end as rate
    from {{ ref('stg_billing__invoices') }} as invoices
    cross join {{ source('control', 'run') }} as run
    left join {{ ref('stg_billing__fx_rates') }} as fx_rates
        on invoices.currency = fx_rates.currency
        and fx_rates.valid_from <= invoices.issued_on
        and (fx_rates.valid_to is null or fx_rates.valid_to > invoices.issued_on)

)

select
    invoice_id,
    account_id,
    amount * rate as amount,
    owed_in_currency * rate as owed_amount,
    amount as amount_in_currency,
    owed_in_currency,
    invoice_currency,
    paid_day,
    written_off_day,
    issued_day,
    due_day,
    coalesce(least(paid_day, written_off_day), case when open_amount <= 0 then due_day end) as settled_day,
    voided_day
from invoices
