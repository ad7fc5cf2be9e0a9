{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('drift_days') }}") }}

-- Grain: as_of_date x metric: over the accounts that had a measured value on the day and on the day before, how many moved up, how many down,
-- and the means of both days; and for the raw feed, events per active user against the 28 days before. A few dozen rows a day; what is usual is
-- judged over all of them (metric_drift).

{% for dimension in dimensions() %}
{% set model = ref('int_metrics__' ~ dimension) %}
{% set metrics = metrics_of(model) if execute else [] %}
{% if loop.first %}with {% endif %}{{ dimension }} as (

    select
        later.as_of_date
        {%- for metric, code in metrics %},
        count(later.{{ metric }} - earlier.{{ metric }}) as {{ metric }}_accounts,
        count(case when later.{{ metric }} > earlier.{{ metric }} then 1 end) as {{ metric }}_up,
        count(case when later.{{ metric }} < earlier.{{ metric }} then 1 end) as {{ metric }}_down,
        sum(case when earlier.{{ metric }} is not null then {{ exact('later.' ~ metric) }} end) as {{ metric }}_after,
        sum(case when later.{{ metric }} is not null then {{ exact('earlier.' ~ metric) }} end) as {{ metric }}_before
        {%- endfor %}
    from {{ model }} as later
    inner join {{ model }} as earlier
        on later.account_id = earlier.account_id
        and later.as_of_date = {{ dbt.dateadd('day', 1, 'earlier.as_of_date') }}
    where later.as_of_date in (select as_of_date from {{ source('control', 'drift_days') }})
    group by later.as_of_date

){{ ',' if not loop.last }}
{% endfor %}

{% for dimension in dimensions() %}
{% for metric, code in (metrics_of(ref('int_metrics__' ~ dimension)) if execute else [('none', 0)]) %}
select
    as_of_date,
    '{{ metric }}' as metric_key,
    cast({{ metric }}_accounts as integer) as accounts,
    cast({{ metric }}_up as integer) as moved_up,
    cast({{ metric }}_down as integer) as moved_down,
    cast({{ metric }}_before as double) / {{ metric }}_accounts as mean_before,
    cast({{ metric }}_after as double) / {{ metric }}_accounts as mean_after
from {{ dimension }}
where {{ metric }}_accounts > 0
union all
{% endfor %}
{% endfor %}
select
    as_of_date,
    'events_per_active_user' as metric_key,
    accounts,
    moved_up,
    moved_down,
    mean_before,
    mean_after
from {{ ref('int_drift__event_rates') }}
