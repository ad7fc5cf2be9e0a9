-- Grain: as_of_date x metric that jumped for most accounts at once: the instrumentation changed rather than the customers.
-- A jump: most accounts move the same way, and clearly more of them than on any of the 35 days before (which hold every weekday and a turn of
-- the month). Releases, and features that fell out of use, explain jumps of the feature metrics. `events_per_active_user` is not a metric of a
-- scorecard but the rate of the raw feed.

{% set min_accounts, min_days, most, more_than_usual = 10, 28, '5e-1', '2e-1' %}

with days as (

    select
        *,
        {{ day_number('as_of_date') }} as day,
        cast(moved_up as double) / accounts as share_up,
        cast(moved_down as double) / accounts as share_down,
        mean_after - mean_before as change
    from {{ ref('int_drift__metric_days') }}
    where accounts >= {{ min_accounts }}

),

with_usual as (

    select
        *,
        count(*) over days_before as days_before,
        max(share_up) over days_before as usual_share_up,
        max(share_down) over days_before as usual_share_down
    from days
    window days_before as (partition by metric_key order by day range between 35 preceding and 1 preceding)

),

directed as (

    select
        *,
        case when share_up >= share_down then 'up' else 'down' end as direction,
        greatest(share_up, share_down) as share_of_accounts,
        case when share_up >= share_down then usual_share_up else usual_share_down end as usual_share
    from with_usual

),

jumps as (

    select
        directed.*,
        coalesce(
            metrics.label,
            case directed.metric_key when 'events_per_active_user' then 'Events per active user' else directed.metric_key end
        ) as label,
        case directed.metric_key when 'events_per_active_user' then 'events' else metrics.unit end as unit
    from directed
    left join {{ ref('metrics') }} as metrics on directed.metric_key = metrics.metric_key
    where
        (metrics.metric_key is not null or directed.metric_key = 'events_per_active_user')
        and directed.days_before >= {{ min_days }}
        and directed.share_of_accounts >= {{ most }}
        and directed.share_of_accounts >= directed.usual_share + {{ more_than_usual }}

),

feature_changes as (

    select
        as_of_date,
        {{ list_text("case when change = 'entered' and is_listed then feature end", "', '", 'feature') }} as released,
        {{ list_text("case when change = 'entered' and not is_listed then feature end", "', '", 'feature') }} as unlisted,
        {{ list_text("case when change = 'left' then feature end", "', '", 'feature') }} as unused
    from {{ ref('int_drift__feature_changes') }}
    group by as_of_date

),

releases as (

    select
        as_of_date,
        {{ list_text('feature', "', '", 'feature') }} as features
    from (
        select feature, released_on as as_of_date from {{ ref('stg_product__feature_releases') }}
        union all
        select feature, released_on + 90 from {{ ref('stg_product__feature_releases') }}
    ) as boundaries
    group by as_of_date

)

select
    jumps.as_of_date,
    jumps.metric_key,
    jumps.label,
    jumps.direction,
    jumps.accounts,
    jumps.share_of_accounts,
    jumps.usual_share,
    jumps.mean_before,
    jumps.mean_after,
    jumps.change,
    case
        when jumps.metric_key = 'feature_breadth_90d' and jumps.direction = 'down' and feature_changes.unlisted is null
            then 'First used on this day: ' || feature_changes.released
        when jumps.metric_key = 'feature_breadth_90d' and jumps.direction = 'up'
            then 'Used by nobody for 90 days: ' || feature_changes.unused
        when jumps.metric_key = 'new_feature_adoption_90d' then 'Released on this day or 90 days before: ' || releases.features
    end as explanation,
    jumps.label || ' moved ' || jumps.direction || ' for ' || {{ number_text('round(100 * jumps.share_of_accounts)') }} || '% of '
    || {{ number_text('jumps.accounts') }} || ' accounts on one day (at most ' || {{ number_text('round(100 * jumps.usual_share)') }}
    || '% on a usual one), from ' || {{ value_text('jumps.mean_before', 'jumps.unit') }} || ' to '
    || {{ value_with_unit('jumps.mean_after', 'jumps.unit') }} || ' on average'
    || case
        when jumps.metric_key = 'feature_breadth_90d' then coalesce('; new names in the feed: ' || feature_changes.unlisted, '')
        else ''
    end as message
from jumps
left join feature_changes on jumps.as_of_date = feature_changes.as_of_date
left join releases on jumps.as_of_date = releases.as_of_date
