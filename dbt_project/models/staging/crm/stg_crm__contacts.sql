-- Grain: account x contact x joined_on: a change of role is a row of its own. Names and mail addresses stay in the lake unless the team allows them.
-- An id that is a mail address may come in two spellings: it is one person, and of two rows of one day the greater spelling counts.

with contacts as (

    select
        {{ same_user('contact_id') }} as contact_id,
        account_id,
        {{ same_user('user_id') }} as user_id,
        name,
        email,
        role,
        joined_on,
        left_on,
        row_number() over (partition by account_id, {{ same_user('contact_id') }}, joined_on order by contact_id desc) as spelling
    from {{ source('raw', 'contacts') }}

)

select
    contacts.contact_id,
    contacts.account_id,
    contacts.user_id,
    case when run.has_contact_names then contacts.name end as contact_name,
    case when run.has_contact_names then contacts.email end as email,
    contacts.role,
    contacts.joined_on,
    contacts.left_on,
    {{ day_number('contacts.joined_on') }} as joined_day,
    {{ day_number('contacts.left_on') }} as left_day
from contacts
cross join {{ source('control', 'run') }} as run
where contacts.spelling = 1
