{{ config(materialized='view') }}

-- Grain: account x as_of_date x dimension of the account's scorecard. The points of the dimensions sum to uncapped_score - 50.

{% for dimension in dimensions() %}
select
    account_id,
    as_of_date,
    '{{ dimension }}' as dimension_key,
    {{ dimension }}__score as dimension_score,
    {{ dimension }}__nominal_weight as nominal_weight,
    {{ dimension }}__effective_weight as effective_weight,
    coalesce({{ dimension }}__effective_weight * ({{ dimension }}__score - 50), 0) as points,
    {{ dimension }}__coverage as coverage,
    scorecard_key,
    config_version,
    run_id,
    configuration_hash
from {{ ref('int_scoring__account_dimensions') }}
where {{ dimension }}__nominal_weight is not null
{{ 'union all' if not loop.last }}
{% endfor %}
