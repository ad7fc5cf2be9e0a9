-- Grain: account x as_of_date, for the days of the run: the account's stage and the scorecard that scores it.

with staged as (

    select
        *,
        case
            when tenure < 90 then 'onboarding'
            when term_ends_day - day between 0 and 90 then 'renewing'
            else 'mature'
        end as stage
    from {{ ref('int_accounts__scored_days') }}

),

{{ assigned_scorecards('staged', 'active') }}

select
    account_id,
    as_of_date,
    day,
    tenure,
    segment,
    stage,
    parent_account_id,
    scorecard_code,
    seats,
    mrr,
    term_ends_day
from assigned
