{{ config(materialized='view') }}

-- Grain: account x as_of_date x k x component, behaviour by metric: the wide rows of int_ledger__changes, one component below the other. The rows of a
-- change sum to it: exact score - exact score k days before.

with components as (

    {% for component, label in var('ledger_components').items() %}
    select
        account_id, as_of_date, k, '{{ component }}' as component, cast(null as string) as metric_key,
        {{ "coalesce(cap_label, '" ~ label ~ "')" if component == 'cap' else "'" ~ label ~ "'" }} as label, {{ component }} as points,
        scorecard_key, config_version, run_id, configuration_hash
    from {{ ref('int_ledger__changes') }}
    where {{ component }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
    {% for metric in scorecard_metrics() %}
    union all
    select
        account_id, as_of_date, k, 'behaviour', '{{ metric.key }}', cast(null as string), {{ metric.key }},
        scorecard_key, config_version, run_id, configuration_hash
    from {{ ref('int_ledger__changes') }}
    where {{ metric.key }} is not null
    {% endfor %}

)

select
    components.account_id,
    components.as_of_date,
    components.k,
    components.k as days,
    components.component,
    components.metric_key,
    coalesce(components.label, metrics.label, components.metric_key) as label,
    components.points,
    components.scorecard_key,
    components.config_version,
    components.run_id,
    components.configuration_hash
from components
left join {{ ref('metric_catalogue') }} as metrics on components.metric_key = metrics.metric_key
