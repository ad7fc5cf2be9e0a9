{{ config(
    materialized='incremental', on_schema_change='append_new_columns', pre_hook="{{ replace_as_of_days('ledger_days') }}"
) }}

-- Grain: account x as_of_date x k: what moved the score in k days, one wide row with a column for each component; behaviour by metric (docs/scoring.md, 
-- "Change ledger"). Before caps, S0 is the earlier score, S1 the earlier day under the rules of the later day with the same scorecard key, S2 under the
-- later day's scorecard, S3 the later score. M: the metrics of the later day's scorecard that have a score on both days. Over M alone a metric
-- weighs the same on both days, so its behaviour is that weight x (score - score of k days before).
-- A component of zero points is null; below 1e-11 it is the noise of floating-point arithmetic, and forty of those stay within the 1e-9 that the
-- components must sum to.

{% set metrics = scorecard_metrics() %}

with pairs as (

    select * from {{ ref('int_ledger__pairs') }}

),

-- Of the days in question, so that a run of one day reads no history.
later_scores as (

    select * from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select as_of_date from pairs)

),

scores_before as (

    select * from {{ ref('int_scoring__account_scores') }}
    where as_of_date in (select earlier_date from pairs)

),

earlier_scores as (

    select * from {{ ref('int_ledger__earlier_scores') }}

),

compared as (

    select
        pairs.account_id,
        pairs.as_of_date,
        pairs.k,
        pairs.scorecard_id,
        earlier.uncapped_score as s0,
        case
            when pairs.same_key_scorecard_id = pairs.earlier_scorecard_id then earlier.uncapped_score
            else same_key.uncapped_score
        end as s1,
        case when pairs.scorecard_id = pairs.earlier_scorecard_id then earlier.uncapped_score else own_key.uncapped_score end as s2,
        later.uncapped_score as s3,
        coalesce(later.cap_points, 0) - coalesce(earlier.cap_points, 0) as cap_change,
        later.scorecard_key,
        later.config_version,
        later.run_id,
        later.configuration_hash,
        later.cap_key as later_cap_key,
        earlier.cap_key as earlier_cap_key,
        later.cap_label as later_cap_label,
        earlier.cap_label as earlier_cap_label
        {%- for dimension in dimensions() %},
        rules.{{ dimension }}__weight
        {%- endfor %}
        {%- for metric in metrics %}
        {%- set before %}case when pairs.scorecard_id = pairs.earlier_scorecard_id then earlier.{{ metric.key }}__score else own_key.{{ metric.key }}__score end{% endset %},
        case when {{ before }} is not null then later.{{ metric.key }}__effective_weight else 0 end as {{ metric.key }}__weight,
        later.{{ metric.key }}__score - {{ before }} as {{ metric.key }}__moved
        {%- endfor %}
    from pairs
    -- Both days have a score. As inner joins the engine may join the scores of an account with each other first, all days with all days.
    left join later_scores as later
        on pairs.account_id = later.account_id
        and pairs.as_of_date = later.as_of_date
    left join scores_before as earlier
        on pairs.account_id = earlier.account_id
        and pairs.earlier_date = earlier.as_of_date
    inner join {{ ref('int_scoring__rules') }} as rules on pairs.scorecard_id = rules.scorecard_id
    left join earlier_scores as same_key
        on pairs.account_id = same_key.account_id
        and pairs.earlier_date = same_key.as_of_date
        and pairs.same_key_scorecard_id = same_key.scorecard_id
    left join earlier_scores as own_key
        on pairs.account_id = own_key.account_id
        and pairs.earlier_date = own_key.as_of_date
        and pairs.scorecard_id = own_key.scorecard_id

),

-- What the metrics of M weigh together, within each dimension.
weighed as (

    select
        *
        {%- for dimension in dimensions() %},
        {{ sum_over(metrics | selectattr('dimension', 'equalto', dimension) | list, 'METRIC__weight') }} as {{ dimension }}__common
        {%- endfor %}
    from compared

),

totals as (

    select
        *,
        0{% for dimension in dimensions() %} + case when {{ dimension }}__common > 0 then {{ dimension }}__weight else 0 end{% endfor %} as weight_of_dimensions
    from weighed

),

behaved as (

    select
        *
        {%- for metric in metrics %},
        case
            when {{ metric.key }}__weight > 0
                then {{ metric.dimension }}__weight / weight_of_dimensions * {{ metric.key }}__weight / {{ metric.dimension }}__common * {{ metric.key }}__moved
        end as {{ metric.key }}
        {%- endfor %}
    from totals

),

components as (

    select
        *,
        round(s1 - s0, 12) as configuration,
        round(s2 - s1, 12) as scorecard,
        round(s3 - s2 - ({{ sum_over(metrics, 'coalesce(METRIC, 0)') }}), 12) as availability,
        round(cap_change, 12) as cap
    from behaved

)

select
    account_id,
    as_of_date,
    k
    {%- for component in var('ledger_components') %},
    case when abs({{ component }}) > 1e-11 then {{ component }} end as {{ component }}
    {%- endfor %},
    -- A score falls by the cap that holds now; it rises by the one that held before, whether that ended or takes less.
    case when cap_change < 0 then later_cap_key else earlier_cap_key end as cap_key,
    case
        when cap_change < 0 then later_cap_label
        when later_cap_key = earlier_cap_key then 'Weighs less: ' || earlier_cap_label
        else 'No longer: ' || earlier_cap_label
    end as cap_label,
    scorecard_key,
    config_version,
    run_id,
    configuration_hash
    {%- for metric in metrics %},
    case when abs({{ metric.key }}) > 1e-11 then {{ metric.key }} end as {{ metric.key }}
    {%- endfor %}
from components
-- Readers take some days at a time, once for each component: sorted, they skip the storage of all others.
{{ stored_order('as_of_date') }}
