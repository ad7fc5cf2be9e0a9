{{ config(materialized='view') }}

-- Grain: account x as_of_date x metric, for the days of the run, all metrics: also those that the account's scorecard leaves out.

{{ all_metric_values(ref('int_scoring__account_scorecards')) }}
