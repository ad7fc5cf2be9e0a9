-- The benchmark's yardstick: all of docs/scoring.md in plain DuckDB statements, from raw files to the rows of the mart, for any
-- range of days. reference.py runs it: it loads the raw tables (cleaned as docs/scoring.md, "Raw tables" says) as raw_<table>, exchange rates as
-- rates, the events as the view delivered_events, and sets the variables first_day, last_day, late_after_days. Scratch tables are temporary.
--
-- What makes it fast:
--   * a fact that counts from one day to another is a span; +x where it begins, -x where it ends and a running sum give
--     the total of every day in one pass, however long the window (distinct users too: their visits joined into spans);
--   * accounts are small integers, users and features hashes, once the raw rows are read;
--   * one wide row for each account and day: a metric is a few columns of it, and its parameters are numbers in the statement. Jinja writes
--     what is the same for each metric, dimension and scorecard; `metrics`, `dimensions`, `versions` and `states` come from reference.py.

-- step: codes

create table account_names as
select cast(row_number() over (order by account_id) as integer) as account, account_id from raw_accounts;

create temp table accounts as
select
    account,
    account_id,
    segment,
    cast(created_at as date) as created_on
from account_names
inner join raw_accounts using (account_id);

create temp table grid as
select account, cast(day as date) as day
from accounts, generate_series(getvariable('first_day'), getvariable('last_day'), interval 1 day) as days (day);

-- Running totals of the spans in a table (account, from_day, to_day, amounts...) for every account and day of the run.
-- A span counts on from_day and no longer on to_day (null: it never ends).
create temp macro running(spans) as table
with
    visible as (
        select * from query_table(spans)
        where
            from_day <= getvariable('last_day')
            and (to_day is null or (to_day > from_day and to_day > getvariable('first_day')))
    ),

    changes as (
        select
            account,
            greatest(from_day, getvariable('first_day')) as day,
            columns(* exclude (account, from_day, to_day))
        from visible
        union all
        select account, to_day as day, -columns(* exclude (account, from_day, to_day))
        from visible
        where to_day <= getvariable('last_day')
    ),

    daily as (
        select account, day, sum(columns(* exclude (account, day))) as '\0'
        from changes
        group by account, day
    )

select
    account,
    day,
    cast(coalesce(sum(columns(daily.* exclude (account, day))) over running_days, 0) as double) as '\0'
from grid
left join daily using (account, day)
window running_days as (partition by account order by day rows unbounded preceding);

-- Median and least amount of the spans that hold on a day: they change only where a span begins or ends, and are held until the next such day.
create temp macro rolling(spans) as table
with
    visible as (
        select * from query_table(spans)
        where to_day > from_day and from_day <= getvariable('last_day') and to_day > getvariable('first_day')
    ),

    change_days as (
        select account, greatest(from_day, getvariable('first_day')) as day from visible
        union
        select account, to_day as day from visible where to_day <= getvariable('last_day')
    ),

    medians as (
        select account, day, median(amount) as median, min(amount) as least
        from change_days
        left join visible using (account)
        where from_day <= day and to_day > day
        group by account, day
    ),

    changes as (
        select account, day, median, least from change_days left join medians using (account, day)
    )

select account, grid.day, changes.median, changes.least
from grid
asof inner join changes using (account, day);

-- step: duplicate events

-- Grouping 20 million hashes is the cheap way to find the few keys that may be duplicates.
create temp table suspects as
select hash(event_id) as key_hash
from event_files
group by key_hash
having count(*) > 1;

-- step: clean events

-- Users and features are known by hash: two of one account's users would have to share all 64 bits to be taken for one.
create temp table events as
select
    account,
    hash(user_id) as user_hash,
    case when feature is not null then hash(feature) end as feature_hash,
    cast(occurred_at as date) as day,
    cast(duration_seconds as decimal(18, 6)) as seconds,
    case when key_hash is not null then event_id end as suspect,
    case when key_hash is not null then { file: filename, number: file_row_number } end as position
from delivered_events
left join suspects on key_hash = hash(event_id)
left join accounts using (account_id)
where occurred_at < getvariable('last_day') + interval 1 day and (account is not null or key_hash is not null);

create temp table repeated as
select * from events
where suspect is not null
qualify row_number() over (partition by suspect order by position desc) = 1;

delete from events where suspect is not null;
insert into events from repeated where account is not null;

-- step: user days

create temp table user_days as
select
    account, user_hash, day,
    cast(count(*) as integer) as events,
    cast(count(seconds) as integer) as timed_events,
    sum(seconds) as seconds
from events
group by account, user_hash, day;

create temp table account_days as
select
    account, day,
    cast(count(*) as integer) as users,
    cast(sum(events) as bigint) as events,
    cast(sum(timed_events) as bigint) as timed_events,
    sum(seconds) as seconds
from user_days
group by account, day;

-- step: feature days

create temp table feature_days as
select distinct account, feature_hash, day from events where feature_hash is not null;

drop table events;

-- step: usage spans

create temp table visits as
select
    account, day,
    lag(day) over visits_of_user as previous_day,
    lead(day) over visits_of_user as next_day
from user_days
window visits_of_user as (partition by account, user_hash order by day);

-- Half spans: a user's 28-day span begins at a visit after a longer pause, and ends 28 days after a visit before one.
create temp table user_changes as
select account, day, cast(sum(users_28) as integer) as users_28, cast(sum(users_56) as integer) as users_56
from (
    select account, day, 1 as users_28, 0 as users_56 from visits where previous_day is null or previous_day + 28 < day
    union all
    select account, day + 28, -1, 0 from visits where next_day is null or next_day > day + 28
    union all
    select account, day, 0, 1 from visits where previous_day is null or previous_day + 56 < day
    union all
    select account, day + 56, 0, -1 from visits where next_day is null or next_day > day + 56
) as changes
group by account, day;

create temp table feature_spans as
select
    account, day as from_day,
    least(day + 90, lead(day) over (partition by account, feature_hash order by day)) as to_day
from feature_days;

create temp table release_spans as
select account, min(day) as from_day, any_value(released_on) + 90 as to_day
from feature_days
inner join raw_feature_releases on hash(feature) = feature_hash
where day >= released_on
group by account, feature_hash;

create temp table usage_spans as
select account, day as from_day, cast(null as date) as to_day, users_28, users_56 from user_changes
union all by name
select account, day + 28 as from_day, cast(null as date) as to_day, users_28 as users_28_before from user_changes
union all by name
select
    account, day as from_day, day + 28 as to_day,
    1 as days_28, users as user_days_28, events as events_28, timed_events as timed_events_28, seconds as seconds_28
from account_days
union all by name
select account, day + 28 as from_day, day + 112 as to_day, events as events_before from account_days
union all by name
select account, day as from_day, day + 30 as to_day, 1 as new_users_30 from visits where previous_day is null
union all by name
select account, from_day, to_day, count(*) as features_90 from feature_spans group by account, from_day, to_day
union all by name
select account, from_day, to_day, 1 as new_features_90 from release_spans;

-- step: usage by day

create temp table usage as from running('usage_spans');

create temp table last_use as
select account, grid.day, account_days.day as last_active_on
from grid
asof inner join account_days using (account, day);

-- A period of 28 days that ends on x is empty where x lies in a pause. Counting periods back from a day, the streak
-- ends at the first period that ends inside a pause.
create temp table pauses as
select account, previous_day + 28 as from_day, coalesce(day - 1, date '9999-12-31') as to_day
from (
    select account, day, lag(day) over (partition by account order by day) as previous_day from account_days
    union all
    select account, null, max(day) from account_days group by account
) as neighbours
where previous_day is null or day is null or day - previous_day > 28;

create temp table streaks as
select account, day, least(13, min(periods)) as streak
from (
    select
        account, day, from_day,
        case when day <= to_day then 0 else (day - to_day + 27) // 28 end as periods
    from grid
    inner join pauses using (account)
    where from_day is null or from_day <= day
) as candidates
where from_day is null or day - 28 * cast(periods as integer) >= from_day
group by account, day;

-- step: subscriptions

-- Of one subscription the earlier row ends when the later begins. A trial is worth nothing.
create temp table subscriptions as
select
    account, seats, started_on, term_ends_on, currency,
    case when is_trial then 0 else mrr end as own_mrr,
    cast(case when is_trial then 0 else mrr_reporting end as decimal(38, 9)) as mrr,
    least(ended_on, lead(started_on) over (partition by subscription_id order by started_on)) as ended_on
from raw_subscriptions
inner join accounts using (account_id);

-- What is in force today, and what was 90 days ago, both at the rates of today too.
create temp table subscription_days as
with
    in_force as (
        select
            account, day,
            sum(seats) as seats,
            sum(mrr) as mrr,
            sum(cast(own_mrr * rate as decimal(38, 9))) as mrr_now,
            min(case when term_ends_on >= day then term_ends_on end) - day as days_to_renewal,
            max(started_on) as started_on
        from grid
        inner join subscriptions using (account)
        asof left join rates on subscriptions.currency = rates.currency and day >= valid_from
        where started_on <= day and (ended_on is null or ended_on > day)
        group by account, day
    ),

    in_force_before as (
        select account, day, sum(cast(own_mrr * rate as decimal(38, 9))) as mrr_before
        from grid
        inner join subscriptions using (account)
        asof left join rates on subscriptions.currency = rates.currency and day >= valid_from
        where started_on <= day - 90 and (ended_on is null or ended_on > day - 90)
        group by account, day
    )

select in_force.*, mrr_before
from in_force
left join in_force_before using (account, day);

create temp table outcome_days as
select
    account, day,
    max(case when kind = 'renewed' then occurred_on end) as renewed_on,
    coalesce(bool_or(kind = 'churned'), false) as has_churned
from grid
inner join accounts using (account)
inner join raw_account_outcomes using (account_id)
where occurred_on <= day and kind in ('renewed', 'churned')
group by account, day;

-- Without a single subscription row, every account counts that has not churned.
create temp table population as
select
    account, day, segment, day - created_on as tenure,
    seats, mrr, mrr_now, mrr_before, days_to_renewal,
    case
        when day - created_on < 90 then 'onboarding'
        when days_to_renewal between 0 and 90 then 'renewing'
        else 'mature'
    end as stage,
    day - greatest(started_on, renewed_on) as days_since_renewal
from grid
inner join accounts using (account)
left join subscription_days using (account, day)
left join outcome_days using (account, day)
where
    created_on <= day
    and case
        when exists (from raw_subscriptions inner join accounts using (account_id)) then started_on is not null
        else has_churned is not true
    end;

-- step: invoices and outcomes

create temp table invoices as
select
    account, issued_on, due_on,
    amount_reporting as amount,
    coalesce(open_amount_reporting, amount_reporting) as owed,
    coalesce(
        least(paid_on, written_off_on), case when open_amount_reporting = 0 then due_on end, date '9999-12-31'
    ) as settled_on,
    coalesce(voided_on, date '9999-12-31') as voided_on
from raw_invoices
inner join accounts using (account_id);

create temp view claims as from invoices where amount > 0;

create temp table owed_spans as
select
    account, greatest(due_on + 1, issued_on) as from_day, least(settled_on, voided_on) as to_day,
    owed, due_on - date '2000-01-01' as amount
from claims;

create temp table oldest_owed as from rolling('owed_spans');

create temp table commercial_spans as
select
    account, greatest(due_on, issued_on) as from_day, least(due_on + 180, voided_on) as to_day, 1 as due
from claims
union all by name
select
    account, greatest(due_on, issued_on) as from_day, least(due_on + 180, voided_on, settled_on) as to_day,
    1 as unpaid, due_on - date '2000-01-01' as unpaid_due_on
from claims
union all by name
select
    account, greatest(due_on, issued_on, settled_on) as from_day, least(due_on + 180, voided_on) as to_day,
    greatest(0, settled_on - due_on) as paid_days_late
from claims
union all by name
select account, from_day, to_day, owed as overdue from owed_spans
union all by name
select account, issued_on as from_day, least(issued_on + 365, voided_on) as to_day, amount as invoiced_365 from invoices
union all by name
select account, occurred_on as from_day, occurred_on + 365 as to_day, 1 as expansions_365
from raw_account_outcomes
inner join accounts using (account_id)
where kind = 'expanded';

create temp table commercial as from running('commercial_spans');

-- step: tickets

create temp table tickets as
select
    account, priority, topic,
    cast(opened_at as date) as opened_on,
    -- What is dated before the opening counts as at the opening; a null stays null.
    case when escalated_at is not null then cast(greatest(escalated_at, opened_at) as date) end as escalated_on,
    case when first_replied_at is not null then cast(greatest(first_replied_at, opened_at) as date) end as replied_on,
    case when resolved_at is not null then cast(greatest(resolved_at, opened_at) as date) end as resolved_on,
    greatest(0, epoch_us(first_replied_at) - epoch_us(opened_at)) as reply_us,
    greatest(0, epoch_us(resolved_at) - epoch_us(opened_at)) as resolution_us
from raw_tickets
inner join accounts using (account_id);

create temp table support_spans as
select account, opened_on as from_day, resolved_on as to_day, 1 as critical_open
from tickets
where priority = 'critical'
union all by name
select account, escalated_on as from_day, escalated_on + 90 as to_day, 1 as escalations_90
from tickets
where escalated_on is not null
union all by name
select account, opened_on as from_day, opened_on + 28 as to_day, 1 as tickets_28 from tickets
union all by name
select
    account, opened_on as from_day, opened_on + 90 as to_day, 1 as tickets_90,
    case when topic in ('bug', 'billing', 'complaint') then 1 else 0 end as negative_90
from tickets
union all by name
select account, cast(responded_at as date) as from_day, cast(responded_at as date) + 180 as to_day,
    1 as csat_180, cast(score as decimal(38, 9)) as csat_sum
from raw_survey_responses
inner join accounts using (account_id)
where survey = 'csat'
union all by name
select account, cast(responded_at as date) as from_day, cast(null as date) as to_day, 1 as csat_ever
from raw_survey_responses
inner join accounts using (account_id)
where survey = 'csat';

create temp table support as from running('support_spans');

create temp table reply_spans as
select account, replied_on as from_day, replied_on + 90 as to_day, reply_us / 3600e6 as amount
from tickets
where replied_on is not null;

create temp table replies as from rolling('reply_spans');

create temp table resolution_spans as
select
    account, resolved_on as from_day, resolved_on + 90 as to_day,
    resolution_us / 3600e6 as amount
from tickets
where resolved_on is not null;

create temp table resolutions as from rolling('resolution_spans');

-- step: voice and outcomes

create temp table touchpoints as
select *, cast(occurred_at as date) as day from raw_touchpoints inner join accounts using (account_id);

create temp table answers as
select
    account, survey, score, cast(responded_at as date) as day,
    lead(cast(responded_at as date)) over (
        partition by account, survey, coalesce('user ' || user_id, 'response ' || response_id)
        order by responded_at, response_id
    ) as next_day
from raw_survey_responses
inner join accounts using (account_id)
where survey in ('nps', 'product_rating');

create temp table pulses as
select
    account, rating, cast(rated_at as date) as day,
    lead(cast(rated_at as date)) over (partition by account order by rated_at, pulse_id) as next_day
from raw_csm_pulses
inner join accounts using (account_id);

create temp table goals as
select
    account, measured_on as day, value_delivered,
    lead(measured_on) over (partition by account, goal_id order by measured_on) as next_day,
    case
        when target_value > 0 and actual_value is not null then greatest(0, least(2, actual_value / target_value))
    end as attainment
from raw_account_goals
inner join accounts using (account_id);

create temp table voice_spans as
select
    account, day as from_day, day + 90 as to_day,
    case when direction = 'inbound' or responded then 1 else 0 end as two_way_90,
    cast(duration_minutes as decimal(38, 9)) as minutes_90,
    cast(sentiment as decimal(38, 9)) as sentiment_sum,
    case when sentiment is null then 0 else 1 end as sentiment_90,
    case when direction = 'outbound' then 1 else 0 end as outbound_90,
    case when direction = 'outbound' and responded then 1 else 0 end as answered_90
from touchpoints
union all by name
select
    account, day as from_day, least(day + 180, next_day) as to_day, 1 as nps_180,
    case when score >= 9 then 1 when score <= 6 then -1 else 0 end as nps_sum
from answers
where survey = 'nps'
union all by name
select account, day as from_day, cast(null as date) as to_day, 1 as nps_ever from answers where survey = 'nps'
union all by name
select account, day as from_day, day + 365 as to_day, 1 as rating_365, cast(score as decimal(38, 9)) as rating_sum
from answers
where survey = 'product_rating'
union all by name
select account, day as from_day, cast(null as date) as to_day, 1 as rating_ever
from answers
where survey = 'product_rating'
union all by name
select account, cast(occurred_at as date) as from_day, cast(occurred_at as date) + 365 as to_day, 1 as advocacy_365
from raw_advocacy_events
inner join accounts using (account_id)
union all by name
select
    account, day as from_day, least(day + 90, next_day) as to_day,
    1 as pulse_90, cast(rating as decimal(38, 9)) as pulse
from pulses
union all by name
select account, day as from_day, cast(null as date) as to_day, 1 as pulse_ever from pulses
union all by name
select
    account, day as from_day, least(day + 180, next_day) as to_day,
    1 as goals_180, cast(attainment as decimal(38, 15)) as goals_sum
from goals
where attainment is not null
union all by name
select account, day as from_day, cast(null as date) as to_day, 1 as goals_ever from goals where attainment is not null
union all by name
select
    account, day as from_day, day + 365 as to_day,
    1 as delivered_365, cast(value_delivered as decimal(38, 9)) as delivered_sum
from goals
where value_delivered is not null;

create temp table voice as from running('voice_spans');

-- step: people

-- Of a contact of an account the earlier role ends when the later begins.
create temp table roles as
select
    account, contact_id, role, joined_on,
    case when user_id is not null then hash(user_id) end as user_hash,
    lead(joined_on) over roles_of_contact as next_on,
    least(left_on, lead(joined_on) over roles_of_contact) as left_on
from raw_contacts
inner join accounts using (account_id)
window roles_of_contact as (partition by account, contact_id order by joined_on);

create temp table heard as
select account, contact_id, joined_on, user_days.day
from user_days
inner join roles using (account, user_hash)
where user_days.day > getvariable('first_day') - 365
union
select account, contact_id, joined_on, touchpoints.day
from touchpoints
inner join roles using (account, contact_id)
where direction = 'inbound' or responded;

create temp table role_days as
select
    account, day, contact_id, joined_on, user_hash is not null as has_user,
    case when left_on is null or left_on > day then role end as role
from grid
inner join roles using (account)
where joined_on <= day and (next_on is null or next_on > day);

create temp table people as
select
    role_days.account, role_days.day,
    count(*) as contacts,
    bool_or(has_user) as any_user,
    count(*) filter (heard.day > role_days.day - 90) as engaged,
    {% for role in ("champion", "decision_maker") -%}
    count(*) filter (role = '{{ role }}') as {{ role }}s,
    bool_or(has_user) filter (role = '{{ role }}') as any_{{ role }}_user,
    {% for whose in ("", " and has_user") -%}
    least(365, min(role_days.day - greatest(role_days.joined_on, heard.day)) filter (role = '{{ role }}'{{ whose }}))
        as {{ role }}_silent{{ "_user" if whose }},
    {% endfor -%}
    {% endfor -%}
from role_days
asof left join heard
    on role_days.account = heard.account and role_days.contact_id = heard.contact_id
    and role_days.joined_on = heard.joined_on and role_days.day >= heard.day
group by role_days.account, role_days.day;

create temp table champion_spans as
select account, left_on as from_day, left_on + 90 as to_day, 1 as champions_left from roles where role = 'champion' and left_on is not null
union all by name
select account, joined_on as from_day, joined_on + 90 as to_day, 1 as champions_joined from roles where role = 'champion';

create temp table champions as from running('champion_spans');

-- step: facts of the day

-- Whether each table has a row up to the day, whether usage is late, and what anyone did.
create temp table calendar as
with
    days as (select distinct day from grid),

    used_features as (select distinct feature_hash, day from feature_days),

    first_facts as (
        select
            (select min(day) from account_days) as usage_from,
            (select min(day) from account_days where timed_events > 0) as timed_from,
            (select min(released_on) from raw_feature_releases) as releases_from,
            (
                select min(started_on) from raw_subscriptions inner join accounts using (account_id)
            ) as subscriptions_from,
            (select min(issued_on) from invoices) as invoices_from,
            (select min(occurred_on) from raw_account_outcomes inner join accounts using (account_id)) as outcomes_from,
            (select min(opened_on) from tickets) as tickets_from,
            (select min(day) from touchpoints) as touchpoints_from,
            (select min(day) from touchpoints where contact_id is not null) as named_from,
            (select min(joined_on) from roles) as contacts_from,
            (
                select cast(min(occurred_at) as date)
                from raw_advocacy_events
                inner join accounts using (account_id)
            ) as advocacy_from
    )

select
    day,
    coalesce(usage_from <= day, false) as has_usage,
    coalesce(timed_from <= day, false) as has_timed_usage,
    coalesce(releases_from <= day, false) as has_releases,
    coalesce(subscriptions_from <= day, false) as has_subscriptions,
    coalesce(invoices_from <= day, false) as has_invoices,
    coalesce(outcomes_from <= day, false) as has_outcomes,
    coalesce(tickets_from <= day, false) as has_tickets,
    coalesce(touchpoints_from <= day, false) as has_touchpoints,
    coalesce(named_from <= day, false) as has_named,
    coalesce(contacts_from <= day, false) as has_contacts,
    coalesce(advocacy_from <= day, false) as has_advocacy,
    day - (select max(account_days.day) from account_days where account_days.day <= days.day)
        > getvariable('late_after_days') as is_usage_late,
    (
        select count(distinct feature_hash) from used_features
        where used_features.day between days.day - 89 and days.day
    ) as anyones_features,
    (select count(*) from raw_feature_releases where released_on between days.day - 89 and days.day) as releases
from days, first_facts;

-- step: metric values

{% set measured = "'measured'::metric_state" %}
{% set not_applicable = "'not_applicable'::metric_state" %}
{% set late = "'late'::metric_state" %}

-- The scorecard of a version: that of the greatest priority which matches.
{% macro card_of(version) -%}
case
    {% for card in version.cards | sort(attribute="priority", reverse=true) -%}
    when
        {{ "true" if card.segment == "*" else "segment = " ~ text(card.segment) }}
        and {{ "true" if card.stage == "*" else "stage = " ~ text(card.stage) }}
    then {{ number_of(card) }}
    {% endfor -%}
end
{%- endmacro %}

create type metric_state as enum ('measured', 'not_applicable', 'stale', 'missing', 'late');

-- Value and state of every metric. A measured value of null is missing. The usage values of an account that never did
-- anything come out as 0 by themselves.
create temp table metric_values as
with
    facts as (
        select
            *,
            users_28 + users_28_before - users_56 as kept_users,
            case when not has_usage then 'missing' when is_usage_late then 'late' end as no_usage,
            case when last_active_on is null and tenure <= 30 then 'not_applicable' end as too_young,
            case when not has_invoices then 'missing' end as no_invoices,
            case when not has_subscriptions then 'missing' end as no_subscriptions,
            case when not has_tickets then 'missing' end as no_tickets,
            case when not has_touchpoints then 'missing' end as no_touchpoints,
            case when not has_contacts then 'missing' end as no_contacts,
            case when has_usage and is_usage_late then 'late' end as late_usage,
            coalesce(seats, 0) = 0 as is_without_seats
        from population
        inner join usage using (account, day)
        inner join commercial using (account, day)
        inner join support using (account, day)
        inner join voice using (account, day)
        inner join champions using (account, day)
        inner join calendar using (day)
        left join people using (account, day)
        left join last_use using (account, day)
        left join streaks using (account, day)
        left join (select account, day, least as overdue_since from oldest_owed) using (account, day)
        left join (select account, day, median as reply_hours from replies) using (account, day)
        left join (select account, day, median as resolution_hours from resolutions) using (account, day)
    ),

    stated as (
        select
            account, day, segment, stage,
            coalesce(no_usage, too_young) as active_days_28d__stated, days_28 as active_days_28d,
            coalesce(no_usage, too_young) as active_users_28d__stated, users_28 as active_users_28d,
            coalesce(no_usage, case when is_without_seats then 'not_applicable' end, too_young) as license_utilization_28d__stated,
            users_28 / nullif(seats, 0) as license_utilization_28d,
            coalesce(
                no_usage,
                case when users_28_before = 0 or tenure < 56 then 'not_applicable' end,
                too_young
            ) as active_user_trend_28d__stated,
            (users_28 - users_28_before) / nullif(users_28_before, 0) as active_user_trend_28d,
            coalesce(no_usage, too_young) as stickiness_28d__stated,
            case when users_28 = 0 then 0 else user_days_28 / 28 / users_28 end as stickiness_28d,
            coalesce(
                no_usage,
                case when not has_timed_usage or (events_28 > 0 and timed_events_28 = 0) then 'missing' end,
                too_young
            ) as minutes_per_active_user_28d__stated,
            case when users_28 = 0 then 0 else seconds_28 / 60 / users_28 end as minutes_per_active_user_28d,
            coalesce(no_usage, case when anyones_features = 0 then 'missing' end, too_young) as feature_breadth_90d__stated,
            features_90 / nullif(anyones_features, 0) as feature_breadth_90d,
            coalesce(
                no_usage,
                case when not has_releases then 'missing' when releases = 0 then 'not_applicable' end,
                too_young
            ) as new_feature_adoption_90d__stated,
            new_features_90 / nullif(releases, 0) as new_feature_adoption_90d,
            coalesce(no_usage, too_young) as days_since_last_activity__stated,
            coalesce(day - last_active_on, tenure) as days_since_last_activity,
            coalesce(no_usage, case when users_28_before = 0 then 'not_applicable' end, too_young) as user_retention_28d__stated,
            kept_users / nullif(users_28_before, 0) as user_retention_28d,
            coalesce(
                no_usage,
                case when events_before = 0 or tenure < 112 then 'not_applicable' end,
                too_young
            ) as usage_vs_baseline_28d__stated,
            (events_28 / 28) / nullif(events_before / 84, 0) as usage_vs_baseline_28d,
            coalesce(no_usage, too_young) as active_periods_streak__stated,
            coalesce(streak, 0) as active_periods_streak,
            coalesce(
                no_usage,
                case when is_without_seats or tenure > 120 then 'not_applicable' end,
                too_young
            ) as onboarding_rate_30d__stated,
            new_users_30 / nullif(seats, 0) as onboarding_rate_30d,
            coalesce(no_invoices, case when due = 0 then 'not_applicable' end) as days_late_180d__stated,
            (unpaid * (day - date '2000-01-01') - unpaid_due_on + paid_days_late) / nullif(due, 0) as days_late_180d,
            no_invoices as days_overdue_oldest__stated,
            coalesce(day - date '2000-01-01' - overdue_since, 0) as days_overdue_oldest,
            coalesce(no_invoices, case when coalesce(mrr, 0) = 0 then 'not_applicable' end) as overdue_ratio__stated,
            overdue / nullif(cast(mrr as double), 0) as overdue_ratio,
            coalesce(no_subscriptions, case when coalesce(mrr_before, 0) = 0 then 'not_applicable' end) as mrr_trend_90d__stated,
            cast(mrr_now - mrr_before as double) / nullif(cast(mrr_before as double), 0) as mrr_trend_90d,
            cast(null as varchar) as days_to_renewal__stated, days_to_renewal as days_to_renewal,
            no_subscriptions as days_since_renewal__stated, days_since_renewal as days_since_renewal,
            case when not has_outcomes then 'missing' end as expansions_365d__stated, expansions_365 as expansions_365d,
            no_tickets as critical_open_tickets__stated, critical_open as critical_open_tickets,
            no_tickets as escalations_90d__stated, escalations_90 as escalations_90d,
            no_tickets as tickets_per_10_users_28d__stated,
            10 * tickets_28 / greatest(users_28, 10) as tickets_per_10_users_28d,
            coalesce(no_tickets, case when tickets_90 = 0 then 'not_applicable' end) as negative_ticket_share_90d__stated,
            negative_90 / nullif(tickets_90, 0) as negative_ticket_share_90d,
            coalesce(no_tickets, case when reply_hours is null then 'not_applicable' end) as median_first_reply_hours_90d__stated,
            reply_hours as median_first_reply_hours_90d,
            coalesce(no_tickets, case when resolution_hours is null then 'not_applicable' end) as median_resolution_hours_90d__stated,
            resolution_hours as median_resolution_hours_90d,
            case when csat_180 = 0 and csat_ever > 0 then 'stale' end as csat_180d__stated,
            csat_sum / nullif(csat_180, 0) as csat_180d,
            case when nps_180 = 0 and nps_ever > 0 then 'stale' end as nps_180d__stated,
            100 * nps_sum / nullif(nps_180, 0) as nps_180d,
            case when rating_365 = 0 and rating_ever > 0 then 'stale' end as product_rating_365d__stated,
            rating_sum / nullif(rating_365, 0) as product_rating_365d,
            no_touchpoints as two_way_touchpoints_90d__stated, two_way_90 as two_way_touchpoints_90d,
            no_touchpoints as contact_minutes_90d__stated, minutes_90 as contact_minutes_90d,
            no_touchpoints as contact_sentiment_90d__stated,
            sentiment_sum / nullif(sentiment_90, 0) as contact_sentiment_90d,
            coalesce(no_touchpoints, case when outbound_90 = 0 then 'not_applicable' end) as response_rate_90d__stated,
            answered_90 / nullif(outbound_90, 0) as response_rate_90d,
            case when not has_advocacy then 'missing' end as advocacy_365d__stated, advocacy_365 as advocacy_365d,
            case when pulse_90 = 0 and pulse_ever > 0 then 'stale' end as csm_pulse__stated,
            case when pulse_90 > 0 then pulse end as csm_pulse,
            {% for role in ("champion", "decision_maker") -%}
            coalesce(
                no_contacts, case when coalesce({{ role }}s, 0) = 0 then 'not_applicable' end, late_usage,
                case when not has_named and not (has_usage and any_{{ role }}_user) then 'missing' end
            ) as {{ role }}_days_silent__stated,
            case when has_named then {{ role }}_silent else {{ role }}_silent_user end as {{ role }}_days_silent,
            {% endfor -%}
            coalesce(no_contacts, case when contacts is null then 'missing' end) as champions_left_90d__stated,
            greatest(champions_left - champions_joined, 0) as champions_left_90d,
            coalesce(
                no_contacts, late_usage,
                case when contacts is null or (not has_named and not (has_usage and any_user)) then 'missing' end
            ) as engaged_contacts_90d__stated,
            engaged as engaged_contacts_90d,
            case when goals_180 = 0 and goals_ever > 0 then 'stale' end as goal_attainment__stated,
            goals_sum / nullif(goals_180, 0) as goal_attainment,
            case when delivered_365 = 0 then 'missing' when invoiced_365 <= 0 then 'not_applicable' end as customer_roi_365d__stated,
            delivered_sum / nullif(invoiced_365, 0) as customer_roi_365d
        from facts
    )

select
    account, day, stage,
    case
        {% for version in active | sort(attribute="valid_from", reverse=true) -%}
        when day >= date '{{ version.valid_from }}' then {{ card_of(version) }}
        {% endfor -%}
    end as card
    {%- for version in candidates %},
    case when day >= date '{{ version.valid_from }}' then {{ card_of(version) }} end as candidate_{{ loop.index }}
    {%- endfor %}
    {%- for metric in metrics %},
    cast(case when {{ metric }}__stated is null then {{ metric }} end as double) as {{ metric }},
    cast(
        coalesce({{ metric }}__stated, case when {{ metric }} is null then 'missing' else 'measured' end) as metric_state
    ) as {{ metric }}__state
    {%- endfor %}
from stated;

-- step: scores

-- Every account and day of `rows` on one card. Peers are the rows with is_peer; another row is ranked among them and
-- itself. Per dimension: sums of metric weights (of the applicable, scored, measured, measured or late), and of w x s.
{% macro scored(card, rows) %}
{% set of_card = card.metrics %}
{% set ranked = of_card | selectattr("method", "in", ("percentile", "zscore")) | list %}
{% set weighing = card.dimensions.items() | selectattr(1, "gt", 0) | map(attribute=0) | list %}
with
    compared as (
        select
            *
            {%- for metric in ranked %}
            {%- set v, is_known = metric.metric_key, metric.metric_key ~ "__state = " ~ measured %}
            {%- set peers = "filter (is_peer and " ~ is_known ~ ")" %},
            {%- if metric.method == "percentile" %}
            count(*) {{ peers }} over (
                partition by day order by case when {{ is_known }} then {{ v }} end groups between unbounded preceding and 1 preceding
            ) as {{ v }}__less,
            count(*) {{ peers }} over (partition by day, {{ v }}) + cast(not is_peer as integer) as {{ v }}__equal,
            count(*) {{ peers }} over (partition by day) + cast(not is_peer as integer) as {{ v }}__n
            {%- else %}
            count(*) {{ peers }} over (partition by day) as {{ v }}__n,
            avg({{ v }}) {{ peers }} over (partition by day) as {{ v }}__mean,
            var_pop({{ v }}) {{ peers }} over (partition by day) as {{ v }}__variance,
            min({{ v }}) {{ peers }} over (partition by day) as {{ v }}__min,
            max({{ v }}) {{ peers }} over (partition by day) as {{ v }}__max
            {%- endif %}
            {%- endfor %}
        from {{ rows }}
    ),

    {% for metric in ranked if metric.method == "zscore" %}
    {% set v = metric.metric_key %}
    compared_{{ v }} as (
        select
            * replace (
                case
                    when is_peer then {{ v }}__mean
                    else (coalesce({{ v }}__mean, 0) * {{ v }}__n + {{ v }}) / ({{ v }}__n + 1)
                end as {{ v }}__mean,
                case
                    when least({{ v }}__min, {{ v }}) = greatest({{ v }}__max, {{ v }}) then null
                    when is_peer then {{ v }}__variance
                    else
                        ({{ v }}__n * coalesce({{ v }}__variance, 0)
                        + pow({{ v }} - coalesce({{ v }}__mean, 0), 2) * {{ v }}__n / ({{ v }}__n + 1)) / ({{ v }}__n + 1)
                end as {{ v }}__variance
            )
        from {{ "compared" if loop.first else "compared_" ~ loop.previtem.metric_key }}
    ),
    {% endfor %}

    normalized as (
        select
            *
            {%- for metric in of_card %}
            {%- set v = metric.metric_key %},
            case {{ v }}__state
                when {{ measured }} then
                {%- if metric.method == "linear" %}
                    greatest(0, least(100, 100 * ({{ v }} - {{ number(metric.worst) }}) / {{ number(metric.best - metric.worst) }}))
                {%- elif metric.method == "bands" %}
                    case
                        {% for bound, score in metric.bands | sort(reverse=true) -%}
                        when {{ v }} >= {{ number(bound) }} then {{ number(score) }}
                        {% endfor -%}
                        else 0
                    end
                {%- elif metric.method == "percentile" %}
                    {{ "" if metric.higher_is_better else "100 - " }}case
                        when {{ v }}__n = 1 then 50
                        else 100 * ({{ v }}__less + ({{ v }}__equal - 1) / 2) / ({{ v }}__n - 1)
                    end
                {%- else %}
                    coalesce(
                        100 / (1 + exp({{ "-" if metric.higher_is_better else "" }}1.702 * ({{ v }} - {{ v }}__mean) / sqrt({{ v }}__variance))), 50
                    )
                {%- endif %}
                when {{ not_applicable }} then null
                else {{ {"exclude": "null", "neutral": "50", "worst": "0"}[metric.missing_policy] }}
            end as {{ v }}__score
            {%- endfor %}
        from {{ ("compared_" ~ (ranked | selectattr("method", "equalto", "zscore") | list)[-1].metric_key)
            if ranked | selectattr("method", "equalto", "zscore") | list else "compared" }}
    ),

    weighed as (
        select
            *
            {%- for dimension in weighing %}
            {%- for name, condition in (
                ("applicable", "__state <> " ~ not_applicable), ("scored", "__score is not null"),
                ("measured", "__state = " ~ measured), ("but_for_late", "__state in (" ~ measured ~ ", " ~ late ~ ")")
            ) %},
            cast(0
            {%- for metric in of_card if metric.dimension_key == dimension and metric.weight > 0 %}
            + case when {{ metric.metric_key }}{{ condition }} then {{ number(metric.weight) }} else 0 end
            {%- endfor %} as double) as {{ dimension }}__{{ name }}
            {%- endfor %},
            cast(0
            {%- for metric in of_card if metric.dimension_key == dimension and metric.weight > 0 %}
            + coalesce({{ number(metric.weight) }} * {{ metric.metric_key }}__score, 0)
            {%- endfor %} as double) as {{ dimension }}__weighted
            {%- endfor %}
        from normalized
    ),

    {% macro total(column) -%}
    cast(0 {% for dimension in weighing -%}
    + coalesce({{ number(card.dimensions[dimension]) }} * {{ dimension }}__{{ column }} / nullif({{ dimension }}__applicable, 0), 0)
    {% endfor %} as double)
    {%- endmacro %}
    totals as (
        select
            *,
            {{ total("scored") }} as scored_weight,
            coalesce({{ total("weighted") }} / nullif({{ total("scored") }}, 0), 50) as uncapped_score,
            coalesce({{ total("measured") }} / nullif({{ total("applicable") }}, 0), 0) as coverage,
            coalesce({{ total("but_for_late") }} / nullif({{ total("applicable") }}, 0), 0) as coverage_but_for_late
        from weighed
    ),

    capped as (
        select
            *,
            {% if card.caps %}case
                {% for cap in card.caps | sort(attribute="max_score,cap_key") -%}
                when
                    {{ cap.metric_key }}__state = {{ measured }} and {{ cap.metric_key }} {{ cap.operator }} {{ number(cap.threshold) }}
                    and uncapped_score > {{ number(cap.max_score) }} + 1e-10
                then { cap_key: {{ text(cap.cap_key) }}, max_score: {{ number(cap.max_score) }}, value: {{ cap.metric_key }} }
                {% endfor -%}
            end{% else %}null{% endif %} as cap
        from totals
    ),

    placed as (
        select
            *,
            cast(round(cast({{ "coalesce(cap.max_score, uncapped_score)" if card.caps else "uncapped_score" }} as decimal(18, 9)), 1) as double)
                as health_score,
            -- A sum of shares may miss the minimum by floating-point noise alone.
            round(coverage, 9) >= {{ number(card.min_coverage) }} as is_covered
        from capped
    )

select
    account, day, stage, {{ number_of(card) }} as card,
    health_score, uncapped_score, coverage, coverage_but_for_late,
    {% if card.caps %}cap.cap_key, cap.value as cap_value, cap.max_score - uncapped_score as cap_points,{% endif %}
    case
        when not is_covered then 'unknown'
        {% if card.tier_mode == "quantile" -%}
        {% set p = "cume_dist() over (partition by day, is_covered order by health_score)" -%}
        {% for tier in card.tiers | sort(attribute="min_percentile", reverse=true) -%}
        when {{ p }} > {{ number(tier.min_percentile) }} then '{{ tier.tier }}'
        {% endfor -%}
        {% else -%}
        {% for tier in card.tiers | sort(attribute="min_score", reverse=true) -%}
        when health_score >= {{ number(tier.min_score) }} then '{{ tier.tier }}'
        {% endfor -%}
        {% endif -%}
    end as raw_tier
    {%- for metric in of_card %}
    {%- set v, dimension = metric.metric_key, metric.dimension_key %}
    {%- set weighs = metric.weight > 0 and card.dimensions[dimension] > 0 %},
    {{ v }}, {{ v }}__state, {{ v }}__score,
    {{ number(nominal_weight(card, metric)) }} as {{ v }}__nominal_weight,
    {% if weighs -%}
    case
        when {{ v }}__score is not null
            then {{ number(metric.weight * card.dimensions[dimension]) }} / {{ dimension }}__applicable / scored_weight
        else 0
    end
    {%- else -%}
    cast(0 as double)
    {%- endif %} as {{ v }}__effective_weight
    {%- endfor %}
from placed
{% endmacro %}

create table wide_scores (
    account integer, day date, stage varchar, card smallint,
    health_score double, uncapped_score double, coverage double, coverage_but_for_late double,
    cap_key varchar, cap_value double, cap_points double, raw_tier varchar
    {%- for metric in metrics %},
    {{ metric }} double, {{ metric }}__state metric_state, {{ metric }}__score double,
    {{ metric }}__nominal_weight double, {{ metric }}__effective_weight double
    {%- endfor %}
);

{% for version in active %}
{% for card in version.cards %}
insert into wide_scores by name
{{ scored(card, "(select *, true as is_peer from metric_values where card = " ~ number_of(card) ~ ")") }};
{% endfor %}
{% endfor %}

create temp table cards as
from (values
    {% for card in cards -%}
    (
        {{ number_of(card) }}, {{ text(card.config_version) }}, {{ text(card.scorecard_key) }}, {{ number(card.min_coverage) }},
        {{ card.confirm_days }}, {{ "true" if card.tier_mode == "quantile" else "false" }}, {{ number(card.tier_margin) }},
        {{ limit(card, "at_risk") }}, {{ limit(card, "healthy") }}
    ){{ "" if loop.last else "," }}
    {% endfor -%}
) as cards (
    card, config_version, scorecard_key, min_coverage, confirm_days, is_quantile, tier_margin, at_risk_from, healthy_from
);

create view metric_scores_history as
{% for metric, dimension in metrics.items() %}
select
    account_id, day as as_of_date, '{{ metric }}' as metric_key, '{{ dimension }}' as dimension_key,
    {{ metric }} as value, cast({{ metric }}__state as varchar) as state, {{ metric }}__score as normalized_score,
    {{ metric }}__nominal_weight as nominal_weight, {{ metric }}__effective_weight as effective_weight,
    coalesce({{ metric }}__effective_weight * ({{ metric }}__score - 50), 0) as points
from wide_scores inner join account_names using (account)
where {{ metric }}__nominal_weight is not null
union all
{% endfor %}
select account_id, day, 'cap:' || cap_key, 'cap', cap_value, 'measured', null, 0, 0, cap_points
from wide_scores inner join account_names using (account)
where cap_key is not null;

-- step: what-if

create table candidate_scores_history (
    account_id varchar, as_of_date date, config_version varchar, scorecard_key varchar,
    health_score double, uncapped_score double, coverage double, raw_tier varchar
);

{% for version in candidates %}
{% set candidate = loop.index %}
{% for card in version.cards %}
insert into candidate_scores_history by name
select
    account_id, day as as_of_date, {{ text(card.config_version) }} as config_version, {{ text(card.scorecard_key) }} as scorecard_key,
    health_score, uncapped_score, coverage, raw_tier
from ({{ scored(card, "(select *, true as is_peer from metric_values where candidate_" ~ candidate ~ " = " ~ number_of(card) ~ ")") }})
inner join accounts using (account);
{% endfor %}
{% endfor %}

-- step: tiers and trend

-- A limit is known by the tier that begins there. `side`: whether the day is above it, null on a day of unknown.
create temp table scored_days as
select
    account, day, health_score, raw_tier, is_quantile, tier_margin, confirm_days, at_risk_from, healthy_from,
    row_number() over days_of_account as position,
    round(coverage_but_for_late, 9) >= min_coverage as is_only_late,
    {% for limit, upper in (("at_risk", ("at_risk", "healthy")), ("healthy", ("healthy",))) -%}
    case when raw_tier <> 'unknown' then raw_tier in {{ upper | list | replace("[", "(") | replace("]", ")") }} end as {{ limit }}__side,
    {% endfor -%}
from wide_scores
inner join cards using (card)
window days_of_account as (partition by account order by day);

create temp table crossings as
with
    runs as (
        select
            *
            {%- for limit in ("at_risk", "healthy") %},
            position - coalesce(max(case when {{ limit }}__side is distinct from true then position end) over until, 0) as {{ limit }}__up,
            position - coalesce(max(case when {{ limit }}__side is distinct from false then position end) over until, 0) as {{ limit }}__down
            {%- endfor %},
            max(case when raw_tier <> 'unknown' then day end) over until as last_known_on
        from scored_days
        window until as (partition by account order by position rows unbounded preceding)
    )

select
    *
    {%- for limit in ("at_risk", "healthy") %},
    coalesce(
        last_value(
            case
                when {{ limit }}__up >= confirm_days and (is_quantile or health_score >= {{ limit }}_from + tier_margin) then true
                when {{ limit }}__down >= confirm_days and (is_quantile or health_score < {{ limit }}_from - tier_margin) then false
            end
            ignore nulls
        ) over until,
        first_value({{ limit }}__side ignore nulls) over until
    ) as is_from_{{ limit }}
    {%- endfor %}
from runs
window until as (partition by account order by position rows unbounded preceding);

create temp table overrides as
select account, override_id, tier, starts_on, expires_on from raw_score_overrides inner join accounts using (account_id);

-- Days and scores as whole numbers: the sums of the slope are exact.
create table account_health_history as
with
    modelled as (
        select
            *,
            raw_tier = 'unknown' and is_only_late and coalesce(day - last_known_on <= 7, false) as is_tier_held,
            case
                when raw_tier = 'unknown' and not (is_only_late and coalesce(day - last_known_on <= 7, false)) then 'unknown'
                when is_from_healthy then 'healthy'
                when is_from_at_risk then 'at_risk'
                else 'poor'
            end as model_tier
        from crossings
    ),

    overridden as (
        select account, day, max_by(overrides.tier, (starts_on, override_id)) as override_tier
        from modelled
        inner join overrides using (account)
        where starts_on <= day and day < expires_on
        group by account, day
    ),

    tiered as (
        select *, coalesce(override_tier, model_tier) as tier
        from modelled
        left join overridden using (account, day)
    ),

    begun as (
        select *, lag(tier) over days_of_account as tier_before
        from tiered
        window days_of_account as (partition by account order by day)
    ),

    trends as (
        select
            account, day, model_tier, is_tier_held, tier,
            last_value(case when tier is distinct from tier_before then day end ignore nulls) over until as tier_since,
            last_value(case when tier is distinct from tier_before then { tier: tier_before } end ignore nulls) over until as run,
            {% for k in (7, 28, 90) -%}
            health_score - first_value(health_score) over (
                partition by account order by day range between interval {{ k }} day preceding and interval {{ k }} day preceding
            ) as delta_{{ k }}d,
            {% endfor -%}
            count(*) over month as n,
            sum(x) over month as sum_x,
            sum(y) over month as sum_y,
            sum(x * x) over month as sum_xx,
            sum(x * y) over month as sum_xy
        from (
            select *, cast(day - getvariable('first_day') as bigint) as x, cast(round(10 * health_score) as bigint) as y
            from begun
        ) as numbered
        window
            until as (partition by account order by day rows unbounded preceding),
            month as (partition by account order by day range between interval 27 day preceding and current row)
    )

select
    account_id, day as as_of_date, health_score, uncapped_score, raw_tier, model_tier, is_tier_held, tier, coverage, stage,
    scorecard_key, config_version,
    round(delta_7d, 1) as delta_7d, round(delta_28d, 1) as delta_28d, round(delta_90d, 1) as delta_90d,
    case when n >= 7 then 0.7 * (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x) end as slope_28d,
    case
        when delta_28d is null then 'new'
        when round(delta_28d, 1) >= 5 then 'improving'
        when round(delta_28d, 1) <= -5 then 'declining'
        else 'stable'
    end as trend,
    run.tier as previous_tier, tier_since, day - tier_since + 1 as days_in_tier
from wide_scores
inner join trends using (account, day)
inner join cards using (card)
inner join accounts using (account);

-- step: ledger

-- The card of the later day's version that has the earlier card's key; the later card where the key is gone.
create temp table same_keys as
from (values
    {% for version in active %}{% for card in version.cards %}{% for earlier_version in active %}{% for earlier in earlier_version.cards -%}
    (
        {{ number_of(card) }}, {{ number_of(earlier) }},
        {{ number_of((version.cards | selectattr("scorecard_key", "equalto", earlier.scorecard_key) | list or [card])[0]) }}
    ),
    {% endfor %}{% endfor %}{% endfor %}{% endfor -%}
    (null, null, null)
) as same_keys (card, earlier_card, same_key_card);

create temp table pairs as
select later.account, later.day, k, earlier.day as earlier_day, later.card, earlier.card as earlier_card, same_key_card
from (select account, day, card from wide_scores) as later
cross join (values (7), (28)) as look_backs (k)
inner join (select account, day, card from wide_scores) as earlier on later.account = earlier.account and later.day - k = earlier.day
inner join same_keys on later.card = same_keys.card and earlier.card = same_keys.earlier_card;

-- Earlier days on a card that was not the account's own: ranked among the accounts that were on one of this key, and itself.
create temp table visits_to_cards as
select distinct account, earlier_day as day, unnest([card, same_key_card]) as visited_card, earlier_card
from pairs
where card <> earlier_card or same_key_card <> earlier_card;

delete from visits_to_cards where visited_card = earlier_card;

create temp table visitor_scores (
    account integer, day date, card smallint, uncapped_score double
    {%- for metric in metrics %}, {{ metric }}__score double{% endfor %}
);

{% for version in active %}
{% for card in version.cards %}
insert into visitor_scores by name
with
    visitors as (
        select account, day from visits_to_cards where visited_card = {{ number_of(card) }}
    ),

    own_or_visiting as (
        select metric_values.*, scorecard_key = {{ text(card.scorecard_key) }} as is_peer
        from metric_values
        inner join cards using (card)
        left join (select *, true as is_visitor from visitors) using (account, day)
        where
            is_visitor
            {%- if card.metrics | selectattr("method", "in", ("percentile", "zscore")) | list %}
            or (scorecard_key = {{ text(card.scorecard_key) }} and day in (select day from visitors))
            {%- endif %}
    )

select account, day, card, uncapped_score, columns('__score$')
from ({{ scored(card, "own_or_visiting") }}) as scored
semi join visitors using (account, day);
{% endfor %}
{% endfor %}

create table wide_changes (
    account integer, day date, k tinyint, configuration double, scorecard double, availability double, cap double
    {%- for metric in metrics %}, {{ metric }} double{% endfor %}
);

-- A metric's behaviour: its points on both days as if the card held only the metrics that have a score on both.
{% for version in active %}
{% for card in version.cards %}
{% set in_both = [] %}
{% for metric in card.metrics if metric.weight > 0 and card.dimensions[metric.dimension_key] > 0 %}{% if in_both.append(metric) %}{% endif %}{% endfor %}
insert into wide_changes by name
with
    compared as (
        select
            pairs.account, pairs.day, k,
            earlier.uncapped_score as s0,
            coalesce(same_key.uncapped_score, earlier.uncapped_score) as s1,
            coalesce(then_on_card.uncapped_score, earlier.uncapped_score) as s2,
            later.uncapped_score as s3,
            coalesce(later.cap_points, 0) - coalesce(earlier.cap_points, 0) as cap
            {%- for metric in in_both %},
            {%- set score = metric.metric_key ~ "__score" %}
            later.{{ score }}
            - case when pairs.card = earlier_card then earlier.{{ score }} else then_on_card.{{ score }} end as {{ metric.metric_key }}__moved
            {%- endfor %}
        from pairs
        inner join wide_scores as later on pairs.account = later.account and pairs.day = later.day
        inner join wide_scores as earlier on pairs.account = earlier.account and earlier_day = earlier.day
        -- A condition on the left side alone would make DuckDB compare every row with every visitor.
        left join visitor_scores as same_key
            on
                pairs.account = same_key.account and earlier_day = same_key.day
                and nullif(same_key_card, earlier_card) = same_key.card
        left join visitor_scores as then_on_card
            on
                pairs.account = then_on_card.account and earlier_day = then_on_card.day
                and nullif(pairs.card, earlier_card) = then_on_card.card
        where pairs.card = {{ number_of(card) }}
    ),

    weighed as (
        select
            *
            {%- for dimension, weight in card.dimensions.items() if weight > 0 %},
            cast(0
            {%- for metric in in_both if metric.dimension_key == dimension %}
            + case when {{ metric.metric_key }}__moved is not null then {{ number(metric.weight) }} else 0 end
            {%- endfor %} as double) as {{ dimension }}__common
            {%- endfor %}
        from compared
    ),

    behaved as (
        select
            * exclude (common_weight)
            {%- for metric in in_both %},
            {{ number(metric.weight * card.dimensions[metric.dimension_key]) }} / {{ metric.dimension_key }}__common / common_weight
            * {{ metric.metric_key }}__moved as {{ metric.metric_key }}
            {%- endfor %}
        from (
            select
                *,
                cast(0
                {%- for dimension, weight in card.dimensions.items() if weight > 0 %}
                + case when {{ dimension }}__common > 0 then {{ number(weight) }} else 0 end
                {%- endfor %} as double) as common_weight
            from weighed
        )
    )

select
    account, day, k, s1 - s0 as configuration, s2 - s1 as scorecard, cap,
    s3 - s2{% for metric in in_both %} - coalesce({{ metric.metric_key }}, 0){% endfor %} as availability
    {%- for metric in in_both %},
    {{ metric.metric_key }}
    {%- endfor %}
from behaved;
{% endfor %}
{% endfor %}

-- What is smaller than 1e-11 is the noise of floating-point arithmetic.
create view score_changes as
{% for component in ("configuration", "scorecard", "availability", "cap") %}
select account_id, day as as_of_date, k, '{{ component }}' as component, cast(null as varchar) as metric_key, {{ component }} as points
from wide_changes inner join account_names using (account)
where abs({{ component }}) > 1e-11
union all
{% endfor %}
{% for metric in metrics %}
select account_id, day, k, 'behaviour', '{{ metric }}', {{ metric }}
from wide_changes inner join account_names using (account)
where abs({{ metric }}) > 1e-11
{{ "" if loop.last else "union all" }}
{% endfor %};
