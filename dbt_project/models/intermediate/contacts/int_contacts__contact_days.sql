-- Grain: account x contact x as_of_date, for the days of the run: every contact who had joined by then, those who have left since included.
-- A contact was heard of on a day with a usage event of its user, an inbound touchpoint or one that it answered. What lies a year or more
-- before the day does not matter, so a run reads a year of usage at most; of the year before its first day only each contact's last day.

{% set looks_back = var('heard_days') %}

with bounds as (

    select
        min(day) as first_day,
        max(day) as last_day
    from {{ source('control', 'as_of_days') }}

),

roles as (

    select * from {{ ref('int_contacts__roles') }}

),

scored_contacts as (

    select
        scored_days.as_of_date,
        scored_days.day,
        roles.*
    from {{ ref('int_accounts__scored_days') }} as scored_days
    inner join roles
        on scored_days.account_id = roles.account_id
        and scored_days.day >= roles.joined_day
        and (roles.next_joined_day is null or scored_days.day < roles.next_joined_day)

),

-- Until a touchpoint names a contact, nobody can tell whether one without a user was ever heard of.
first_named as (

    select min(touchpoints.occurred_day) as day
    from {{ ref('stg_crm__touchpoints') }} as touchpoints
    inner join {{ ref('stg_crm__accounts') }} as accounts on touchpoints.account_id = accounts.account_id
    where touchpoints.contact_id is not null

),

heard_days as (

    select
        heard.account_id,
        heard.contact_id,
        heard.joined_day,
        max(heard.day) as day
    from {{ ref('int_contacts__heard') }} as heard
    cross join bounds
    where heard.day > bounds.first_day - {{ looks_back }} and heard.day <= bounds.last_day
    group by heard.account_id, heard.contact_id, heard.joined_day, greatest(heard.day, bounds.first_day)

),

last_heard as (

    select *
    from (
        select
            account_id,
            contact_id,
            joined_day,
            day,
            is_scored,
            -- Rows of the same day count, too.
            max(heard_day) over (partition by account_id, contact_id, joined_day order by day) as last_heard_day
        from (
            select account_id, contact_id, joined_day, day, day as heard_day, 0 as is_scored from heard_days
            union all
            select account_id, contact_id, joined_day, day, cast(null as integer), 1 from scored_contacts
        ) as days
    ) as heard_so_far
    where is_scored = 1

)

select
    contacts.account_id,
    contacts.contact_id,
    contacts.as_of_date,
    contacts.day,
    contacts.role,
    contacts.joined_day,
    contacts.left_day is null or contacts.left_day > contacts.day as is_in_force,
    case when contacts.left_day <= contacts.day then contacts.left_day end as left_day,
    case when last_heard.last_heard_day > contacts.day - {{ looks_back }} then last_heard.last_heard_day end as last_contact_day,
    coalesce(first_named.day <= contacts.day, false)
    or (contacts.user_id is not null and coalesce(table_states.usage_events_state <> 'missing', true)) as can_be_heard
from scored_contacts as contacts
inner join last_heard
    on contacts.account_id = last_heard.account_id
    and contacts.contact_id = last_heard.contact_id
    and contacts.joined_day = last_heard.joined_day
    and contacts.day = last_heard.day
inner join {{ ref('int_accounts__table_states') }} as table_states on contacts.as_of_date = table_states.as_of_date
cross join first_named
