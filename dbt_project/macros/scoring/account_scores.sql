{# Dimension scores -> the score of each scoring before and after caps, how sure it is, and its raw tier.

   `scorings` names who is scored by which scorecard; its columns pass through. Renders the CTE `tiered`. #}
{% macro account_scores(scorings, dimension_scores, metric_values, keys) %}
totals as (

    select
        {{ columns_of('', keys) }},
        50 + cast(sum({{ exact_weight('points') }}) as double) as uncapped_score,
        coalesce(
            cast(sum({{ exact_weight('measured_weight') }}) as double) / nullif(cast(sum({{ exact_weight('applicable_weight') }}) as double), 0), 0
        ) as coverage
    from {{ dimension_scores }}
    group by {{ columns_of('', keys) }}

),

accounts as (

    select
        scorings.*,
        -- Noise of floating-point arithmetic decides neither a cap nor a tier.
        round(coalesce(totals.uncapped_score, 50), 12) as uncapped_score,
        round(coalesce(totals.coverage, 0), 12) as coverage
    from {{ scorings }} as scorings
    left join totals on {{ on_keys('scorings', 'totals', keys) }}

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
        {{ columns_of('accounts', keys) }},
        caps.cap_code,
        caps.max_score,
        metric_values.value as cap_value,
        row_number() over (
            partition by {{ columns_of('accounts', keys) }}
            order by caps.max_score, caps.cap_key
        ) as position
    from {{ metric_values }} as metric_values
    inner join caps
        on metric_values.scorecard_code = caps.scorecard_code
        and metric_values.metric_code = caps.metric_code
    inner join accounts on {{ on_keys('metric_values', 'accounts', keys) }}
    where
        metric_values.state = {{ state('measured') }}
        and {{ compare('round(metric_values.value, 9)', 'caps.operator', 'caps.threshold') }}
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
        scorecards.confirm_days,
        scorecards.tier_mode
    from accounts
    inner join {{ ref('int_scoring__scorecards') }} as scorecards on accounts.scorecard_code = scorecards.scorecard_code
    left join binding_caps
        on {{ on_keys('accounts', 'binding_caps', keys) }}
        and binding_caps.position = 1

),

-- Share of the day's accounts on the scorecard whose score is less or equal, over the accounts with enough coverage.
percentiles as (

    select
        {{ columns_of('', keys) }},
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

),

tiered as (

    select
        scored.*,
        case when scored.is_covered then tiers.tier else 'unknown' end as raw_tier
    from scored
    left join percentiles on {{ on_keys('scored', 'percentiles', keys) }}
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

)
{% endmacro %}
