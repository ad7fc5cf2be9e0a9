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

)

select {{ date_of_day('day') }} as calendar_date
from days
