-- Grain: usage event, of the event days whose usage changed since they were last rolled up (all of them on the first run).
-- What usage_days counts is all that the account did on that day: events of it are the same usage once more, and are left out here.
-- Orphans stay: an account that becomes known later finds its usage in the rollups. Their consumers leave them out.

with events as (

    select
        event_id,
        account_id,
        {{ same_user('user_id') }} as user_id,
        feature,
        occurred_at,
        cast(occurred_at as date) as activity_day,
        duration_seconds
    from {{ source('raw', 'changed_usage_events') }}

),

counted as (

    select distinct account_id, activity_day from {{ source('raw', 'changed_usage_days') }}

)

select events.*
from events
left join counted
    on events.account_id = counted.account_id
    and events.activity_day = counted.activity_day
where counted.account_id is null
