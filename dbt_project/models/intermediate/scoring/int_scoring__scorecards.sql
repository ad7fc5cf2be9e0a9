-- Grain: active config_version x scorecard. A version holds on [valid_from, valid_to).

with versions as (

    select
        config_version,
        valid_from,
        lead(valid_from) over (order by valid_from) as valid_to
    from {{ ref('config_versions') }}
    where status = 'active'

)

select
    cast(codes.code as smallint) as scorecard_code,
    versions.config_version,
    versions.valid_from,
    versions.valid_to,
    scorecards.scorecard_key,
    scorecards.label,
    scorecards.priority,
    scorecards.segment,
    scorecards.stage,
    coalesce(scorecards.min_coverage, 0.5) as min_coverage,
    coalesce(scorecards.confirm_days, 3) as confirm_days,
    coalesce(scorecards.tier_mode, 'threshold') as tier_mode
from versions
inner join {{ ref('scorecards') }} as scorecards on versions.config_version = scorecards.config_version
inner join {{ source('control', 'codes') }} as codes
    on codes.kind = 'scorecard'
    and codes.key = scorecards.config_version || '/' || scorecards.scorecard_key
