{{ config(materialized='view') }}

-- Grain: metric. What it is called and measured in.

select
    cast(codes.code as smallint) as metric_code,
    metrics.metric_key,
    coalesce(metrics.label, metrics.metric_key) as label,
    metrics.unit
from {{ ref('metrics') }} as metrics
inner join {{ source('control', 'codes') }} as codes
    on codes.kind = 'metric'
    and codes.key = metrics.metric_key
