{{ config(materialized='view') }}

-- Grain: account x playbook x opened_on: every action that ever opened, up to the newest scored day, with what became of it.
-- What people log counts for the last action of the playbook that opened by then, also if its condition no longer held by then.
-- ended: its condition no longer held, or the account is no longer scored, and nobody had closed it.

with newest as (

    select max(as_of_date) as as_of_date from {{ ref('int_scoring__account_scores') }}

),

opened as (

    select
        *,
        lead(opened_on) over (partition by account_id, playbook_key order by opened_on) as next_opened_on
    from {{ ref('int_actions__events') }}
    where event = 'opened'

),

ended as (

    select account_id, playbook_key, opened_on, as_of_date as ended_on
    from {{ ref('int_actions__events') }}
    where event = 'ended'

),

followed as (

    select account_id, playbook_key, opened_on, score_change
    from {{ ref('int_actions__events') }}
    where event = 'followed'

),

left_accounts as (

    select
        account_id,
        max(as_of_date) + 1 as left_on
    from {{ ref('int_trend__account_tiers') }}
    where account_id in (select account_id from opened)
    group by account_id
    having max(as_of_date) < (select as_of_date from newest)

),

logged as (

    select
        opened.account_id,
        opened.playbook_key,
        opened.opened_on,
        log.state,
        log.snoozed_until,
        {{ date_of_day('log.logged_day') }} as logged_on,
        case when log.owner_named_day >= {{ day_number('opened.opened_on') }} then log.owner end as owner
    from opened
    cross join newest
    inner join {{ ref('int_actions__logged_days') }} as log
        on opened.account_id = log.account_id
        and opened.playbook_key = log.playbook_key
        and log.logged_day >= {{ day_number('opened.opened_on') }}
        and log.logged_day <= {{ day_number('newest.as_of_date') }}
        and (opened.next_opened_on is null or log.logged_day < {{ day_number('opened.next_opened_on') }})
        -- None after it of the same action, up to the newest day.
        and (
            log.next_logged_day is null
            or log.next_logged_day > {{ day_number('newest.as_of_date') }}
            or log.next_logged_day >= {{ day_number('opened.next_opened_on') }}
        )

),

combined as (

    select
        opened.*,
        newest.as_of_date as newest_day,
        coalesce(logged.owner, accounts.csm) as owner,
        logged.state as logged_state,
        logged.logged_on,
        logged.snoozed_until,
        coalesce(ended.ended_on, left_accounts.left_on) as ended_on,
        followed.score_change as score_change_28d
    from opened
    cross join newest
    left join ended
        on opened.account_id = ended.account_id
        and opened.playbook_key = ended.playbook_key
        and opened.opened_on = ended.opened_on
    left join followed
        on opened.account_id = followed.account_id
        and opened.playbook_key = followed.playbook_key
        and opened.opened_on = followed.opened_on
    left join left_accounts on opened.account_id = left_accounts.account_id
    left join logged
        on opened.account_id = logged.account_id
        and opened.playbook_key = logged.playbook_key
        and opened.opened_on = logged.opened_on
    left join {{ ref('stg_crm__accounts') }} as accounts on opened.account_id = accounts.account_id

),

closed as (

    select
        *,
        case
            when logged_state in ('done', 'dismissed') then logged_state
            when ended_on is not null then 'ended'
            when logged_state = 'snoozed' and snoozed_until > newest_day then 'snoozed'
            else 'open'
        end as state,
        case when logged_state in ('done', 'dismissed') then least(logged_on, ended_on) else ended_on end as closed_on
    from combined

)

select
    account_id,
    playbook_key,
    opened_on,
    label,
    priority,
    owner,
    due_on,
    state,
    case when state = 'snoozed' then snoozed_until end as snoozed_until,
    closed_on,
    {{ day_number('coalesce(closed_on, newest_day)') }} - {{ day_number('opened_on') }} as days_open,
    score_change_28d
from closed
