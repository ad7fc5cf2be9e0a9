-- Grain: override.

select
    override_id,
    account_id,
    tier,
    reason,
    author,
    starts_on,
    expires_on
from {{ source('raw', 'score_overrides') }}
