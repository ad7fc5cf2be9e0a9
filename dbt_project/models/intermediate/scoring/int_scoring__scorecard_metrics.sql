{{ config(materialized='incremental', incremental_strategy='append') }}

-- Grain: scorecard x metric: how the metric is normalized there and what it weighs. Keeps the scorecards that the seeds no longer hold, in each
-- state of their rules: the change ledger compares days under the rules of either.
-- nominal_weight = W_dim / sum(W) x w_m / sum(w of the dimension): what it would weigh if every metric had a score.

with scorecards as (

    select * from {{ ref('int_scoring__scorecards') }}

),

dimensions as (

    select
        scorecards.scorecard_code,
        weights.config_version,
        weights.scorecard_key,
        weights.dimension_key,
        weights.weight,
        cast(sum({{ exact_weight('weights.weight') }}) over (partition by scorecards.scorecard_code) as double) as weight_of_scorecard
    from {{ ref('scorecard_dimensions') }} as weights
    inner join scorecards
        on weights.config_version = scorecards.config_version
        and weights.scorecard_key = scorecards.scorecard_key

)

select
    dimensions.scorecard_code,
    cast(metric_codes.code as smallint) as metric_code,
    cast(dimension_codes.code as smallint) as dimension_code,
    coalesce(weights.method, 'linear') as method,
    weights.worst,
    weights.best,
    coalesce(weights.missing_policy, 'exclude') as missing_policy,
    metrics.higher_is_better,
    -- Names the metric within its dimension in a set of metrics.
    cast(
        power(2, row_number() over (partition by dimensions.scorecard_code, dimensions.dimension_key order by metric_codes.code) - 1) as bigint
    ) as metric_bit,
    weights.weight,
    dimensions.weight as dimension_weight,
    coalesce(
        dimensions.weight / nullif(dimensions.weight_of_scorecard, 0)
        * weights.weight
        / nullif(cast(sum({{ exact_weight('weights.weight') }}) over (partition by dimensions.scorecard_code, dimensions.dimension_key) as double), 0),
        0
    ) as nominal_weight
from {{ ref('scorecard_metrics') }} as weights
inner join {{ ref('metrics') }} as metrics on weights.metric_key = metrics.metric_key
inner join dimensions
    on weights.config_version = dimensions.config_version
    and weights.scorecard_key = dimensions.scorecard_key
    and metrics.dimension_key = dimensions.dimension_key
inner join {{ source('control', 'codes') }} as metric_codes
    on metric_codes.kind = 'metric'
    and metric_codes.key = weights.metric_key
inner join {{ source('control', 'codes') }} as dimension_codes
    on dimension_codes.kind = 'dimension'
    and dimension_codes.key = metrics.dimension_key
{% if is_incremental() %}where dimensions.scorecard_code not in (select scorecard_code from {{ this }}){% endif %}
