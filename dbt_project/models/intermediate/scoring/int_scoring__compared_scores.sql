-- Grain: scoring x metric that is scored by comparison on its scorecard and has a measured value: the score by the peers, which are the accounts with a
-- measured value on the same scorecard, day and track. Apart from the other metrics, so that only these pay for sorting.

{% set metrics = scorecard_metrics("scorecard_metrics.method in ('percentile', 'zscore')") %}

-- depends_on: {{ ref('int_metrics__adoption') }}, {{ ref('int_metrics__commercial') }}, {{ ref('int_metrics__support') }}, {{ ref('int_metrics__voice') }}, {{ ref('int_metrics__outcomes') }}
with measured as (

    {{ measured_values(metrics) }}

),

scored as (

    select
        scorings.*,
        measured.metric_key,
        measured.value,
        rules.method,
        rules.higher_is_better
    from {{ ref('int_scoring__scorings') }} as scorings
    inner join {{ ref('int_scoring__scorecard_metrics') }} as rules
        on scorings.scorecard_id = rules.scorecard_id
        and rules.method in ('percentile', 'zscore')
    inner join measured
        on scorings.account_id = measured.account_id
        and scorings.as_of_date = measured.as_of_date
        and rules.metric_key = measured.metric_key

),

-- Ordered by value, so that mean and deviation are added up in the same order in every run.
ranked as (

    select
        *,
        case when is_member then 1 else 0 end as member,
        sum(case when is_member then 1 else 0 end) over up_to_value - sum(case when is_member then 1 else 0 end) over equals as n_less,
        sum(case when is_member then 1 else 0 end) over equals + case when is_member then 0 else 1 end as n_equal,
        sum(case when is_member then 1 else 0 end) over peers as n_members,
        avg(case when is_member then value end) over peers as mean_of_members,
        stddev_pop(case when is_member then value end) over peers as deviation_of_members
    from scored
    window
        up_to_value as (partition by as_of_date, scorecard_id, track, metric_key order by value),
        peers as (
            partition by as_of_date, scorecard_id, track, metric_key
            order by value rows between unbounded preceding and unbounded following
        ),
        equals as (partition by as_of_date, scorecard_id, track, metric_key, value)

),

with_visitor as (

    select
        *,
        n_members + 1 - member as n,
        case
            when is_member then mean_of_members
            when n_members = 0 then value
            else mean_of_members + (value - mean_of_members) / (n_members + 1)
        end as mean
    from ranked

),

compared as (

    select
        *,
        -- Welford's update of the population variance by one more value.
        case
            when is_member then deviation_of_members
            when n_members = 0 then 0
            else sqrt((deviation_of_members * deviation_of_members * n_members + (value - mean_of_members) * (value - mean)) / n)
        end as deviation
    from with_visitor

),

by_rank as (

    select
        *,
        case
            when method = 'percentile' and n = 1 then 50
            when method = 'percentile' then 100 * (n_less + (n_equal - 1) / 2e0) / (n - 1)
            when deviation = 0 then 50
            else 100 / (1 + exp(-1.702e0 * (value - mean) / deviation))
        end as score_if_higher_is_better
    from compared

)

-- Negating z mirrors the logistic curve, so lower-is-better is 100 - s in both methods.
select
    account_id,
    as_of_date,
    scorecard_id,
    track,
    metric_key,
    cast(case when higher_is_better then score_if_higher_is_better else 100 - score_if_higher_is_better end as double) as score
from by_rank
