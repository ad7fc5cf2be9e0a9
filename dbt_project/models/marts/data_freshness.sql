-- Grain: raw table. How fresh and how clean the data behind the scores is. delivered = loaded + duplicate + quarantined.
-- Judged on the newest scored day, as int_accounts__table_states judges every day: a table without any fact is missing, not late, and a fact
-- of a later day hides no silence (newest_fact_at is the newest one up to the newest scored day).
-- Usage is silent only where both of its tables are: one may have taken the place of the other.
-- A source that the last run refused is `not read` also where the table lacks none of the scored days.
-- Where nobody of several people was ever heard of, their ids are rather others than those of the product and the touchpoints.

with newest as (

    select coalesce(
        (select max(as_of_date) from {{ ref('int_scoring__account_scores') }}),
        (select max(as_of_date) from {{ source('control', 'as_of_days') }})
    ) as as_of_date

),

newest_of_metrics as (

    select
        {{ table_of_metrics('table_name') }} as table_name,
        max(newest_fact_at) as newest_fact_at
    from {{ source('control', 'landing_stats') }}
    group by {{ table_of_metrics('table_name') }}

),

late as (

    select
        landing_stats.table_name,
        case
            when newest.as_of_date > raw_tables.covered_through
                then raw_tables.covered_through + 1
            when raw_tables.unavailable is not null then newest.as_of_date
        end as not_read_since,
        case
            when landing_stats.newest_fact_at is null then null
            when {{ day_number('newest.as_of_date') }} - {{ day_number('newest_of_metrics.newest_fact_at') }} > raw_tables.late_after_days
                then cast(newest_of_metrics.newest_fact_at as date) + raw_tables.late_after_days + 1
        end as silent_since
    from {{ source('control', 'landing_stats') }} as landing_stats
    inner join {{ source('control', 'raw_tables') }} as raw_tables on landing_stats.table_name = raw_tables.table_name
    inner join newest_of_metrics on {{ table_of_metrics('landing_stats.table_name') }} = newest_of_metrics.table_name
    cross join newest

),

unheard as (

    select count(*) as people
    from {{ ref('int_contacts__contact_days') }}
    where
        as_of_date = (select max(as_of_date) from {{ ref('int_contacts__contact_days') }})
        and is_in_force
        and can_be_heard
    having count(*) >= 5 and count(last_contact_day) = 0

)

select
    landing_stats.table_name as raw_table,
    cast(landing_stats.newest_fact_at as timestamp) as newest_fact_at,
    cast(landing_stats.later_rows as bigint) as later_rows,
    cast(landing_stats.last_fact_at as timestamp) as last_fact_at,
    raw_tables.late_after_days,
    raw_tables.covered_through as extracted_through_date,
    case
        when late.not_read_since <= coalesce(late.silent_since, late.not_read_since) then 'not read'
        when late.silent_since is not null then 'late'
        when landing_stats.newest_fact_at is null then 'no data'
        else 'up to date'
    end as status,
    coalesce(least(late.not_read_since, late.silent_since), late.not_read_since, late.silent_since) as late_since,
    raw_tables.unavailable as not_read_reason,
    cast(landing_stats.delivered as bigint) as delivered_rows,
    cast(landing_stats.loaded as bigint) as loaded_rows,
    cast(coalesce(landing_stats.orphans, 0) as bigint) as orphan_rows,
    cast(landing_stats.duplicates as bigint) as duplicate_rows,
    cast(landing_stats.quarantined as bigint) as quarantined_rows,
    landing_stats.orphan_warning,
    case
        when unheard.people is null then landing_stats.value_warning
        else
            coalesce(landing_stats.value_warning || '; ', '')
            || 'nobody of ' || cast(unheard.people as string) || ' people was heard of in a year: are their user_id those of '
            || 'usage, and their contact_id those of touchpoints?'
    end as value_warning
from {{ source('control', 'landing_stats') }} as landing_stats
inner join {{ source('control', 'raw_tables') }} as raw_tables on landing_stats.table_name = raw_tables.table_name
left join late on landing_stats.table_name = late.table_name
left join unheard on landing_stats.table_name = 'contacts'
