{{ config(materialized='incremental') }}

-- Grain: scorecard x metric x band: the score of a value from lower_bound on, up to the next band. The highest band is the first. Keeps what the seeds no
-- longer hold, as int_scoring__scorecard_metrics does.

select
    scorecards.scorecard_id,
    bands.metric_key,
    row_number() over (partition by scorecards.scorecard_id, bands.metric_key order by bands.lower_bound desc) as position,
    bands.lower_bound,
    bands.score
from {{ ref('metric_bands') }} as bands
inner join {{ ref('int_scoring__scorecards') }} as scorecards
    on bands.config_version = scorecards.config_version
    and bands.scorecard_key = scorecards.scorecard_key
{% if is_incremental() %}where scorecards.scorecard_id not in (select scorecard_id from {{ this }}){% endif %}
