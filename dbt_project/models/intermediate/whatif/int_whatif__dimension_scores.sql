-- Grain: what-if scoring x dimension of its scorecard.

{{ dimension_scores(ref('int_whatif__metric_scores'), whatif_keys()) }}
