-- Grain: override. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    score_overrides.override_id,
    score_overrides.account_id,
    score_overrides.tier,
    score_overrides.reason,
    score_overrides.author,
    score_overrides.starts_on,
    score_overrides.expires_on
from {{ source('raw', 'score_overrides') }} as score_overrides
inner join {{ ref('stg_crm__accounts') }} as accounts on score_overrides.account_id = accounts.account_id
