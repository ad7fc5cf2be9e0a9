{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric of the account's scorecard, for the days of the run: the normalized score with its weights.
-- A view: the weights are a handful of rows, and writing them out beside tens of millions of scores would cost more than both.

select
    metric_scores.*,
    scorecard_metrics.dimension_code,
    scorecard_metrics.metric_bit,
    scorecard_metrics.weight,
    scorecard_metrics.dimension_weight,
    scorecard_metrics.nominal_weight
from {{ ref('int_scoring__metric_scores') }} as metric_scores
inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
    on metric_scores.scorecard_code = scorecard_metrics.scorecard_code
    and metric_scores.metric_code = scorecard_metrics.metric_code
