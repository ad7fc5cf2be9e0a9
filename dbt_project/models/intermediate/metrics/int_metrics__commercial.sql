-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Commercial", each with its state.
-- A new metric is an entry here, with what it sums over days as its measures, and a row in seeds/metrics.csv.

{% set metrics = {
    'days_late_180d': {
        'source': 'invoices',
        'measures': {
            'claims_due': {'of': 'claims', 'from': 'due_from_day', 'to': 'due_to_day'},
            'claims_running': {'of': 'claims', 'from': 'due_from_day', 'to': 'least(due_to_day, settled_day)'},
            'due_days_running': {'of': 'claims', 'from': 'due_from_day', 'to': 'least(due_to_day, settled_day)', 'amount': 'due_day'},
            'late_days_settled': {
                'of': 'claims', 'where': 'settled_day > due_day',
                'from': 'greatest(due_from_day, settled_day)', 'to': 'due_to_day', 'amount': 'settled_day - due_day',
            },
        },
        'states': [('totals.claims_due = 0', 'not_applicable')],
        'value': '(totals.late_days_settled + scored_days.day * totals.claims_running - totals.due_days_running)'
            ~ ' / cast(totals.claims_due as double)',
    },
    'days_overdue_oldest': {
        'source': 'invoices',
        'value': 'case when oldest_claims.due_day is null then 0 else scored_days.day - oldest_claims.due_day end',
    },
    'overdue_ratio': {
        'source': 'invoices',
        'measures': {'owed': {'of': 'claims', 'from': 'owed_from_day', 'to': 'owed_to_day', 'amount': 'owed_amount'}},
        'states': [('coalesce(scored_days.mrr, 0) = 0', 'not_applicable')],
        'value': 'cast(totals.owed as double) / scored_days.mrr',
    },
    'mrr_trend_90d': {
        'source': 'subscriptions',
        'states': [('coalesce(scored_days.mrr_90d_before, 0) = 0', 'not_applicable')],
        'value': '(scored_days.mrr_at_rates_of_day - scored_days.mrr_90d_before) / scored_days.mrr_90d_before',
    },
    'days_to_renewal': {
        'source': 'subscriptions',
        'states': [('scored_days.term_ends_day is null', 'missing')],
        'value': 'scored_days.term_ends_day - scored_days.day',
    },
    'days_since_renewal': {
        'source': 'subscriptions',
        'value': 'scored_days.day - case when renewals.renewed_day > scored_days.subscription_started_day then renewals.renewed_day'
            ~ ' else scored_days.subscription_started_day end',
    },
    'expansions_365d': {
        'source': 'account_outcomes',
        'measures': {'expansions': {'of': 'expansions', 'from': 'occurred_day', 'days': 365}},
        'value': 'totals.expansions',
    },
} %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

),

-- What was claimed: an invoice exists from the day it is issued to the day it is voided, and is owed from the day after it is due to the
-- day it is settled.
claims as (

    select
        account_id,
        owed_amount,
        due_day,
        settled_day,
        greatest(due_day, issued_day) as due_from_day,
        least(due_day + 180, voided_day) as due_to_day,
        greatest(due_day + 1, issued_day) as owed_from_day,
        least(settled_day, voided_day) as owed_to_day
    from {{ ref('int_billing__invoices') }}
    where amount > 0

),

expansions as (

    select account_id, occurred_day
    from {{ ref('stg_crm__account_outcomes') }}
    where kind = 'expanded'

),

-- Lateness grows by a day each day while a claim is owed: day x 1 - due_day. Once settled it stays at settled_day - due_day.
totals as (

    {{ window_totals(metrics) }}

),

-- The earliest due_on is not a sum: this joins each claim to the days on which it is owed.
oldest_claims as (

    select
        scored_days.account_id,
        scored_days.day,
        min(claims.due_day) as due_day
    from scored_days
    inner join claims
        on scored_days.account_id = claims.account_id
        and scored_days.day >= claims.owed_from_day
        and (claims.owed_to_day is null or scored_days.day < claims.owed_to_day)
    group by scored_days.account_id, scored_days.day

),

renewals as (

    select
        scored_days.account_id,
        scored_days.day,
        max(outcomes.occurred_day) as renewed_day
    from scored_days
    inner join {{ ref('stg_crm__account_outcomes') }} as outcomes
        on scored_days.account_id = outcomes.account_id
        and outcomes.kind = 'renewed'
        and outcomes.occurred_day <= scored_days.day
    group by scored_days.account_id, scored_days.day

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    {{ metric_columns(metrics) }}
from scored_days
inner join table_states on scored_days.as_of_date = table_states.as_of_date
inner join totals
    on scored_days.account_id = totals.account_id
    and scored_days.day = totals.day
left join oldest_claims
    on scored_days.account_id = oldest_claims.account_id
    and scored_days.day = oldest_claims.day
left join renewals
    on scored_days.account_id = renewals.account_id
    and scored_days.day = renewals.day
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
{{ stored_order('scored_days.as_of_date, scored_days.account_id') }}
