-- Grain: account x as_of_date. The metrics of docs/scoring.md, "Adoption", each with its state.
-- A new metric is an entry here, what it sums over days is a measure of int_usage__windows, and it has a row in seeds/metrics.csv.

{% set metrics = {
    'active_days_28d': {'source': 'usage_events', 'value': 'windows.active_days_28d'},
    'active_users_28d': {'source': 'usage_events', 'value': 'windows.active_users_28d'},
    'license_utilization_28d': {
        'source': 'usage_events',
        'states': [('coalesce(scored_days.seats, 0) = 0', 'not_applicable')],
        'value': 'windows.active_users_28d / cast(scored_days.seats as double)',
    },
    'active_user_trend_28d': {
        'source': 'usage_events',
        'states': [('windows.previous_active_users_28d = 0 or scored_days.tenure < 56', 'not_applicable')],
        'value': '(windows.active_users_28d - windows.previous_active_users_28d) / cast(windows.previous_active_users_28d as double)',
    },
    'stickiness_28d': {
        'source': 'usage_events',
        'value': 'case when windows.active_users_28d = 0 then 0 else windows.daily_active_users_28d / 28e0 / windows.active_users_28d end',
    },
    'minutes_per_active_user_28d': {
        'source': 'usage_events',
        'states': [
            ('not coalesce(first_duration.day <= scored_days.day, false)', 'missing'),
            ('windows.events_28d > 0 and windows.events_with_duration_28d = 0', 'missing'),
        ],
        'value': 'case when windows.active_users_28d = 0 then 0'
            ~ ' else cast(windows.duration_seconds_28d as double) / 60e0 / windows.active_users_28d end',
    },
    'feature_breadth_90d': {
        'source': 'usage_events',
        'states': [('coalesce(features_anyone.features_90d, 0) = 0', 'missing')],
        'value': 'windows.features_90d / cast(features_anyone.features_90d as double)',
    },
    'new_feature_adoption_90d': {
        'source': 'usage_events',
        'states': [('releases.released_ever = 0', 'missing'), ('releases.released_90d = 0', 'not_applicable')],
        'value': 'windows.new_features_90d / cast(releases.released_90d as double)',
    },
    'days_since_last_activity': {
        'source': 'usage_events',
        'value': 'scored_days.day - windows.last_active_day', 'never_used_value': 'scored_days.tenure',
    },
    'user_retention_28d': {
        'source': 'usage_events',
        'states': [('windows.previous_active_users_28d = 0', 'not_applicable')],
        'value': 'windows.retained_users_28d / cast(windows.previous_active_users_28d as double)',
    },
    'usage_vs_baseline_28d': {
        'source': 'usage_events',
        'states': [('windows.baseline_events_84d = 0 or scored_days.tenure < 112', 'not_applicable')],
        'value': '(windows.events_28d / 28e0) / (windows.baseline_events_84d / 84e0)',
    },
    'active_periods_streak': {'source': 'usage_events', 'value': 'streaks.active_periods_streak'},
    'onboarding_rate_30d': {
        'source': 'usage_events',
        'states': [('coalesce(scored_days.seats, 0) = 0 or scored_days.tenure > 120', 'not_applicable')],
        'value': 'windows.new_users_30d / cast(scored_days.seats as double)',
    },
} %}

with scored_days as (

    select * from {{ ref('int_accounts__scored_days') }}

),

table_states as (

    select * from {{ ref('int_accounts__table_states') }}

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
        count(distinct feature_days.feature) as features_90d
    from {{ source('control', 'as_of_days') }} as as_of_days
    inner join feature_days on feature_days.day between as_of_days.day - 89 and as_of_days.day
    group by as_of_days.as_of_date

),

releases as (

    select
        as_of_days.as_of_date,
        count(releases.feature) as released_ever,
        count(case when releases.released_day > as_of_days.day - 90 then releases.feature end) as released_90d
    from {{ source('control', 'as_of_days') }} as as_of_days
    left join {{ ref('stg_product__feature_releases') }} as releases on releases.released_day <= as_of_days.day
    group by as_of_days.as_of_date

),

first_duration as (

    select min(account_days.day) as day
    from {{ ref('int_usage__account_days') }} as account_days
    inner join {{ ref('stg_crm__accounts') }} as accounts on account_days.account_id = accounts.account_id
    where account_days.events_with_duration > 0

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    {{ metric_columns(metrics, never_used='windows.last_active_day is null') }}
from scored_days
cross join first_duration
inner join table_states on scored_days.as_of_date = table_states.as_of_date
inner join {{ ref('int_usage__windows') }} as windows
    on scored_days.account_id = windows.account_id
    and scored_days.day = windows.day
inner join {{ ref('int_usage__streaks') }} as streaks
    on scored_days.account_id = streaks.account_id
    and scored_days.day = streaks.day
inner join releases on scored_days.as_of_date = releases.as_of_date
left join features_anyone on scored_days.as_of_date = features_anyone.as_of_date
-- The order of the days lets later steps, and publishing a day, skip what they do not read.
{{ stored_order('scored_days.as_of_date, scored_days.account_id') }}
