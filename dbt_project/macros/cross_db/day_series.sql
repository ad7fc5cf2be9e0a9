{# One row (day) for each day number from first to last, both included. The bounds are scalar expressions over `from_relation`. #}
{% macro day_series(first, last, from_relation) %}{{ return(adapter.dispatch('day_series')(first, last, from_relation)) }}{% endmacro %}

{% macro duckdb__day_series(first, last, from_relation) %}
    select cast(unnest(generate_series({{ first }}, {{ last }})) as integer) as day from {{ from_relation }}
{% endmacro %}

{% macro spark__day_series(first, last, from_relation) %}
    select explode(sequence({{ first }}, {{ last }})) as day from {{ from_relation }}
{% endmacro %}
