{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Support", each with its state.
-- A new metric: a measure, a metric, and a row in seeds/metrics.csv.

{% set measures = {
    'critical_open': {'of': 'tickets', 'where': "priority = 'critical'", 'from_day': 'opened_day', 'to_day': 'resolved_day'},
    'escalations': {'of': 'tickets', 'where': 'escalated_day is not null', 'from_day': 'escalated_day', 'to_day': 'escalated_day + 90'},
    'opened_28d': {'of': 'tickets', 'from_day': 'opened_day', 'to_day': 'opened_day + 28'},
    'opened_90d': {'of': 'tickets', 'from_day': 'opened_day', 'to_day': 'opened_day + 90'},
    'negative_90d': {
        'of': 'tickets', 'where': "topic in ('bug', 'billing', 'complaint')", 'from_day': 'opened_day', 'to_day': 'opened_day + 90',
    },
    'csat_answers': {'of': 'csat', 'from_day': 'responded_day', 'to_day': 'responded_day + 180'},
    'csat_scores': {'of': 'csat', 'from_day': 'responded_day', 'to_day': 'responded_day + 180', 'amount': 'score'},
    'csat_answers_ever': {'of': 'csat', 'from_day': 'responded_day'},
} %}

{% set metrics = [
    {'key': 'critical_open_tickets', 'source': 'tickets', 'value': 'window_totals.critical_open'},
    {'key': 'escalations_90d', 'source': 'tickets', 'value': 'window_totals.escalations'},
    {
        'key': 'tickets_per_10_users_28d', 'source': 'tickets',
        'value': '10.0 * cast(window_totals.opened_28d as double) / greatest(windows.active_users_28d, 10)',
    },
    {
        'key': 'negative_ticket_share_90d', 'source': 'tickets',
        'states': [('window_totals.opened_90d = 0', 'not_applicable')],
        'value': 'cast(window_totals.negative_90d as double) / cast(window_totals.opened_90d as double)',
    },
    {
        'key': 'median_first_reply_hours_90d', 'source': 'tickets',
        'states': [('first_replies.median_hours is null', 'not_applicable')],
        'value': 'first_replies.median_hours',
    },
    {
        'key': 'median_resolution_hours_90d', 'source': 'tickets',
        'states': [('resolutions.median_hours is null', 'not_applicable')],
        'value': 'resolutions.median_hours',
    },
    {
        'key': 'csat_180d', 'source': 'survey_responses',
        'states': [
            ('window_totals.csat_answers = 0 and window_totals.csat_answers_ever > 0', 'stale'),
            ('window_totals.csat_answers_ever = 0', 'missing'),
        ],
        'value': 'cast(window_totals.csat_scores as double) / cast(window_totals.csat_answers as double)',
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

{{ window_totals(measures) }},

-- A median is no sum: these two join each ticket to the days on which it counts.
first_replies as (

    select
        scored_days.account_id,
        scored_days.day,
        {{ median(seconds_between('tickets.opened_at', 'tickets.first_replied_at') ~ ' / 3600.0') }} as median_hours
    from tickets
    inner join scored_days
        on tickets.account_id = scored_days.account_id
        and scored_days.day >= tickets.first_replied_day
        and scored_days.day < tickets.first_replied_day + 90
    group by scored_days.account_id, scored_days.day

),

resolutions as (

    select
        scored_days.account_id,
        scored_days.day,
        {{ median(seconds_between('tickets.opened_at', 'tickets.resolved_at') ~ ' / 3600.0') }} as median_hours
    from tickets
    inner join scored_days
        on tickets.account_id = scored_days.account_id
        and scored_days.day >= tickets.resolved_day
        and scored_days.day < tickets.resolved_day + 90
    group by scored_days.account_id, scored_days.day

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    {{ metric_columns(metrics) }}
from scored_days
inner join table_states on scored_days.as_of_date = table_states.as_of_date
inner join window_totals
    on scored_days.account_id = window_totals.account_id
    and scored_days.day = window_totals.day
inner join {{ ref('int_usage__windows') }} as windows
    on scored_days.account_id = windows.account_id
    and scored_days.day = windows.day
left join first_replies
    on scored_days.account_id = first_replies.account_id
    and scored_days.day = first_replies.day
left join resolutions
    on scored_days.account_id = resolutions.account_id
    and scored_days.day = resolutions.day
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by scored_days.as_of_date, scored_days.account_id
