{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days('restated_days') }}") }}

-- Grain: account x as_of_date x playbook x event, for the run's days and all scored days after them: what account_actions_history is made of, so that a day
-- reads no history but its own and that of 28 days before.
--   opened    the action is there and was not on the account's scored day before
--   ended     the other way round
--   followed  28 days after it opened, with what the score did in them

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

actions as (

    select * from {{ ref('int_actions__account_actions') }}

),

scored as (

    select
        tiers.account_id,
        tiers.as_of_date,
        tiers.previous_as_of_date
    from {{ ref('int_trend__account_tiers') }} as tiers
    inner join restated on tiers.as_of_date = restated.as_of_date

),

opened as (

    select actions.*
    from actions
    inner join restated on actions.as_of_date = restated.as_of_date
    where actions.since = actions.as_of_date

),

ended as (

    select
        before.account_id,
        scored.as_of_date,
        before.playbook_key,
        before.since
    from scored
    inner join actions as before
        on scored.account_id = before.account_id
        and scored.previous_as_of_date = before.as_of_date
    left join actions as now
        on scored.account_id = now.account_id
        and scored.as_of_date = now.as_of_date
        and before.playbook_key = now.playbook_key
    where now.account_id is null

),

followed as (

    select
        opened.account_id,
        trends.as_of_date,
        opened.playbook_key,
        opened.since,
        trends.delta_28d
    from {{ ref('int_trend__account_trends') }} as trends
    inner join restated on trends.as_of_date = restated.as_of_date
    inner join actions as opened
        on trends.account_id = opened.account_id
        and trends.as_of_date = opened.as_of_date + 28
        and opened.since = opened.as_of_date

)

select account_id, as_of_date, playbook_key, 'opened' as event, since as opened_on, label, priority, due_on, cast(null as double) as score_change
from opened
union all
select account_id, as_of_date, playbook_key, 'ended', since, null, null, null, null from ended
union all
select account_id, as_of_date, playbook_key, 'followed', since, null, null, null, delta_28d from followed
