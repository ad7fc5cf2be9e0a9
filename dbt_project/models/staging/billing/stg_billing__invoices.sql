-- Grain: invoice. Money is in the currency of the invoice; null means the reporting currency.

select
    invoice_id,
    account_id,
    amount,
    open_amount,
    currency,
    issued_on,
    due_on,
    paid_on,
    voided_on,
    written_off_on,
    {{ day_number('issued_on') }} as issued_day,
    {{ day_number('due_on') }} as due_day,
    {{ day_number('paid_on') }} as paid_day,
    {{ day_number('voided_on') }} as voided_day,
    {{ day_number('written_off_on') }} as written_off_day
from {{ source('raw', 'invoices') }}
