{# Rows of the earlier day of each pair of the change ledger, under the scorecard of the later day: the account's own rows where it had that
   scorecard, else those of the what-if scoring.

   `columns` are taken from either relation; the filters name its rows as `rows_of_day`. Needs the CTE `pairs`. #}
{% macro earlier_day(own, whatif, columns, own_filter='true', whatif_filter='true') %}
{%- for relation, same, filter in [(own, true, own_filter), (whatif, false, whatif_filter)] %}
    select
        pairs.account_id,
        pairs.as_of_date,
        pairs.k,
        {{ columns_of('rows_of_day', columns) }}
    from pairs
    inner join {{ relation }} as rows_of_day
        on pairs.account_id = rows_of_day.account_id
        and pairs.earlier_date = rows_of_day.as_of_date
        and pairs.scorecard_code = rows_of_day.scorecard_code
    where
        pairs.scorecard_code {{ '=' if same else '<>' }} pairs.earlier_scorecard_code
        and {{ filter }}
    {{ 'union all' if not loop.last }}
{%- endfor %}
{% endmacro %}
