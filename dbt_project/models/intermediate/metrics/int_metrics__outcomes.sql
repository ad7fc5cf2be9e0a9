-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Outcomes", each with its state.
-- A new metric is an entry here, with what it sums over days as its measures, and a row in seeds/metrics.csv.

{% set metrics = {
    'goal_attainment': {
        'source': 'account_goals',
        'measures': {
            'goals': {'of': 'measurements', 'where': 'attainment is not null', 'from': 'measured_day', 'to': 'to_day'},
            'goals_ever': {'of': 'measurements', 'where': 'attainment is not null', 'from': 'measured_day'},
            'attainment': {'of': 'measurements', 'from': 'measured_day', 'to': 'to_day', 'amount': 'attainment'},
        },
        'states': [('totals.goals = 0 and totals.goals_ever > 0', 'stale'), ('totals.goals_ever = 0', 'missing')],
        'value': 'cast(totals.attainment as double) / cast(totals.goals as double)',
    },
    'customer_roi_365d': {
        'source': 'account_goals',
        'measures': {
            'values_recorded': {'of': 'measurements', 'where': 'value_delivered is not null', 'from': 'measured_day', 'days': 365},
            'value_delivered': {'of': 'measurements', 'from': 'measured_day', 'days': 365, 'amount': 'value_delivered'},
            'invoiced': {'of': 'invoices', 'from': 'issued_day', 'to': 'least(issued_day + 365, voided_day)', 'amount': 'amount'},
        },
        'states': [('totals.values_recorded = 0', 'missing'), ('totals.invoiced <= 0', 'not_applicable')],
        'value': 'cast(totals.value_delivered as double) / cast(totals.invoiced as double)',
    },
} %}

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

totals as (

    {{ window_totals(metrics) }}

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
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
{{ stored_order('scored_days.as_of_date, scored_days.account_id') }}
