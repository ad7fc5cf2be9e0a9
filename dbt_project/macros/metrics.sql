{# The dimensions, each with its wide model int_metrics__<dimension>. #}
{% macro dimensions() %}{{ return(var('dimensions')) }}{% endmacro %}

{# The metrics that any scorecard has or had, as a list of {key, dimension, bands}: what the wide models loop over. `bands` is the greatest
   number of bands that the metric has on a scorecard.

   `condition` chooses among the rows of int_scoring__scorecard_metrics, for example those of a method. #}
{% macro scorecard_metrics(condition='true') %}
    {%- set metrics = [] %}
    {%- set query %}
        select
            scorecard_metrics.metric_key,
            coalesce(max(metrics.dimension_key), max(scorecard_metrics.dimension_key)),
            coalesce(max(bands.position), 0)
        from {{ ref('int_scoring__scorecard_metrics') }} as scorecard_metrics
        left join {{ ref('metrics') }} as metrics on scorecard_metrics.metric_key = metrics.metric_key
        left join {{ ref('int_scoring__metric_bands') }} as bands on scorecard_metrics.metric_key = bands.metric_key
        where {{ condition }}
        group by scorecard_metrics.metric_key
        order by 2, 1
    {%- endset %}
    {%- for row in (run_query(query).rows if has_warehouse() else []) %}
        {%- do metrics.append({'key': row[0], 'dimension': row[1], 'bands': row[2]}) %}
    {%- endfor %}
    {{- return(metrics) }}
{% endmacro %}

{# `0 + a + b`: the sum of an expression over some metrics; METRIC in it is replaced by the metric's key. #}
{% macro sum_over(metrics, expression) -%}
    0{% for metric in metrics %} + {{ expression | replace('METRIC', metric.key) }}{% endfor %}
{%- endmacro %}

{# A select of the measured values of some metrics on the days that the run scores, one metric below the other: account_id, as_of_date,
   metric_key, value. It has no rows where there are no metrics. #}
{% macro measured_values(metrics) -%}
    {%- for metric in metrics %}
    select account_id, as_of_date, '{{ metric.key }}' as metric_key, {{ metric.key }} as value
    from {{ ref('int_metrics__' ~ metric.dimension) }}
    where
        {{ metric.key }}__state = 'measured'
        and as_of_date in (select as_of_date from {{ ref('int_scoring__scorings') }})
    union all
    {%- endfor %}
    select cast(null as string) as account_id, cast(null as date) as as_of_date, cast(null as string) as metric_key, cast(null as double) as value
    where false
{%- endmacro %}
