-- Grain: what-if scoring x metric of its scorecard: the normalized score with its weights.

with scores as (

    {{ metric_scores(ref('int_whatif__metric_values'), ref('int_whatif__peer_scores'), whatif_keys()) }}

)

select
    scores.*,
    scorecard_metrics.dimension_code,
    scorecard_metrics.metric_bit,
    scorecard_metrics.weight,
    scorecard_metrics.dimension_weight,
    scorecard_metrics.nominal_weight
from scores
inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
    on scores.scorecard_code = scorecard_metrics.scorecard_code
    and scores.metric_code = scorecard_metrics.metric_code
