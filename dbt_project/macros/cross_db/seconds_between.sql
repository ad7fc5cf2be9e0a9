{# Seconds from one timestamp to another with their fractions. #}
{% macro seconds_between(earlier, later) %}{{ return(adapter.dispatch('seconds_between')(earlier, later)) }}{% endmacro %}

{% macro default__seconds_between(earlier, later) %}(unix_micros({{ later }}) - unix_micros({{ earlier }})) / 1000000.0{% endmacro %}

{% macro duckdb__seconds_between(earlier, later) %}(epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1000000.0{% endmacro %}
