{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric of the account's scorecard, for the days of the run: the normalized score with its weights.
-- A view: the weights are a handful of rows, and writing them out beside tens of millions of scores would cost more than both.

{{ weighted_metrics(ref('int_scoring__metric_scores')) }}
