-- Grain: subscription x started_on. Money is in the reporting currency, at the rate in force on started_on; no currency means the reporting
-- currency. A currency without a rate never comes here: the extraction quarantines it.
-- A trial is worth nothing: its mrr is 0. Where rows of one subscription overlap, the earlier one ends when the later begins.
-- Rows of unknown accounts (orphans) are left out; data_freshness counts them.

{% set rate = "case when foreign_currency is null then 1 else fx_rates.rate end" %}

with subscriptions as (

    select
        subscriptions.subscription_id,
        subscriptions.account_id,
        subscriptions.plan,
        subscriptions.seats,
        case when coalesce(subscriptions.is_trial, false) then 0 else subscriptions.mrr end as mrr,
        nullif(subscriptions.currency, upper(run.reporting_currency)) as foreign_currency,
        subscriptions.started_on,
        least(
            subscriptions.ended_on,
            lead(subscriptions.started_on) over (partition by subscriptions.subscription_id order by subscriptions.started_on)
        ) as ended_on,
        subscriptions.term_ends_on,
        coalesce(subscriptions.is_trial, false) as is_trial
    from {{ source('raw', 'subscriptions') }} as subscriptions
    inner join {{ ref('stg_crm__accounts') }} as accounts on subscriptions.account_id = accounts.account_id
    cross join {{ source('control', 'run') }} as run

)

select
    subscriptions.subscription_id,
    subscriptions.account_id,
    subscriptions.plan,
    subscriptions.seats,
    subscriptions.mrr * {{ rate }} as mrr,
    subscriptions.mrr as mrr_in_currency,
    subscriptions.foreign_currency,
    subscriptions.started_on,
    subscriptions.ended_on,
    subscriptions.term_ends_on,
    {{ day_number('subscriptions.started_on') }} as started_day,
    {{ day_number('subscriptions.ended_on') }} as ended_day,
    {{ day_number('subscriptions.term_ends_on') }} as term_ends_day,
    subscriptions.is_trial
from subscriptions
left join {{ ref('stg_billing__fx_rates') }} as fx_rates
    on subscriptions.foreign_currency = fx_rates.currency
    and fx_rates.valid_from <= subscriptions.started_on
    and (fx_rates.valid_to is null or fx_rates.valid_to > subscriptions.started_on)
