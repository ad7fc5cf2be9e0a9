{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The commercial metrics of specification section 4, each with its state.

{% set metrics = [
    {
        'key': 'days_late_180d', 'source': 'invoices',
        'states': [('invoices_due = 0', 'not_applicable')],
        'value': '(late_days_settled + day * invoices_running - due_days_running) / cast(invoices_due as double)',
    },
    {
        'key': 'overdue_ratio', 'source': 'invoices',
        'states': [('coalesce(mrr, 0) = 0', 'not_applicable')],
        'value': 'cast(overdue_amount as double) / mrr',
    },
    {
        'key': 'mrr_trend_90d', 'source': 'subscriptions',
        'states': [('coalesce(previous_mrr, 0) = 0', 'not_applicable')],
        'value': '(mrr - previous_mrr) / previous_mrr',
    },
    {
        'key': 'days_to_renewal', 'source': 'subscriptions',
        'states': [('term_ends_day is null', 'missing')],
        'value': 'term_ends_day - day',
    },
    {
        'key': 'days_since_renewal', 'source': 'subscriptions',
        'value': 'day - case when renewed_day > subscription_started_day then renewed_day else subscription_started_day end',
    },
    {'key': 'expansions_365d', 'source': 'account_outcomes', 'value': 'expansions'},
] %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

),

-- An invoice exists from the day it is issued to the day it is voided.
invoices as (

    select
        account_id,
        amount,
        issued_day,
        due_day,
        paid_day,
        voided_day,
        case when due_day > issued_day then due_day else issued_day end as due_from_day,
        case when voided_day < due_day + 180 then voided_day else due_day + 180 end as due_to_day,
        case when voided_day < paid_day or paid_day is null then voided_day else paid_day end as unpaid_to_day
    from {{ ref('stg_billing__invoices') }}

),

outcomes as (

    select account_id, kind, occurred_day from {{ ref('stg_crm__account_outcomes') }}

),

-- Lateness grows by a day each day while the invoice is unpaid: day x 1 - due_day. Once paid it stays at paid_day - due_day.
intervals as (

    select account_id, 'invoices_due' as measure, due_from_day as from_day, due_to_day as to_day, 1 as amount
    from invoices
    union all
    select account_id, 'invoices_running', due_from_day, least(due_to_day, coalesce(paid_day, due_to_day)), 1
    from invoices
    union all
    select account_id, 'due_days_running', due_from_day, least(due_to_day, coalesce(paid_day, due_to_day)), due_day
    from invoices
    union all
    select account_id, 'late_days_settled', greatest(due_from_day, paid_day), due_to_day, paid_day - due_day
    from invoices
    where paid_day > due_day
    union all
    select account_id, 'overdue_amount', greatest(due_day + 1, issued_day), unpaid_to_day, amount
    from invoices
    union all
    select account_id, 'expansions', occurred_day, occurred_day + 365, 1
    from outcomes
    where kind = 'expanded'

),

{{ window_totals(['invoices_due', 'invoices_running', 'due_days_running', 'late_days_settled', 'overdue_amount', 'expansions']) }},

renewals as (

    select
        scored_days.account_id,
        scored_days.day,
        max(outcomes.occurred_day) as renewed_day
    from scored_days
    inner join outcomes
        on scored_days.account_id = outcomes.account_id
        and outcomes.kind = 'renewed'
        and outcomes.occurred_day <= scored_days.day
    group by scored_days.account_id, scored_days.day

),

inputs as (

    select
        scored_days.account_id,
        scored_days.as_of_date,
        scored_days.day,
        scored_days.mrr,
        scored_days.term_ends_day,
        scored_days.subscription_started_day,
        previous.mrr as previous_mrr,
        renewals.renewed_day,
        window_totals.invoices_due,
        window_totals.invoices_running,
        window_totals.due_days_running,
        window_totals.late_days_settled,
        window_totals.overdue_amount,
        window_totals.expansions,
        table_states.invoices_state,
        table_states.subscriptions_state,
        table_states.account_outcomes_state
    from scored_days
    inner join table_states on scored_days.as_of_date = table_states.as_of_date
    inner join window_totals
        on scored_days.account_id = window_totals.account_id
        and scored_days.day = window_totals.day
    left join {{ ref('int_billing__subscription_days') }} as previous
        on scored_days.account_id = previous.account_id
        and scored_days.day - 90 = previous.day
    left join renewals
        on scored_days.account_id = renewals.account_id
        and scored_days.day = renewals.day

)

select
    account_id,
    as_of_date,
    {{ metric_columns(metrics) }}
from inputs
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by as_of_date, account_id
