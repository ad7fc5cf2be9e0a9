-- Grain: what-if scoring x metric that is compared with its peers on that scorecard and day.

{{ peer_scores(ref('int_whatif__metric_values'), ref('int_whatif__scorings')) }}
