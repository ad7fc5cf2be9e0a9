-- Grain: account, on the newest scored day. Accounts that left by then are in account_health_history only.

with newest as (

    select *
    from {{ ref('int_scoring__account_scores') }}
    where as_of_date = (select max(as_of_date) from {{ ref('int_scoring__account_scores') }})

)

select
    newest.account_id,
    newest.as_of_date,
    accounts.account_name,
    accounts.parent_account_id,
    newest.segment,
    accounts.industry,
    accounts.region,
    accounts.csm,
    newest.health_score,
    newest.raw_tier,
    case when newest.raw_tier = 'unknown' then 'grey' else tiers.colour end as colour,
    newest.coverage,
    newest.stage,
    scorecards.scorecard_key,
    scorecards.config_version,
    newest.seats,
    newest.mrr,
    round(newest.mrr * 12, 2) as arr,
    {{ date_of_day('newest.term_ends_day') }} as term_ends_on,
    newest.uncapped_score,
    substr(caps.key, 5) as cap_key,
    runs.run_id,
    runs.configuration_hash
from newest
left join {{ ref('stg_crm__accounts') }} as accounts on newest.account_id = accounts.account_id
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on newest.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on newest.run_code = runs.run_code
left join {{ ref('int_scoring__tiers') }} as tiers
    on newest.scorecard_code = tiers.scorecard_code
    and newest.raw_tier = tiers.tier
left join {{ source('control', 'codes') }} as caps
    on caps.kind = 'metric'
    and newest.cap_code = caps.code
