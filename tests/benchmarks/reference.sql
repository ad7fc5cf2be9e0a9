-- The benchmark's yardstick: raw files to account_health_history in plain DuckDB statements, for any range of days.
-- reference.py runs it: it loads the raw tables (cleaned as scoring specification 2 says) as raw_<table>, the seeds as
-- seed_<file>, the events as the view delivered_events, and sets the variables first_day, last_day, late_after_days.
--
-- The three tricks, used throughout:
--   * a fact that counts from one day to another is a span; +x where it begins, -x where it ends and a running sum give
--     the total of every day in one pass, however long the window (distinct users too: their visits joined into spans);
--   * accounts, scorecards and metrics are small integers, users and features hashes, once the raw rows are read;
--   * the scorecard's parameters are joined once to the long table, and only metrics that use ranks are ranked.

-- step: codes

create table accounts as
select
    cast(row_number() over (order by account_id) as integer) as account,
    account_id,
    segment,
    cast(created_at as date) as created_on
from raw_accounts;

create table grid as
select account, cast(day as date) as day
from accounts, generate_series(getvariable('first_day'), getvariable('last_day'), interval 1 day) as days (day);

-- Running totals of the spans in a table (account, from_day, to_day, amounts...) for every account and day of the run.
-- A span counts on from_day and no longer on to_day (null: it never ends).
create macro running(spans) as table
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

-- step: duplicate events

-- Grouping 20 million hashes is the cheap way to find the few keys that stand more than once.
create table suspects as
select hash(event_id) as key_hash
from delivered_events
group by key_hash
having count(*) > 1;

-- step: clean events

-- Users and features are known by hash: two of one account's users would have to share all 64 bits to be taken for one.
create table events as
with
    once as (
        select * from delivered_events
        anti join suspects on suspects.key_hash = hash(event_id)
        union all
        select * from (
            select * from delivered_events
            semi join suspects on suspects.key_hash = hash(event_id)
            qualify row_number() over (partition by event_id order by filename desc, file_row_number desc) = 1
        )
    )

select
    account,
    hash(user_id) as user_hash,
    case when feature is not null then hash(feature) end as feature_hash,
    cast(occurred_at as date) as day,
    cast(duration_seconds as decimal(18, 6)) as seconds
from once
inner join accounts using (account_id)
where occurred_at < getvariable('last_day') + interval 1 day;

-- step: user days

create table user_days as
select
    account, user_hash, day,
    cast(count(*) as integer) as events,
    cast(count(seconds) as integer) as timed_events,
    sum(seconds) as seconds
from events
group by account, user_hash, day;

create table account_days as
select
    account, day,
    cast(count(*) as integer) as users,
    cast(sum(events) as bigint) as events,
    cast(sum(timed_events) as bigint) as timed_events,
    sum(seconds) as seconds
from user_days
group by account, day;

-- step: feature days

create table feature_days as
select distinct account, feature_hash, day from events where feature_hash is not null;

drop table events;

-- step: usage spans

create table visits as
select
    account, day,
    lag(day) over visits_of_user as previous_day,
    lead(day) over visits_of_user as next_day
from user_days
window visits_of_user as (partition by account, user_hash order by day);

-- Half spans: a user's 28-day span begins at a visit after a longer pause, and ends 28 days after a visit before one.
create table user_changes as
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

create table feature_spans as
select
    account, day as from_day,
    least(day + 90, lead(day) over (partition by account, feature_hash order by day)) as to_day
from feature_days;

create table release_spans as
select account, min(day) as from_day, any_value(released_on) + 90 as to_day
from feature_days
inner join raw_feature_releases on hash(feature) = feature_hash
where day >= released_on
group by account, feature_hash;

create table usage_spans as
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

create table usage as from running('usage_spans');

create table last_use as
select account, grid.day, account_days.day as last_active_on
from grid
asof inner join account_days using (account, day);

-- A period of 28 days that ends on x is empty where x lies in a pause. Counting periods back from a day, the streak
-- ends at the first period that ends inside a pause.
create table pauses as
select account, previous_day + 28 as from_day, coalesce(day - 1, date '9999-12-31') as to_day
from (
    select account, day, lag(day) over (partition by account order by day) as previous_day from account_days
    union all
    select account, null, max(day) from account_days group by account
) as neighbours
where previous_day is null or day is null or day - previous_day > 28;

create table streaks as
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

create table subscription_days as
with
    in_force as (
        select
            account, day,
            sum(seats) as seats,
            sum(mrr_reporting) as mrr,
            min(case when term_ends_on >= day then term_ends_on end) - day as days_to_renewal,
            max(started_on) as started_on
        from grid
        inner join accounts using (account)
        inner join raw_subscriptions using (account_id)
        where started_on <= day and (ended_on is null or ended_on > day)
        group by account, day
    ),

    in_force_before as (
        select account, day, sum(mrr_reporting) as mrr
        from grid
        inner join accounts using (account)
        inner join raw_subscriptions using (account_id)
        where started_on <= day - 90 and (ended_on is null or ended_on > day - 90)
        group by account, day
    )

select in_force.*, in_force_before.mrr as mrr_before
from in_force
left join in_force_before using (account, day);

create table outcome_days as
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
create table population as
select
    cast(row_number() over (order by account, day) as integer) as score,
    account, day, day - created_on as tenure,
    seats, mrr, mrr_before, days_to_renewal,
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

create table invoices as
select
    account, issued_on, due_on, amount_reporting as amount,
    coalesce(paid_on, date '9999-12-31') as paid_on,
    coalesce(voided_on, date '9999-12-31') as voided_on
from raw_invoices
inner join accounts using (account_id);

create table commercial_spans as
select
    account, greatest(due_on, issued_on) as from_day, least(due_on + 180, voided_on) as to_day, 1 as due
from invoices
union all by name
select
    account, greatest(due_on, issued_on) as from_day, least(due_on + 180, voided_on, paid_on) as to_day,
    1 as unpaid, due_on - date '2000-01-01' as unpaid_due_on
from invoices
union all by name
select
    account, greatest(due_on, issued_on, paid_on) as from_day, least(due_on + 180, voided_on) as to_day,
    greatest(0, paid_on - due_on) as paid_days_late
from invoices
union all by name
select account, greatest(due_on + 1, issued_on) as from_day, least(paid_on, voided_on) as to_day, amount as overdue
from invoices
union all by name
select account, issued_on as from_day, least(issued_on + 365, voided_on) as to_day, amount as invoiced_365 from invoices
union all by name
select account, occurred_on as from_day, occurred_on + 365 as to_day, 1 as expansions_365
from raw_account_outcomes
inner join accounts using (account_id)
where kind = 'expanded';

create table commercial as from running('commercial_spans');

-- step: tickets

create table tickets as
select
    account, priority, topic,
    cast(opened_at as date) as opened_on,
    cast(escalated_at as date) as escalated_on,
    cast(first_replied_at as date) as replied_on,
    cast(resolved_at as date) as resolved_on,
    epoch_us(first_replied_at) - epoch_us(opened_at) as reply_us,
    epoch_us(resolved_at) - epoch_us(opened_at) as resolution_us
from raw_tickets
inner join accounts using (account_id);

create table support_spans as
select account, opened_on as from_day, resolved_on as to_day, 1 as critical_open
from tickets
where priority = 'critical'
union all by name
select account, greatest(escalated_on, opened_on) as from_day, escalated_on + 90 as to_day, 1 as escalations_90
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

create table support as from running('support_spans');

-- A median changes only where a ticket enters or leaves its window: it is taken on those days and held until the next.
create macro rolling_median(spans) as table
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
        select account, day, median(amount) as median
        from change_days
        left join visible using (account)
        where from_day <= day and to_day > day
        group by account, day
    ),

    changes as (
        select account, day, median from change_days left join medians using (account, day)
    )

select account, grid.day, changes.median
from grid
asof inner join changes using (account, day);

create table reply_spans as
select account, greatest(replied_on, opened_on) as from_day, replied_on + 90 as to_day, reply_us / 3600e6 as amount
from tickets
where replied_on is not null;

create table replies as from rolling_median('reply_spans');

create table resolution_spans as
select
    account, greatest(resolved_on, opened_on) as from_day, resolved_on + 90 as to_day,
    resolution_us / 3600e6 as amount
from tickets
where resolved_on is not null;

create table resolutions as from rolling_median('resolution_spans');

-- step: voice and outcomes

create table touchpoints as
select *, cast(occurred_at as date) as day from raw_touchpoints inner join accounts using (account_id);

create table answers as
select
    account, survey, score, cast(responded_at as date) as day,
    lead(cast(responded_at as date)) over (
        partition by account, survey, coalesce('user ' || user_id, 'response ' || response_id)
        order by responded_at, response_id
    ) as next_day
from raw_survey_responses
inner join accounts using (account_id)
where survey in ('nps', 'product_rating');

create table pulses as
select
    account, rating, cast(rated_at as date) as day,
    lead(cast(rated_at as date)) over (partition by account order by rated_at, pulse_id) as next_day
from raw_csm_pulses
inner join accounts using (account_id);

create table goals as
select
    account, measured_on as day, value_delivered,
    lead(measured_on) over (partition by account, goal_id order by measured_on) as next_day,
    case
        when target_value > 0 and actual_value is not null then greatest(0, least(2, actual_value / target_value))
    end as attainment
from raw_account_goals
inner join accounts using (account_id);

create table voice_spans as
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

create table voice as from running('voice_spans');

-- step: facts of the day

-- Whether each table has a row up to the day, whether usage is late, and what anyone did.
create table calendar as
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
    coalesce(advocacy_from <= day, false) as has_advocacy,
    day - (select max(account_days.day) from account_days where account_days.day <= days.day)
        > getvariable('late_after_days') as is_usage_late,
    (
        select count(distinct feature_hash) from used_features
        where used_features.day between days.day - 89 and days.day
    ) as anyones_features,
    (select count(*) from raw_feature_releases where released_on between days.day - 89 and days.day) as releases
from days, first_facts;

-- step: scorecards

create macro measured() as cast(0 as tinyint);
create macro not_applicable() as cast(1 as tinyint);
create macro stale() as cast(2 as tinyint);
create macro missing() as cast(3 as tinyint);
create macro late() as cast(4 as tinyint);

-- Row n of this table is element n of the lists below.
create table metric_codes as
select cast(metric_code as tinyint) as metric_code, metric_key
from (
    select generate_subscripts(keys, 1) as metric_code, unnest(keys) as metric_key
    from (
        select [
            'active_days_28d', 'active_users_28d', 'license_utilization_28d', 'active_user_trend_28d', 'stickiness_28d',
            'minutes_per_active_user_28d', 'feature_breadth_90d', 'new_feature_adoption_90d',
            'days_since_last_activity', 'user_retention_28d', 'usage_vs_baseline_28d',
            'active_periods_streak', 'onboarding_rate_30d',
            'days_late_180d', 'overdue_ratio', 'mrr_trend_90d', 'days_to_renewal', 'days_since_renewal',
            'expansions_365d',
            'critical_open_tickets', 'escalations_90d', 'tickets_per_10_users_28d', 'negative_ticket_share_90d',
            'median_first_reply_hours_90d', 'median_resolution_hours_90d', 'csat_180d',
            'nps_180d', 'product_rating_365d', 'two_way_touchpoints_90d', 'contact_minutes_90d',
            'contact_sentiment_90d', 'response_rate_90d', 'advocacy_365d', 'csm_pulse',
            'goal_attainment', 'customer_roi_365d'
        ] as keys
    ) as catalogue
) as numbered;

create table versions as
select
    config_version, cast(valid_from as date) as valid_from,
    coalesce(
        lead(cast(valid_from as date)) over (order by cast(valid_from as date)), date '9999-12-31'
    ) as valid_to
from seed_config_versions
where status = 'active';

create table cards as
select
    cast(row_number() over () as smallint) as card,
    config_version, scorecard_key, segment, stage, valid_from, valid_to,
    cast(priority as double) as priority,
    coalesce(cast(min_coverage as double), 0.5) as min_coverage,
    coalesce(tier_mode, 'threshold') as tier_mode
from seed_scorecards
inner join versions using (config_version);

create table scores as
with
    staged as (
        select
            score, account, day, segment,
            case
                when tenure < 90 then 'onboarding'
                when days_to_renewal between 0 and 90 then 'renewing'
                else 'mature'
            end as stage
        from population
        inner join accounts using (account)
    )

select score, account, day, staged.stage, max_by(card, priority) as card
from staged
inner join cards
    on
        day >= valid_from
        and day < valid_to
        and (cards.segment = '*' or cards.segment = staged.segment)
        and (cards.stage = '*' or cards.stage = staged.stage)
group by score, account, day, staged.stage;

-- Parameters of every metric on every card; `share` is the nominal weight but for the factor that all of a card share.
create table parameters as
with
    weights as (
        select
            card, metric_code, dimension_key, higher_is_better = 'true' as is_higher_better,
            coalesce(method, 'linear') as method,
            cast(worst as double) as worst,
            cast(best as double) as best,
            coalesce(missing_policy, 'exclude') as missing_policy,
            coalesce(cast(dimensions.weight as double), 0) as dimension_weight,
            cast(metrics.weight as double) as weight
        from cards
        inner join seed_scorecard_metrics as metrics using (config_version, scorecard_key)
        inner join (
            select metric_key, dimension_key, lower(higher_is_better) as higher_is_better from seed_metrics
        ) as catalogue using (metric_key)
        inner join metric_codes using (metric_key)
        left join seed_scorecard_dimensions as dimensions using (config_version, scorecard_key, dimension_key)
    )

select
    * exclude (dimension_key),
    cast(dense_rank() over (order by dimension_key) as tinyint) as dimension,
    coalesce(
        dimension_weight * weight / nullif(sum(weight) over (partition by card, dimension_key), 0), 0
    ) as share
from weights;

create table bands as
select
    card, metric_code,
    cast(lower_bound as double) as lower_bound,
    coalesce(
        lead(cast(lower_bound as double)) over (partition by card, metric_code order by cast(lower_bound as double)),
        'infinity'
    ) as upper_bound,
    cast(bands.score as double) as band_score
from seed_metric_bands as bands
inner join cards using (config_version, scorecard_key)
inner join metric_codes using (metric_key);

create table caps as
select
    card, metric_code, operator, cast(threshold as double) as threshold, cast(max_score as double) as max_score
from seed_score_caps
inner join cards using (config_version, scorecard_key)
inner join metric_codes using (metric_key);

create table tiers as
select
    card,
    coalesce(tier, default_tier) as tier,
    coalesce(cast(seed_tiers.min_score as double), default_tiers.min_score) as min_score,
    coalesce(cast(seed_tiers.min_percentile as double), default_tiers.min_percentile) as min_percentile
from cards
cross join (
    values ('healthy', 70.0, 0.75), ('at_risk', 40.0, 0.25), ('poor', 0.0, 0.0)
) as default_tiers (default_tier, min_score, min_percentile)
left join seed_tiers
    on
        seed_tiers.config_version = cards.config_version
        and seed_tiers.scorecard_key = cards.scorecard_key
        and seed_tiers.tier = default_tiers.default_tier
where
    seed_tiers.tier is not null
    or not exists (
        select 1 from seed_tiers as own
        where own.config_version = cards.config_version and own.scorecard_key = cards.scorecard_key
    );

-- step: metric rows

-- Value and state of every metric: lists of one element per metric. No state is measured, and a measured value of
-- null is missing. The usage values of an account that never did anything come out as 0 by themselves.
create table metric_rows as
with
    facts as (
        select
            *,
            users_28 + users_28_before - users_56 as kept_users,
            case
                when not has_usage then missing()
                when is_usage_late then late()
            end as no_usage,
            case when last_active_on is null and tenure <= 30 then not_applicable() end as too_young,
            case when not has_tickets then missing() end as no_tickets,
            case when not has_touchpoints then missing() end as no_touchpoints,
            coalesce(seats, 0) = 0 as is_without_seats
        from population
        inner join usage using (account, day)
        inner join commercial using (account, day)
        inner join support using (account, day)
        inner join voice using (account, day)
        inner join calendar using (day)
        left join last_use using (account, day)
        left join streaks using (account, day)
        left join (select account, day, median as reply_hours from replies) using (account, day)
        left join (select account, day, median as resolution_hours from resolutions) using (account, day)
    ),

    listed as (
        select
            score,
            [
                coalesce(no_usage, too_young),
                coalesce(no_usage, too_young),
                coalesce(no_usage, case when is_without_seats then not_applicable() end, too_young),
                coalesce(no_usage, case when users_28_before = 0 or tenure < 56 then not_applicable() end, too_young),
                coalesce(no_usage, too_young),
                coalesce(
                    no_usage,
                    case when not has_timed_usage or (events_28 > 0 and timed_events_28 = 0) then missing() end,
                    too_young
                ),
                coalesce(no_usage, case when anyones_features = 0 then missing() end, too_young),
                coalesce(
                    no_usage,
                    case when not has_releases then missing() when releases = 0 then not_applicable() end,
                    too_young
                ),
                coalesce(no_usage, too_young),
                coalesce(no_usage, case when users_28_before = 0 then not_applicable() end, too_young),
                coalesce(no_usage, case when events_before = 0 or tenure < 112 then not_applicable() end, too_young),
                coalesce(no_usage, too_young),
                coalesce(no_usage, case when is_without_seats or tenure > 120 then not_applicable() end, too_young),

                case when not has_invoices then missing() when due = 0 then not_applicable() end,
                case when not has_invoices then missing() when coalesce(mrr, 0) = 0 then not_applicable() end,
                case
                    when not has_subscriptions then missing()
                    when coalesce(mrr_before, 0) = 0 then not_applicable()
                end,
                null,
                case when not has_subscriptions then missing() end,
                case when not has_outcomes then missing() end,

                no_tickets,
                no_tickets,
                no_tickets,
                coalesce(no_tickets, case when tickets_90 = 0 then not_applicable() end),
                coalesce(no_tickets, case when reply_hours is null then not_applicable() end),
                coalesce(no_tickets, case when resolution_hours is null then not_applicable() end),
                case when csat_180 = 0 and csat_ever > 0 then stale() end,

                case when nps_180 = 0 and nps_ever > 0 then stale() end,
                case when rating_365 = 0 and rating_ever > 0 then stale() end,
                no_touchpoints,
                no_touchpoints,
                no_touchpoints,
                coalesce(no_touchpoints, case when outbound_90 = 0 then not_applicable() end),
                case when not has_advocacy then missing() end,
                case when pulse_90 = 0 and pulse_ever > 0 then stale() end,

                case when goals_180 = 0 and goals_ever > 0 then stale() end,
                case when delivered_365 = 0 then missing() when invoiced_365 = 0 then not_applicable() end
            ] as states,
            [
                days_28,
                users_28,
                users_28 / nullif(seats, 0),
                (users_28 - users_28_before) / nullif(users_28_before, 0),
                case when users_28 = 0 then 0 else user_days_28 / 28 / users_28 end,
                case when users_28 = 0 then 0 else seconds_28 / 60 / users_28 end,
                features_90 / nullif(anyones_features, 0),
                new_features_90 / nullif(releases, 0),
                coalesce(day - last_active_on, tenure),
                kept_users / nullif(users_28_before, 0),
                (events_28 / 28) / nullif(events_before / 84, 0),
                coalesce(streak, 0),
                new_users_30 / nullif(seats, 0),

                (unpaid * (day - date '2000-01-01') - unpaid_due_on + paid_days_late) / nullif(due, 0),
                overdue / nullif(cast(mrr as double), 0),
                cast(mrr - mrr_before as double) / nullif(cast(mrr_before as double), 0),
                days_to_renewal,
                days_since_renewal,
                expansions_365,

                critical_open,
                escalations_90,
                10 * tickets_28 / greatest(users_28, 1),
                negative_90 / nullif(tickets_90, 0),
                reply_hours,
                resolution_hours,
                csat_sum / nullif(csat_180, 0),

                100 * nps_sum / nullif(nps_180, 0),
                rating_sum / nullif(rating_365, 0),
                two_way_90,
                minutes_90,
                sentiment_sum / nullif(sentiment_90, 0),
                answered_90 / nullif(outbound_90, 0),
                advocacy_365,
                case when pulse_90 > 0 then pulse end,

                goals_sum / nullif(goals_180, 0),
                delivered_sum / nullif(invoiced_365, 0)
            ] as "values"
        from facts
    ),

    unnested as (
        select
            score,
            cast(unnest(generate_series(1, 36)) as tinyint) as metric_code,
            unnest("values") as value,
            unnest(states) as stated
        from listed
    )

select
    score, metric_code, card,
    case when stated is null then value end as value,
    coalesce(stated, case when value is null then missing() else measured() end) as state
from unnested
inner join scores using (score);

-- step: dimension totals

-- Peers are compared among the measured values of one card, metric and day.
create table dimension_totals as
with
    -- Read twice, and cheaper to join twice than to write down.
    parametrized as not materialized (
        select * from metric_rows
        inner join parameters using (card, metric_code)
    ),

    absolute as (
        select
            parametrized.*,
            case
                when state <> measured() then null
                when method = 'bands' then coalesce(band_score, 0)
                else greatest(0, least(100, 100 * (value - worst) / (best - worst)))
            end as normalized
        from parametrized
        left join bands
            on
                bands.card = parametrized.card
                and bands.metric_code = parametrized.metric_code
                and value >= lower_bound
                and value < upper_bound
        where method in ('linear', 'bands') or state <> measured()
    ),

    peers as (
        select parametrized.*, day
        from parametrized
        inner join (select score, day from scores) using (score)
        where method in ('percentile', 'zscore') and state = measured()
    ),

    ranked as (
        select
            * exclude (day),
            rank() over by_value - 1 as n_less,
            count(*) over by_value - rank() over by_value + 1 as n_equal,
            count(*) over (partition by card, metric_code, day) as n
        from peers
        where method = 'percentile'
        window by_value as (partition by card, metric_code, day order by value)
    ),

    percentiles as (
        select *, case when n = 1 then 50 else 100 * (n_less + (n_equal - 1) / 2) / (n - 1) end as position
        from ranked
    ),

    moments as (
        select
            card, metric_code, day, avg(value) as mean,
            case when min(value) < max(value) then stddev_pop(value) end as deviation
        from peers
        where method = 'zscore'
        group by card, metric_code, day
    ),

    deviations as (
        select
            peers.* exclude (day),
            case when is_higher_better then 1 else -1 end * (value - mean) / deviation as z
        from peers
        inner join moments using (card, metric_code, day)
        where method = 'zscore'
    ),

    normalized as (
        select score, dimension, state, missing_policy, weight, dimension_weight, share, normalized from absolute
        union all
        select
            score, dimension, state, missing_policy, weight, dimension_weight, share,
            case when is_higher_better then position else 100 - position end
        from percentiles
        union all
        select
            score, dimension, state, missing_policy, weight, dimension_weight, share,
            coalesce(100 / (1 + exp(-1.702 * z)), 50)
        from deviations
    ),

    weighted as (
        select
            *,
            case
                when state in (measured(), not_applicable()) then normalized
                when missing_policy = 'neutral' then 50
                when missing_policy = 'worst' then 0
            end as counted
        from normalized
    )

select
    score, dimension,
    any_value(dimension_weight) as dimension_weight,
    sum(case when counted is not null then weight end) as weight,
    sum(counted * weight) as weighted_score,
    sum(case when state = measured() then share else 0 end) as measured_share,
    sum(case when state <> not_applicable() then share else 0 end) as applicable_share
from weighted
group by score, dimension;

-- step: scores and tiers

create table totals as
select
    score,
    coalesce(
        sum(case when weight > 0 then dimension_weight * weighted_score / weight end)
        / nullif(sum(case when weight > 0 then dimension_weight end), 0),
        50
    ) as uncapped_score,
    coalesce(sum(measured_share) / nullif(sum(applicable_share), 0), 0) as coverage
from dimension_totals
group by score;

create table cap_scores as
select score, min(max_score) as max_score
from metric_rows
inner join caps using (card, metric_code)
where
    state = measured()
    and case operator
        when '<' then value < threshold
        when '<=' then value <= threshold
        when '>' then value > threshold
        when '>=' then value >= threshold
        when '=' then value = threshold
        when '!=' then value <> threshold
    end
group by score;

-- step: account health history

create table account_health_history as
with
    rounded as (
        select
            scores.*, cards.* exclude (card, segment, stage),
            coalesce(uncapped_score, 50) as uncapped_score,
            coalesce(coverage, 0) as coverage,
            -- A sum of shares may miss the minimum by floating-point noise alone.
            round(coalesce(coverage, 0), 9) >= min_coverage as is_covered,
            cast(
                round(cast(least(coalesce(uncapped_score, 50), max_score) as decimal(18, 9)), 1) as double
            ) as health_score
        from scores
        inner join cards using (card)
        left join totals using (score)
        left join cap_scores using (score)
    ),

    placed as (
        select
            *,
            case
                when is_covered then cume_dist() over (partition by card, day, is_covered order by health_score)
            end as p
        from rounded
    ),

    cuts as (
        select
            score,
            max_by(tier, case when tier_mode = 'quantile' then min_percentile else min_score end) as tier
        from placed
        inner join tiers using (card)
        where case when tier_mode = 'quantile' then min_percentile < p else min_score <= health_score end
        group by score
    )

select
    account_id, day as as_of_date, health_score, uncapped_score,
    case when is_covered then tier else 'unknown' end as raw_tier,
    coverage, stage, scorecard_key, config_version
from placed
inner join accounts using (account)
left join cuts using (score);
