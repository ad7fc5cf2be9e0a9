{{ config(materialized='view') }}

-- Grain: account x as_of_date x k x component, behaviour by metric. The rows of a change sum to it: exact score - exact score k days before.

with changes as (

    select
        account_id,
        as_of_date,
        k,
        component,
        cast(null as smallint) as metric_code,
        points,
        cap_code,
        earlier_cap_code,
        scorecard_code,
        earlier_scorecard_code,
        run_code
    from {{ ref('int_ledger__components') }}
    union all
    select
        account_id,
        as_of_date,
        k,
        {{ component('behaviour') }},
        metric_code,
        points,
        null,
        null,
        scorecard_code,
        null,
        run_code
    from {{ ref('int_ledger__behaviour') }}

)

select
    changes.account_id,
    changes.as_of_date,
    cast(changes.k as integer) as k,
    {{ component_name('changes.component') }} as component,
    metrics.metric_key,
    {{ change_label('changes', 'metrics', 'caps', 'earlier_caps') }} as label,
    changes.points,
    scorecards.scorecard_key,
    scorecards.config_version,
    runs.run_id,
    runs.configuration_hash
from changes
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on changes.scorecard_code = scorecards.scorecard_code
inner join {{ source('control', 'runs') }} as runs on changes.run_code = runs.run_code{{ join_change_names('changes') }}
