-- Grain: account x as_of_date, for the days of the run. Not additive over days: each row looks back.
-- Distinct users and features come from the ends of their stretches of activity instead of a join to every day of the window:
-- somebody active on day t counts on [t, t + W); where the next active day comes before t + W the stretches join, and only the
-- two ends of a joined stretch change the count. Sums are differences of running sums on a grid of account x day.

-- A new measure is one line: a sum of what days hold, or a count of different users or features.

{# fact: a column of the grid; days: length of the window; ended_days_ago: days between its end and the day, 0 if left out. #}
{% set sums = {
    'events_28d': {'fact': 'events', 'days': 28},
    'events_with_duration_28d': {'fact': 'events_with_duration', 'days': 28},
    'duration_seconds_28d': {'fact': 'duration_seconds', 'days': 28},
    'daily_active_users_28d': {'fact': 'active_users', 'days': 28},
    'active_days_28d': {'fact': 'active_days', 'days': 28},
    'baseline_events_84d': {'fact': 'events', 'days': 84, 'ended_days_ago': 28},
    'new_users_30d': {'fact': 'new_users', 'days': 30},
} %}
{# of: whose days of activity are joined into stretches. #}
{% set distinct_counts = {
    'active_users_28d': {'of': 'user_stretches', 'days': 28},
    'active_users_56d': {'of': 'user_stretches', 'days': 56},
    'features_90d': {'of': 'feature_stretches', 'days': 90},
} %}
{% set counted_facts = ['events', 'events_with_duration', 'active_users', 'active_days'] %}
{% set changing = distinct_counts.keys() | list + ['new_features_90d', 'new_users'] %}
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

    select
        account_days.*,
        1 as active_days
    from {{ ref('int_usage__account_days') }} as account_days
    inner join scored_accounts on account_days.account_id = scored_accounts.account_id
    where account_days.day <= (select last_day from bounds)

),

-- A count is read on the days of the run, those of users also 28 days before each. Of what a user did between two days on which
-- it is read, only the last day matters; so a run of few days sorts few days, whatever the length of the window.
user_days as (

    select user_days.account_id, user_days.user_id, user_days.day
    from {{ ref('int_usage__user_days') }} as user_days
    inner join scored_accounts on user_days.account_id = scored_accounts.account_id
    cross join bounds
    where
        (user_days.day > bounds.first_day and user_days.day <= bounds.last_day)
        or (user_days.day > bounds.first_day - 28 and user_days.day <= bounds.last_day - 28)
    union all
    select user_days.account_id, user_days.user_id, max(user_days.day)
    from {{ ref('int_usage__user_days') }} as user_days
    inner join scored_accounts on user_days.account_id = scored_accounts.account_id
    cross join bounds
    where
        (user_days.day >= bounds.first_day - 55 and user_days.day <= bounds.first_day - 28)
        or (user_days.day > bounds.last_day - 28 and user_days.day <= bounds.first_day)
    group by user_days.account_id, user_days.user_id, case when user_days.day <= bounds.first_day - 28 then 1 else 2 end

),

user_stretches as (

    select
        account_id,
        day,
        lag(day) over (partition by account_id, user_id order by day) as previous_day,
        lead(day) over (partition by account_id, user_id order by day) as next_day
    from user_days

),

feature_days as (

    select feature_days.account_id, feature_days.feature, feature_days.day
    from {{ ref('int_usage__feature_days') }} as feature_days
    inner join scored_accounts on feature_days.account_id = scored_accounts.account_id
    cross join bounds
    where feature_days.day > bounds.first_day and feature_days.day <= bounds.last_day
    union all
    select feature_days.account_id, feature_days.feature, max(feature_days.day)
    from {{ ref('int_usage__feature_days') }} as feature_days
    inner join scored_accounts on feature_days.account_id = scored_accounts.account_id
    cross join bounds
    where feature_days.day >= bounds.first_day - 89 and feature_days.day <= bounds.first_day
    group by feature_days.account_id, feature_days.feature

),

feature_stretches as (

    select
        account_id,
        day,
        lag(day) over (partition by account_id, feature order by day) as previous_day,
        lead(day) over (partition by account_id, feature order by day) as next_day
    from feature_days

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

    {% for name, count in distinct_counts.items() %}
    select account_id, day, '{{ name }}' as measure, 1 as change
    from {{ count.of }}
    where previous_day is null or day - previous_day >= {{ count.days }}
    union all
    select account_id, day + {{ count.days }}, '{{ name }}', -1
    from {{ count.of }}
    where next_day is null or next_day - day >= {{ count.days }}
    union all
    {% endfor %}
    select account_id, used_day, 'new_features_90d', 1
    from {{ ref('int_usage__features_released') }}
    union all
    select account_id, released_day + 90, 'new_features_90d', -1
    from {{ ref('int_usage__features_released') }}
    union all
    -- First days before the grid would fall out of the running sum, and matter to no window.
    select account_id, day, 'new_users', 1
    from first_days

),

daily_changes as (

    select
        account_id,
        day
        {%- for measure in changing %},
        cast(sum(case when measure = '{{ measure }}' then change else 0 end) as bigint) as {{ measure }}
        {%- endfor %}
    from changes
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
        {%- for fact in counted_facts + ['duration_seconds'] %}
        coalesce(account_days.{{ fact }}, 0) as {{ fact }},
        {%- endfor %}
        {%- for measure in changing %}
        coalesce(daily_changes.{{ measure }}, 0) as {{ measure }},
        {%- endfor %}
        account_days.day as active_day
    from scored_accounts
    cross join days
    left join account_days
        on scored_accounts.account_id = account_days.account_id
        and days.day = account_days.day
    left join daily_changes
        on scored_accounts.account_id = daily_changes.account_id
        and days.day = daily_changes.day

),

running_sums as (

    select
        account_id,
        day,
        sum(duration_seconds) over by_day as duration_seconds,
        {%- for measure in counted_facts + changing %}
        cast(sum({{ measure }}) over by_day as bigint) as {{ measure }},
        {%- endfor %}
        max(active_day) over by_day as last_active_day
    from grid
    window by_day as (partition by account_id order by day rows unbounded preceding)

),

windows as (

    select
        account_id,
        day,
        {%- for name, sum in sums.items() %}
        {%- set end = sum.ended_days_ago or 0 %}
        lag({{ sum.fact }}, {{ end }}) over by_day - lag({{ sum.fact }}, {{ end + sum.days }}) over by_day as {{ name }},
        {%- endfor %}
        {%- for name in distinct_counts %}
        {{ name }},
        {%- endfor %}
        lag(active_users_28d, 28) over by_day as previous_active_users_28d,
        new_features_90d,
        last_active_day as last_active_day_in_grid
    from running_sums
    window by_day as (partition by account_id order by day)

)

select
    windows.*,
    scored_days.as_of_date,
    -- |P28 and W28| = |P28| + |W28| - |P28 or W28|
    windows.active_users_28d + windows.previous_active_users_28d - windows.active_users_56d as retained_users_28d,
    coalesce(windows.last_active_day_in_grid, before_grid.last_active_day) as last_active_day
from scored_days
inner join windows
    on scored_days.account_id = windows.account_id
    and scored_days.day = windows.day
left join before_grid on scored_days.account_id = before_grid.account_id
