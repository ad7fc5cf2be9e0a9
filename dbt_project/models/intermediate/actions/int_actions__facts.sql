-- Grain: account x as_of_date, for the run's days and all scored days after them: the fields that the playbooks name, a column each.
-- delta_7d and delta_28d without what data that came or went did to the score: a late feed asks nobody to act.
-- strongest_negative is what account_health calls negative_1: the metric, or the cap, that takes the most points.

{% set fields = playbook_fields() %}
{% set metrics = scorecard_metrics() | map(attribute='key') | list %}
{% set negatives = [{'key': 'cap:', 'points': 'scores.cap_points', 'value': 'scores.cap_value', 'state': "'measured'"}] %}
{% for metric in metrics %}
    {% do negatives.append({
        'key': metric,
        'points': 'scores.' ~ metric ~ '__effective_weight * (scores.' ~ metric ~ '__score - 50)',
        'value': 'scores.' ~ metric,
        'state': 'cast(scores.' ~ metric ~ '__state as string)',
    }) %}
{% endfor %}
{% set negatives = negatives | sort(attribute='key') %}
{% set account_columns = {
    'health_score': 'scores.health_score',
    'uncapped_score': 'scores.uncapped_score',
    'coverage': 'scores.coverage',
    'delta_7d': rounded('trends.delta_7d - trends.availability_7d', 1),
    'delta_28d': rounded('trends.delta_28d - trends.availability_28d', 1),
    'delta_90d': 'trends.delta_90d',
    'slope_28d': 'trends.slope_28d',
    'days_in_tier': day_number('scores.as_of_date') ~ ' - ' ~ day_number('tiers.tier_since') ~ ' + 1',
    'arr': rounded('days.mrr * 12', 2),
    'mrr': 'days.mrr',
    'seats': 'days.seats',
    'tenure_days': 'days.tenure',
    'detractors_180d': 'voice.detractors_180d',
    'reviews_365d': 'voice.reviews_365d',
    'tier': 'tiers.tier',
    'model_tier': 'tiers.model_tier',
    'raw_tier': 'tiers.raw_tier',
    'previous_tier': 'tiers.previous_tier',
    'trend': 'trends.trend',
    'stage': 'days.stage',
    'segment': 'days.segment',
    'scorecard_key': 'scores.scorecard_key',
    'account_name': 'accounts.account_name',
    'industry': 'accounts.industry',
    'region': 'accounts.region',
    'csm': 'accounts.csm',
    'override_tier': 'overrides.tier',
    'override_reason': 'overrides.reason',
    'override_author': 'overrides.author',
    'strongest_negative': "coalesce(strongest.in_words, 'Nothing weighs it down any more')",
} %}
{% set is_strongest_named = 'strongest_negative' in fields | map(attribute='key') %}

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

),

points as (

    select
        scores.*
        {%- for each in negatives %},
        {{ each.points }} as points_{{ loop.index }}
        {%- endfor %}
    from {{ ref('int_scoring__account_scores') }} as scores
    inner join restated on scores.as_of_date = restated.as_of_date

),

least_points as (

    select
        *,
        least(0{% for each in negatives %}, points_{{ loop.index }}{% endfor %}) as points
    from points

),

-- The first of them in the order of names.
positions as (

    select
        *,
        case points {% for each in negatives %}when points_{{ loop.index }} then {{ loop.index }} {% endfor %}end as position
    from least_points
    where points <= -5e-3 {{- '' if is_strongest_named else ' and false' }}

),

strongest as (

    select
        scores.account_id,
        scores.as_of_date,
        scores.points,
        scores.cap_label,
        {%- for part in ['key', 'value', 'state'] %}
        case scores.position
            {%- for each in negatives %}
            when {{ loop.index }} then {{ "'" ~ each.key ~ "'" if part == 'key' else each[part] }}
            {%- endfor %}
        end as {{ part }},
        {%- endfor %}
        scores.cap_metric_key
    from positions as scores

),

strongest_in_words as (

    select
        strongest.account_id,
        strongest.as_of_date,
        case when strongest.key = 'cap:' then trim(trailing '.' from strongest.cap_label) else coalesce(metrics.label, strongest.key) end
        || ': ' || coalesce({{ value_with_unit('strongest.value', 'metrics.unit') }}, 'no value (' || strongest.state || ')')
        || ' (' || {{ number_text(rounded('strongest.points', 1)) }} || ' points)' as in_words
    from strongest
    left join {{ ref('metrics') }} as metrics
        on metrics.metric_key = case when strongest.key = 'cap:' then strongest.cap_metric_key else strongest.key end

)

select
    scores.account_id,
    scores.as_of_date,
    tiers.previous_as_of_date
    {%- for field in fields %},
    {% if field.kind == 'account' -%}
        {{ account_columns[field.key] }}
    {%- elif field.kind == 'dimension' -%}
        scores.{{ field.key }}__score
    {%- elif field.key not in metrics -%}
        cast(null as double)
    {%- elif field.kind == 'metric' -%}
        scores.{{ field.key }}
    {%- elif field.kind == 'change' -%}
        scores.{{ field.key }} - earlier.{{ field.key }}
    {%- elif field.kind == 'score' -%}
        scores.{{ field.key }}__score
    {%- endif %} as {{ field.column }}
    {%- endfor %}
from {{ ref('int_scoring__account_scores') }} as scores
inner join restated on scores.as_of_date = restated.as_of_date
inner join {{ ref('int_scoring__account_days') }} as days
    on scores.account_id = days.account_id
    and scores.as_of_date = days.as_of_date
inner join {{ ref('int_trend__account_tiers') }} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
inner join {{ ref('int_trend__account_trends') }} as trends
    on scores.account_id = trends.account_id
    and scores.as_of_date = trends.as_of_date
left join {{ ref('stg_crm__accounts') }} as accounts on scores.account_id = accounts.account_id
left join {{ ref('int_scoring__account_scores') }} as earlier
    on scores.account_id = earlier.account_id
    and scores.as_of_date = earlier.as_of_date + 28
inner join {{ ref('int_metrics__voice') }} as voice
    on scores.account_id = voice.account_id
    and scores.as_of_date = voice.as_of_date
left join {{ ref('stg_crm__score_overrides') }} as overrides on tiers.override_id = overrides.override_id
-- The linter renders no playbook that names it.
left join strongest_in_words as strongest  -- noqa: ST11
    on scores.account_id = strongest.account_id
    and scores.as_of_date = strongest.as_of_date
