-- Grain: scorecard in force on the newest scored day x metric, and x cap (metric_key `cap:<cap_key>`).

{% set defaults = var('scorecard_defaults') %}

with newest as (

    select coalesce(
        (select max(as_of_date) from {{ ref('int_scoring__account_scores') }}),
        (select max(as_of_date) from {{ source('control', 'as_of_days') }})
    ) as as_of_date

),

scorecards as (

    select scorecards.*
    from {{ ref('int_scoring__scorecards') }} as scorecards
    inner join newest
        on scorecards.status = 'active'
        and newest.as_of_date >= scorecards.valid_from
        and (scorecards.valid_to is null or newest.as_of_date < scorecards.valid_to)

),

bands as (

    select
        bands.config_version,
        bands.scorecard_key,
        bands.metric_key,
        {{ list_text(
            "'from ' || " ~ value_text('bands.lower_bound', 'metrics.unit') ~ " || ': ' || " ~ number_text('bands.score'),
            "', '", 'bands.lower_bound'
        ) }} as rule
    from {{ ref('metric_bands') }} as bands
    inner join {{ ref('metrics') }} as metrics on bands.metric_key = metrics.metric_key
    group by bands.config_version, bands.scorecard_key, bands.metric_key

)

select
    scorecards.config_version,
    scorecards.scorecard_key,
    scorecards.label as scorecard_label,
    scorecards.segment,
    scorecards.stage,
    scorecards.priority,
    metrics.dimension_key,
    dimensions.weight as dimension_weight,
    weights.metric_key,
    metrics.label as metric_label,
    weights.weight,
    coalesce(weights.method, '{{ defaults.method }}') as method,
    weights.worst,
    weights.best,
    coalesce(weights.missing_policy, '{{ defaults.missing_policy }}') as missing_policy,
    case coalesce(weights.method, '{{ defaults.method }}')
        when 'linear' then
            '0 at ' || {{ value_text('weights.worst', 'metrics.unit') }} || ', 100 at ' || {{ value_text('weights.best', 'metrics.unit') }}
        when 'bands' then bands.rule
        when 'percentile' then 'rank among the accounts on the same scorecard'
        when 'zscore' then 'distance from the mean of the accounts on the same scorecard'
    end as rule,
    cast(null as string) as tested_metric_key
from scorecards
inner join {{ ref('scorecard_metrics') }} as weights
    on scorecards.config_version = weights.config_version
    and scorecards.scorecard_key = weights.scorecard_key
inner join {{ ref('metrics') }} as metrics on weights.metric_key = metrics.metric_key
inner join {{ ref('scorecard_dimensions') }} as dimensions
    on scorecards.config_version = dimensions.config_version
    and scorecards.scorecard_key = dimensions.scorecard_key
    and metrics.dimension_key = dimensions.dimension_key
left join bands
    on weights.config_version = bands.config_version
    and weights.scorecard_key = bands.scorecard_key
    and weights.metric_key = bands.metric_key
union all
select
    scorecards.config_version,
    scorecards.scorecard_key,
    scorecards.label,
    scorecards.segment,
    scorecards.stage,
    scorecards.priority,
    'cap',
    cast(null as double),
    'cap:' || caps.cap_key,
    caps.reason,
    cast(null as double),
    'cap',
    cast(null as double),
    cast(null as double),
    cast(null as string),
    'at most ' || {{ number_text('caps.max_score') }} || ' where ' || metrics.label || ' ' || caps.operator || ' '
    || {{ value_with_unit('caps.threshold', 'metrics.unit') }},
    caps.metric_key
from scorecards
inner join {{ ref('score_caps') }} as caps
    on scorecards.config_version = caps.config_version
    and scorecards.scorecard_key = caps.scorecard_key
inner join {{ ref('metrics') }} as metrics on caps.metric_key = metrics.metric_key
