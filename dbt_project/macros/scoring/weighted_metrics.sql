{# Normalized scores, each with its dimension and weights on its scorecard. `scores` is a relation or CTE. #}
{% macro weighted_metrics(scores) %}
select
    scores.*,
    scorecard_metrics.dimension_code,
    scorecard_metrics.metric_bit,
    scorecard_metrics.weight,
    scorecard_metrics.dimension_weight,
    scorecard_metrics.nominal_weight
from {{ scores }} as scores
inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
    on scores.scorecard_code = scorecard_metrics.scorecard_code
    and scores.metric_code = scorecard_metrics.metric_code
{% endmacro %}
