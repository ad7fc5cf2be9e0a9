{{ config(materialized='view') }}

-- Grain: playbook, and all of them (is_total): what the score did in the 28 days after an action opened, of those done within them and of the others.
-- It compares and proves nothing: people choose what they do. Intervals are 95%, by the normal approximation, as if actions were independent.

{% set groups = {'done': 'is_done', 'not_done': 'not is_done'} %}

with followed as (

    select
        playbook_key,
        label,
        -- Sums of decimals do not depend on the order of the rows, so the last digit is the same in every run.
        cast(score_change_28d as decimal(18, 9)) as score_change_28d,
        state = 'done' and closed_on <= opened_on + 28 as is_done
    from {{ ref('account_actions_history') }}
    where score_change_28d is not null

),

scopes as (

    select playbook_key, label, false as is_total, score_change_28d, is_done from followed
    union all
    select cast(null as string), 'All playbooks', true, score_change_28d, is_done from followed

),

figures as (

    select
        playbook_key,
        max(label) as label,
        is_total
        {%- for name, condition in groups.items() %},
        sum(case when {{ condition }} then 1 else 0 end) as {{ name }},
        avg(case when {{ condition }} then score_change_28d end) as {{ name }}_change,
        stddev_samp(case when {{ condition }} then score_change_28d end) as {{ name }}_deviation
        {%- endfor %}
    from scopes
    group by playbook_key, is_total

),

errors as (

    select
        *
        {%- for name in groups %},
        {{ name }}_deviation / sqrt(nullif({{ name }}, 0)) as {{ name }}_error
        {%- endfor %}
    from figures

)

select
    playbook_key,
    label,
    is_total
    {%- for name in groups %},
    cast({{ name }} as bigint) as {{ name }},
    {{ rounded(name ~ '_change', 2) }} as {{ name }}_change,
    {{ rounded(name ~ '_change - 1.96e0 * ' ~ name ~ '_error', 2) }} as {{ name }}_change_low,
    {{ rounded(name ~ '_change + 1.96e0 * ' ~ name ~ '_error', 2) }} as {{ name }}_change_high
    {%- endfor %},
    {{ rounded('done_change - not_done_change', 2) }} as difference,
    {{ rounded('done_change - not_done_change - 1.96e0 * sqrt(done_error * done_error + not_done_error * not_done_error)', 2) }} as difference_low,
    {{ rounded('done_change - not_done_change + 1.96e0 * sqrt(done_error * done_error + not_done_error * not_done_error)', 2) }} as difference_high
from errors
