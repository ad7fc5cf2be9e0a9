-- Grain: what-if scoring x metric that is compared with its peers on that scorecard and day.

with peers as (

    select
        metric_values.account_id,
        metric_values.as_of_date,
        metric_values.scorecard_code,
        metric_values.metric_code,
        metric_values.value,
        scorecard_metrics.method,
        scorecard_metrics.higher_is_better,
        scorings.is_member
    from {{ ref('int_whatif__metric_values') }} as metric_values
    inner join {{ ref('int_whatif__scorings') }} as scorings on {{ on_keys('metric_values', 'scorings', whatif_keys()) }}
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        on metric_values.scorecard_code = scorecard_metrics.scorecard_code
        and metric_values.metric_code = scorecard_metrics.metric_code
    where
        scorecard_metrics.method in ('percentile', 'zscore')
        and metric_values.state = {{ state('measured') }}

),

{{ peer_scores('peers') }}
