{{ config(materialized='view') }}

-- Grain: day on which a contact of an account was heard of, more than once where in two ways: an inbound touchpoint, one that it answered, or
-- a usage event of its user.

select
    account_id,
    contact_id,
    occurred_day as day
from {{ ref('stg_crm__touchpoints') }}
where contact_id is not null and (direction = 'inbound' or is_responded)
union all
select
    users.account_id,
    users.contact_id,
    user_days.day
from {{ ref('int_usage__user_days') }} as user_days
inner join (select distinct account_id, contact_id, user_id from {{ ref('int_contacts__roles') }}) as users
    on user_days.account_id = users.account_id
    and user_days.user_id = users.user_id
