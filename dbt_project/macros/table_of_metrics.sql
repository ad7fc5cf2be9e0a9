{# The raw table under whose name metrics ask for what a raw table holds: usage comes as single events, or counted by day. #}
{% macro table_of_metrics(table_name) %}case when {{ table_name }} = 'usage_days' then 'usage_events' else {{ table_name }} end{% endmacro %}
