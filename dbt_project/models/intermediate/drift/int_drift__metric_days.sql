{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('drift_days') }}") }}

-- Grain: as_of_date x metric: over the accounts that had a measured value on the day and on the day before, how many moved up, how many down,
-- and the means of both days; and for the raw feed, events per active user against the 28 days before. A few dozen rows a day; what is usual is
-- judged over all of them (metric_drift).

{% set metrics = scorecard_metrics() %}

with days as (

    select
        later.as_of_date
        {%- for metric in metrics %},
        count(later.{{ metric.key }} - earlier.{{ metric.key }}) as {{ metric.key }}__accounts,
        count(case when later.{{ metric.key }} > earlier.{{ metric.key }} then 1 end) as {{ metric.key }}__up,
        count(case when later.{{ metric.key }} < earlier.{{ metric.key }} then 1 end) as {{ metric.key }}__down,
        sum(case when earlier.{{ metric.key }} is not null then {{ exact('later.' ~ metric.key) }} end) as {{ metric.key }}__after,
        sum(case when later.{{ metric.key }} is not null then {{ exact('earlier.' ~ metric.key) }} end) as {{ metric.key }}__before
        {%- endfor %}
    from {{ ref('int_scoring__account_scores') }} as later
    inner join {{ ref('int_scoring__account_scores') }} as earlier
        on later.account_id = earlier.account_id
        and later.as_of_date = earlier.as_of_date + 1
    where later.as_of_date in (select as_of_date from {{ source('control', 'drift_days') }})
    group by later.as_of_date

)

{% for metric in metrics %}
select
    as_of_date,
    '{{ metric.key }}' as metric_key,
    cast({{ metric.key }}__accounts as integer) as accounts,
    cast({{ metric.key }}__up as integer) as moved_up,
    cast({{ metric.key }}__down as integer) as moved_down,
    cast({{ metric.key }}__before as double) / {{ metric.key }}__accounts as mean_before,
    cast({{ metric.key }}__after as double) / {{ metric.key }}__accounts as mean_after
from days
where {{ metric.key }}__accounts > 0
union all
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
