{{ config(meta={'dagster': {'ref': {'name': 'int_scoring__metric_points'}}}) }}

-- The points of an account and day sum to its exact score - 50, and the effective weights to 1 (to 0 where nothing has a score);
-- a value is there exactly where the state is measured. One scan of the largest table for all of it.

with sums as (

    select
        account_id,
        as_of_date,
        sum(points) as points,
        sum(effective_weight) as effective_weight,
        sum(case when normalized_score is not null then 1 else 0 end) as scored_metrics,
        sum(case when (state = {{ state('measured') }}) <> (value is not null) then 1 else 0 end) as bare_nulls
    from {{ ref('int_scoring__metric_points') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
    group by account_id, as_of_date

)

select
    scores.account_id,
    scores.as_of_date,
    scores.exact_score,
    sums.points,
    sums.effective_weight,
    sums.bare_nulls
from {{ ref('int_scoring__account_scores') }} as scores
left join sums
    on scores.account_id = sums.account_id
    and scores.as_of_date = sums.as_of_date
where
    scores.as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
    and (
        abs(50 + coalesce(sums.points, 0) - scores.exact_score) > 1e-9
        or (abs(coalesce(sums.effective_weight, 0) - 1) > 1e-9 and coalesce(sums.effective_weight, 0) <> 0)
        or sums.bare_nulls > 0
    )
