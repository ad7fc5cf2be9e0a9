{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ replace_as_of_days('ledger_days') }}") }}

-- Grain: account x as_of_date x k x component other than behaviour (specification section 7). Before caps, S0 is the earlier score, S1 the earlier
-- day under the rules of the later day with the same scorecard key, S2 under the later day's scorecard, S3 the later score.
-- The component cap names the caps of both days, and the scorecard of the earlier one.

with pairs as (

    select * from {{ ref('int_ledger__pairs') }}

),

whatif as (

    select
        account_id,
        as_of_date,
        scorecard_code,
        50 + cast(sum({{ exact_weight('points') }}) as double) as uncapped_score
    from {{ ref('int_whatif__dimension_scores') }}
    group by account_id, as_of_date, scorecard_code

),

behaviour as (

    select
        account_id,
        as_of_date,
        k,
        cast(sum({{ exact('points') }}) as double) as points
    from {{ ref('int_ledger__behaviour') }}
    where as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})
    group by account_id, as_of_date, k

),

scores as (

    select
        pairs.account_id,
        pairs.as_of_date,
        pairs.k,
        pairs.earlier_uncapped_score as s0,
        -- Without any metric that has a score the score is 50.
        case
            when pairs.same_key_scorecard_code = pairs.earlier_scorecard_code then pairs.earlier_uncapped_score
            else coalesce(same_key.uncapped_score, 50)
        end as s1,
        case
            when pairs.scorecard_code = pairs.earlier_scorecard_code then pairs.earlier_uncapped_score
            else coalesce(own.uncapped_score, 50)
        end as s2,
        pairs.uncapped_score as s3,
        coalesce(behaviour.points, 0) as behaviour,
        pairs.cap_change,
        pairs.cap_code,
        pairs.earlier_cap_code,
        pairs.scorecard_code,
        pairs.earlier_scorecard_code,
        pairs.run_code
    from pairs
    left join whatif as same_key
        on pairs.account_id = same_key.account_id
        and pairs.earlier_date = same_key.as_of_date
        and pairs.same_key_scorecard_code = same_key.scorecard_code
    left join whatif as own
        on pairs.account_id = own.account_id
        and pairs.earlier_date = own.as_of_date
        and pairs.scorecard_code = own.scorecard_code
    left join behaviour
        on pairs.account_id = behaviour.account_id
        and pairs.as_of_date = behaviour.as_of_date
        and pairs.k = behaviour.k

),

components as (

    {% for name, points in [
        ('configuration', 's1 - s0'),
        ('scorecard', 's2 - s1'),
        ('availability', 's3 - s2 - behaviour'),
        ('cap', 'cap_change'),
    ] %}
    select
        account_id,
        as_of_date,
        k,
        {{ component(name) }} as component,
        round({{ points }}, 12) as points,
        {% for column in ['cap_code', 'earlier_cap_code', 'earlier_scorecard_code'] -%}
        {{ column if name == 'cap' else 'cast(null as smallint) as ' ~ column }},
        {% endfor -%}
        scorecard_code,
        run_code
    from scores
    {{ 'union all' if not loop.last }}
    {%- endfor %}

)

select *
from components
-- Less is the noise of floating-point arithmetic.
where abs(points) > 1e-11
