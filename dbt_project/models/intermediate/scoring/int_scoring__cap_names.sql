{{ config(materialized='view') }}

-- Grain: scorecard, in each state of its rules, x cap of the seeds. What it is called, and the unit of the value that it tests.

select
    names.scorecard_code,
    cast(codes.code as smallint) as cap_code,
    caps.cap_key,
    coalesce(caps.reason, 'Cap ' || caps.cap_key) as label,
    metrics.unit
from {{ ref('score_caps') }} as caps
inner join {{ ref('int_scoring__scorecard_names') }} as names
    on caps.config_version = names.config_version
    and caps.scorecard_key = names.scorecard_key
inner join {{ source('control', 'codes') }} as codes
    on codes.kind = 'metric'
    and codes.key = 'cap:' || caps.cap_key
left join {{ ref('metrics') }} as metrics on caps.metric_key = metrics.metric_key
