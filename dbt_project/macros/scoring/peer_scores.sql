{# Scores of the metrics that are compared with their peers: the accounts with a measured value on the same scorecard and day.

   `whatif_scorings`, where given, tells by is_member which accounts only visit a scorecard (the change ledger asks what they would have
   scored there): such a one is ranked among the members and itself, and changes nothing for them. #}
{% macro peer_scores(metric_values, whatif_scorings=none) %}
with peers as (

    select
        metric_values.account_id,
        metric_values.as_of_date,
        metric_values.scorecard_code,
        metric_values.metric_code,
        metric_values.value,
        scorecard_metrics.method,
        scorecard_metrics.higher_is_better,
        {{ 'scorings.is_member' if whatif_scorings else '1' }} as is_member
    from {{ metric_values }} as metric_values
    {%- if whatif_scorings %}
    inner join {{ whatif_scorings }} as scorings on {{ on_keys('metric_values', 'scorings', whatif_keys()) }}
    {%- endif %}
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
        scorecard_code,
        metric_code,
        value,
        method,
        higher_is_better,
        is_member,
        sum(is_member) over (peer_group order by value) - sum(is_member) over (equals) as n_less,
        sum(is_member) over (equals) + 1 - is_member as n_equal,
        sum(is_member) over (peer_group order by value rows between unbounded preceding and unbounded following) as n_members,
        avg(case when is_member = 1 then value end)
            over (peer_group order by value rows between unbounded preceding and unbounded following) as mean_of_members,
        stddev_pop(case when is_member = 1 then value end)
            over (peer_group order by value rows between unbounded preceding and unbounded following) as deviation_of_members
    from peers
    window
        peer_group as (partition by as_of_date, scorecard_code, metric_code),
        equals as (partition by as_of_date, scorecard_code, metric_code, value)

),

with_visitor as (

    select
        *,
        n_members + 1 - is_member as n,
        case
            when is_member = 1 then mean_of_members
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
            when is_member = 1 then deviation_of_members
            when n_members = 0 then 0
            else sqrt((deviation_of_members * deviation_of_members * n_members + (value - mean_of_members) * (value - mean)) / n)
        end as deviation
    from with_visitor

),

scored as (

    select
        account_id,
        as_of_date,
        scorecard_code,
        metric_code,
        higher_is_better,
        case
            when method = 'percentile' and n = 1 then 50
            when method = 'percentile' then 100.0 * (n_less + (n_equal - 1) / 2.0) / (n - 1)
            when deviation = 0 then 50
            else 100 / (1 + exp(-1.702 * (value - mean) / deviation))
        end as score_if_higher_is_better
    from compared

)

-- Negating z mirrors the logistic curve, so lower-is-better is 100 - s in both methods.
select
    account_id,
    as_of_date,
    scorecard_code,
    metric_code,
    cast(case when higher_is_better then score_if_higher_is_better else 100 - score_if_higher_is_better end as double) as normalized_score
from scored
{% endmacro %}
