-- Grain: subscription x started_on: a change of seats or price is a row of its own. Money is in the currency of the row; null means the
-- reporting currency. 9999-12-31 is how many databases write that there is no end: no term, so no renewal.

select
    subscription_id,
    account_id,
    plan,
    seats,
    mrr,
    currency,
    coalesce(is_trial, false) as is_trial,
    started_on,
    ended_on,
    nullif(term_ends_on, date '9999-12-31') as term_ends_on,
    {{ day_number('started_on') }} as started_day,
    {{ day_number('ended_on') }} as ended_day,
    {{ day_number("nullif(term_ends_on, date '9999-12-31')") }} as term_ends_day
from {{ source('raw', 'subscriptions') }}
