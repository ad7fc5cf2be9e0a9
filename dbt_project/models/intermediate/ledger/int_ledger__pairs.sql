-- Grain: account x as_of_date x k, for the days whose ledger the run computes: the two days that a change lies between.
-- same_key_scorecard_code is the scorecard that would hold the earlier day's key in the version of the later day, as that version stood
-- when the later day was scored; where the key is gone, the later day's own scorecard.

with lags as (

    {% for k in ledger_lags() -%}
    select {{ k }} as k
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

scores as (

    select * from {{ ref('int_scoring__account_scores') }}

),

names as (

    select * from {{ ref('int_scoring__scorecard_names') }}

),

configured as (

    select
        runs.run_code,
        names.config_version,
        names.scorecard_key,
        names.scorecard_code
    from {{ source('control', 'runs') }} as runs
    inner join {{ source('control', 'configurations') }} as configurations on runs.configuration_hash = configurations.configuration_hash
    inner join names on configurations.scorecard_code = names.scorecard_code

)

select
    later.account_id,
    later.as_of_date,
    cast(lags.k as tinyint) as k,
    earlier.as_of_date as earlier_date,
    later.scorecard_code,
    earlier.scorecard_code as earlier_scorecard_code,
    cast(
        case
            when later.scorecard_code = earlier.scorecard_code then later.scorecard_code
            else coalesce(configured.scorecard_code, later.scorecard_code)
        end as smallint
    ) as same_key_scorecard_code,
    later.uncapped_score,
    earlier.uncapped_score as earlier_uncapped_score,
    coalesce(later.cap_points, 0) - coalesce(earlier.cap_points, 0) as cap_change,
    later.cap_code,
    earlier.cap_code as earlier_cap_code,
    later.run_code
from scores as later
cross join lags
inner join scores as earlier
    on later.account_id = earlier.account_id
    and later.as_of_date = {{ dbt.dateadd('day', 'lags.k', 'earlier.as_of_date') }}
inner join names as later_names on later.scorecard_code = later_names.scorecard_code
inner join names as earlier_names on earlier.scorecard_code = earlier_names.scorecard_code
left join configured
    on later.run_code = configured.run_code
    and later_names.config_version = configured.config_version
    and earlier_names.scorecard_key = configured.scorecard_key
where later.as_of_date in (select as_of_date from {{ source('control', 'ledger_days') }})
