{{ config(materialized='incremental', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date: who was scored, in which stage, and by which scorecard.

select
    accounts.account_id,
    accounts.as_of_date,
    matching.scorecard_id,
    accounts.stage,
    accounts.segment,
    accounts.parent_account_id,
    accounts.tenure,
    accounts.seats,
    accounts.mrr,
    run.reporting_currency as currency,
    accounts.term_ends_day,
    run.configuration_hash
from {{ ref('int_accounts__scored_days') }} as accounts
inner join {{ ref('int_scoring__matching_scorecards') }} as matching
    on matching.status = 'active'
    and accounts.as_of_date = matching.as_of_date
    and accounts.stage = matching.stage
    and (accounts.segment = matching.segment or (accounts.segment is null and matching.segment is null))
cross join {{ source('control', 'run') }} as run
