{{ config(materialized='view') }}

-- Grain: day, from the first scored day to the last, also those that nobody scored: a date axis without gaps, and the time spine of the metrics.

with scored as (

    select
        {{ day_number('min(as_of_date)') }} as first_day,
        {{ day_number('max(as_of_date)') }} as last_day
    from {{ ref('int_scoring__account_scores') }}

),

days as (

    {{ day_series('first_day', 'last_day', 'scored') }}

),

dates as (

    select
        {{ date_of_day('days.day') }} as calendar_date,
        days.day = scored.last_day as is_latest
    from days
    cross join scored

)

select
    calendar_date,
    cast({{ dbt.date_trunc('week', 'calendar_date') }} as date) as week,
    cast({{ dbt.date_trunc('month', 'calendar_date') }} as date) as month,
    cast({{ dbt.date_trunc('quarter', 'calendar_date') }} as date) as quarter,
    cast(extract(year from calendar_date) as integer) as year,
    is_latest
from dates
