-- Grain: account x as_of_date x metric of the account's scorecard, for the days of the run: the value and its normalized score.
-- Without a value the scorecard metric's missing_policy holds; what is not applicable never has a score.

with metric_values as (

    select * from {{ ref('int_scoring__metric_values') }}

),

scorecard_metrics as (

    select * from {{ ref('int_scoring__scorecard_metrics') }}

),

bands as (

    select * from {{ ref('int_scoring__metric_bands') }}

),

peer_scores as (

    select * from {{ ref('int_scoring__peer_scores') }}

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
    and metric_values.value >= bands.lower_bound
    and metric_values.value < bands.upper_bound
left join peer_scores
    on metric_values.account_id = peer_scores.account_id
    and metric_values.as_of_date = peer_scores.as_of_date
    and metric_values.metric_code = peer_scores.metric_code
