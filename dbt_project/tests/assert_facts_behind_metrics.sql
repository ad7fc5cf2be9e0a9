{{ config(meta={'dagster': {'ref': {'name': 'account_facts'}}}) }}

-- The facts behind a number are those that the metric counts: of the metrics that are a count, as many; the oldest claim is due when the
-- metric says so.

with newest as (

    select * from {{ ref('metric_scores_history') }}
    where as_of_date = (select max(as_of_date) from {{ ref('int_scoring__account_scores') }}) and state = 'measured'

),

counted as (

    {% for metric in ['critical_open_tickets', 'escalations_90d', 'two_way_touchpoints_90d', 'advocacy_365d'] %}
    select
        newest.account_id,
        newest.metric_key,
        newest.value,
        count(facts.fact_id) as expected
    from newest
    left join {{ ref('account_facts') }} as facts
        on newest.account_id = facts.account_id
        and ' ' || facts.metric_keys || ' ' like '% {{ metric }} %'
    where newest.metric_key = '{{ metric }}'
    group by newest.account_id, newest.metric_key, newest.value
    union all
    {% endfor %}
    select
        newest.account_id,
        newest.metric_key,
        newest.value,
        coalesce({{ day_number('max(newest.as_of_date)') }} - {{ day_number('min(facts.due_on)') }}, 0)
    from newest
    left join {{ ref('account_facts') }} as facts
        on newest.account_id = facts.account_id
        and ' ' || facts.metric_keys || ' ' like '% days_overdue_oldest %'
    where newest.metric_key = 'days_overdue_oldest'
    group by newest.account_id, newest.metric_key, newest.value

)

select * from counted
where value <> expected
