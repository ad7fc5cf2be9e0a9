{# The columns of a wide metric model: for each metric `<metric_key>`, its value as a double, and `<metric_key>__state`, a word of
   docs/scoring.md, "Data states": measured, not_applicable, stale, missing or late. The value is null unless the state is measured.

   `metrics` has a dictionary for each metric_key:
     measures          what is summed over days for it, see window_totals; may be left out
     source            raw table whose absence makes it missing and whose lateness makes it late
     value             SQL of the value over the CTEs that the model's last step joins
     states            list of (condition, state), in the order of docs/scoring.md; may be left out
     never_used_value  for models that pass `never_used`: the value of an account that never used the product, 0 if left out

   The order of that chapter: no row up to the day -> missing; late; the metric's own conditions; the never-used rule of adoption;
   the value. A value that comes out null although no condition held is missing: never a bare null.
   Needs the CTEs `scored_days` and `table_states` in the last step. #}
{% macro metric_columns(metrics, never_used=none) %}
    {%- for key, metric in metrics.items() %}
    {%- set conditions = [('table_states.' ~ metric.source ~ '_state is not null', 'table_states.' ~ metric.source ~ '_state')] %}
    {%- for condition, state in metric.states or [] %}
        {%- do conditions.append((condition, data_state("'" ~ state ~ "'"))) %}
    {%- endfor %}
    {%- if never_used %}
        {%- do conditions.append((never_used ~ ' and scored_days.tenure <= 30', data_state("'not_applicable'"))) %}
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
    ) as {{ key }},
    case
        {%- for condition, then_state in conditions %}
        when {{ condition }} then {{ then_state }}
        {%- endfor %}
        when ({{ value }}) is null then {{ data_state("'missing'") }}
        else {{ data_state("'measured'") }}
    end as {{ key }}__state
    {{- "," if not loop.last }}
    {%- endfor %}
{% endmacro %}
