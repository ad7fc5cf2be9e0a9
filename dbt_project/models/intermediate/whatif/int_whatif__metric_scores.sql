-- Grain: what-if scoring x metric of its scorecard: the normalized score with its weights.

with scores as (

    {{ metric_scores(ref('int_whatif__metric_values'), ref('int_whatif__peer_scores'), whatif_keys()) }}

)

{{ weighted_metrics('scores') }}
