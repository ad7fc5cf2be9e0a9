-- Grain: claim that nobody has paid by the newest scored day: issued, not voided, something still open. Also of accounts that are no longer scored, and of
-- accounts that nobody delivers. One that was written off is settled for the score (docs/scoring.md, "Invoices") and stays here with its day: nobody paid.

with newest as (

    select
        max(as_of_date) as as_of_date,
        {{ day_number('max(as_of_date)') }} as day
    from {{ ref('int_scoring__account_scores') }}

),

scored as (

    select account_id
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select as_of_date from newest)

)

select
    invoices.account_id,
    newest.as_of_date,
    accounts.account_name,
    accounts.csm,
    scored.account_id is not null as is_scored,
    invoices.invoice_id,
    {{ date_of_day('invoices.issued_day') }} as issued_on,
    {{ date_of_day('invoices.due_day') }} as due_on,
    greatest(newest.day - invoices.due_day, 0) as days_overdue,
    case when invoices.written_off_day <= newest.day then {{ date_of_day('invoices.written_off_day') }} end as written_off_on,
    {{ rounded('invoices.owed_amount', 2) }} as owed,
    run.reporting_currency as currency,
    invoices.owed_in_currency,
    invoices.amount_in_currency,
    invoices.invoice_currency
from {{ ref('int_billing__invoices') }} as invoices
inner join newest
    on invoices.issued_day <= newest.day
    and coalesce(invoices.paid_day, newest.day + 1) > newest.day
    and coalesce(invoices.voided_day, newest.day + 1) > newest.day
cross join {{ source('control', 'run') }} as run
left join {{ ref('stg_crm__accounts') }} as accounts on invoices.account_id = accounts.account_id
left join scored on invoices.account_id = scored.account_id
where
    invoices.amount > 0
    and invoices.owed_in_currency > 0
