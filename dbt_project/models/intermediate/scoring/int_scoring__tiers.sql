{{ config(materialized='incremental') }}

-- Grain: scorecard x tier: where the tier begins, and what a change to it takes. What the seeds leave open takes the defaults of docs/scoring.md, "Tiers".
-- Keeps what the seeds no longer hold, as int_scoring__scorecard_metrics does.

with defaults as (

    {% for tier, begins in var('default_tiers').items() %}
    select
        '{{ tier }}' as tier,
        '{{ var('tier_colours')[tier] }}' as colour,
        {{ begins.min_score }} as min_score,
        {{ begins.min_percentile }} as min_percentile
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

scorecards as (

    select * from {{ ref('int_scoring__scorecards') }}

),

given as (

    select
        scorecards.scorecard_id,
        tiers.tier,
        tiers.colour,
        tiers.min_score,
        tiers.min_percentile
    from {{ ref('tiers') }} as tiers
    inner join scorecards
        on tiers.config_version = scorecards.config_version
        and tiers.scorecard_key = scorecards.scorecard_key

),

tiers as (

    select
        given.scorecard_id,
        given.tier,
        coalesce(given.colour, defaults.colour) as colour,
        coalesce(given.min_score, defaults.min_score) as min_score,
        coalesce(given.min_percentile, defaults.min_percentile) as min_percentile
    from given
    left join defaults on given.tier = defaults.tier
    union all
    select
        scorecards.scorecard_id,
        defaults.tier,
        defaults.colour,
        defaults.min_score,
        defaults.min_percentile
    from scorecards
    cross join defaults
    where scorecards.scorecard_id not in (select scorecard_id from given)

)

select
    tiers.scorecard_id,
    tiers.tier,
    tiers.colour,
    cast(tiers.min_score as double) as min_score,
    cast(tiers.min_percentile as double) as min_percentile,
    scorecards.tier_mode,
    cast(scorecards.tier_margin as double) as tier_margin,
    scorecards.confirm_days,
    scorecards.min_coverage
from tiers
inner join scorecards on tiers.scorecard_id = scorecards.scorecard_id
{% if is_incremental() %}where tiers.scorecard_id not in (select scorecard_id from {{ this }}){% endif %}
