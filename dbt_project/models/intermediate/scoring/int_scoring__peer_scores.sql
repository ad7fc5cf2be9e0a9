-- Grain: account x as_of_date x metric, for the days of the run: scores of the metrics that are compared with their peers, the accounts with a
-- measured value on the same scorecard and day. Apart from the other metrics so that only these pay for sorting.

with peers as (

    select
        metric_values.account_id,
        metric_values.as_of_date,
        metric_values.scorecard_code,
        metric_values.metric_code,
        metric_values.value,
        scorecard_metrics.method,
        scorecard_metrics.higher_is_better,
        1 as is_member
    from {{ ref('int_scoring__metric_values') }} as metric_values
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        on metric_values.scorecard_code = scorecard_metrics.scorecard_code
        and metric_values.metric_code = scorecard_metrics.metric_code
    where
        scorecard_metrics.method in ('percentile', 'zscore')
        and metric_values.state = {{ state('measured') }}

),

{{ peer_scores('peers') }}
