{# Long rows (account_id, as_of_date, scorecard_code, metric_code, value, state) of a wide metric model, for the days of the run,
   each with the scorecard of its account and day: joined before the rows multiply.

   The columns are read from the warehouse, so a new metric needs no change here; a column whose metric_key has no row in
   seeds/metrics.csv is left out. Days before a metric was added have no state for it: there it is missing. The states, words in the wide models, become the small integers of macros/state.sql. #}
{% macro unpivot_metrics(relation, account_scorecards) %}
    {%- if not execute %}{{ return('select null') }}{% endif %}
    {%- set metrics = metrics_of(relation) %}
    {{- return(adapter.dispatch('unpivot_metrics')(relation, account_scorecards, metrics)) }}
{% endmacro %}

{% macro default__unpivot_metrics(relation, account_scorecards, metrics) %}
    {%- for metric_key, code in metrics %}
    select
        wide.account_id,
        wide.as_of_date,
        account_scorecards.scorecard_code,
        cast({{ code }} as smallint) as metric_code,
        wide.{{ metric_key }} as value,
        {{ state_code('wide.' ~ metric_key ~ '__state') }} as state
    from {{ relation }} as wide
    inner join {{ account_scorecards }} as account_scorecards
        on wide.account_id = account_scorecards.account_id
        and wide.as_of_date = account_scorecards.as_of_date
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{% macro duckdb__unpivot_metrics(relation, account_scorecards, metrics) %}
    select
        wide.account_id,
        wide.as_of_date,
        account_scorecards.scorecard_code,
        unnest([{% for metric_key, code in metrics %}cast({{ code }} as smallint){{ ', ' if not loop.last }}{% endfor %}]) as metric_code,
        unnest([{% for metric_key, code in metrics %}wide.{{ metric_key }}{{ ', ' if not loop.last }}{% endfor %}]) as value,
        unnest([{% for metric_key, code in metrics %}{{ state_code('wide.' ~ metric_key ~ '__state') }}{{ ', ' if not loop.last }}{% endfor %}]) as state
    from {{ relation }} as wide
    inner join {{ account_scorecards }} as account_scorecards
        on wide.account_id = account_scorecards.account_id
        and wide.as_of_date = account_scorecards.as_of_date
{% endmacro %}

{# The metrics of a wide metric model as a list of (metric_key, code). #}
{% macro metrics_of(relation) %}
    {%- set codes = {} %}
    {%- for row in run_query("select key, code from " ~ source('control', 'codes') ~ " where kind = 'metric'").rows %}
        {%- do codes.update({row[0]: row[1]}) %}
    {%- endfor %}
    {%- set metrics = [] %}
    {%- for column in adapter.get_columns_in_relation(relation) if column.name in codes %}
        {%- do metrics.append((column.name, codes[column.name])) %}
    {%- endfor %}
    {{- return(metrics) }}
{% endmacro %}
