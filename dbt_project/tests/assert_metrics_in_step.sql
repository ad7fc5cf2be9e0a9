{{ config(meta={'dagster': {'ref': {'name': 'metrics'}}}) }}

-- A metric is one column in one wide model and one row in seeds/metrics.csv: each without the other is a fault.

{% set columns = [] %}
{% for dimension in ['adoption', 'commercial', 'support', 'voice', 'outcomes'] %}
    {% set model = ref('int_metrics__' ~ dimension) %}
    {% for column in (adapter.get_columns_in_relation(model) if execute else []) %}
        {% if column.name not in ('account_id', 'as_of_date') and not column.name.endswith('_state') %}
            {% do columns.append((dimension, column.name)) %}
        {% endif %}
    {% endfor %}
{% endfor %}

with columns_found (dimension_key, metric_key) as (

    values {% for dimension, name in columns %}('{{ dimension }}', '{{ name }}'){{ ', ' if not loop.last }}{% else %}(null, null){% endfor %}

)

select
    coalesce(columns_found.metric_key, metrics.metric_key) as metric_key,
    case when metrics.metric_key is null then 'no row in seeds/metrics.csv' else 'no column in its dimension''s model' end as fault
from columns_found
full outer join {{ ref('metrics') }} as metrics
    on columns_found.metric_key = metrics.metric_key
    and columns_found.dimension_key = metrics.dimension_key
where columns_found.metric_key is null or metrics.metric_key is null
