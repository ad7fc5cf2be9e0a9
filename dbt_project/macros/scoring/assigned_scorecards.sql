{# Which scorecard scores an account in which stage: of its version's that match segment and stage, the one of the greatest priority
   number. `*` matches all, a missing segment only `*`.

   `accounts` is a CTE of (account_id, as_of_date, segment, stage). Renders the CTE `assigned`: the columns of `accounts` and
   scorecard_code. An account has one row for each version of the status that holds on the day: one active, any number of candidates. #}
{% macro assigned_scorecards(accounts, status) %}
-- Few combinations of day, segment and stage: the scorecard is found once for each.
combinations as (

    select distinct as_of_date, segment, stage from {{ accounts }}

),

ranked as (

    select
        combinations.as_of_date,
        combinations.segment,
        combinations.stage,
        scorecards.scorecard_code,
        row_number() over (
            partition by combinations.as_of_date, combinations.segment, combinations.stage, scorecards.config_version
            order by scorecards.priority desc
        ) as position
    from combinations
    inner join {{ ref('int_scoring__scorecards') }} as scorecards
        on scorecards.status = '{{ status }}'
        and combinations.as_of_date >= scorecards.valid_from
        and (scorecards.valid_to is null or combinations.as_of_date < scorecards.valid_to)
        and (scorecards.segment = '*' or scorecards.segment = combinations.segment)
        and (scorecards.stage = '*' or scorecards.stage = combinations.stage)

),

assigned as (

    select
        accounts.*,
        ranked.scorecard_code
    from {{ accounts }} as accounts
    inner join ranked
        on accounts.as_of_date = ranked.as_of_date
        and (accounts.segment = ranked.segment or (accounts.segment is null and ranked.segment is null))
        and accounts.stage = ranked.stage
    where ranked.position = 1

)
{% endmacro %}
