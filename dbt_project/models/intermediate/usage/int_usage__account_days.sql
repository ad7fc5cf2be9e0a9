{{ config(materialized='incremental', pre_hook='{{ replace_changed_event_days() }}') }}

-- Grain: account x activity_day, orphans included. active_users is not additive over days.

select
    account_id,
    activity_day,
    day,
    count(*) as active_users,
    cast(sum(events) as bigint) as events,
    cast(sum(events_with_duration) as bigint) as events_with_duration,
    coalesce(sum(duration_seconds), 0) as duration_seconds,
    cast(sum(usage_days_rows) as bigint) as usage_days_rows
from {{ ref('int_usage__user_days') }}
{% if is_incremental() %}
where activity_day in (select activity_day from {{ source('control', 'changed_event_days') }})
{% endif %}
group by account_id, activity_day, day
