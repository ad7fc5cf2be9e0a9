{# Long rows (account_id, as_of_date, metric_code, value, state) of a wide metric model, for the days of the run.

   The columns are read from the warehouse, so a new metric needs no change here; a column whose metric_key has no row in
   seeds/metrics.csv is left out, which the test assert_metrics_in_step reports. #}
{% macro unpivot_metrics(relation) %}
    {%- if not execute %}{{ return('select null') }}{% endif %}
    {%- set codes = {} %}
    {%- for row in run_query("select key, code from " ~ source('control', 'codes') ~ " where kind = 'metric'").rows %}
        {%- do codes.update({row[0]: row[1]}) %}
    {%- endfor %}
    {%- set metrics = [] %}
    {%- for column in adapter.get_columns_in_relation(relation) if column.name in codes %}
        {%- do metrics.append((column.name, codes[column.name])) %}
    {%- endfor %}
    {{- return(adapter.dispatch('unpivot_metrics')(relation, metrics)) }}
{% endmacro %}

{% macro default__unpivot_metrics(relation, metrics) %}
    {%- for metric_key, code in metrics %}
    select account_id, as_of_date, cast({{ code }} as smallint) as metric_code, {{ metric_key }} as value, {{ metric_key }}_state as state
    from {{ relation }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{% macro duckdb__unpivot_metrics(relation, metrics) %}
    select
        account_id,
        as_of_date,
        unnest([{% for metric_key, code in metrics %}cast({{ code }} as smallint){{ ', ' if not loop.last }}{% endfor %}]) as metric_code,
        unnest([{% for metric_key, code in metrics %}{{ metric_key }}{{ ', ' if not loop.last }}{% endfor %}]) as value,
        unnest([{% for metric_key, code in metrics %}{{ metric_key }}_state{{ ', ' if not loop.last }}{% endfor %}]) as state
    from {{ relation }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
{% endmacro %}
