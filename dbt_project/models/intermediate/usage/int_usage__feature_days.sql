{{ config(materialized='incremental', pre_hook='{{ replace_changed_event_days() }}') }}

-- Grain: account x feature x activity_day, orphans included; usage that names no feature is left out.
-- An account's day is either of events or of usage_days, see stg_product__usage_events, so the two parts share no row.

select
    account_id,
    feature,
    activity_day,
    {{ day_number('activity_day') }} as day,
    count(*) as events
from {{ ref('stg_product__usage_events') }}
where feature is not null
group by account_id, feature, activity_day
union all
select
    account_id,
    feature,
    activity_day,
    {{ day_number('activity_day') }} as day,
    cast(sum(events) as bigint) as events
from {{ ref('stg_product__usage_days') }}
where feature is not null
group by account_id, feature, activity_day
