{# Metric scores -> the score, effective weight and points of each dimension. A dimension counts if it has a positive weight and a metric with a
   score and a positive weight. #}
{% macro dimension_scores(weighted_metrics, keys) %}
with sums as (

    select
        account_id,
        as_of_date,
        scorecard_code,
        dimension_code,
        -- Which metrics have a score and a weight: the change ledger compares two days by it.
        cast(sum(case when normalized_score is not null and weight > 0 and dimension_weight > 0 then metric_bit else 0 end) as bigint) as scored_set,
        max(dimension_weight) as dimension_weight,
        sum(case when normalized_score is not null and weight > 0 then {{ exact_weight('weight') }} end) as scored_weight,
        sum(case when weight > 0 then {{ exact_weight('weight * normalized_score') }} end) as weighted_score,
        sum({{ exact_weight('nominal_weight') }}) as nominal_weight,
        coalesce(sum(case when state <> {{ state('not_applicable') }} then {{ exact_weight('nominal_weight') }} end), 0) as applicable_weight,
        coalesce(sum(case when state = {{ state('measured') }} then {{ exact_weight('nominal_weight') }} end), 0) as measured_weight
    from {{ weighted_metrics }}
    group by account_id, as_of_date, scorecard_code, dimension_code

),

-- A group and a join instead of a window: a third of the time over millions of rows.
totals as (

    select
        {{ columns_of('', keys) }},
        cast(sum({{ exact_weight('dimension_weight') }}) as double) as weight_of_scored_dimensions
    from sums
    where scored_weight is not null and dimension_weight > 0
    group by {{ columns_of('', keys) }}

),

scored as (

    select
        sums.*,
        totals.weight_of_scored_dimensions,
        case when sums.dimension_weight > 0 then cast(sums.weighted_score as double) / cast(sums.scored_weight as double) end as dimension_score
    from sums
    left join totals on {{ on_keys('sums', 'totals', keys) }}

)

select
    account_id,
    as_of_date,
    scorecard_code,
    dimension_code,
    scored_set,
    dimension_weight,
    dimension_score,
    cast(nominal_weight as double) as nominal_weight,
    cast(applicable_weight as double) as applicable_weight,
    cast(measured_weight as double) as measured_weight,
    cast(scored_weight as double) as scored_weight,
    case when dimension_score is null then 0 else dimension_weight / weight_of_scored_dimensions end as effective_weight,
    case when dimension_score is null then 0 else dimension_weight / weight_of_scored_dimensions * (dimension_score - 50) end as points
from scored
{% endmacro %}
