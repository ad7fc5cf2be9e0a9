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
        scorecard_metrics.higher_is_better
    from {{ ref('int_scoring__metric_values') }} as metric_values
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        on metric_values.scorecard_code = scorecard_metrics.scorecard_code
        and metric_values.metric_code = scorecard_metrics.metric_code
    where
        scorecard_metrics.method in ('percentile', 'zscore')
        and metric_values.state = {{ state('measured') }}

),

-- Ordered by value, so that mean and deviation are added up in the same order in every run.
ranked as (

    select
        account_id,
        as_of_date,
        metric_code,
        value,
        method,
        higher_is_better,
        rank() over (peer_group order by value) - 1 as n_less,
        count(*) over (partition by as_of_date, scorecard_code, metric_code, value) as n_equal,
        count(*) over (partition by as_of_date, scorecard_code, metric_code) as n,
        avg(value) over (peer_group order by value rows between unbounded preceding and unbounded following) as mean,
        stddev_pop(value) over (peer_group order by value rows between unbounded preceding and unbounded following) as deviation
    from peers
    window peer_group as (partition by as_of_date, scorecard_code, metric_code)

),

scored as (

    select
        account_id,
        as_of_date,
        metric_code,
        higher_is_better,
        case
            when method = 'percentile' and n = 1 then 50
            when method = 'percentile' then 100.0 * (n_less + (n_equal - 1) / 2.0) / (n - 1)
            when deviation = 0 then 50
            else 100 / (1 + exp(-1.702 * (value - mean) / deviation))
        end as score_if_higher_is_better
    from ranked

)

-- Negating z mirrors the logistic curve, so lower-is-better is 100 - s in both methods.
select
    account_id,
    as_of_date,
    metric_code,
    cast(case when higher_is_better then score_if_higher_is_better else 100 - score_if_higher_is_better end as double) as normalized_score
from scored
