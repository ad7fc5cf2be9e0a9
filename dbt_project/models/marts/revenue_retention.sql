-- Grain: month x segment, and one row for all segments (is_total). Only months that are over by the newest scored day.
-- Of the accounts that paid at the end of the month before: what they pay at the end of this one. Both amounts are at the rates in force on the
-- last day of the month, so that exchange rates move nothing. Segments are those of today. Sums of mrr are additive over segments; rates are not.

with as_of as (

    select {{ day_number('max(as_of_date)') }} as day from {{ ref('int_scoring__account_scores') }}

),

subscriptions as (

    select * from {{ ref('int_billing__subscriptions') }}

),

bounds as (

    select
        least(min(subscriptions.started_day), min(as_of.day)) as first_day,
        min(as_of.day) as last_day
    from subscriptions
    cross join as_of

),

days as (

    {{ day_series('first_day', 'last_day', 'bounds') }}

),

month_ends as (

    select
        day,
        {{ date_of_day('day') }} as date,
        lag(day) over (order by day) as day_before
    from days
    where {{ date_of_day('day + 1') }} = cast({{ dbt.date_trunc('month', date_of_day('day + 1')) }} as date)

),

looked_at as (

    select day, date, day as day_in_force, true as is_end from month_ends
    union all
    select day, date, day_before, false from month_ends where day_before is not null

),

in_force as (

    select
        subscriptions.account_id,
        looked_at.day,
        looked_at.date,
        looked_at.is_end,
        subscriptions.mrr_in_currency * case when subscriptions.foreign_currency is null then 1 else fx_rates.rate end as mrr
    from subscriptions
    inner join looked_at
        on subscriptions.started_day <= looked_at.day_in_force
        and (subscriptions.ended_day is null or subscriptions.ended_day > looked_at.day_in_force)
    left join {{ ref('stg_billing__fx_rates') }} as fx_rates
        on subscriptions.foreign_currency = fx_rates.currency
        and fx_rates.valid_from <= looked_at.date
        and (fx_rates.valid_to is null or fx_rates.valid_to > looked_at.date)

),

account_months as (

    select
        account_id,
        day,
        min(date) as date,
        sum(case when not is_end then {{ exact('mrr') }} end) as mrr_before,
        -- Who left pays nothing. A price that nobody knows is no zero.
        case
            when count(case when is_end then 1 end) = 0 then 0
            else sum(case when is_end then {{ exact('mrr') }} end)
        end as mrr_after
    from in_force
    group by account_id, day

),

paying as (

    select
        account_months.date as month_end,
        accounts.segment,
        account_months.mrr_before,
        account_months.mrr_after,
        least(account_months.mrr_before, account_months.mrr_after) as mrr_kept
    from account_months
    inner join {{ ref('stg_crm__accounts') }} as accounts on account_months.account_id = accounts.account_id
    where account_months.mrr_before > 0 and account_months.mrr_after is not null

),

scopes as (

    select *, false as is_total from paying
    union all
    select month_end, null, mrr_before, mrr_after, mrr_kept, true from paying

)

select
    cast({{ dbt.date_trunc('month', 'month_end') }} as date) as month,
    segment,
    is_total,
    count(*) as accounts,
    count(case when mrr_after = 0 then 1 end) as accounts_lost,
    cast(sum(mrr_before) as double) as mrr_before,
    cast(sum(mrr_after) as double) as mrr_after,
    cast(sum(mrr_kept) as double) as mrr_kept,
    max(run.reporting_currency) as currency,
    cast(sum(mrr_after) as double) / cast(sum(mrr_before) as double) as nrr,
    cast(sum(mrr_kept) as double) / cast(sum(mrr_before) as double) as grr
from scopes
cross join {{ source('control', 'run') }} as run
group by month_end, segment, is_total
