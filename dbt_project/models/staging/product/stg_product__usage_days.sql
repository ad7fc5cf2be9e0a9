-- Grain: account x user x feature x activity_day as the source groups them, of the event days whose usage changed since they were last
-- rolled up. A mail address in two spellings is one user, so two rows may be of the same user.
-- Orphans stay: an account that becomes known later finds its usage in the rollups. Their consumers leave them out.

select
    account_id,
    {{ same_user('user_id') }} as user_id,
    feature,
    activity_day,
    events,
    coalesce(events_with_duration, 0) as events_with_duration,
    case when events_with_duration > 0 then duration_seconds end as duration_seconds
from {{ source('raw', 'changed_usage_days') }}
