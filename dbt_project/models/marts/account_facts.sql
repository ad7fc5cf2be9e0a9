-- Grain: ticket, invoice, contact, rating, survey answer, act of advocacy or override of an account, up to the newest scored day: those of
-- the 365 days before it, and older ones that count on it.
-- metric_keys names the metrics that count the fact on the newest scored day, by the windows of docs/scoring.md;
-- assert_facts_behind_metrics holds them against the metrics' values.

with as_of as (

    select {{ day_number('max(as_of_date)') }} as day from {{ ref('int_scoring__account_scores') }}

),

tickets as (

    select
        tickets.account_id,
        'ticket' as kind,
        tickets.ticket_id as fact_id,
        tickets.opened_day as began_day,
        cast(null as integer) as due_day,
        tickets.escalated_day,
        tickets.resolved_day as ended_day,
        trim(coalesce(tickets.priority, '') || ' ' || coalesce(replace(tickets.topic, '_', ' '), 'ticket')) as label,
        cast(null as double) as value,
        cast(null as string) as author,
        cast(null as string) as note,
        {{ metrics_that_count({
            'critical_open_tickets': "tickets.priority = 'critical' and (tickets.resolved_day is null or tickets.resolved_day > as_of.day)",
            'escalations_90d': 'tickets.escalated_day between as_of.day - 89 and as_of.day',
            'tickets_per_10_users_28d': 'tickets.opened_day > as_of.day - 28',
            'negative_ticket_share_90d': "tickets.opened_day > as_of.day - 90 and tickets.topic in ('bug', 'billing', 'complaint')",
            'median_first_reply_hours_90d': 'tickets.first_replied_day between as_of.day - 89 and as_of.day',
            'median_resolution_hours_90d': 'tickets.resolved_day between as_of.day - 89 and as_of.day',
        }) }} as metric_keys
    from {{ ref('stg_support__tickets') }} as tickets
    cross join as_of

),

-- Credits and what was voided by the day are no claims.
invoices as (

    select
        invoices.account_id,
        'invoice' as kind,
        invoices.invoice_id as fact_id,
        invoices.issued_day as began_day,
        invoices.due_day,
        cast(null as integer) as escalated_day,
        invoices.settled_day as ended_day,
        'invoice' as label,
        cast(invoices.amount as double) as value,
        cast(null as string) as author,
        cast(null as string) as note,
        {{ metrics_that_count({
            'days_late_180d': 'invoices.due_day <= as_of.day and invoices.due_day > as_of.day - 180',
            'days_overdue_oldest overdue_ratio':
                'invoices.due_day < as_of.day and (invoices.settled_day is null or invoices.settled_day > as_of.day)',
        }) }} as metric_keys
    from {{ ref('int_billing__invoices') }} as invoices
    cross join as_of
    where invoices.amount > 0 and (invoices.voided_day is null or invoices.voided_day > as_of.day)

),

contacts as (

    select
        contacts.account_id,
        'contact' as kind,
        contacts.touchpoint_id as fact_id,
        contacts.occurred_day as began_day,
        cast(null as integer) as due_day,
        cast(null as integer) as escalated_day,
        cast(null as integer) as ended_day,
        contacts.direction || ' ' || contacts.channel || case
            when contacts.direction = 'outbound' and contacts.is_responded then ', answered' else ''
        end as label,
        contacts.duration_minutes as value,
        cast(null as string) as author,
        cast(null as string) as note,
        {{ metrics_that_count({
            'two_way_touchpoints_90d':
                "contacts.occurred_day > as_of.day - 90 and (contacts.direction = 'inbound' or contacts.is_responded)",
            'engaged_contacts_90d':
                "contacts.contact_id is not null and contacts.occurred_day > as_of.day - 90"
                ~ " and (contacts.direction = 'inbound' or contacts.is_responded)",
            'contact_minutes_90d': 'contacts.occurred_day > as_of.day - 90 and contacts.duration_minutes > 0',
            'contact_sentiment_90d': 'contacts.occurred_day > as_of.day - 90 and contacts.sentiment is not null',
            'response_rate_90d': "contacts.occurred_day > as_of.day - 90 and contacts.direction = 'outbound'",
        }) }} as metric_keys
    from {{ ref('stg_crm__touchpoints') }} as contacts
    cross join as_of

),

-- Only a later one replaces a rating.
ratings as (

    select
        ratings.account_id,
        'rating' as kind,
        ratings.pulse_id as fact_id,
        ratings.rated_day as began_day,
        cast(null as integer) as due_day,
        cast(null as integer) as escalated_day,
        ratings.next_day as ended_day,
        'CSM rating' as label,
        ratings.rating as value,
        ratings.author,
        ratings.note,
        {{ metrics_that_count({
            'csm_pulse': 'ratings.rated_day > as_of.day - 90 and (ratings.next_day is null or ratings.next_day > as_of.day)',
        }) }} as metric_keys
    from (
        select
            *,
            lead(rated_day) over (partition by account_id order by rated_at, pulse_id) as next_day
        from {{ ref('stg_crm__csm_pulses') }}
    ) as ratings
    cross join as_of

),

answers as (

    select
        answers.account_id,
        'survey answer' as kind,
        answers.response_id as fact_id,
        answers.responded_day as began_day,
        cast(null as integer) as due_day,
        cast(null as integer) as escalated_day,
        cast(null as integer) as ended_day,
        answers.survey as label,
        answers.score as value,
        cast(null as string) as author,
        cast(null as string) as note,
        {{ metrics_that_count({
            'csat_180d': "answers.survey = 'csat' and answers.responded_day > as_of.day - 180",
            'product_rating_365d': "answers.survey = 'product_rating' and answers.responded_day > as_of.day - 365",
            'nps_180d': "answers.survey = 'nps' and answers.responded_day > as_of.day - 180"
                ~ ' and (answers.next_day is null or answers.next_day > as_of.day)',
        }) }} as metric_keys
    from (
        select
            *,
            lead(responded_day) over (
                partition by account_id, survey, user_id, case when user_id is null then response_id end
                order by responded_at, response_id
            ) as next_day
        from {{ ref('stg_support__survey_responses') }}
    ) as answers
    cross join as_of

),

advocacy as (

    select
        advocacy.account_id,
        'advocacy' as kind,
        advocacy.advocacy_id as fact_id,
        advocacy.occurred_day as began_day,
        cast(null as integer) as due_day,
        cast(null as integer) as escalated_day,
        cast(null as integer) as ended_day,
        replace(advocacy.kind, '_', ' ') as label,
        cast(null as double) as value,
        cast(null as string) as author,
        cast(null as string) as note,
        {{ metrics_that_count({'advocacy_365d': 'advocacy.occurred_day > as_of.day - 365'}) }} as metric_keys
    from {{ ref('stg_crm__advocacy_events') }} as advocacy
    cross join as_of

),

overrides as (

    select
        account_id,
        'override' as kind,
        override_id as fact_id,
        {{ day_number('starts_on') }} as began_day,
        cast(null as integer) as due_day,
        cast(null as integer) as escalated_day,
        {{ day_number('expires_on') }} as ended_day,
        tier as label,
        cast(null as double) as value,
        author,
        reason as note,
        '' as metric_keys
    from {{ ref('stg_crm__score_overrides') }}

),

facts as (

    {% for part in ['tickets', 'invoices', 'contacts', 'ratings', 'answers', 'advocacy', 'overrides'] %}
    select * from {{ part }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    facts.account_id,
    facts.kind,
    facts.fact_id,
    {{ date_of_day('facts.began_day') }} as began_on,
    {{ date_of_day('facts.due_day') }} as due_on,
    case when facts.escalated_day <= as_of.day then {{ date_of_day('facts.escalated_day') }} end as escalated_on,
    case when facts.ended_day <= as_of.day or facts.kind = 'override' then {{ date_of_day('facts.ended_day') }} end as ended_on,
    facts.label,
    facts.value,
    case when facts.kind = 'invoice' then run.reporting_currency end as currency,
    facts.author,
    facts.note,
    nullif(facts.metric_keys, '') as metric_keys
from facts
inner join {{ ref('stg_crm__accounts') }} as accounts on facts.account_id = accounts.account_id
inner join as_of
    on facts.began_day <= as_of.day
    and (facts.began_day > as_of.day - 365 or facts.metric_keys <> '')
cross join {{ source('control', 'run') }} as run
