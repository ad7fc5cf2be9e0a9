{{ config(materialized='view') }}

-- Grain: account that was ever scored, also those that left. Attributes as they are today, of an account that its source no longer delivers as it
-- delivered them last; those of a day (segment, stage, parent) are in account_health_history.

with scored as (

    select
        account_id,
        min(as_of_date) as first_scored_on,
        max(as_of_date) as last_scored_on
    from {{ ref('int_scoring__account_scores') }}
    group by account_id

),

newest as (

    select max(as_of_date) as as_of_date from {{ ref('int_scoring__account_scores') }}

)

select
    scored.account_id,
    known.account_name,
    known.parent_account_id,
    known.segment,
    known.industry,
    known.region,
    known.csm,
    cast(known.created_at as date) as created_on,
    scored.first_scored_on,
    scored.last_scored_on,
    scored.last_scored_on < newest.as_of_date as has_left
from scored
cross join newest
left join {{ ref('int_accounts__known') }} as known on scored.account_id = known.account_id
