-- Grain: usage event, of the event days whose content changed since they were last rolled up (all of them on the first run).
-- Orphans stay: an account that becomes known later finds its usage in the rollups. Their consumers leave them out.

select
    event_id,
    account_id,
    {{ same_user('user_id') }} as user_id,
    feature,
    occurred_at,
    cast(occurred_at as date) as activity_day,
    duration_seconds
from {{ source('raw', 'changed_usage_events') }}
