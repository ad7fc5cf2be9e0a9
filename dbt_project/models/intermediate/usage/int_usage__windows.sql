-- Grain: account x as_of_date, for the days of the run. Not additive over days: each row looks back.
-- What a day holds counts on the days of a window: plus its amount where that begins, minus where it ends, and a running sum over the days.
-- Distinct users and features come from the ends of their stretches of activity instead: somebody active on day t counts on [t, t + W); where the
-- next active day comes before t + W the stretches join, and only the two ends of a joined stretch change the count.

-- A new measure is one line: a sum of what days hold, or a count of different users or features.

{# ended_days_ago: days between the end of the window and the day. sums: of columns of int_usage__account_days. #}
{% set windows = [
    {'days': 28, 'ended_days_ago': 0, 'sums': {
        'events_28d': 'events',
        'events_with_duration_28d': 'events_with_duration',
        'duration_seconds_28d': 'duration_seconds',
        'daily_active_users_28d': 'active_users',
        'active_days_28d': '1',
    }},
    {'days': 84, 'ended_days_ago': 28, 'sums': {'baseline_events_84d': 'events'}},
] %}
{# of: whose days of activity are joined into stretches. #}
{% set distinct_counts = {
    'active_users_28d': {'of': 'user_stretches', 'days': 28, 'ended_days_ago': 0},
    'active_users_56d': {'of': 'user_stretches', 'days': 56, 'ended_days_ago': 0},
    'previous_active_users_28d': {'of': 'user_stretches', 'days': 28, 'ended_days_ago': 28},
    'features_90d': {'of': 'feature_stretches', 'days': 90, 'ended_days_ago': 0},
} %}
{% set counts = distinct_counts.keys() | list + ['new_features_90d', 'new_users_30d'] %}
{% set sums = windows[0].sums.keys() | list + windows[1].sums.keys() | list %}

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

counted as (

    {% for name, count in distinct_counts.items() %}
    select account_id, day + {{ count.ended_days_ago }} as day, '{{ name }}' as measure, 1 as change
    from {{ count.of }}
    where previous_day is null or day - previous_day >= {{ count.days }}
    union all
    select account_id, day + {{ count.ended_days_ago + count.days }}, '{{ name }}', -1
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
    select account_id, day, 'new_users_30d', 1
    from first_days
    union all
    select account_id, day + 30, 'new_users_30d', -1
    from first_days

),

changes as (

    {% for window in windows %}
    {% for sign, days in [('', window.ended_days_ago), ('-', window.ended_days_ago + window.days)] %}
    select
        account_id,
        day + {{ days }} as day,
        {%- for name in sums %}
        {{ sign ~ window.sums[name] if name in window.sums else 'null' }} as {{ name }},
        {%- endfor %}
        {%- for name in counts %}
        null as {{ name }},
        {%- endfor %}
        day as active_day,
        cast(null as date) as as_of_date
    from account_days
    where day > (select first_day from bounds) - {{ window.ended_days_ago + window.days }}
    union all
    {% endfor %}
    {% endfor %}
    select
        account_id,
        day,
        {%- for name in sums %}
        null,
        {%- endfor %}
        {%- for name in counts %}
        case when measure = '{{ name }}' then change end,
        {%- endfor %}
        null,
        null
    from counted
    union all
    select account_id, max(day), {{ 'null, ' * (sums + counts) | length }} max(day), null
    from account_days
    where day <= (select first_day from bounds)
    group by account_id
    union all
    select account_id, day, {{ 'null, ' * (sums + counts) | length }} null, as_of_date
    from scored_days

),

-- What changed before the first scored day is as if it did on it.
daily_changes as (

    select
        account_id,
        counted_on as day,
        sum(duration_seconds_28d) as duration_seconds_28d,
        {%- for name in sums + counts if name != 'duration_seconds_28d' %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        max(active_day) as active_day,
        max(as_of_date) as as_of_date
    from (
        select
            changes.*,
            greatest(changes.day, bounds.first_day) as counted_on
        from changes
        cross join bounds
        where changes.day <= bounds.last_day
    ) as counted_changes
    group by account_id, counted_on

),

running_sums as (

    select
        account_id,
        as_of_date,
        day,
        coalesce(sum(duration_seconds_28d) over by_day, 0) as duration_seconds_28d,
        {%- for name in sums + counts if name != 'duration_seconds_28d' %}
        cast(coalesce(sum({{ name }}) over by_day, 0) as bigint) as {{ name }},
        {%- endfor %}
        max(active_day) over by_day as last_active_day
    from daily_changes
    window by_day as (partition by account_id order by day rows unbounded preceding)

)

select
    *,
    -- |P28 and W28| = |P28| + |W28| - |P28 or W28|
    active_users_28d + previous_active_users_28d - active_users_56d as retained_users_28d
from running_sums
where as_of_date is not null
