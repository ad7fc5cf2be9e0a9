{# Seconds from one timestamp to another with their fractions. #}
{% macro seconds_between(earlier, later) %}{{ return(adapter.dispatch('seconds_between')(earlier, later)) }}{% endmacro %}

{% macro duckdb__seconds_between(earlier, later) %}(epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1e6{% endmacro %}

{% macro spark__seconds_between(earlier, later) %}(unix_micros({{ later }}) - unix_micros({{ earlier }})) / 1e6{% endmacro %}
