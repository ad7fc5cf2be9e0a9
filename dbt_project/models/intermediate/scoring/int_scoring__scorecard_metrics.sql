{{ config(materialized='incremental') }}

-- Grain: scorecard x metric: how the metric is normalized there and what it weighs. Keeps the scorecards that the seeds no longer hold, in each
-- state of their rules: the change ledger compares days under the rules of either.
-- nominal_weight = W_dim / sum(W) x w_m / sum(w of the dimension): what it would weigh if every metric had a score.

with scorecards as (

    select * from {{ ref('int_scoring__scorecards') }}

),

dimensions as (

    select
        scorecards.scorecard_id,
        weights.config_version,
        weights.scorecard_key,
        weights.dimension_key,
        weights.weight,
        cast(sum({{ exact_weight('weights.weight') }}) over (partition by scorecards.scorecard_id) as double) as weight_of_scorecard
    from {{ ref('scorecard_dimensions') }} as weights
    inner join scorecards
        on weights.config_version = scorecards.config_version
        and weights.scorecard_key = scorecards.scorecard_key

)

select
    dimensions.scorecard_id,
    weights.metric_key,
    metrics.dimension_key,
    coalesce(weights.method, '{{ var('scorecard_defaults').method }}') as method,
    weights.worst,
    weights.best,
    cast(case weights.missing_policy when 'neutral' then 50 when 'worst' then 0 end as double) as score_without_value,
    metrics.higher_is_better,
    weights.weight,
    dimensions.weight as dimension_weight,
    coalesce(
        dimensions.weight / nullif(dimensions.weight_of_scorecard, 0)
        * weights.weight
        / nullif(cast(sum({{ exact_weight('weights.weight') }}) over (partition by dimensions.scorecard_id, dimensions.dimension_key) as double), 0),
        0
    ) as nominal_weight
from {{ ref('scorecard_metrics') }} as weights
inner join {{ ref('metrics') }} as metrics on weights.metric_key = metrics.metric_key
inner join dimensions
    on weights.config_version = dimensions.config_version
    and weights.scorecard_key = dimensions.scorecard_key
    and metrics.dimension_key = dimensions.dimension_key
{% if is_incremental() %}where dimensions.scorecard_id not in (select scorecard_id from {{ this }}){% endif %}
