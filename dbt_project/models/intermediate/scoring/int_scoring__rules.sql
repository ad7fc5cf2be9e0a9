{{ config(materialized='view') }}

-- Grain: scorecard. int_scoring__scorecard_metrics as one wide row, so that an account-day meets all of its rules in one join. A metric that is not
-- on the scorecard weighs 0 and has no nominal weight; worst and best are there for the method linear only.

{% set metrics = scorecard_metrics() %}

select
    scorecard_id
    {%- for dimension in dimensions() %},
    coalesce(max(case when dimension_key = '{{ dimension }}' then dimension_weight end), 0) as {{ dimension }}__weight,
    sum(case when dimension_key = '{{ dimension }}' then nominal_weight end) as {{ dimension }}__nominal_weight
    {%- endfor %}
    {%- for metric in metrics %},
    coalesce(max(case when metric_key = '{{ metric.key }}' then weight end), 0) as {{ metric.key }}__weight,
    max(case when metric_key = '{{ metric.key }}' then nominal_weight end) as {{ metric.key }}__nominal_weight,
    max(case when metric_key = '{{ metric.key }}' and method = 'linear' then worst end) as {{ metric.key }}__worst,
    max(case when metric_key = '{{ metric.key }}' and method = 'linear' then best end) as {{ metric.key }}__best,
    max(case when metric_key = '{{ metric.key }}' then score_without_value end) as {{ metric.key }}__score_without_value
    {%- endfor %}
from {{ ref('int_scoring__scorecard_metrics') }}
group by scorecard_id
