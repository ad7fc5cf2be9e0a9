-- Grain: invoice. Money is in the reporting currency, at the rate in force on issued_on; no currency means the reporting
-- currency. A currency without a rate never comes here: the extraction quarantines it.
-- Rows of unknown accounts (orphans) are left out; data_freshness counts them.

{% set rate = "case when invoices.currency is null or invoices.currency = upper(run.reporting_currency) then 1 else fx_rates.rate end" %}

select
    invoices.invoice_id,
    invoices.account_id,
    invoices.amount * {{ rate }} as amount,
    invoices.issued_on,
    invoices.due_on,
    invoices.paid_on,
    invoices.voided_on,
    {{ day_number('invoices.issued_on') }} as issued_day,
    {{ day_number('invoices.due_on') }} as due_day,
    {{ day_number('invoices.paid_on') }} as paid_day,
    {{ day_number('invoices.voided_on') }} as voided_day
from {{ source('raw', 'invoices') }} as invoices
inner join {{ ref('stg_crm__accounts') }} as accounts on invoices.account_id = accounts.account_id
cross join {{ source('control', 'run') }} as run
left join {{ ref('stg_billing__fx_rates') }} as fx_rates
    on invoices.currency = fx_rates.currency
    and fx_rates.valid_from <= invoices.issued_on
    and (fx_rates.valid_to is null or fx_rates.valid_to > invoices.issued_on)
