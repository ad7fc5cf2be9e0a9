-- Grain: account x as_of_date x k x dimension: what a metric of weight 1 in the dimension weighs over M alone, the metrics of the later day's
-- scorecard that have a score on both days. The earlier day is taken under the later day's scorecard.

with pairs as (

    select * from {{ ref('int_ledger__pairs') }}

),

earlier as (

    {{ earlier_day(ref('int_scoring__dimension_scores'), ref('int_whatif__dimension_scores'), ['dimension_code', 'scored_set']) }}

),

in_common as (

    select
        earlier.account_id,
        earlier.as_of_date,
        earlier.k,
        later.scorecard_code,
        later.dimension_code,
        later.dimension_weight,
        earlier.scored_set & later.scored_set as common_set
    from earlier
    inner join {{ ref('int_scoring__dimension_scores') }} as later
        on earlier.account_id = later.account_id
        and earlier.as_of_date = later.as_of_date
        and earlier.dimension_code = later.dimension_code
    where (earlier.scored_set & later.scored_set) <> 0

),

-- Few different sets: their weights are added up once for each.
sets as (

    select distinct scorecard_code, dimension_code, common_set from in_common

),

weighed_sets as (

    select
        sets.scorecard_code,
        sets.dimension_code,
        sets.common_set,
        cast(sum({{ exact_weight('scorecard_metrics.weight') }}) as double) as weight_of_metrics
    from sets
    inner join {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        on sets.scorecard_code = scorecard_metrics.scorecard_code
        and sets.dimension_code = scorecard_metrics.dimension_code
        and (sets.common_set & scorecard_metrics.metric_bit) <> 0
    group by sets.scorecard_code, sets.dimension_code, sets.common_set

),

dimension_totals as (

    select
        account_id,
        as_of_date,
        k,
        cast(sum({{ exact_weight('dimension_weight') }}) as double) as weight_of_dimensions
    from in_common
    group by account_id, as_of_date, k

)

select
    in_common.account_id,
    in_common.as_of_date,
    in_common.k,
    in_common.dimension_code,
    in_common.dimension_weight / dimension_totals.weight_of_dimensions / weighed_sets.weight_of_metrics as weight_factor
from in_common
inner join dimension_totals
    on in_common.account_id = dimension_totals.account_id
    and in_common.as_of_date = dimension_totals.as_of_date
    and in_common.k = dimension_totals.k
inner join weighed_sets
    on in_common.scorecard_code = weighed_sets.scorecard_code
    and in_common.dimension_code = weighed_sets.dimension_code
    and in_common.common_set = weighed_sets.common_set
