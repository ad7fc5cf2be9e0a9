{{ config(materialized=long_view()) }}

-- Grain: scorecard. int_scoring__scorecard_metrics as one wide row, so that an account-day meets all of its rules in one join. A metric that is not
-- on the scorecard weighs 0 and has no nominal weight; worst and best are there for the method linear only. Of the bands the first is the highest.

{% set metrics = scorecard_metrics() %}

with rules as (

    select
        scorecard_id
        {%- for dimension in dimensions() %},
        coalesce(max(case when dimension_key = '{{ dimension }}' then dimension_weight end), 0) as {{ dimension }}__weight,
        sum(case when dimension_key = '{{ dimension }}' then nominal_weight end) as {{ dimension }}__nominal_weight
        {%- endfor %}
        {%- for metric in metrics %},
        coalesce(max(case when metric_key = '{{ metric.key }}' then weight end), 0) as {{ metric.key }}__weight,
        max(case when metric_key = '{{ metric.key }}' then nominal_weight end) as {{ metric.key }}__nominal_weight,
        max(case when metric_key = '{{ metric.key }}' then method end) as {{ metric.key }}__method,
        max(case when metric_key = '{{ metric.key }}' and method = 'linear' then worst end) as {{ metric.key }}__worst,
        max(case when metric_key = '{{ metric.key }}' and method = 'linear' then best end) as {{ metric.key }}__best,
        max(case when metric_key = '{{ metric.key }}' then score_without_value end) as {{ metric.key }}__score_without_value
        {%- endfor %}
    from {{ ref('int_scoring__scorecard_metrics') }}
    group by scorecard_id

),

bands as (

    select
        scorecard_id
        {%- for metric in metrics %}
        {%- for band in range(1, 1 + (metric.bands or 0)) %},
        max(case when metric_key = '{{ metric.key }}' and position = {{ band }} then lower_bound end) as {{ metric.key }}__bound_{{ band }},
        max(case when metric_key = '{{ metric.key }}' and position = {{ band }} then score end) as {{ metric.key }}__score_{{ band }}
        {%- endfor %}
        {%- endfor %}
    from {{ ref('int_scoring__metric_bands') }}
    group by scorecard_id

)

select
    rules.*
    {%- for metric in metrics %}
    {%- for band in range(1, 1 + (metric.bands or 0)) %},
    bands.{{ metric.key }}__bound_{{ band }},
    bands.{{ metric.key }}__score_{{ band }}
    {%- endfor %}
    {%- endfor %}
from rules
left join bands on rules.scorecard_id = bands.scorecard_id
