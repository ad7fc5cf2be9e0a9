{# Rolling windows without a join to every day of the window.

   `intervals` is a CTE of (account_id, measure, from_day, to_day, amount): the amount counts on the days [from_day, to_day); a
   null to_day counts for ever. A fact of day t in a window of W days is the interval [t, t + W). +amount at the beginning, -amount at the end and a
   running sum give every measure on every scored day in one pass, however many days are scored. Amounts are exact decimals, so
   what ends leaves no rest.

   Renders the CTE `window_totals`: account_id, as_of_date, day, tenure and one column per measure.
   Needs the CTEs `scored_days` (account_id, as_of_date, day, tenure) and `intervals`. #}
{% macro window_totals(measures) %}
current_intervals as (

    select * from intervals
    where
        from_day <= (select max(day) from scored_days)
        and (to_day is null or (to_day > from_day and to_day > (select min(day) from scored_days)))

),

window_changes as (

    select
        account_id,
        day,
        {%- for measure in measures %}
        sum(case when measure = '{{ measure }}' then amount end) as {{ measure }},
        {%- endfor %}
        max(is_scored) as is_scored,
        max(as_of_date) as as_of_date,
        max(tenure) as tenure
    from (
        select account_id, from_day as day, measure, {{ exact('amount') }} as amount, 0 as is_scored, cast(null as date) as as_of_date, cast(null as integer) as tenure
        from current_intervals
        union all
        select account_id, to_day, measure, -{{ exact('amount') }}, 0, cast(null as date), cast(null as integer)
        from current_intervals
        where to_day is not null
        union all
        select account_id, day, cast(null as varchar), null, 1, as_of_date, tenure
        from scored_days
    ) as changes
    group by account_id, day

),

window_totals as (

    select *
    from (
        select
            account_id,
            as_of_date,
            day,
            tenure,
            is_scored,
            {%- for measure in measures %}
            coalesce(sum({{ measure }}) over (partition by account_id order by day rows unbounded preceding), 0) as {{ measure }}
            {{- "," if not loop.last }}
            {%- endfor %}
        from window_changes
    ) as totals
    where is_scored = 1

)
{% endmacro %}
