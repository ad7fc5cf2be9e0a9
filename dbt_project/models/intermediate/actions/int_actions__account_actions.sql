{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date x playbook whose conditions all hold, for the run's days and all scored days after them.
-- With its state on that day, by what people logged since it opened, up to the day. A fallback holds only where no other playbook does.
-- No text of a playbook becomes SQL: numbers, texts and words come as rows. A condition on a value that is not there does not hold.

{% set fields = playbook_fields() %}
{% set playbooks = team_playbooks(fields) %}

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

facts as (

    select * from {{ ref('int_actions__facts') }}

),

-- What the conditions compare with, in one row.
compared as (

    select
        count(*) as conditions
        {%- for condition in playbooks | map(attribute='conditions') | sum(start=[]) %},
        max(case when position = {{ condition.position }} then {{ condition.kind }}_value end) as {{ condition.kind }}_{{ condition.position }}
        {%- endfor %}
    from {{ source('control', 'playbook_conditions') }}

),

checked as (

    select
        facts.account_id,
        facts.as_of_date,
        facts.previous_as_of_date
        {%- for playbook in playbooks %},
        coalesce(
            {%- for condition in playbook.conditions %}
            {{ 'and ' if not loop.first }}{{ condition.field }} {{ condition.operator }} compared.{{ condition.kind }}_{{ condition.position }}
            {%- endfor %},
            false
        ) as holds_{{ playbook.number }}
        {%- endfor %}
    from facts
    cross join compared

),

fulfilled as (

    {% for playbook in playbooks %}
    select
        account_id,
        as_of_date,
        previous_as_of_date,
        {{ playbook.number }} as number
    from checked
    where
        holds_{{ playbook.number }}
        {%- for other in playbooks if playbook.is_fallback and not other.is_fallback %}
        and not holds_{{ other.number }}
        {%- endfor %}
    union all
    {% endfor %}
    select
        account_id,
        as_of_date,
        previous_as_of_date,
        0 as number
    from checked
    where false

),

holding as (

    select
        fulfilled.account_id,
        fulfilled.as_of_date,
        fulfilled.previous_as_of_date,
        fulfilled.number,
        playbooks.playbook_key
    from fulfilled
    inner join {{ source('control', 'playbooks') }} as playbooks on fulfilled.number = playbooks.number

),

{% if is_incremental() %}
carried as (

    select
        history.account_id,
        history.as_of_date,
        history.playbook_key,
        history.since
    from {{ this }} as history
    where history.as_of_date < (select min(as_of_date) from restated)

),
{% endif %}

begun as (

    select
        holding.*,
        case
            when before.account_id is not null then null
            {% if is_incremental() %}when carried.account_id is not null then carried.since{% endif %}
            else holding.as_of_date
        end as begins_on
    from holding
    left join holding as before
        on holding.account_id = before.account_id
        and holding.previous_as_of_date = before.as_of_date
        and holding.playbook_key = before.playbook_key
    {% if is_incremental() %}
    left join carried
        on holding.account_id = carried.account_id
        and holding.previous_as_of_date = carried.as_of_date
        and holding.playbook_key = carried.playbook_key
    {% endif %}

),

dated as (

    select
        account_id,
        as_of_date,
        number,
        playbook_key,
        max(begins_on) over (partition by account_id, playbook_key order by as_of_date rows unbounded preceding) as since
    from begun

),

-- The words of all reasons, and the units of what they show, in one row each.
words as (

    select
        max(run.reporting_currency) as reporting_currency
        {%- for piece in playbooks | map(attribute='reason') | sum(start=[]) if not piece.field %},
        max(case when parts.position = {{ piece.position }} then parts.part end) as words_{{ piece.position }}
        {%- endfor %}
    from {{ source('control', 'playbook_parts') }} as parts
    cross join {{ source('control', 'run') }} as run

),

units as (

    select
        count(*) as metrics
        {%- for field in fields if field.kind in ('metric', 'change') %},
        max(case when metric_key = '{{ field.key }}' then unit end) as {{ field.column }}
        {%- endfor %}
    from {{ ref('metrics') }}

),

explained as (

    select
        dated.*,
        case dated.number
            when 0 then cast(null as string)
            {%- for playbook in playbooks if playbook.reason %}
            when {{ playbook.number }} then
                {%- for piece in playbook.reason %}
                {{ '|| ' if not loop.first }}
                {%- if piece.field -%}
                coalesce({{ field_in_words(piece.field, 'units.' ~ piece.field.column) }}, 'unknown')
                {%- else -%}
                words.words_{{ piece.position }}
                {%- endif %}
                {%- endfor %}
            {%- endfor %}
        end as reason
    from dated
    inner join facts
        on dated.account_id = facts.account_id
        and dated.as_of_date = facts.as_of_date
    cross join words
    cross join units

),

-- The last entry since the action opened, and whom the last one that names somebody names.
logged as (

    select
        dated.account_id,
        dated.as_of_date,
        dated.playbook_key,
        log.state,
        log.snoozed_until,
        case when log.owner_named_day >= {{ day_number('dated.since') }} then log.owner end as owner
    from dated
    inner join {{ ref('int_actions__logged_days') }} as log
        on dated.account_id = log.account_id
        and dated.playbook_key = log.playbook_key
        and log.logged_day between {{ day_number('dated.since') }} and {{ day_number('dated.as_of_date') }}
        and (log.next_logged_day is null or log.next_logged_day > {{ day_number('dated.as_of_date') }})

)

select
    explained.account_id,
    explained.as_of_date,
    explained.playbook_key,
    playbooks.label,
    playbooks.priority,
    explained.reason,
    explained.since,
    explained.since + playbooks.due_days as due_on,
    case
        when logged.state is null or (logged.state = 'snoozed' and logged.snoozed_until <= explained.as_of_date) then 'open'
        else logged.state
    end as state,
    case when logged.state = 'snoozed' and logged.snoozed_until > explained.as_of_date then logged.snoozed_until end as snoozed_until,
    coalesce(logged.owner, accounts.csm) as owner
from explained
inner join {{ source('control', 'playbooks') }} as playbooks on explained.number = playbooks.number
left join {{ ref('stg_crm__accounts') }} as accounts on explained.account_id = accounts.account_id
left join logged
    on explained.account_id = logged.account_id
    and explained.as_of_date = logged.as_of_date
    and explained.playbook_key = logged.playbook_key
