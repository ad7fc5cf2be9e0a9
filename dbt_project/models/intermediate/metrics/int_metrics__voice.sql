{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Voice", each with its state.
-- A new metric: a measure, a metric, and a row in seeds/metrics.csv.

{% set measures = {
    'nps_respondents': {'of': 'nps_answers', 'from_day': 'responded_day', 'to_day': 'to_day'},
    'nps_promoters': {'of': 'nps_answers', 'where': 'score >= 9', 'from_day': 'responded_day', 'to_day': 'to_day'},
    'nps_detractors': {'of': 'nps_answers', 'where': 'score <= 6', 'from_day': 'responded_day', 'to_day': 'to_day'},
    'nps_answers_ever': {'of': 'nps_answers', 'from_day': 'responded_day'},
    'ratings': {'of': 'ratings', 'from_day': 'responded_day', 'to_day': 'responded_day + 365'},
    'rating_scores': {'of': 'ratings', 'from_day': 'responded_day', 'to_day': 'responded_day + 365', 'amount': 'score'},
    'ratings_ever': {'of': 'ratings', 'from_day': 'responded_day'},
    'two_way': {
        'of': 'touchpoints', 'where': "direction = 'inbound' or is_responded", 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90',
    },
    'contact_minutes': {'of': 'touchpoints', 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90', 'amount': 'duration_minutes'},
    'sentiments': {'of': 'touchpoints', 'where': 'sentiment is not null', 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90'},
    'sentiment_scores': {'of': 'touchpoints', 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90', 'amount': 'sentiment'},
    'outbound': {'of': 'touchpoints', 'where': "direction = 'outbound'", 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90'},
    'outbound_responded': {
        'of': 'touchpoints', 'where': "direction = 'outbound' and is_responded", 'from_day': 'occurred_day', 'to_day': 'occurred_day + 90',
    },
    'advocacy': {'of': 'advocacy_events', 'from_day': 'occurred_day', 'to_day': 'occurred_day + 365'},
    'pulses': {'of': 'pulses', 'from_day': 'rated_day', 'to_day': 'to_day'},
    'pulse_rating': {'of': 'pulses', 'from_day': 'rated_day', 'to_day': 'to_day', 'amount': 'rating'},
    'pulses_ever': {'of': 'pulses', 'from_day': 'rated_day'},
} %}

{% set metrics = [
    {
        'key': 'nps_180d', 'source': 'survey_responses',
        'states': [
            ('window_totals.nps_respondents = 0 and window_totals.nps_answers_ever > 0', 'stale'),
            ('window_totals.nps_answers_ever = 0', 'missing'),
        ],
        'value': '100.0 * cast(window_totals.nps_promoters - window_totals.nps_detractors as double)'
            ~ ' / cast(window_totals.nps_respondents as double)',
    },
    {
        'key': 'product_rating_365d', 'source': 'survey_responses',
        'states': [
            ('window_totals.ratings = 0 and window_totals.ratings_ever > 0', 'stale'),
            ('window_totals.ratings_ever = 0', 'missing'),
        ],
        'value': 'cast(window_totals.rating_scores as double) / cast(window_totals.ratings as double)',
    },
    {'key': 'two_way_touchpoints_90d', 'source': 'touchpoints', 'value': 'window_totals.two_way'},
    {'key': 'contact_minutes_90d', 'source': 'touchpoints', 'value': 'window_totals.contact_minutes'},
    {
        'key': 'contact_sentiment_90d', 'source': 'touchpoints',
        'states': [('window_totals.sentiments = 0', 'missing')],
        'value': 'cast(window_totals.sentiment_scores as double) / cast(window_totals.sentiments as double)',
    },
    {
        'key': 'response_rate_90d', 'source': 'touchpoints',
        'states': [('window_totals.outbound = 0', 'not_applicable')],
        'value': 'cast(window_totals.outbound_responded as double) / cast(window_totals.outbound as double)',
    },
    {'key': 'advocacy_365d', 'source': 'advocacy_events', 'value': 'window_totals.advocacy'},
    {
        'key': 'csm_pulse', 'source': 'csm_pulses',
        'states': [
            ('window_totals.pulses = 0 and window_totals.pulses_ever > 0', 'stale'),
            ('window_totals.pulses_ever = 0', 'missing'),
        ],
        'value': 'window_totals.pulse_rating',
    },
] %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

),

touchpoints as (

    select * from {{ ref('stg_crm__touchpoints') }}

),

-- The latest answer of each respondent: one holds until the respondent's next, or 180 days. An answer without user is its own respondent.
nps_answers as (

    select
        account_id,
        score,
        responded_day,
        least(
            responded_day + 180,
            lead(responded_day) over (
                partition by account_id, user_id, case when user_id is null then response_id end
                order by responded_at, response_id
            )
        ) as to_day
    from {{ ref('stg_support__survey_responses') }}
    where survey = 'nps'

),

ratings as (

    select account_id, score, responded_day
    from {{ ref('stg_support__survey_responses') }}
    where survey = 'product_rating'

),

advocacy_events as (

    select * from {{ ref('stg_crm__advocacy_events') }}

),

pulses as (

    select
        account_id,
        rating,
        rated_day,
        least(rated_day + 90, lead(rated_day) over (partition by account_id order by rated_at, pulse_id)) as to_day
    from {{ ref('stg_crm__csm_pulses') }}

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
