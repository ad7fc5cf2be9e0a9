{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ replace_as_of_days() }}') }}

-- Grain: account x as_of_date x dimension of the account's scorecard. Totals by group at this grain instead of windows over the long table.
-- A dimension counts if it has a positive weight and a metric with a score and a positive weight.

{{ dimension_scores(ref('int_scoring__weighted_metrics'), own_keys()) }}
