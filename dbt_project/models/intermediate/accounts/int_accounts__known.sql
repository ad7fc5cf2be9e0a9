{{ config(
    materialized='incremental',
    pre_hook="{% if is_incremental() %}{{ delete_rows('account_id in (select account_id from ' ~ ref('stg_crm__accounts') ~ ')') }}{% endif %}"
) }}

-- Grain: account that any run has found in its source, as it was delivered last: history keeps the names of accounts that are gone from there.

select
    account_id,
    account_name,
    parent_account_id,
    segment,
    industry,
    region,
    csm,
    created_at
from {{ ref('stg_crm__accounts') }}
