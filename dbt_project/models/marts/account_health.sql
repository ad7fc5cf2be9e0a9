-- Grain: account, on the newest scored day. Accounts that left by then are in account_health_history only.
-- One row answers how healthy, since when, why, what changed and how sure.

with newest as (

    select *
    from {{ ref('account_health_history') }}
    where as_of_date = (select max(as_of_date) from {{ ref('int_scoring__account_scores') }})

),

days as (

    select
        account_id,
        as_of_date,
        scorecard_id,
        term_ends_day
    from {{ ref('int_scoring__account_days') }}

),

drivers as (

    select
        account_id
        {%- for kind in ['positive', 'negative', 'change'] %}
        {%- for position in [1, 2, 3] %}
        {%- for column, source in [('label', 'label'), ('points', 'points'), ('value', 'value_text')] %},
        max(case when kind = '{{ kind }}' and position = {{ position }} then {{ source }} end) as {{ kind }}_{{ position }}_{{ column }}
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    from {{ ref('int_trend__drivers') }}
    group by account_id

)

select
    newest.account_id,
    newest.as_of_date,
    accounts.account_name,
    newest.parent_account_id,
    newest.segment,
    accounts.industry,
    accounts.region,
    accounts.csm,
    newest.health_score,
    newest.tier,
    coalesce(
        tiers.colour,
        case newest.tier
            {%- for tier, colour in var('tier_colours').items() %}
            when '{{ tier }}' then '{{ colour }}'
            {%- endfor %}
        end
    ) as colour,
    newest.model_tier,
    newest.raw_tier,
    newest.is_tier_held,
    overrides.reason as override_reason,
    overrides.author as override_author,
    overrides.expires_on as override_expires_on,
    newest.coverage,
    newest.delta_7d,
    newest.delta_28d,
    newest.delta_90d,
    newest.availability_7d,
    newest.availability_28d,
    newest.slope_28d,
    newest.trend,
    newest.tier_since,
    newest.days_in_tier,
    newest.previous_tier,
    newest.stage,
    newest.scorecard_key,
    newest.config_version,
    newest.seats,
    newest.mrr,
    newest.arr,
    newest.currency,
    {{ date_of_day('days.term_ends_day') }} as term_ends_on,
    newest.uncapped_score,
    newest.cap_key,
    {%- for kind in ['positive', 'negative', 'change'] %}
    {%- for position in [1, 2, 3] %}
    drivers.{{ kind }}_{{ position }}_label,
    drivers.{{ kind }}_{{ position }}_points,
    drivers.{{ kind }}_{{ position }}_value,
    {%- endfor %}
    {%- endfor %}
    newest.run_id,
    newest.configuration_hash
from newest
inner join days
    on newest.account_id = days.account_id
    and newest.as_of_date = days.as_of_date
left join {{ ref('stg_crm__accounts') }} as accounts on newest.account_id = accounts.account_id
left join {{ ref('stg_crm__score_overrides') }} as overrides on newest.override_id = overrides.override_id
left join {{ ref('int_scoring__tiers') }} as tiers
    on days.scorecard_id = tiers.scorecard_id
    and newest.tier = tiers.tier
left join drivers on newest.account_id = drivers.account_id
