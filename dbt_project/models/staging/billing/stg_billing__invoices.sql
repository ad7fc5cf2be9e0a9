-- Grain: invoice. Money is in the reporting currency, at the rate in force on issued_on; no currency means the reporting
-- currency. A currency without a rate never comes here: the extraction quarantines it.
-- owed_amount: what is owed until the invoice is settled. It is settled when it is paid or written off, whichever comes first; one with nothing
-- open and neither date was paid, nobody knows when, and counts as paid when it was due.
-- Rows of unknown accounts (orphans) are left out; data_freshness counts them.

{% set rate = "case when invoices.currency is null or invoices.currency = upper(run.reporting_currency) then 1 else fx_rates.rate end" %}

select
    invoices.invoice_id,
    invoices.account_id,
    invoices.amount * {{ rate }} as amount,
    coalesce(invoices.open_amount, invoices.amount) * {{ rate }} as owed_amount,
    invoices.issued_on,
    invoices.due_on,
    invoices.paid_on,
    invoices.voided_on,
    invoices.written_off_on,
    {{ day_number('invoices.issued_on') }} as issued_day,
    {{ day_number('invoices.due_on') }} as due_day,
    coalesce(
        least({{ day_number('invoices.paid_on') }}, {{ day_number('invoices.written_off_on') }}),
        case when invoices.open_amount = 0 then {{ day_number('invoices.due_on') }} end
    ) as settled_day,
    {{ day_number('invoices.voided_on') }} as voided_day
from {{ source('raw', 'invoices') }} as invoices
inner join {{ ref('stg_crm__accounts') }} as accounts on invoices.account_id = accounts.account_id
cross join {{ source('control', 'run') }} as run
left join {{ ref('stg_billing__fx_rates') }} as fx_rates
    on invoices.currency = fx_rates.currency
    and fx_rates.valid_from <= invoices.issued_on
    and (fx_rates.valid_to is null or fx_rates.valid_to > invoices.issued_on)
