-- Grain: config_version x scorecard of the configuration in hand. An active version holds on [valid_from, valid_to); a candidate is scored
-- beside it from its valid_from on and ends nothing.
-- scorecard_id names a scorecard in one state of its rules: rules that are edited in place get another one.

{% set defaults = var('scorecard_defaults') %}
{# A folder of seeds may lack the column: then every margin is the default. dbt's unit tests have no relation to look at, but the column. #}
{% set columns = adapter.get_columns_in_relation(ref('scorecards')) | map(attribute='name') | list if execute else [] %}
{% set tier_margin = 'scorecards.tier_margin' if not columns or 'tier_margin' in columns else 'null' %}

with versions as (

    select
        config_version,
        status,
        valid_from,
        case when status = 'active' then lead(valid_from) over (partition by status order by valid_from) end as valid_to
    from {{ ref('config_versions') }}

),

in_hand as (

    select
        scorecards.scorecard_id,
        scorecards.config_version,
        scorecards.scorecard_key
    from {{ source('control', 'scorecard_rules') }} as scorecards
    inner join {{ source('control', 'configurations') }} as configurations on scorecards.scorecard_id = configurations.scorecard_id
    inner join {{ source('control', 'run') }} as run on configurations.configuration_hash = run.configuration_hash

)

select
    in_hand.scorecard_id,
    versions.config_version,
    versions.status,
    versions.valid_from,
    versions.valid_to,
    scorecards.scorecard_key,
    scorecards.label,
    scorecards.priority,
    scorecards.segment,
    scorecards.stage,
    coalesce(scorecards.min_coverage, {{ defaults.min_coverage }}) as min_coverage,
    coalesce(scorecards.confirm_days, {{ defaults.confirm_days }}) as confirm_days,
    coalesce(scorecards.tier_mode, '{{ defaults.tier_mode }}') as tier_mode,
    cast(case when scorecards.tier_mode = 'quantile' then 0 else coalesce({{ tier_margin }}, {{ defaults.tier_margin }}) end as double) as tier_margin
from versions
inner join {{ ref('scorecards') }} as scorecards on versions.config_version = scorecards.config_version
inner join in_hand
    on scorecards.config_version = in_hand.config_version
    and scorecards.scorecard_key = in_hand.scorecard_key
