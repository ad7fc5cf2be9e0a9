{{ config(materialized=long_view()) }}

-- Grain: scoring, as int_scoring__scorings has them: one wide row with all of its metrics. Each metric m has the columns
--   m, m__state          value and data state
--   m__score             normalized score, 0 to 100; null where it has none
--   m__nominal_weight    what it would weigh if every metric had a score; null where it is not on the scorecard
--   m__effective_weight  what it weighs: the metrics that have a score share all of the weight, in proportion to their base weights
-- and each dimension __score, __effective_weight and __coverage. points = effective weight x (score - 50); they sum to uncapped_score - 50.
-- A view: written out are only account_scores, candidate_scores and what the ledger asks for.

{% set metrics = scorecard_metrics() %}
{% set compared_keys = scorecard_metrics("scorecard_metrics.method in ('percentile', 'zscore')") | map(attribute='key') | list %}

with days as (

    select distinct as_of_date from {{ ref('int_scoring__scorings') }}

),

compared as (

    select
        account_id,
        as_of_date,
        scorecard_id,
        track
        {%- for key in compared_keys %},
        max(case when metric_key = '{{ key }}' then score end) as {{ key }}
        {%- endfor %}
    from {{ ref('int_scoring__compared_scores') }}
    group by account_id, as_of_date, scorecard_id, track

),

joined as (

    select
        scorings.account_id,
        scorings.as_of_date,
        scorings.scorecard_id,
        scorings.track,
        caps.cap_key,
        caps.cap_label,
        caps.cap_metric_key,
        caps.cap_value,
        caps.max_score
        {%- for dimension in dimensions() %},
        rules.{{ dimension }}__weight,
        rules.{{ dimension }}__nominal_weight
        {%- endfor %}
        {%- for metric in metrics %},
        {{ metric.dimension }}.{{ metric.key }},
        coalesce({{ metric.dimension }}.{{ metric.key }}__state, {{ data_state("'missing'") }}) as {{ metric.key }}__state,
        rules.{{ metric.key }}__nominal_weight,
        rules.{{ metric.key }}__weight as {{ metric.key }}__rule_weight,
        rules.{{ metric.key }}__worst,
        rules.{{ metric.key }}__best,
        rules.{{ metric.key }}__score_without_value
        {%- if metric.bands %},
        round({{ metric.dimension }}.{{ metric.key }}, 9) as {{ metric.key }}__rounded,
        rules.{{ metric.key }}__method
        {%- for band in range(1, 1 + metric.bands) %},
        rules.{{ metric.key }}__bound_{{ band }},
        rules.{{ metric.key }}__score_{{ band }}
        {%- endfor %}
        {%- endif %}
        {%- endfor %}
        {%- for key in compared_keys %},
        compared.{{ key }} as {{ key }}__compared
        {%- endfor %}
    from {{ ref('int_scoring__scorings') }} as scorings
    inner join {{ ref('int_scoring__rules') }} as rules on scorings.scorecard_id = rules.scorecard_id
    -- Of the days that are scored, so that a run of one day reads no history.
    {%- for dimension in dimensions() %}
    left join (select * from {{ ref('int_metrics__' ~ dimension) }} where as_of_date in (select as_of_date from days)) as {{ dimension }}
        on scorings.account_id = {{ dimension }}.account_id
        and scorings.as_of_date = {{ dimension }}.as_of_date
    {%- endfor %}
    left join compared
        on scorings.account_id = compared.account_id
        and scorings.as_of_date = compared.as_of_date
        and scorings.scorecard_id = compared.scorecard_id
        and scorings.track = compared.track
    left join {{ ref('int_scoring__caps') }} as caps
        on scorings.account_id = caps.account_id
        and scorings.as_of_date = caps.as_of_date
        and scorings.scorecard_id = caps.scorecard_id
        and scorings.track = caps.track

),

-- weight: 0 for what is not applicable, so that its weight stays within the dimension.
normalized as (

    select
        *
        {%- for metric in metrics %},
        case
            when {{ metric.key }}__state = 'not_applicable' then null
            when {{ metric.key }}__state <> 'measured' then {{ metric.key }}__score_without_value
            when {{ metric.key }}__best is not null then
                greatest(0, least(100, 100 * ({{ metric.key }} - {{ metric.key }}__worst) / ({{ metric.key }}__best - {{ metric.key }}__worst)))
            {%- if metric.bands %}
            when {{ metric.key }}__method = 'bands' then
                case
                    {%- for band in range(1, 1 + metric.bands) %}
                    when {{ metric.key }}__rounded >= {{ metric.key }}__bound_{{ band }} then {{ metric.key }}__score_{{ band }}
                    {%- endfor %}
                    else 0
                end
            {%- endif %}
            {%- if metric.key in compared_keys %}
            else {{ metric.key }}__compared
            {%- endif %}
        end as {{ metric.key }}__score,
        case when {{ metric.key }}__state = 'not_applicable' then 0 else {{ metric.key }}__rule_weight end as {{ metric.key }}__weight
        {%- endfor %}
    from joined

),

-- Sums of metric weights within each dimension.
weighed as (

    select
        *
        {%- for dimension in dimensions() %}
        {%- set own = metrics | selectattr('dimension', 'equalto', dimension) | list %},
        {{ sum_over(own, 'METRIC__weight') }} as {{ dimension }}__applicable,
        {{ sum_over(own, 'case when METRIC__score is not null then METRIC__weight else 0 end') }} as {{ dimension }}__scored,
        {{ sum_over(own, "case when METRIC__state = 'measured' then METRIC__weight else 0 end") }} as {{ dimension }}__measured,
        {{ sum_over(own, "case when METRIC__state = 'late' then METRIC__weight else 0 end") }} as {{ dimension }}__late,
        {{ sum_over(own, 'coalesce(METRIC__weight * METRIC__score, 0)') }} as {{ dimension }}__weighted_score
        {%- endfor %}
    from normalized

),

-- Base weight of a metric = its weight x W_dim / sum of the dimension's applicable weights.
based as (

    select
        *
        {%- for dimension in dimensions() %},
        case when {{ dimension }}__applicable > 0 then {{ dimension }}__weight / {{ dimension }}__applicable else 0 end as {{ dimension }}__factor
        {%- endfor %}
    from weighed

),

totals as (

    select
        *,
        0{% for dimension in dimensions() %} + {{ dimension }}__factor * {{ dimension }}__applicable{% endfor %} as applicable_weight,
        0{% for dimension in dimensions() %} + {{ dimension }}__factor * {{ dimension }}__scored{% endfor %} as scored_weight,
        0{% for dimension in dimensions() %} + {{ dimension }}__factor * {{ dimension }}__measured{% endfor %} as measured_weight,
        0{% for dimension in dimensions() %} + {{ dimension }}__factor * {{ dimension }}__late{% endfor %} as late_weight
    from based

),

weighted as (

    select
        *
        {%- for metric in metrics %},
        case
            when {{ metric.key }}__score is null or scored_weight = 0 then 0
            else {{ metric.dimension }}__factor * {{ metric.key }}__weight / scored_weight
        end as {{ metric.key }}__effective_weight
        {%- endfor %}
    from totals

),

-- Noise of floating-point arithmetic decides neither a cap nor a tier.
scored as (

    select
        *,
        round(50{% for metric in metrics %} + coalesce({{ metric.key }}__effective_weight * ({{ metric.key }}__score - 50), 0){% endfor %}, 12) as uncapped_score,
        round(coalesce(measured_weight / nullif(applicable_weight, 0), 0), 12) as coverage,
        round(coalesce((measured_weight + late_weight) / nullif(applicable_weight, 0), 0), 12) as coverage_if_not_late
    from weighted

),

capped as (

    select *, coalesce(round(uncapped_score, 9) > max_score, false) as is_capped from scored

)

select
    account_id,
    as_of_date,
    scorecard_id,
    track,
    uncapped_score,
    case when is_capped then max_score else uncapped_score end as exact_score,
    {{ round_half_away('case when is_capped then max_score else uncapped_score end', 1) }} as health_score,
    coverage,
    coverage_if_not_late,
    case when is_capped then cap_key end as cap_key,
    case when is_capped then cap_label end as cap_label,
    case when is_capped then cap_metric_key end as cap_metric_key,
    case when is_capped then cap_value end as cap_value,
    case when is_capped then max_score - uncapped_score end as cap_points
    {%- for dimension in dimensions() %},
    {{ dimension }}__weighted_score / nullif({{ dimension }}__scored, 0) as {{ dimension }}__score,
    {{ dimension }}__nominal_weight,
    coalesce({{ dimension }}__factor * {{ dimension }}__scored / nullif(scored_weight, 0), 0) as {{ dimension }}__effective_weight,
    coalesce({{ dimension }}__measured / nullif({{ dimension }}__applicable, 0), 0) as {{ dimension }}__coverage
    {%- endfor %}
    {%- for metric in metrics %},
    {{ metric.key }},
    {{ metric.key }}__state,
    {{ metric.key }}__score,
    {{ metric.key }}__nominal_weight,
    {{ metric.key }}__effective_weight
    {%- endfor %}
from capped
