{{ config(materialized='view') }}

-- Grain: account x as_of_date x playbook whose conditions all hold: what to do, and why, in the account's own numbers.

select
    actions.account_id,
    actions.as_of_date,
    actions.playbook_key,
    actions.label,
    actions.priority,
    actions.reason,
    actions.since,
    actions.due_on,
    actions.state,
    actions.snoozed_until,
    actions.owner,
    scores.config_version,
    scores.run_id,
    scores.configuration_hash
from {{ ref('int_actions__account_actions') }} as actions
inner join {{ ref('int_scoring__account_scores') }} as scores
    on actions.account_id = scores.account_id
    and actions.as_of_date = scores.as_of_date
