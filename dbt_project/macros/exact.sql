{# Sums run over exact decimals: the result does not depend on the order in which the engine's threads add, so a rerun gives
   the same bits, and adding an amount at one end of a window and removing it at the other gives exactly zero. Fifteen decimals hold
   every digit of a double below 10; the contract's limits keep sums below the 23 digits before the point. #}
{% macro exact(expression) %}cast({{ expression }} as decimal(38, 15)){% endmacro %}

{# The same for durations, which count to the microsecond: their sum is the same whether it was made here, of events, or by the source. #}
{% macro exact_duration(expression) %}cast({{ expression }} as decimal(38, 6)){% endmacro %}

{# The same for weights, which may be as small as a millionth and as great as a million (orchestration/scorecard/schema.py sees to that). #}
{% macro exact_weight(expression) %}cast({{ expression }} as decimal(38, 22)){% endmacro %}

{# Noise of floating-point arithmetic ends here: rounds to 9 decimals, then half away from zero to `digits`. #}
{% macro round_half_away(expression, digits) -%}
    cast(round(cast({{ expression }} as decimal(38, 9)), {{ digits }}) as double)
{%- endmacro %}

{# A double, rounded to `digits`. With a second argument Spark's `round` goes by the digits that it would print (285e-3 to 2 digits is 0.29), DuckDB's
   multiplies, as here (0.28). #}
{% macro rounded(expression, digits) %}(round(({{ expression }}) * 1e{{ digits }}) / 1e{{ digits }}){% endmacro %}
