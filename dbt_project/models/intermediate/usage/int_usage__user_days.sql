{{ config(materialized='incremental', pre_hook='{{ replace_changed_event_days() }}') }}

-- Grain: account x user x activity_day, orphans included. Additive, but for the users, over days.
-- The only pass over the raw usage but for features: every other usage model reads this rollup.
-- An account's day is either of events or of usage_days, see stg_product__usage_events, so the two parts share no row.

select
    account_id,
    user_id,
    activity_day,
    {{ day_number('activity_day') }} as day,
    count(*) as events,
    count(duration_seconds) as events_with_duration,
    sum({{ exact_duration('duration_seconds') }}) as duration_seconds,
    cast(0 as bigint) as usage_days_rows
from {{ ref('stg_product__usage_events') }}
group by account_id, user_id, activity_day
union all
select
    account_id,
    user_id,
    activity_day,
    {{ day_number('activity_day') }} as day,
    cast(sum(events) as bigint) as events,
    cast(sum(events_with_duration) as bigint) as events_with_duration,
    sum({{ exact_duration('duration_seconds') }}) as duration_seconds,
    count(*) as usage_days_rows
from {{ ref('stg_product__usage_days') }}
group by account_id, user_id, activity_day
