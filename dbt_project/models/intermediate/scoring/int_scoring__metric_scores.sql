-- Grain: account x as_of_date x metric of the account's scorecard, for the days of the run: the value and its normalized score.
-- Without a value the scorecard metric's missing_policy holds; what is not applicable never has a score.

{{ metric_scores(ref('int_scoring__metric_values'), ref('int_scoring__peer_scores'), own_keys()) }}
