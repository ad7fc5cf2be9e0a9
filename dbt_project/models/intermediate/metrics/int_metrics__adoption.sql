{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The adoption metrics of specification section 4, each with its state.

{% set metrics = [
    {'key': 'active_days_28d', 'source': 'usage_events', 'value': 'active_days_28d_count'},
    {'key': 'active_users_28d', 'source': 'usage_events', 'value': 'active_users'},
    {
        'key': 'license_utilization_28d', 'source': 'usage_events',
        'states': [('coalesce(seats, 0) = 0', 'not_applicable')],
        'value': 'active_users / cast(seats as double)',
    },
    {
        'key': 'active_user_trend_28d', 'source': 'usage_events',
        'states': [('previous_active_users = 0 or tenure < 56', 'not_applicable')],
        'value': '(active_users - previous_active_users) / cast(previous_active_users as double)',
    },
    {
        'key': 'stickiness_28d', 'source': 'usage_events',
        'value': 'case when active_users = 0 then 0 else daily_active_users_28d / 28.0 / active_users end',
    },
    {
        'key': 'minutes_per_active_user_28d', 'source': 'usage_events',
        'states': [('not coalesce(any_duration, false)', 'missing'), ('events_28d > 0 and events_with_duration_28d = 0', 'missing')],
        'value': 'case when active_users = 0 then 0 else duration_seconds_28d / 60.0 / active_users end',
    },
    {
        'key': 'feature_breadth_90d', 'source': 'usage_events',
        'states': [('coalesce(features_anyone_90d, 0) = 0', 'missing')],
        'value': 'features_90d / cast(features_anyone_90d as double)',
    },
    {
        'key': 'new_feature_adoption_90d', 'source': 'usage_events',
        'states': [('releases_ever = 0', 'missing'), ('releases_90d = 0', 'not_applicable')],
        'value': 'new_features_90d / cast(releases_90d as double)',
    },
    {'key': 'days_since_last_activity', 'source': 'usage_events', 'value': 'day - last_active_day', 'never_used_value': 'tenure'},
    {
        'key': 'user_retention_28d', 'source': 'usage_events',
        'states': [('previous_active_users = 0', 'not_applicable')],
        'value': 'retained_users_28d / cast(previous_active_users as double)',
    },
    {
        'key': 'usage_vs_baseline_28d', 'source': 'usage_events',
        'states': [('baseline_events_84d = 0 or tenure < 112', 'not_applicable')],
        'value': '(events_28d / 28.0) / (baseline_events_84d / 84.0)',
    },
    {'key': 'active_periods_streak', 'source': 'usage_events', 'value': 'streak'},
    {
        'key': 'onboarding_rate_30d', 'source': 'usage_events',
        'states': [('coalesce(seats, 0) = 0 or tenure > 120', 'not_applicable')],
        'value': 'new_users_30d / cast(seats as double)',
    },
] %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select as_of_date, usage_events_state from {{ ref('int_accounts__table_states') }}

),

windows as (

    select * from {{ ref('int_usage__windows') }}

),

streaks as (

    select * from {{ ref('int_usage__streaks') }}

),

-- What anyone used: one feature counts once, whoever used it.
feature_days as (

    select distinct
        feature_days.feature,
        feature_days.day
    from {{ ref('int_usage__feature_days') }} as feature_days
    inner join {{ ref('stg_crm__accounts') }} as accounts on feature_days.account_id = accounts.account_id
    where feature_days.day >= (select min(day) from {{ source('control', 'as_of_days') }}) - 89

),

features_anyone as (

    select
        as_of_days.as_of_date,
        count(distinct feature_days.feature) as features_anyone_90d
    from {{ source('control', 'as_of_days') }} as as_of_days
    inner join feature_days on feature_days.day between as_of_days.day - 89 and as_of_days.day
    group by as_of_days.as_of_date

),

releases as (

    select
        as_of_days.as_of_date,
        count(releases.feature) as releases_ever,
        count(case when releases.released_day > as_of_days.day - 90 then releases.feature end) as releases_90d
    from {{ source('control', 'as_of_days') }} as as_of_days
    left join {{ ref('stg_product__feature_releases') }} as releases on releases.released_day <= as_of_days.day
    group by as_of_days.as_of_date

),

first_duration as (

    select min(account_days.day) as first_duration_day
    from {{ ref('int_usage__account_days') }} as account_days
    inner join {{ ref('stg_crm__accounts') }} as accounts on account_days.account_id = accounts.account_id
    where account_days.events_with_duration > 0

),

inputs as (

    select
        scored_days.account_id,
        scored_days.as_of_date,
        scored_days.day,
        scored_days.tenure,
        scored_days.seats,
        table_states.usage_events_state,
        windows.active_days_28d as active_days_28d_count,
        windows.active_users_28d as active_users,
        windows.previous_active_users_28d as previous_active_users,
        windows.retained_users_28d,
        windows.daily_active_users_28d,
        windows.events_28d,
        windows.events_with_duration_28d,
        windows.duration_seconds_28d,
        windows.baseline_events_84d,
        windows.new_users_30d,
        windows.features_90d,
        windows.new_features_90d,
        windows.last_active_day,
        streaks.active_periods_streak as streak,
        features_anyone.features_anyone_90d,
        releases.releases_ever,
        releases.releases_90d,
        first_duration.first_duration_day <= scored_days.day as any_duration
    from scored_days
    cross join first_duration
    inner join table_states on scored_days.as_of_date = table_states.as_of_date
    inner join windows
        on scored_days.account_id = windows.account_id
        and scored_days.day = windows.day
    inner join streaks
        on scored_days.account_id = streaks.account_id
        and scored_days.day = streaks.day
    inner join releases on scored_days.as_of_date = releases.as_of_date
    left join features_anyone on scored_days.as_of_date = features_anyone.as_of_date

)

select
    account_id,
    as_of_date,
    {{ metric_columns(metrics, never_used='last_active_day is null') }}
from inputs
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
order by as_of_date, account_id
