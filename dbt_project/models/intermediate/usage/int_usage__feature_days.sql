{{ config(materialized='incremental', pre_hook='{{ replace_changed_event_days() }}') }}

-- Grain: account x feature x activity_day, orphans included; events that name no feature are left out.

select
    account_id,
    feature,
    activity_day,
    {{ day_number('activity_day') }} as day,
    count(*) as events
from {{ ref('stg_product__usage_events') }}
where feature is not null
group by account_id, feature, activity_day
