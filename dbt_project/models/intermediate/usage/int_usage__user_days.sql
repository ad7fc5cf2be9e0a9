{{ config(materialized='incremental', pre_hook='{{ replace_changed_event_days() }}') }}

-- Grain: account x user x activity_day, orphans included. Additive, but for the users, over days.
-- The only pass over the raw events but for features: every other usage model reads this rollup.

select
    account_id,
    user_id,
    activity_day,
    {{ day_number('activity_day') }} as day,
    count(*) as events,
    count(duration_seconds) as events_with_duration,
    sum({{ exact('duration_seconds') }}) as duration_seconds
from {{ ref('stg_product__usage_events') }}
group by account_id, user_id, activity_day
