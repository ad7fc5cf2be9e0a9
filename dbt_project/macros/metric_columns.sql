{# The columns of a wide metric model: for each metric its value and its state, `<metric>` and `<metric>_state`.

   A metric is a dictionary:
     key               metric_key, the column's name
     source            raw table whose absence makes it missing and whose lateness makes it late
     value             SQL of the value over the columns of the model's last step
     states            list of (condition, state), in the order of the specification; may be left out
     never_used_value  for models that pass `never_used`: the value of an account that never used the product, 0 if left out

   The order of section 3: no row up to the day -> missing; late; the metric's own conditions; the never-used rule of adoption;
   the value. A value that comes out null although no condition held is missing: never a bare null. #}
{% macro metric_columns(metrics, never_used=none) %}
    {%- for metric in metrics %}
    {%- set conditions = [(metric.source ~ '_state is not null', metric.source ~ '_state')] %}
    {%- for condition, name in metric.states or [] %}
        {%- do conditions.append((condition, state(name))) %}
    {%- endfor %}
    {%- if never_used %}
        {%- do conditions.append((never_used ~ ' and tenure <= 30', state('not_applicable'))) %}
        {%- set value = 'case when ' ~ never_used ~ ' then ' ~ (metric.never_used_value or 0) ~ ' else ' ~ metric.value ~ ' end' %}
    {%- else %}
        {%- set value = metric.value %}
    {%- endif %}
    cast(
        case
            {%- for condition, then_state in conditions %}
            when {{ condition }} then null
            {%- endfor %}
            else {{ value }}
        end as double
    ) as {{ metric.key }},
    cast(
        case
            {%- for condition, then_state in conditions %}
            when {{ condition }} then {{ then_state }}
            {%- endfor %}
            when ({{ value }}) is null then {{ state('missing') }}
            else {{ state('measured') }}
        end as varchar
    ) as {{ metric.key }}__state
    {{- "," if not loop.last }}
    {%- endfor %}
{% endmacro %}
