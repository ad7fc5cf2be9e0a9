-- Grain: raw table x reason. Each quarantined row counts once, under its first reason; the rows themselves are in the lake.

select
    table_name as raw_table,
    reason,
    cast(quarantined as bigint) as quarantined_rows
from {{ source('control', 'landing_quarantine') }}
