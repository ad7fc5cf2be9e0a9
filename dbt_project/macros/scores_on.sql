{# The rows of int_scoring__scores on a track. Planning that wide query takes a fifth of a second, with or without rows: where the run scores nothing on
   the track, as without a candidate version, it is left out. #}
{% macro scores_on(track) -%}
    {%- set asked = "select 1 from " ~ ref('int_scoring__scorings') ~ " where track = '" ~ track ~ "' limit 1" %}
    {%- if not has_warehouse() or run_query(asked).rows -%}
    (select * from {{ ref('int_scoring__scores') }} where track = '{{ track }}')
    {%- else -%}
    (select * from {{ ref('int_scoring__account_scores') }} where false)
    {%- endif %}
{%- endmacro %}
