-- Grain: active scorecard x tier. What seeds/tiers.csv leaves open takes the specification's defaults.

with defaults as (

    select 'healthy' as tier, 'green' as colour, 70 as min_score, 0.75 as min_percentile
    union all
    select 'at_risk', 'yellow', 40, 0.25
    union all
    select 'poor', 'red', 0, 0

),

scorecards as (

    select scorecard_code, config_version, scorecard_key from {{ ref('int_scoring__scorecards') }}

),

given as (

    select
        scorecards.scorecard_code,
        tiers.tier,
        tiers.colour,
        tiers.min_score,
        tiers.min_percentile
    from {{ ref('tiers') }} as tiers
    inner join scorecards
        on tiers.config_version = scorecards.config_version
        and tiers.scorecard_key = scorecards.scorecard_key

)

select
    given.scorecard_code,
    given.tier,
    coalesce(given.colour, defaults.colour) as colour,
    cast(coalesce(given.min_score, defaults.min_score) as double) as min_score,
    cast(coalesce(given.min_percentile, defaults.min_percentile) as double) as min_percentile
from given
left join defaults on given.tier = defaults.tier
union all
select
    scorecards.scorecard_code,
    defaults.tier,
    defaults.colour,
    cast(defaults.min_score as double),
    cast(defaults.min_percentile as double)
from scorecards
cross join defaults
where scorecards.scorecard_code not in (select scorecard_code from given)
