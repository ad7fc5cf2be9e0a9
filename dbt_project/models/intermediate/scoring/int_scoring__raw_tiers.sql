{{ config(materialized='view') }}

-- Grain: account x as_of_date x scorecard, own and candidates': the tier by one day's score, by the limits that the scorecard had.
-- threshold: the tier with the greatest min_score <= health_score. quantile: the tier with the greatest min_percentile < percentile, which is the
-- share of the day's accounts on the scorecard, those with enough coverage, whose score is less or equal.

with limits as (

    select * from {{ ref('int_scoring__tier_limits') }}

),

scores as (

    {% for model, is_candidate in [('int_scoring__account_scores', 'false'), ('int_scoring__candidate_scores', 'true')] %}
    select
        account_id,
        as_of_date,
        scorecard_id,
        {{ is_candidate }} as is_candidate,
        health_score,
        round(coverage, 9) as coverage,
        round(coverage_if_not_late, 9) as coverage_if_not_late
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

percentiles as (

    select
        scores.account_id,
        scores.as_of_date,
        scores.scorecard_id,
        scores.is_candidate,
        cume_dist() over (partition by scores.as_of_date, scores.scorecard_id, scores.is_candidate order by scores.health_score) as percentile
    from scores
    inner join limits on scores.scorecard_id = limits.scorecard_id
    where
        scores.coverage >= limits.min_coverage
        -- Nobody else needs them: where no scorecard ever ranked, the sort is spared.
        and (select count(*) from limits where tier_mode = 'quantile') > 0

)

select
    scores.account_id,
    scores.as_of_date,
    scores.scorecard_id,
    scores.is_candidate,
    scores.health_score,
    scores.coverage,
    scores.coverage_if_not_late,
    percentiles.percentile,
    {{ raw_tier('scores', 'limits', 'percentiles') }} as raw_tier
from scores
inner join limits on scores.scorecard_id = limits.scorecard_id
left join percentiles
    on scores.account_id = percentiles.account_id
    and scores.as_of_date = percentiles.as_of_date
    and scores.scorecard_id = percentiles.scorecard_id
    and scores.is_candidate = percentiles.is_candidate
