-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Voice", each with its state.
-- A new metric is an entry here, with what it sums over days as its measures, and a row in seeds/metrics.csv.

{# What could be silence may be a feed. #}
{% set is_feed_late = "table_states.usage_events_state = 'late' or table_states.touchpoints_state = 'late'" %}
{% set metrics = {
    'nps_180d': {
        'source': 'survey_responses',
        'measures': {
            'respondents': {'of': 'nps_answers', 'from': 'responded_day', 'to': 'to_day'},
            'promoters': {'of': 'nps_answers', 'where': 'score >= 9', 'from': 'responded_day', 'to': 'to_day'},
            'detractors': {'of': 'nps_answers', 'where': 'score <= 6', 'from': 'responded_day', 'to': 'to_day'},
            'answers_ever': {'of': 'nps_answers', 'from': 'responded_day'},
        },
        'states': [('totals.respondents = 0 and totals.answers_ever > 0', 'stale'), ('totals.answers_ever = 0', 'missing')],
        'value': '100 * cast(totals.promoters - totals.detractors as double) / cast(totals.respondents as double)',
    },
    'product_rating_365d': {
        'source': 'survey_responses',
        'measures': {
            'ratings': {'of': 'ratings', 'from': 'responded_day', 'days': 365},
            'ratings_ever': {'of': 'ratings', 'from': 'responded_day'},
            'rating_scores': {'of': 'ratings', 'from': 'responded_day', 'days': 365, 'amount': 'score'},
        },
        'states': [('totals.ratings = 0 and totals.ratings_ever > 0', 'stale'), ('totals.ratings_ever = 0', 'missing')],
        'value': 'cast(totals.rating_scores as double) / cast(totals.ratings as double)',
    },
    'two_way_touchpoints_90d': {
        'source': 'touchpoints',
        'measures': {
            'two_way': {'of': 'touchpoints', 'where': "direction = 'inbound' or is_responded", 'from': 'occurred_day', 'days': 90},
        },
        'value': 'totals.two_way',
    },
    'contact_minutes_90d': {
        'source': 'touchpoints',
        'measures': {'contact_minutes': {'of': 'touchpoints', 'from': 'occurred_day', 'days': 90, 'amount': 'duration_minutes'}},
        'value': 'totals.contact_minutes',
    },
    'contact_sentiment_90d': {
        'source': 'touchpoints',
        'measures': {
            'sentiments': {'of': 'touchpoints', 'where': 'sentiment is not null', 'from': 'occurred_day', 'days': 90},
            'sentiment_scores': {'of': 'touchpoints', 'from': 'occurred_day', 'days': 90, 'amount': 'sentiment'},
        },
        'states': [('totals.sentiments = 0', 'missing')],
        'value': 'cast(totals.sentiment_scores as double) / cast(totals.sentiments as double)',
    },
    'response_rate_90d': {
        'source': 'touchpoints',
        'measures': {
            'outbound': {'of': 'touchpoints', 'where': "direction = 'outbound'", 'from': 'occurred_day', 'days': 90},
            'responded': {'of': 'touchpoints', 'where': "direction = 'outbound' and is_responded", 'from': 'occurred_day', 'days': 90},
        },
        'states': [('totals.outbound = 0', 'not_applicable')],
        'value': 'cast(totals.responded as double) / cast(totals.outbound as double)',
    },
    'advocacy_365d': {
        'source': 'advocacy_events',
        'measures': {
            'advocacy': {'of': 'advocacy_events', 'from': 'occurred_day', 'days': 365},
            'reviews': {'of': 'advocacy_events', 'where': "kind = 'review'", 'from': 'occurred_day', 'days': 365},
        },
        'value': 'totals.advocacy',
    },
    'csm_pulse': {
        'source': 'csm_pulses',
        'measures': {
            'pulses': {'of': 'pulses', 'from': 'rated_day', 'to': 'to_day'},
            'pulses_ever': {'of': 'pulses', 'from': 'rated_day'},
            'rating': {'of': 'pulses', 'from': 'rated_day', 'to': 'to_day', 'amount': 'rating'},
        },
        'states': [('totals.pulses = 0 and totals.pulses_ever > 0', 'stale'), ('totals.pulses_ever = 0', 'missing')],
        'value': 'totals.rating',
    },
    'champion_days_silent': {
        'source': 'contacts',
        'states': [
            ('coalesce(people.champions, 0) = 0', 'not_applicable'),
            (is_feed_late, 'late'),
            ('people.champions_heard = 0', 'missing'),
        ],
        'value': 'people.champion_days_silent',
    },
    'champions_left_90d': {
        'source': 'contacts',
        'measures': {
            'contacts_ever': {'of': 'roles', 'from': 'joined_day'},
            'champions_left': {'of': 'roles', 'where': "role = 'champion'", 'from': 'left_day', 'days': 90},
            'champions_joined': {'of': 'roles', 'where': "role = 'champion'", 'from': 'joined_day', 'days': 90},
        },
        'states': [('totals.contacts_ever = 0', 'missing')],
        'value': 'greatest(totals.champions_left - totals.champions_joined, 0)',
    },
    'engaged_contacts_90d': {
        'source': 'contacts',
        'states': [(is_feed_late, 'late'), ('coalesce(people.contacts_heard, 0) = 0', 'missing')],
        'value': 'people.engaged_contacts',
    },
    'decision_maker_days_silent': {
        'source': 'contacts',
        'states': [
            ('coalesce(people.decision_makers, 0) = 0', 'not_applicable'),
            (is_feed_late, 'late'),
            ('people.decision_makers_heard = 0', 'missing'),
        ],
        'value': 'people.decision_maker_days_silent',
    },
} %}
{% set key_roles = ['champion', 'decision_maker'] %}

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

roles as (

    select * from {{ ref('int_contacts__roles') }}

),

contact_days as (

    select
        *,
        case when is_in_force then role end as role_in_force,
        -- Whoever joined is not silent yet. A year says as much as more.
        least(day - greatest(joined_day, coalesce(last_contact_day, joined_day)), {{ var('heard_days') }}) as days_silent
    from {{ ref('int_contacts__contact_days') }}

),

people as (

    select
        account_id,
        as_of_date,
        {%- for role in key_roles %}
        count(case when role_in_force = '{{ role }}' then 1 end) as {{ role }}s,
        count(case when role_in_force = '{{ role }}' and can_be_heard then 1 end) as {{ role }}s_heard,
        min(case when role_in_force = '{{ role }}' and can_be_heard then days_silent end) as {{ role }}_days_silent,
        {%- endfor %}
        count(case when can_be_heard then 1 end) as contacts_heard,
        count(case when last_contact_day > day - 90 then 1 end) as engaged_contacts
    from contact_days
    group by account_id, as_of_date

),

totals as (

    {{ window_totals(metrics) }}

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    -- Not metrics: what playbooks ask beside them.
    totals.detractors as detractors_180d,
    totals.reviews as reviews_365d,
    {{ metric_columns(metrics) }}
from scored_days
inner join table_states on scored_days.as_of_date = table_states.as_of_date
inner join totals
    on scored_days.account_id = totals.account_id
    and scored_days.day = totals.day
left join people
    on scored_days.account_id = people.account_id
    and scored_days.as_of_date = people.as_of_date
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
{{ stored_order('scored_days.as_of_date, scored_days.account_id') }}
