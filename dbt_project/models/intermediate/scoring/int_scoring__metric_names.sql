{{ config(materialized='view') }}

-- Grain: metric that ever counted, also one that the seeds no longer hold. What it is called and measured in.

select
    cast(codes.code as smallint) as metric_code,
    codes.key as metric_key,
    coalesce(metrics.label, codes.key) as label,
    metrics.unit
from {{ source('control', 'codes') }} as codes
left join {{ ref('metrics') }} as metrics on codes.key = metrics.metric_key
where codes.kind = 'metric' and codes.key not like 'cap:%'
