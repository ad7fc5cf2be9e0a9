-- Grain: account x feature with a release that the account used on or after it, within 90 days: used_day is the first such day.
-- A release counts on the days [released_day, released_day + 90).

select
    feature_days.account_id,
    releases.feature,
    releases.released_day,
    min(feature_days.day) as used_day
from {{ ref('stg_product__feature_releases') }} as releases
inner join {{ ref('int_usage__feature_days') }} as feature_days
    on releases.feature = feature_days.feature
    and feature_days.day >= releases.released_day
    and feature_days.day < releases.released_day + 90
where
    releases.released_day > (select min(day) from {{ source('control', 'as_of_days') }}) - 90
    and releases.released_day <= (select max(day) from {{ source('control', 'as_of_days') }})
group by feature_days.account_id, releases.feature, releases.released_day
