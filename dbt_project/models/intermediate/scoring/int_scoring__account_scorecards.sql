-- Grain: account x as_of_date, for the days of the run: the account's stage and the scorecard that scores it.

with staged as (

    select
        *,
        case
            when tenure < 90 then 'onboarding'
            when term_ends_day - day between 0 and 90 then 'renewing'
            else 'mature'
        end as stage
    from {{ ref('int_accounts__scored_days') }}

),

-- Few combinations of day, segment and stage: the scorecard is found once for each.
combinations as (

    select distinct as_of_date, segment, stage from staged

),

ranked as (

    select
        combinations.as_of_date,
        combinations.segment,
        combinations.stage,
        scorecards.scorecard_code,
        row_number() over (
            partition by combinations.as_of_date, combinations.segment, combinations.stage
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
    staged.account_id,
    staged.as_of_date,
    staged.day,
    staged.tenure,
    staged.segment,
    staged.stage,
    ranked.scorecard_code,
    staged.seats,
    staged.mrr,
    staged.term_ends_day
from staged
inner join ranked
    on staged.as_of_date = ranked.as_of_date
    and (staged.segment = ranked.segment or (staged.segment is null and ranked.segment is null))
    and staged.stage = ranked.stage
where ranked.position = 1
