{# The keys of the metrics whose condition holds, with blanks between: key -> condition. #}
{% macro metrics_that_count(conditions) -%}
    trim(
        {%- for keys, condition in conditions.items() %}
        {{ '|| ' if not loop.first }}case when {{ condition }} then ' {{ keys }}' else '' end
        {%- endfor %}
    )
{%- endmacro %}
