{{ config(meta={'dagster': {'ref': {'name': 'int_scoring__account_scores'}}}) }}

-- The points of an account and day sum to its exact score - 50, and the effective weights to 1 (to 0 where nothing has a score);
-- a value is there exactly where the state is measured. One scan of the wide rows for all of it.

{% set metrics = scorecard_metrics() %}

with sums as (

    select
        account_id,
        as_of_date,
        exact_score,
        coalesce(cap_points, 0) + {{ sum_over(metrics, 'coalesce(METRIC__effective_weight * (METRIC__score - 50), 0)') }} as points,
        {{ sum_over(metrics, 'METRIC__effective_weight') }} as effective_weight,
        {{ sum_over(metrics, "case when (METRIC__state = 'measured') <> (METRIC is not null) then 1 else 0 end") }} as bare_nulls
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})

)

select *
from sums
where
    abs(50 + points - exact_score) > 1e-9
    or (abs(effective_weight - 1) > 1e-9 and effective_weight <> 0)
    or bare_nulls > 0
