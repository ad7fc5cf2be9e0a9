{# Values -> normalized scores, by the method of the scorecard's metric; without a value its missing_policy holds, and what is not
   applicable never has a score. #}
{% macro metric_scores(metric_values, peer_scores, keys) %}
with metric_values as (

    select * from {{ metric_values }}

),

scorecard_metrics as (

    select * from {{ ref('int_scoring__scorecard_metrics') }}

),

bands as (

    select * from {{ ref('int_scoring__metric_bands') }}

),

peer_scores as (

    select * from {{ peer_scores }}

)

select
    metric_values.account_id,
    metric_values.as_of_date,
    metric_values.scorecard_code,
    metric_values.metric_code,
    metric_values.value,
    metric_values.state,
    cast(
        case
            when metric_values.state = {{ state('not_applicable') }} then null
            when metric_values.state <> {{ state('measured') }} then
                case scorecard_metrics.missing_policy when 'neutral' then 50 when 'worst' then 0 end
            when scorecard_metrics.method = 'linear' then
                greatest(0, least(100, 100 * (metric_values.value - scorecard_metrics.worst) / (scorecard_metrics.best - scorecard_metrics.worst)))
            when scorecard_metrics.method = 'bands' then coalesce(bands.score, 0)
            else peer_scores.normalized_score
        end as double
    ) as normalized_score
from metric_values
inner join scorecard_metrics
    on metric_values.scorecard_code = scorecard_metrics.scorecard_code
    and metric_values.metric_code = scorecard_metrics.metric_code
left join bands
    on scorecard_metrics.method = 'bands'
    and metric_values.scorecard_code = bands.scorecard_code
    and metric_values.metric_code = bands.metric_code
    and round(metric_values.value, 9) >= bands.lower_bound
    and round(metric_values.value, 9) < bands.upper_bound
left join peer_scores
    on {{ on_keys('metric_values', 'peer_scores', keys) }}
    and metric_values.metric_code = peer_scores.metric_code
{% endmacro %}
