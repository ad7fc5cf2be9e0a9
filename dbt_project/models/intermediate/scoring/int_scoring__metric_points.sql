{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date x metric of the account's scorecard, and a row for the cap that binds. The points of an account and
-- day sum to its exact score - 50. Small integer codes instead of text: this is the largest table; the mart spells them out.

with dimension_scores as (

    select *
    from {{ ref('int_scoring__dimension_scores') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})

),

run as (

    select run_code from {{ source('control', 'run') }}

),

weighted as (

    select
        weighted_metrics.*,
        case
            when weighted_metrics.normalized_score is null or weighted_metrics.weight <= 0 or dimension_scores.scored_weight is null then 0
            else dimension_scores.effective_weight * weighted_metrics.weight / dimension_scores.scored_weight
        end as effective_weight
    from {{ ref('int_scoring__weighted_metrics') }} as weighted_metrics
    inner join dimension_scores
        on weighted_metrics.account_id = dimension_scores.account_id
        and weighted_metrics.as_of_date = dimension_scores.as_of_date
        and weighted_metrics.dimension_code = dimension_scores.dimension_code

)

select
    weighted.account_id,
    weighted.as_of_date,
    weighted.scorecard_code,
    weighted.dimension_code,
    weighted.metric_code,
    weighted.value,
    weighted.state,
    weighted.normalized_score,
    weighted.nominal_weight,
    weighted.effective_weight,
    case when weighted.effective_weight = 0 then 0 else weighted.effective_weight * (weighted.normalized_score - 50) end as points,
    run.run_code
from weighted
cross join run
union all
select
    account_scores.account_id,
    account_scores.as_of_date,
    account_scores.scorecard_code,
    cast(codes.code as smallint),
    account_scores.cap_code,
    account_scores.cap_value,
    cast({{ state('measured') }} as tinyint),
    cast(null as double),
    0,
    0,
    account_scores.cap_points,
    run.run_code
from {{ ref('int_scoring__account_scores') }} as account_scores
cross join run
inner join {{ source('control', 'codes') }} as codes
    on codes.kind = 'dimension'
    and codes.key = 'cap'
where
    account_scores.cap_code is not null
    and account_scores.as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
