-- Grain: metric. What each metric means, and on which scorecards in force it counts.

with used as (

    select distinct
        metric_key,
        scorecard_key
    from {{ ref('scorecard') }}
    where weight > 0

)

select
    metrics.metric_key,
    metrics.dimension_key,
    metrics.label,
    metrics.unit,
    metrics.higher_is_better,
    metrics.description,
    {{ list_text('used.scorecard_key', "', '", 'used.scorecard_key') }} as counts_on_scorecards
from {{ ref('metrics') }} as metrics
left join used on metrics.metric_key = used.metric_key
group by metrics.metric_key, metrics.dimension_key, metrics.label, metrics.unit, metrics.higher_is_better, metrics.description
