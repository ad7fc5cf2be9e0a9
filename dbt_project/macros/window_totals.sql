{# A select of rolling windows without a join to every day of the window.

   `metrics` are those of a wide metric model (see metric_columns); each may name `measures`, which are summed here. A measure is a dictionary:
     of        CTE with the facts, with the column account_id
     where     SQL: which facts count; all if left out
     from      SQL: first day on which the fact counts
     days      for how many days it counts; or `to`, SQL: first day on which it no longer counts, null for never
     amount    SQL: what it adds; left out: it is counted

   A fact of day t in a window of W days counts on [t, t + W). +amount at the beginning, -amount at the end and a running sum give every
   measure on every scored day in one pass, however many days are scored. Amounts are exact decimals, so adding a fact and later
   removing it gives exactly zero. Counts are bigint: the engine's sum of integers is wider, and twice as slow to sum again.

   It has account_id, as_of_date, day and one column for each measure.
   Needs the CTEs `scored_days` (account_id, as_of_date, day) and those that the measures name. #}
{% macro window_totals(metrics) %}
    {%- set measures = {} %}
    {%- for metric in metrics.values() %}
        {%- do measures.update(metric.measures or {}) %}
    {%- endfor %}
    with intervals as (

        {%- for name, measure in measures.items() %}
        select
            account_id,
            '{{ name }}' as measure,
            {{ measure.from }} as from_day,
            cast({{ measure.from ~ ' + ' ~ measure.days if measure.days else measure.to or 'null' }} as integer) as to_day,
            {{ exact(measure.amount or 'null') }} as amount
        from {{ measure.of }}
        {%- if measure.where %}
        where {{ measure.where }}
        {%- endif %}
        {{ 'union all' if not loop.last }}
        {%- endfor %}

    ),

    -- What began before the first scored day is as if it began on it.
    current_intervals as (

        select
            account_id,
            measure,
            greatest(from_day, (select min(day) from scored_days)) as from_day,
            to_day,
            amount
        from intervals
        where
            from_day <= (select max(day) from scored_days)
            and (to_day is null or (to_day > from_day and to_day > (select min(day) from scored_days)))

    ),

    window_changes as (

        select
            account_id,
            day,
            {%- for name, measure in measures.items() %}
            {%- if measure.amount %}
            sum(case when measure = '{{ name }}' then amount end) as {{ name }},
            {%- else %}
            cast(sum(case when measure = '{{ name }}' then facts end) as bigint) as {{ name }},
            {%- endif %}
            {%- endfor %}
            max(is_scored) as is_scored,
            max(as_of_date) as as_of_date
        from (
            select account_id, from_day as day, measure, 1 as facts, amount, 0 as is_scored, cast(null as date) as as_of_date
            from current_intervals
            union all
            select account_id, to_day, measure, -1, -amount, 0, cast(null as date)
            from current_intervals
            where to_day <= (select max(day) from scored_days)
            union all
            select account_id, day, cast(null as string), null, null, 1, as_of_date
            from scored_days
        ) as changes
        group by account_id, day

    )

    select *
    from (
        select
            account_id,
            as_of_date,
            day,
            is_scored,
            {%- for name, measure in measures.items() %}
            {%- set total = 'coalesce(sum(' ~ name ~ ') over (partition by account_id order by day rows unbounded preceding), 0)' %}
            {{ total if measure.amount else 'cast(' ~ total ~ ' as bigint)' }} as {{ name }}
            {{- "," if not loop.last }}
            {%- endfor %}
        from window_changes
    ) as totals
    where is_scored = 1
{% endmacro %}
