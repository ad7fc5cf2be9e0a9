{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The voice metrics of specification section 4, each with its state.

{% set metrics = [
    {
        'key': 'nps_180d', 'source': 'survey_responses',
        'states': [('nps_respondents = 0 and nps_answers_ever > 0', 'stale'), ('nps_answers_ever = 0', 'missing')],
        'value': '100.0 * cast(nps_promoters - nps_detractors as double) / cast(nps_respondents as double)',
    },
    {
        'key': 'product_rating_365d', 'source': 'survey_responses',
        'states': [('ratings = 0 and ratings_ever > 0', 'stale'), ('ratings_ever = 0', 'missing')],
        'value': 'cast(rating_sum as double) / cast(ratings as double)',
    },
    {'key': 'two_way_touchpoints_90d', 'source': 'touchpoints', 'value': 'two_way'},
    {'key': 'contact_minutes_90d', 'source': 'touchpoints', 'value': 'contact_minutes'},
    {
        'key': 'contact_sentiment_90d', 'source': 'touchpoints',
        'states': [('sentiments = 0', 'missing')],
        'value': 'cast(sentiment_sum as double) / cast(sentiments as double)',
    },
    {
        'key': 'response_rate_90d', 'source': 'touchpoints',
        'states': [('outbound = 0', 'not_applicable')],
        'value': 'cast(outbound_responded as double) / cast(outbound as double)',
    },
    {'key': 'advocacy_365d', 'source': 'advocacy_events', 'value': 'advocacy'},
    {
        'key': 'csm_pulse', 'source': 'csm_pulses',
        'states': [('pulses = 0 and pulses_ever > 0', 'stale'), ('pulses_ever = 0', 'missing')],
        'value': 'pulse_rating',
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

pulses as (

    select
        account_id,
        rating,
        rated_day,
        least(rated_day + 90, lead(rated_day) over (partition by account_id order by rated_at, pulse_id)) as to_day
    from {{ ref('stg_crm__csm_pulses') }}

),

intervals as (

    select account_id, 'nps_respondents' as measure, responded_day as from_day, to_day, 1 as amount
    from nps_answers
    union all
    select account_id, 'nps_promoters', responded_day, to_day, 1
    from nps_answers
    where score >= 9
    union all
    select account_id, 'nps_detractors', responded_day, to_day, 1
    from nps_answers
    where score <= 6
    union all
    select account_id, 'nps_answers_ever', responded_day, cast(null as integer), 1
    from nps_answers
    union all
    select account_id, 'ratings', responded_day, responded_day + 365, 1
    from ratings
    union all
    select account_id, 'rating_sum', responded_day, responded_day + 365, score
    from ratings
    union all
    select account_id, 'ratings_ever', responded_day, cast(null as integer), 1
    from ratings
    union all
    select account_id, 'two_way', occurred_day, occurred_day + 90, 1
    from touchpoints
    where direction = 'inbound' or is_responded
    union all
    select account_id, 'contact_minutes', occurred_day, occurred_day + 90, duration_minutes
    from touchpoints
    union all
    select account_id, 'sentiments', occurred_day, occurred_day + 90, 1
    from touchpoints
    where sentiment is not null
    union all
    select account_id, 'sentiment_sum', occurred_day, occurred_day + 90, sentiment
    from touchpoints
    union all
    select account_id, 'outbound', occurred_day, occurred_day + 90, 1
    from touchpoints
    where direction = 'outbound'
    union all
    select account_id, 'outbound_responded', occurred_day, occurred_day + 90, 1
    from touchpoints
    where direction = 'outbound' and is_responded
    union all
    select account_id, 'advocacy', occurred_day, occurred_day + 365, 1
    from {{ ref('stg_crm__advocacy_events') }}
    union all
    select account_id, 'pulses', rated_day, to_day, 1
    from pulses
    union all
    select account_id, 'pulse_rating', rated_day, to_day, rating
    from pulses
    union all
    select account_id, 'pulses_ever', rated_day, cast(null as integer), 1
    from pulses

),

{{ window_totals([
    'nps_respondents', 'nps_promoters', 'nps_detractors', 'nps_answers_ever', 'ratings', 'rating_sum', 'ratings_ever',
    'two_way', 'contact_minutes', 'sentiments', 'sentiment_sum', 'outbound', 'outbound_responded', 'advocacy',
    'pulses', 'pulse_rating', 'pulses_ever',
]) }},

inputs as (

    select
        window_totals.*,
        table_states.survey_responses_state,
        table_states.touchpoints_state,
        table_states.advocacy_events_state,
        table_states.csm_pulses_state
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
