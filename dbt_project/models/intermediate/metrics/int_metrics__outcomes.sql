{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Outcomes", each with its state.
-- A new metric: a measure, a metric, and a row in seeds/metrics.csv.

{% set measures = {
    'goals_measured': {'of': 'measurements', 'where': 'attainment is not null', 'from_day': 'measured_day', 'to_day': 'to_day'},
    'attainment': {'of': 'measurements', 'from_day': 'measured_day', 'to_day': 'to_day', 'amount': 'attainment'},
    'goals_measured_ever': {'of': 'measurements', 'where': 'attainment is not null', 'from_day': 'measured_day'},
    'values_recorded': {
        'of': 'measurements', 'where': 'value_delivered is not null', 'from_day': 'measured_day', 'to_day': 'measured_day + 365',
    },
    'value_delivered': {'of': 'measurements', 'from_day': 'measured_day', 'to_day': 'measured_day + 365', 'amount': 'value_delivered'},
    'amount_invoiced': {
        'of': 'invoices', 'from_day': 'issued_day', 'to_day': 'least(issued_day + 365, voided_day)', 'amount': 'amount',
    },
} %}

{% set metrics = [
    {
        'key': 'goal_attainment', 'source': 'account_goals',
        'states': [
            ('window_totals.goals_measured = 0 and window_totals.goals_measured_ever > 0', 'stale'),
            ('window_totals.goals_measured_ever = 0', 'missing'),
        ],
        'value': 'cast(window_totals.attainment as double) / cast(window_totals.goals_measured as double)',
    },
    {
        'key': 'customer_roi_365d', 'source': 'account_goals',
        'states': [('window_totals.values_recorded = 0', 'missing'), ('window_totals.amount_invoiced <= 0', 'not_applicable')],
        'value': 'cast(window_totals.value_delivered as double) / cast(window_totals.amount_invoiced as double)',
    },
] %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

),

measurements as (

    select
        account_id,
        measured_day,
        value_delivered,
        case when target_value > 0 and actual_value is not null then greatest(0, least(2, actual_value / target_value)) end as attainment,
        least(measured_day + 180, lead(measured_day) over (partition by account_id, goal_id order by measured_day)) as to_day
    from {{ ref('stg_crm__account_goals') }}

),

invoices as (

    select * from {{ ref('int_billing__invoices') }}

),

{{ window_totals(measures) }}

select
    scored_days.account_id,
    scored_days.as_of_date,
    {{ metric_columns(metrics) }}
from scored_days
inner join table_states on scored_days.as_of_date = table_states.as_of_date
inner join window_totals
    on scored_days.account_id = window_totals.account_id
    and scored_days.day = window_totals.day
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by scored_days.as_of_date, scored_days.account_id
