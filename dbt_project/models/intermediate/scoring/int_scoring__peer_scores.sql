-- Grain: account x as_of_date x metric, for the days of the run: scores of the metrics that are compared with their peers, the accounts with a
-- measured value on the same scorecard and day. Apart from the other metrics so that only these pay for sorting.

{{ peer_scores(ref('int_scoring__metric_values')) }}
