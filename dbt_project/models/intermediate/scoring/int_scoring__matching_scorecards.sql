-- Grain: as_of_date x segment x stage x config_version, for the days of the run: the scorecard that scores such accounts. Of the version's that
-- match segment and stage it is the one of the greatest priority number; `*` matches all, a missing segment only `*`.
-- One active version holds on a day, and any number of candidates. Few combinations: the scorecard is found once for each.

with combinations as (

    select distinct as_of_date, segment, stage from {{ ref('int_accounts__scored_days') }}

),

ranked as (

    select
        combinations.as_of_date,
        combinations.segment,
        combinations.stage,
        scorecards.scorecard_id,
        scorecards.status,
        row_number() over (
            partition by combinations.as_of_date, combinations.segment, combinations.stage, scorecards.config_version
            order by scorecards.priority desc
        ) as position
    from combinations
    inner join {{ ref('int_scoring__scorecards') }} as scorecards
        on combinations.as_of_date >= scorecards.valid_from
        and (scorecards.valid_to is null or combinations.as_of_date < scorecards.valid_to)
        and (scorecards.segment = '*' or scorecards.segment = combinations.segment)
        and (scorecards.stage = '*' or scorecards.stage = combinations.stage)

)

select
    as_of_date,
    segment,
    stage,
    scorecard_id,
    status
from ranked
where position = 1
