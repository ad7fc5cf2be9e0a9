-- Grain: config_version x scorecard x tier, for the versions that scored a day of the history: where each tier begins.

with scored as (

    select distinct
        config_version,
        scorecard_key
    from {{ ref('account_health_history') }}

)

select
    scorecards.config_version,
    scorecards.scorecard_key,
    scorecards.tier_mode,
    scorecards.min_coverage,
    tiers.tier,
    tiers.colour,
    tiers.min_score,
    tiers.min_percentile
from {{ ref('int_scoring__tiers') }} as tiers
inner join {{ ref('int_scoring__scorecards') }} as scorecards on tiers.scorecard_code = scorecards.scorecard_code
inner join scored
    on scorecards.config_version = scored.config_version
    and scorecards.scorecard_key = scored.scorecard_key
