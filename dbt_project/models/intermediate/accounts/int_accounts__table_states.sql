-- Grain: as_of_date, for the days of the run: per raw table the state that it forces on all of its metrics, null if none.
-- Missing: the table has no row up to the day. Late: its newest fact up to the day is older than the table's late_after_days, or
-- the day has not been extracted, because its source could not be read: silence of a source is no news of its accounts.
-- usage_days and usage_events are one here: the newest fact of either counts, and a day that one of their sources did not bring is late.
-- Rows of unknown accounts (orphans) are not facts: they count in no metric, and data_freshness reports them.

{% set fact_days = {
    'usage_events': (ref('int_usage__account_days'), 'day'),
    'subscriptions': (ref('stg_billing__subscriptions'), 'started_day'),
    'invoices': (ref('stg_billing__invoices'), 'issued_day'),
    'account_outcomes': (ref('stg_crm__account_outcomes'), 'occurred_day'),
    'tickets': (ref('stg_support__tickets'), 'opened_day'),
    'survey_responses': (ref('stg_support__survey_responses'), 'responded_day'),
    'touchpoints': (ref('stg_crm__touchpoints'), 'occurred_day'),
    'contacts': (ref('stg_crm__contacts'), 'joined_day'),
    'advocacy_events': (ref('stg_crm__advocacy_events'), 'occurred_day'),
    'csm_pulses': (ref('stg_crm__csm_pulses'), 'rated_day'),
    'account_goals': (ref('stg_crm__account_goals'), 'measured_day'),
} %}

with fact_days as (

    {% for table_name, (relation, day) in fact_days.items() %}
    select distinct
        '{{ table_name }}' as table_name,
        facts.{{ day }} as day
    from {{ relation }} as facts
    inner join {{ ref('stg_crm__accounts') }} as accounts on facts.account_id = accounts.account_id
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

raw_tables as (

    select
        {{ table_of_metrics('table_name') }} as table_name,
        -- Of what no source delivers there is no day to wait for.
        coalesce(max(case when covered_through is not null then late_after_days end), max(late_after_days)) as late_after_days,
        min(covered_through) as covered_through,
        max(case when covered_through is null and unavailable is not null then 1 else 0 end) as has_never_been_read
    from {{ source('control', 'raw_tables') }}
    group by {{ table_of_metrics('table_name') }}

),

newest as (

    select
        as_of_days.as_of_date,
        as_of_days.day,
        raw_tables.table_name,
        raw_tables.late_after_days,
        raw_tables.covered_through,
        raw_tables.has_never_been_read,
        max(fact_days.day) as newest_day
    from {{ source('control', 'as_of_days') }} as as_of_days
    cross join raw_tables
    left join fact_days
        on raw_tables.table_name = fact_days.table_name
        and fact_days.day <= as_of_days.day
    group by as_of_days.as_of_date, as_of_days.day, raw_tables.table_name, raw_tables.late_after_days,
        raw_tables.covered_through, raw_tables.has_never_been_read

),

states as (

    select
        as_of_date,
        table_name,
        case
            when newest_day is null then 'missing'
            when day - newest_day > late_after_days or as_of_date > covered_through or has_never_been_read = 1 then 'late'
        end as state
    from newest

)

select
    as_of_date
    {%- for table_name in fact_days %},
    {{ data_state("max(case when table_name = '" ~ table_name ~ "' then state end)") }} as {{ table_name }}_state
    {%- endfor %}
from states
group by as_of_date
