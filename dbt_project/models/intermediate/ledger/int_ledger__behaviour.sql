{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('ledger_days') }}") }}

-- Grain: account x as_of_date x k x metric that has a score on both days and moved: what the account's own behaviour did to its score.
-- Over M alone a metric weighs the same on both days, so its points there less those of k days before are
-- weight x (normalized score - that of k days before).

with pairs as (

    select * from {{ ref('int_ledger__pairs') }}

),

earlier as (

    {{ earlier_day(
        ref('int_scoring__metric_points'),
        ref('int_whatif__metric_scores'),
        ['metric_code', 'normalized_score'],
        'rows_of_day.effective_weight > 0',
        'rows_of_day.normalized_score is not null and rows_of_day.weight > 0 and rows_of_day.dimension_weight > 0'
    ) }}

),

moved as (

    select
        earlier.account_id,
        earlier.as_of_date,
        earlier.k,
        later.metric_code,
        later.dimension_code,
        later.scorecard_code,
        later.run_code,
        later.normalized_score - earlier.normalized_score as difference
    from earlier
    inner join {{ ref('int_scoring__metric_points') }} as later
        on earlier.account_id = later.account_id
        and earlier.as_of_date = later.as_of_date
        and earlier.metric_code = later.metric_code
    where
        later.effective_weight > 0
        and later.as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})
        and later.normalized_score <> earlier.normalized_score

),

weighted as (

    select
        moved.account_id,
        moved.as_of_date,
        moved.k,
        moved.metric_code,
        moved.scorecard_code,
        moved.run_code,
        scorecard_metrics.weight * dimension_weights.weight_factor * moved.difference as points
    from moved
    inner join {{ ref('int_ledger__dimension_weights') }} as dimension_weights
        on moved.account_id = dimension_weights.account_id
        and moved.as_of_date = dimension_weights.as_of_date
        and moved.k = dimension_weights.k
        and moved.dimension_code = dimension_weights.dimension_code
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        on moved.scorecard_code = scorecard_metrics.scorecard_code
        and moved.metric_code = scorecard_metrics.metric_code

)

select *
from weighted
-- Less is the noise of floating-point arithmetic; forty such rows would still be within the 1e-9 that the rows must sum to.
where abs(points) > 1e-11
