-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Support", each with its state.
-- A new metric is an entry here, with what it sums over days as its measures, and a row in seeds/metrics.csv.

{% set metrics = {
    'critical_open_tickets': {
        'source': 'tickets',
        'measures': {'critical_open': {'of': 'tickets', 'where': "priority = 'critical'", 'from': 'opened_day', 'to': 'resolved_day'}},
        'value': 'totals.critical_open',
    },
    'escalations_90d': {
        'source': 'tickets',
        'measures': {'escalations': {'of': 'tickets', 'where': 'escalated_day is not null', 'from': 'escalated_day', 'days': 90}},
        'value': 'totals.escalations',
    },
    'tickets_per_10_users_28d': {
        'source': 'tickets',
        'measures': {'opened_28d': {'of': 'tickets', 'from': 'opened_day', 'days': 28}},
        'value': '10 * cast(totals.opened_28d as double) / greatest(windows.active_users_28d, 10)',
    },
    'negative_ticket_share_90d': {
        'source': 'tickets',
        'measures': {
            'opened_90d': {'of': 'tickets', 'from': 'opened_day', 'days': 90},
            'negative_90d': {'of': 'tickets', 'where': "topic in ('bug', 'billing', 'complaint')", 'from': 'opened_day', 'days': 90},
        },
        'states': [('totals.opened_90d = 0', 'not_applicable')],
        'value': 'cast(totals.negative_90d as double) / cast(totals.opened_90d as double)',
    },
    'median_first_reply_hours_90d': {
        'source': 'tickets',
        'states': [('first_replies.median_hours is null', 'not_applicable')],
        'value': 'first_replies.median_hours',
    },
    'median_resolution_hours_90d': {
        'source': 'tickets',
        'states': [('resolutions.median_hours is null', 'not_applicable')],
        'value': 'resolutions.median_hours',
    },
    'csat_180d': {
        'source': 'survey_responses',
        'measures': {
            'answers': {'of': 'csat', 'from': 'responded_day', 'days': 180},
            'answers_ever': {'of': 'csat', 'from': 'responded_day'},
            'scores': {'of': 'csat', 'from': 'responded_day', 'days': 180, 'amount': 'score'},
        },
        'states': [('totals.answers = 0 and totals.answers_ever > 0', 'stale'), ('totals.answers_ever = 0', 'missing')],
        'value': 'cast(totals.scores as double) / cast(totals.answers as double)',
    },
} %}

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

totals as (

    {{ window_totals(metrics) }}

),

-- A median is not a sum: these two join each ticket to the days on which it counts.
first_replies as (

    select
        scored_days.account_id,
        scored_days.day,
        median({{ seconds_between('tickets.opened_at', 'tickets.first_replied_at') ~ ' / 3600e0' }}) as median_hours
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
        median({{ seconds_between('tickets.opened_at', 'tickets.resolved_at') ~ ' / 3600e0' }}) as median_hours
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
inner join totals
    on scored_days.account_id = totals.account_id
    and scored_days.day = totals.day
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
{{ stored_order('scored_days.as_of_date, scored_days.account_id') }}
