{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The outcome metrics of specification section 4, each with its state.

{% set metrics = [
    {
        'key': 'goal_attainment', 'source': 'account_goals',
        'states': [('goals_measured = 0 and goals_measured_ever > 0', 'stale'), ('goals_measured_ever = 0', 'missing')],
        'value': 'cast(attainment_sum as double) / cast(goals_measured as double)',
    },
    {
        'key': 'customer_roi_365d', 'source': 'account_goals',
        'states': [('values_recorded = 0', 'missing'), ('amount_invoiced = 0', 'not_applicable')],
        'value': 'cast(value_delivered as double) / cast(amount_invoiced as double)',
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

    select
        account_id,
        amount,
        issued_day,
        case when voided_day < issued_day + 365 then voided_day else issued_day + 365 end as to_day
    from {{ ref('stg_billing__invoices') }}

),

intervals as (

    select account_id, 'goals_measured' as measure, measured_day as from_day, to_day, 1 as amount
    from measurements
    where attainment is not null
    union all
    select account_id, 'attainment_sum', measured_day, to_day, attainment
    from measurements
    union all
    select account_id, 'goals_measured_ever', measured_day, cast(null as integer), 1
    from measurements
    where attainment is not null
    union all
    select account_id, 'values_recorded', measured_day, measured_day + 365, 1
    from measurements
    where value_delivered is not null
    union all
    select account_id, 'value_delivered', measured_day, measured_day + 365, value_delivered
    from measurements
    union all
    select account_id, 'amount_invoiced', issued_day, to_day, amount
    from invoices

),

{{ window_totals(['goals_measured', 'attainment_sum', 'goals_measured_ever', 'values_recorded', 'value_delivered', 'amount_invoiced']) }},

inputs as (

    select
        window_totals.*,
        table_states.account_goals_state
    from window_totals
    inner join table_states on window_totals.as_of_date = table_states.as_of_date

)

select
    account_id,
    as_of_date,
    {{ metric_columns(metrics) }}
from inputs
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by as_of_date, account_id
