{{ config(materialized='view') }}

-- Grain: what-if scoring x metric: the values of its account and day.

{{ all_metric_values(ref('int_whatif__scorings')) }}
