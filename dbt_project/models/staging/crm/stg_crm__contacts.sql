-- Grain: account x contact x joined_on: a change of role is a row of its own. Names and mail addresses stay in the lake unless the team allows them.

select
    contacts.contact_id,
    contacts.account_id,
    {{ same_user('contacts.user_id') }} as user_id,
    case when run.has_contact_names then contacts.name end as contact_name,
    case when run.has_contact_names then contacts.email end as email,
    contacts.role,
    contacts.joined_on,
    contacts.left_on,
    {{ day_number('contacts.joined_on') }} as joined_day,
    {{ day_number('contacts.left_on') }} as left_day
from {{ source('raw', 'contacts') }} as contacts
cross join {{ source('control', 'run') }} as run
