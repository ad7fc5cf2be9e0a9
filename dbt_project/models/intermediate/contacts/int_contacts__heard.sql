{{ config(materialized='view') }}

-- Grain: day on which a contact of an account was heard of, more than once where in two ways: an inbound touchpoint, one that it answered, or
-- a usage event of its user. Once for each of its roles, since the user may be another one in each.

select
    roles.account_id,
    roles.contact_id,
    roles.joined_day,
    touchpoints.occurred_day as day
from {{ ref('stg_crm__touchpoints') }} as touchpoints
inner join {{ ref('int_contacts__roles') }} as roles
    on touchpoints.account_id = roles.account_id
    and touchpoints.contact_id = roles.contact_id
where touchpoints.direction = 'inbound' or touchpoints.is_responded
union all
select
    roles.account_id,
    roles.contact_id,
    roles.joined_day,
    user_days.day
from {{ ref('int_usage__user_days') }} as user_days
inner join {{ ref('int_contacts__roles') }} as roles
    on user_days.account_id = roles.account_id
    and user_days.user_id = roles.user_id
