{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric of the account's scorecard, and one row `cap:<cap_key>` where a cap binds: the wide rows of
-- int_scoring__account_scores, one metric below the other. The points of an account and day sum to its exact score - 50: this table is the
-- explanation of every score. One select for each metric, so that a filter on metric_key reads the columns of that metric only.

{% for metric in scorecard_metrics() %}
select
    account_id,
    as_of_date,
    '{{ metric.key }}' as metric_key,
    '{{ metric.dimension }}' as dimension_key,
    {{ metric.key }} as value,
    cast({{ metric.key }}__state as string) as state,
    {{ metric.key }}__score as normalized_score,
    {{ metric.key }}__nominal_weight as nominal_weight,
    {{ metric.key }}__effective_weight as effective_weight,
    coalesce({{ metric.key }}__effective_weight * ({{ metric.key }}__score - 50), 0) as points,
    scorecard_key,
    config_version,
    run_id,
    configuration_hash
from {{ ref('int_scoring__account_scores') }}
where {{ metric.key }}__nominal_weight is not null
union all
{% endfor %}
select
    account_id,
    as_of_date,
    'cap:' || cap_key,
    'cap',
    cap_value,
    'measured',
    cast(null as double),
    cast(0 as double),
    cast(0 as double),
    cap_points,
    scorecard_key,
    config_version,
    run_id,
    configuration_hash
from {{ ref('int_scoring__account_scores') }}
where cap_key is not null
