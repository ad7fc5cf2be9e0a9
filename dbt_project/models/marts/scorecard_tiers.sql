-- Grain: config_version x scorecard x tier, for the versions that scored a day of the history: where each tier begins.

with scored as (

    select distinct
        scorecard_id,
        config_version,
        scorecard_key
    from {{ ref('int_scoring__account_scores') }}

),

-- Rules that were edited in place: as they are now.
in_hand as (

    select scorecard_id from {{ ref('int_scoring__scorecards') }}

)

select
    scored.config_version,
    scored.scorecard_key,
    tiers.tier_mode,
    tiers.min_coverage,
    tiers.tier,
    tiers.colour,
    tiers.min_score,
    tiers.min_percentile
from scored
inner join {{ ref('int_scoring__tiers') }} as tiers on scored.scorecard_id = tiers.scorecard_id
inner join in_hand on scored.scorecard_id = in_hand.scorecard_id
