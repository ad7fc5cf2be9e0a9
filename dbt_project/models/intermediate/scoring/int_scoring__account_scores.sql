{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date. The score before and after caps, how sure it is, and the raw tier.

with totals as (

    select
        account_id,
        as_of_date,
        50 + cast(sum({{ exact_weight('points') }}) as double) as uncapped_score,
        coalesce(
            cast(sum({{ exact_weight('measured_weight') }}) as double) / nullif(cast(sum({{ exact_weight('applicable_weight') }}) as double), 0), 0
        ) as coverage
    from {{ ref('int_scoring__dimension_scores') }}
    where as_of_date in (select as_of_date from {{ source('control', 'as_of_days') }})
    group by account_id, as_of_date

),

accounts as (

    select
        account_scorecards.*,
        -- Noise of floating-point arithmetic decides neither a cap nor a tier.
        round(coalesce(totals.uncapped_score, 50), 12) as uncapped_score,
        round(coalesce(totals.coverage, 0), 12) as coverage
    from {{ ref('int_scoring__account_scorecards') }} as account_scorecards
    left join totals
        on account_scorecards.account_id = totals.account_id
        and account_scorecards.as_of_date = totals.as_of_date

),

caps as (

    select
        scorecards.scorecard_code,
        cast(metric_codes.code as smallint) as metric_code,
        cast(cap_codes.code as smallint) as cap_code,
        caps.cap_key,
        caps.operator,
        caps.threshold,
        caps.max_score
    from {{ ref('score_caps') }} as caps
    inner join {{ ref('int_scoring__scorecards') }} as scorecards
        on caps.config_version = scorecards.config_version
        and caps.scorecard_key = scorecards.scorecard_key
    inner join {{ source('control', 'codes') }} as metric_codes
        on metric_codes.kind = 'metric'
        and metric_codes.key = caps.metric_key
    inner join {{ source('control', 'codes') }} as cap_codes
        on cap_codes.kind = 'metric'
        and cap_codes.key = 'cap:' || caps.cap_key

),

binding_caps as (

    select
        accounts.account_id,
        accounts.as_of_date,
        caps.cap_code,
        caps.max_score,
        metric_values.value as cap_value,
        row_number() over (
            partition by accounts.account_id, accounts.as_of_date
            order by caps.max_score, caps.cap_key
        ) as position
    from {{ ref('int_scoring__metric_values') }} as metric_values
    inner join caps
        on metric_values.scorecard_code = caps.scorecard_code
        and metric_values.metric_code = caps.metric_code
    inner join accounts
        on metric_values.account_id = accounts.account_id
        and metric_values.as_of_date = accounts.as_of_date
    where
        metric_values.state = {{ state('measured') }}
        and {{ compare('metric_values.value', 'caps.operator', 'caps.threshold') }}
        and round(accounts.uncapped_score, 9) > caps.max_score

),

scored as (

    select
        accounts.*,
        binding_caps.cap_code,
        binding_caps.cap_value,
        binding_caps.max_score - accounts.uncapped_score as cap_points,
        coalesce(binding_caps.max_score, accounts.uncapped_score) as exact_score,
        {{ round_half_away('coalesce(binding_caps.max_score, accounts.uncapped_score)', 1) }} as health_score,
        round(accounts.coverage, 9) >= scorecards.min_coverage as is_covered,
        scorecards.tier_mode
    from accounts
    inner join {{ ref('int_scoring__scorecards') }} as scorecards on accounts.scorecard_code = scorecards.scorecard_code
    left join binding_caps
        on accounts.account_id = binding_caps.account_id
        and accounts.as_of_date = binding_caps.as_of_date
        and binding_caps.position = 1

),

-- Share of the day's accounts on the scorecard whose score is less or equal, over the accounts with enough coverage.
percentiles as (

    select
        account_id,
        as_of_date,
        cume_dist() over (partition by as_of_date, scorecard_code order by health_score) as percentile
    from scored
    where is_covered and tier_mode = 'quantile'

),

tiers as (

    select
        *,
        lead(min_score) over (partition by scorecard_code order by min_score) as below_score,
        lead(min_percentile) over (partition by scorecard_code order by min_percentile) as up_to_percentile
    from {{ ref('int_scoring__tiers') }}

)

select
    scored.account_id,
    scored.as_of_date,
    scored.scorecard_code,
    scored.stage,
    scored.segment,
    scored.tenure,
    scored.seats,
    scored.mrr,
    scored.term_ends_day,
    scored.uncapped_score,
    scored.exact_score,
    scored.health_score,
    scored.coverage,
    scored.cap_code,
    scored.cap_value,
    scored.cap_points,
    case when scored.is_covered then tiers.tier else 'unknown' end as raw_tier,
    run.run_code
from scored
cross join {{ source('control', 'run') }} as run
left join percentiles
    on scored.account_id = percentiles.account_id
    and scored.as_of_date = percentiles.as_of_date
left join tiers
    on scored.scorecard_code = tiers.scorecard_code
    and (
        (
            scored.tier_mode = 'threshold'
            and scored.health_score >= tiers.min_score
            and (tiers.below_score is null or scored.health_score < tiers.below_score)
        )
        or (
            scored.tier_mode = 'quantile'
            and percentiles.percentile > tiers.min_percentile
            and (tiers.up_to_percentile is null or percentiles.percentile <= tiers.up_to_percentile)
        )
    )
