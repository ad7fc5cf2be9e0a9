-- Grain: account x as_of_date, for the days of the run: docs/scoring.md, "Scored population".
-- Created by then, not gone from the source, and with a subscription in force; where the company delivers no subscription at all: not churned by then.

with as_of_days as (

    select * from {{ source('control', 'as_of_days') }}

),

accounts as (

    select * from {{ ref('stg_crm__accounts') }}

),

subscription_days as (

    select * from {{ ref('int_billing__subscription_days') }}

),

has_subscriptions as (

    select count(*) > 0 as any_row from {{ ref('int_billing__subscriptions') }}

),

churned as (

    select
        account_id,
        min(occurred_day) as churned_day
    from {{ ref('stg_crm__account_outcomes') }}
    where kind = 'churned'
    group by account_id

)

select
    accounts.account_id,
    accounts.segment,
    accounts.parent_account_id,
    as_of_days.as_of_date,
    as_of_days.day,
    as_of_days.day - accounts.created_day as tenure,
    subscription_days.seats,
    subscription_days.mrr,
    subscription_days.mrr_at_rates_of_day,
    subscription_days.mrr_90d_before,
    subscription_days.started_day as subscription_started_day,
    subscription_days.term_ends_day,
    case
        when as_of_days.day - accounts.created_day < 90 then 'onboarding'
        when subscription_days.term_ends_day - as_of_days.day between 0 and 90 then 'renewing'
        else 'mature'
    end as stage
from accounts
inner join as_of_days
    on accounts.created_day <= as_of_days.day
    and (accounts.left_day is null or accounts.left_day > as_of_days.day)
cross join has_subscriptions
left join subscription_days
    on accounts.account_id = subscription_days.account_id
    and as_of_days.day = subscription_days.day
left join churned
    on accounts.account_id = churned.account_id
    and as_of_days.day >= churned.churned_day
where
    (has_subscriptions.any_row and subscription_days.account_id is not null)
    or (not has_subscriptions.any_row and churned.account_id is null)
