-- Grain: contact of an account that was scored on the newest scored day, in the role of that day: who had joined by then, those who have
-- left included.
-- Ids may be mail addresses, so that rows are numbered instead.

with newest as (

    select
        max(as_of_date) as as_of_date,
        {{ day_number('max(as_of_date)') }} as day
    from {{ ref('int_scoring__account_scores') }}

),

scored as (

    select scores.account_id
    from {{ ref('int_scoring__account_scores') }} as scores
    inner join newest on scores.as_of_date = newest.as_of_date

),

last_heard as (

    select
        heard.account_id,
        heard.contact_id,
        heard.joined_day,
        max(heard.day) as day
    from {{ ref('int_contacts__heard') }} as heard
    inner join newest
        on heard.day <= newest.day
        and heard.day > newest.day - {{ var('heard_days') }}
    group by heard.account_id, heard.contact_id, heard.joined_day

)

select
    roles.account_id,
    cast(row_number() over (partition by roles.account_id order by roles.joined_day, roles.contact_id) as integer) as contact_number,
    newest.as_of_date,
    roles.role,
    {{ date_of_day('roles.joined_day') }} as joined_on,
    case when roles.left_day <= newest.day then {{ date_of_day('roles.left_day') }} end as left_on,
    roles.left_day is null or roles.left_day > newest.day as is_in_force,
    {{ date_of_day('last_heard.day') }} as last_contact_on,
    case when run.has_contact_names then roles.contact_id end as contact_id,
    known.contact_name,
    known.email as contact_email
from {{ ref('int_contacts__roles') }} as roles
inner join scored on roles.account_id = scored.account_id
inner join newest
    on roles.joined_day <= newest.day
    and (roles.next_joined_day is null or roles.next_joined_day > newest.day)
inner join {{ ref('stg_crm__contacts') }} as known
    on roles.account_id = known.account_id
    and roles.contact_id = known.contact_id
    and roles.joined_day = known.joined_day
left join last_heard
    on roles.account_id = last_heard.account_id
    and roles.contact_id = last_heard.contact_id
    and roles.joined_day = last_heard.joined_day
cross join {{ source('control', 'run') }} as run
