{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The support metrics of specification section 4, each with its state.

{% set metrics = [
    {'key': 'critical_open_tickets', 'source': 'tickets', 'value': 'critical_open'},
    {'key': 'escalations_90d', 'source': 'tickets', 'value': 'escalations'},
    {'key': 'tickets_per_10_users_28d', 'source': 'tickets', 'value': '10.0 * cast(opened_28d as double) / greatest(active_users_28d, 1)'},
    {
        'key': 'negative_ticket_share_90d', 'source': 'tickets',
        'states': [('opened_90d = 0', 'not_applicable')],
        'value': 'cast(negative_90d as double) / cast(opened_90d as double)',
    },
    {
        'key': 'median_first_reply_hours_90d', 'source': 'tickets',
        'states': [('median_first_reply_hours is null', 'not_applicable')],
        'value': 'median_first_reply_hours',
    },
    {
        'key': 'median_resolution_hours_90d', 'source': 'tickets',
        'states': [('median_resolution_hours is null', 'not_applicable')],
        'value': 'median_resolution_hours',
    },
    {
        'key': 'csat_180d', 'source': 'survey_responses',
        'states': [('csat_answers = 0 and csat_answers_ever > 0', 'stale'), ('csat_answers_ever = 0', 'missing')],
        'value': 'cast(csat_sum as double) / cast(csat_answers as double)',
    },
] %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

),

tickets as (

    select * from {{ ref('stg_support__tickets') }}

),

csat as (

    select account_id, responded_day, score
    from {{ ref('stg_support__survey_responses') }}
    where survey = 'csat'

),

-- A ticket is known from the day it was opened, so an earlier escalation, reply or resolution counts from that day.
intervals as (

    select account_id, 'critical_open' as measure, opened_day as from_day, resolved_day as to_day, 1 as amount
    from tickets
    where priority = 'critical'
    union all
    select account_id, 'escalations', greatest(escalated_day, opened_day), escalated_day + 90, 1
    from tickets
    where escalated_day is not null
    union all
    select account_id, 'opened_28d', opened_day, opened_day + 28, 1
    from tickets
    union all
    select account_id, 'opened_90d', opened_day, opened_day + 90, 1
    from tickets
    union all
    select account_id, 'negative_90d', opened_day, opened_day + 90, 1
    from tickets
    where topic in ('bug', 'billing', 'complaint')
    union all
    select account_id, 'csat_answers', responded_day, responded_day + 180, 1
    from csat
    union all
    select account_id, 'csat_sum', responded_day, responded_day + 180, score
    from csat
    union all
    select account_id, 'csat_answers_ever', responded_day, cast(null as integer), 1
    from csat

),

{{ window_totals(['critical_open', 'escalations', 'opened_28d', 'opened_90d', 'negative_90d', 'csat_answers', 'csat_sum', 'csat_answers_ever']) }},

-- A median is no sum: these two join each ticket to the days on which it counts.
median_first_reply as (

    select
        scored_days.account_id,
        scored_days.day,
        {{ median(seconds_between('tickets.opened_at', 'tickets.first_replied_at') ~ ' / 3600.0') }} as median_first_reply_hours
    from tickets
    inner join scored_days
        on tickets.account_id = scored_days.account_id
        and scored_days.day >= greatest(tickets.first_replied_day, tickets.opened_day)
        and scored_days.day < tickets.first_replied_day + 90
    group by scored_days.account_id, scored_days.day

),

median_resolution as (

    select
        scored_days.account_id,
        scored_days.day,
        {{ median(seconds_between('tickets.opened_at', 'tickets.resolved_at') ~ ' / 3600.0') }} as median_resolution_hours
    from tickets
    inner join scored_days
        on tickets.account_id = scored_days.account_id
        and scored_days.day >= greatest(tickets.resolved_day, tickets.opened_day)
        and scored_days.day < tickets.resolved_day + 90
    group by scored_days.account_id, scored_days.day

),

inputs as (

    select
        window_totals.*,
        windows.active_users_28d,
        median_first_reply.median_first_reply_hours,
        median_resolution.median_resolution_hours,
        table_states.tickets_state,
        table_states.survey_responses_state
    from window_totals
    inner join table_states on window_totals.as_of_date = table_states.as_of_date
    inner join {{ ref('int_usage__windows') }} as windows
        on window_totals.account_id = windows.account_id
        and window_totals.day = windows.day
    left join median_first_reply
        on window_totals.account_id = median_first_reply.account_id
        and window_totals.day = median_first_reply.day
    left join median_resolution
        on window_totals.account_id = median_resolution.account_id
        and window_totals.day = median_resolution.day

)

select
    account_id,
    as_of_date,
    {{ metric_columns(metrics) }}
from inputs
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by as_of_date, account_id
