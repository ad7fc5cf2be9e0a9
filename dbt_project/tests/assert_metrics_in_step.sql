{{ config(meta={'dagster': {'ref': {'name': 'metrics'}}}) }}

-- A metric is one column in one wide model and one row in seeds/metrics.csv. A row without its column is a fault; a column without
-- its row is a metric that this team does not use. That the shipped catalogue has every metric is tested in Python.

{% set columns = [] %}
{% for dimension in dimensions() %}
    {% set model = ref('int_metrics__' ~ dimension) %}
    {% for column in (adapter.get_columns_in_relation(model) if execute else []) %}
        {% if column.name not in ('account_id', 'as_of_date') and not column.name.endswith('__state') %}
            {% do columns.append((dimension, column.name)) %}
        {% endif %}
    {% endfor %}
{% endfor %}

with columns_found (dimension_key, metric_key) as (

    values {% for dimension, name in columns %}('{{ dimension }}', '{{ name }}'){{ ', ' if not loop.last }}{% else %}(null, null){% endfor %}

)

select
    metrics.metric_key,
    metrics.dimension_key
from {{ ref('metrics') }} as metrics
left join columns_found
    on columns_found.metric_key = metrics.metric_key
    and columns_found.dimension_key = metrics.dimension_key
where columns_found.metric_key is null
