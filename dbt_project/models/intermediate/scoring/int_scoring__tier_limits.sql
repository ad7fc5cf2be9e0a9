{{ config(materialized='view') }}

-- Grain: scorecard: its tiers as one wide row. A limit is known by the tier that begins there; one that is left out begins where the next higher
-- tier does, so that no score reaches it.

select
    scorecard_id,
    tier_mode,
    tier_margin,
    confirm_days,
    min_coverage,
    coalesce(max(case when tier = 'healthy' then min_score end), cast('infinity' as double)) as healthy_score,
    coalesce(
        max(case when tier = 'at_risk' then min_score end), max(case when tier = 'healthy' then min_score end), cast('infinity' as double)
    ) as at_risk_score,
    coalesce(max(case when tier = 'healthy' then min_percentile end), 1) as healthy_percentile,
    coalesce(max(case when tier = 'at_risk' then min_percentile end), max(case when tier = 'healthy' then min_percentile end), 1) as at_risk_percentile
from {{ ref('int_scoring__tiers') }}
group by scorecard_id, tier_mode, tier_margin, confirm_days, min_coverage
