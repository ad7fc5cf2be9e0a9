-- Grain: account x as_of_date, for the days of the run. Not additive over days: each row looks back.
-- Distinct users and features come from the ends of their stretches of activity instead of a join to every day of the window:
-- somebody active on day t counts on [t, t + W); where the next active day comes before t + W the stretches join, and only the
-- two ends of a joined stretch change the count. Sums are differences of running sums on a grid of account x day.

{% set lookback = 112 %}

with bounds as (

    select
        min(day) as first_day,
        max(day) as last_day
    from {{ source('control', 'as_of_days') }}

),

scored_days as (

    select account_id, as_of_date, day from {{ ref('int_accounts__scored_days') }}

),

scored_accounts as (

    select
        scored.account_id,
        min(accounts.created_day) as created_day
    from scored_days as scored
    inner join {{ ref('stg_crm__accounts') }} as accounts on scored.account_id = accounts.account_id
    group by scored.account_id

),

account_days as (

    select account_days.*
    from {{ ref('int_usage__account_days') }} as account_days
    inner join scored_accounts on account_days.account_id = scored_accounts.account_id
    where account_days.day <= (select last_day from bounds)

),

user_days as (

    select
        user_days.account_id,
        user_days.day,
        lag(user_days.day) over (partition by user_days.account_id, user_days.user_id order by user_days.day) as previous_day,
        lead(user_days.day) over (partition by user_days.account_id, user_days.user_id order by user_days.day) as next_day
    from {{ ref('int_usage__user_days') }} as user_days
    inner join scored_accounts on user_days.account_id = scored_accounts.account_id
    where
        user_days.day >= (select first_day from bounds) - 55
        and user_days.day <= (select last_day from bounds)

),

feature_days as (

    select
        feature_days.account_id,
        feature_days.day,
        lag(feature_days.day) over (partition by feature_days.account_id, feature_days.feature order by feature_days.day) as previous_day,
        lead(feature_days.day) over (partition by feature_days.account_id, feature_days.feature order by feature_days.day) as next_day
    from {{ ref('int_usage__feature_days') }} as feature_days
    inner join scored_accounts on feature_days.account_id = scored_accounts.account_id
    where
        feature_days.day >= (select first_day from bounds) - 89
        and feature_days.day <= (select last_day from bounds)

),

first_days as (

    -- Only young accounts have an onboarding rate, so only their users' first days are looked up.
    select
        user_days.account_id,
        user_days.user_id,
        min(user_days.day) as day
    from {{ ref('int_usage__user_days') }} as user_days
    inner join scored_accounts on user_days.account_id = scored_accounts.account_id
    where
        scored_accounts.created_day >= (select first_day from bounds) - 120
    group by user_days.account_id, user_days.user_id

),

changes as (

    {% for window in [28, 56] %}
    select account_id, day, {{ '1, 0, 0, 0, 0' if window == 28 else '0, 1, 0, 0, 0' }}
    from user_days
    where previous_day is null or day - previous_day >= {{ window }}
    union all
    select account_id, day + {{ window }}, {{ '-1, 0, 0, 0, 0' if window == 28 else '0, -1, 0, 0, 0' }}
    from user_days
    where next_day is null or next_day - day >= {{ window }}
    union all
    {% endfor %}
    select account_id, day, 0, 0, 1, 0, 0
    from feature_days
    where previous_day is null or day - previous_day >= 90
    union all
    select account_id, day + 90, 0, 0, -1, 0, 0
    from feature_days
    where next_day is null or next_day - day >= 90
    union all
    select account_id, used_day, 0, 0, 0, 1, 0
    from {{ ref('int_usage__features_released') }}
    union all
    select account_id, released_day + 90, 0, 0, 0, -1, 0
    from {{ ref('int_usage__features_released') }}
    union all
    -- First days before the grid would fall out of the running sum, and matter to no window.
    select account_id, day, 0, 0, 0, 0, 1
    from first_days

),

daily_changes (account_id, day, users_28d, users_56d, features_90d, new_features_90d, new_users) as (

    select account_id, day, sum(c1), sum(c2), sum(c3), sum(c4), sum(c5)
    from changes as c (account_id, day, c1, c2, c3, c4, c5)
    group by account_id, day

),

before_grid as (

    select
        account_id,
        max(day) as last_active_day
    from account_days
    where day < (select first_day from bounds) - {{ lookback }}
    group by account_id

),

days as (

    {{ day_series('first_day - ' ~ lookback, 'last_day', 'bounds') }}

),

grid as (

    select
        scored_accounts.account_id,
        days.day,
        coalesce(account_days.events, 0) as events,
        coalesce(account_days.events_with_duration, 0) as events_with_duration,
        coalesce(account_days.duration_seconds, 0) as duration_seconds,
        coalesce(account_days.active_users, 0) as daily_active_users,
        case when account_days.day is not null then 1 else 0 end as active_days,
        account_days.day as active_day,
        coalesce(daily_changes.users_28d, 0) as users_28d,
        coalesce(daily_changes.users_56d, 0) as users_56d,
        coalesce(daily_changes.features_90d, 0) as features_90d,
        coalesce(daily_changes.new_features_90d, 0) as new_features_90d,
        coalesce(daily_changes.new_users, 0) as new_users
    from scored_accounts
    cross join days
    left join account_days
        on scored_accounts.account_id = account_days.account_id
        and days.day = account_days.day
    left join daily_changes
        on scored_accounts.account_id = daily_changes.account_id
        and days.day = daily_changes.day

),

{% set running = ['events', 'events_with_duration', 'duration_seconds', 'daily_active_users', 'active_days', 'users_28d', 'users_56d', 'features_90d', 'new_features_90d', 'new_users'] %}

running_sums as (

    select
        account_id,
        day,
        {%- for measure in running %}
        sum({{ measure }}) over by_day as {{ measure }},
        {%- endfor %}
        max(active_day) over by_day as last_active_day
    from grid
    window by_day as (partition by account_id order by day rows unbounded preceding)

),

windows as (

    select
        account_id,
        day,
        {%- for measure in ['events', 'events_with_duration', 'duration_seconds', 'daily_active_users', 'active_days'] %}
        {{ measure }} - lag({{ measure }}, 28) over by_day as {{ measure }}_28d,
        {%- endfor %}
        lag(events, 28) over by_day - lag(events, 112) over by_day as baseline_events_84d,
        new_users - lag(new_users, 30) over by_day as new_users_30d,
        users_28d as active_users_28d,
        lag(users_28d, 28) over by_day as previous_active_users_28d,
        users_56d as active_users_56d,
        features_90d,
        new_features_90d,
        last_active_day
    from running_sums
    window by_day as (partition by account_id order by day)

)

select
    scored_days.account_id,
    scored_days.as_of_date,
    scored_days.day,
    windows.events_28d,
    windows.events_with_duration_28d,
    cast(windows.duration_seconds_28d as double) as duration_seconds_28d,
    windows.daily_active_users_28d,
    windows.active_days_28d,
    windows.baseline_events_84d,
    windows.new_users_30d,
    windows.active_users_28d,
    windows.previous_active_users_28d,
    -- |P28 and W28| = |P28| + |W28| - |P28 or W28|
    windows.active_users_28d + windows.previous_active_users_28d - windows.active_users_56d as retained_users_28d,
    windows.features_90d,
    windows.new_features_90d,
    coalesce(windows.last_active_day, before_grid.last_active_day) as last_active_day
from scored_days
inner join windows
    on scored_days.account_id = windows.account_id
    and scored_days.day = windows.day
left join before_grid on scored_days.account_id = before_grid.account_id
