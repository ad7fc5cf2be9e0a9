"""The accounts' own data, as scripts: one for the list, and shards of which an account's page loads one."""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa

from orchestration.publish.board.scripts import escape_json, shard_of, write_shard
from orchestration.publish.board.source import NAME_LENGTH, TEXT_LENGTH, TIER_CODES, BoardSource
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import WORST_FIRST

# Few files, since each is synced and hashed, and small ones, since a page loads one.
ACCOUNTS_PER_SHARD = 20
MAX_SHARDS = 512
# What is in memory at a time.
ACCOUNTS_PER_BATCH = 2_000
_ROWS = 1_000
_CHILDREN_SHOWN = 50
# Of a role; how many there are is said besides.
_PEOPLE_SHOWN = 50
# Sparklines: a character a week, oldest first, the score in steps of two; one character alone stands for all weeks.
WEEKS = 12
_STEPS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
_WEEKS_AGO = range(WEEKS, -1, -1)
_SPARKLINE = " || ".join(f"coalesce(substr('{_STEPS}', 1 + week_{week}, 1), '-')" for week in _WEEKS_AGO)
# Who left before that is not listed by name.
_LEFT_DAYS = 365
# Contacts, tickets and answers that are older and count for no metric any more are shown only if they are of note.
_RECENT_DAYS = 90

# A row per account and metric of the newest day, with its place among the accounts on the same scorecard: the share of
# the others that it is ahead of, ties counting half, as the method `percentile` of a scorecard has it.
_METRICS = f"""
create or replace temp table board_metrics as

with newest as (

    select
        *,
        case when state = 'measured' and metric_key not like 'cap:%' then normalized_score end as measured_score
    from metric_scores_history
    where {DATE_COLUMN} = $as_of

),

weeks as (

    select
        account_id,
        metric_key,
        cast(round(normalized_score / 2) as integer) as step,
        ($as_of - {DATE_COLUMN}) // 7 as week,
        case when state = 'measured' then value end as value
    from metric_scores_history
    where {DATE_COLUMN} between $as_of - {7 * WEEKS} and $as_of and ($as_of - {DATE_COLUMN}) % 7 = 0 and metric_key not like 'cap:%'

),

-- Whole numbers are aggregated, and become text once.
trails as (

    select
        account_id,
        metric_key,
        min(step) as lowest,
        max(step) as highest,
        count(step) as steps,
        {", ".join(f"max(step) filter (week = {week}) as week_{week}" for week in _WEEKS_AGO)},
        max(value) filter (week = 4) as value_before
    from weeks
    group by account_id, metric_key

),

ranked as (

    select
        *,
        count(measured_score) over same_metric as peers,
        rank() over (same_metric order by measured_score nulls last) - 1 as n_less,
        count(*) over (partition by scorecard_key, metric_key, measured_score) as n_equal
    from newest
    window same_metric as (partition by scorecard_key, metric_key)

)

select
    ranked.account_id,
    ranked.metric_key,
    ranked.value,
    ranked.state,
    round(ranked.normalized_score, 1) as normalized_score,
    round(ranked.effective_weight, 4) as effective_weight,
    round(ranked.points, 2) as points,
    case
        when ranked.measured_score is null then null
        when ranked.peers = 1 then 50
        else cast(round(100 * (ranked.n_less + (ranked.n_equal - 1) / 2) / (ranked.peers - 1)) as integer)
    end as peer_position,
    ranked.peers,
    trails.value_before,
    case
        when trails.steps = {WEEKS + 1} and trails.lowest = trails.highest then substr('{_STEPS}', 1 + trails.lowest, 1)
        when trails.steps > 0 then {_SPARKLINE}
    end as sparkline
from ranked
left join trails
    on ranked.account_id = trails.account_id
    and ranked.metric_key = trails.metric_key
"""

# What happened, newest first: an array for each fact, of which the first says how to read the others (account.js).
_FACTS = f"""
create or replace temp table board_facts as

with facts as (

    select
        *,
        $as_of - began_on as began,
        $as_of - ended_on as ended,
        [list_position($metrics, key) - 1
            for key in string_split(coalesce(metric_keys, ''), ' ') if list_contains($metrics, key)] as metrics
    from account_facts

),

shown_facts as (

    select
        account_id,
        began,
        fact_id,
        case kind
            when 'ticket' then json_array('t', began, shown(fact_id, {NAME_LENGTH}), $as_of - escalated_on, ended, label, metrics)
            when 'invoice' then json_array('i', began, shown(fact_id, {NAME_LENGTH}), $as_of - due_on, ended, round(value, 2), metrics)
            when 'contact' then json_array('c', began, label, value, metrics)
            when 'rating' then json_array('r', began, value, shown(author, {NAME_LENGTH}), shown(note, {TEXT_LENGTH}), metrics)
            when 'survey answer' then json_array('s', began, label, value, metrics)
            when 'advocacy' then json_array('a', began, label, metrics)
            else json_array('o', began, ended, label, shown(author, {NAME_LENGTH}), shown(note, {TEXT_LENGTH}))
        end as fact
    from facts
    where
        len(metrics) > 0
        or began < {_RECENT_DAYS}
        or (began_on >= $first_day and (
            kind in ('invoice', 'rating', 'override', 'advocacy')
            or escalated_on is not null
            or (kind = 'ticket' and label like 'critical%')
            or (kind = 'contact' and (label like '%call%' or label like '%meeting%'))
        ))
    union all
    select account_id, $as_of - occurred_on, kind, json_array('x', $as_of - occurred_on, kind)
    from account_outcomes
    where occurred_on between $first_day and $as_of

)

select account_id, list(fact order by began, fact_id) as facts
from shown_facts
group by account_id
"""

# Which rules scored a day: two characters, like all that a day of the history is. A score is its tenths, in base 36.
_RULES = f"""
create or replace temp macro in_tenths(score) as to_base(cast(round(10 * score) as integer), 36, 2);

create or replace temp table board_rules as
select *, to_base(row_number() over (order by config_version, scorecard_key, rules_hash) - 1, 36, 2) as code
from (
    select distinct config_version, scorecard_key, rules_hash
    from {HISTORY}
    where {DATE_COLUMN} between $first_day and $as_of
)
"""

# All of a batch of accounts, one JSON text each. Lists of lists instead of objects where there are many: half the size.
_ACCOUNTS = f"""
with batch as (

    select shard, account_id
    from board_shards
    where shard between $first_shard and $last_shard

),

-- Short texts that begin with the day sort five times as fast as structures do.
history as (

    select
        account_id,
        count(history.cap_key) > 0 as was_capped,
        max(history.{DATE_COLUMN}) - min(history.{DATE_COLUMN}) + 1 = count(*) as is_without_gaps,
        list_sort(list(
            to_base(history.{DATE_COLUMN} - $first_day, 36, 2)
            || in_tenths(history.health_score)
            || case when history.cap_key is null then '--' else in_tenths(history.uncapped_score) end
            || case history.tier {TIER_CODES} else 3 end
            || rules.code
        )) as days
    from {HISTORY} as history
    semi join batch using (account_id)
    inner join board_rules as rules
        on history.config_version is not distinct from rules.config_version
        and history.scorecard_key is not distinct from rules.scorecard_key
        and history.rules_hash is not distinct from rules.rules_hash
    where history.{DATE_COLUMN} between $first_day and $as_of
    group by account_id

),

-- Texts once instead of on each day of each account.
known_rules as (

    select map(list(code), list([config_version, scorecard_key])) as names
    from board_rules

),

series as (

    select
        account_id,
        -- Without gaps the first day says them all.
        case when is_without_gaps then days[1][1:2] else array_to_string([day[1:2] for day in days], '') end as day_offsets,
        array_to_string([day[3:4] for day in days], '') as scores,
        case when was_capped then array_to_string([day[5:6] for day in days], '') end as uncapped_scores,
        array_to_string([day[7] for day in days], '') as tiers,
        -- Where other rules begin to hold; the first entry says what held at first.
        [[days[i][1:2], names[days[i][8:9]][1], names[days[i][8:9]][2]]
            for i in range(1, len(days) + 1) if i = 1 or days[i][8:9] <> days[i - 1][8:9]] as rules
    from history
    cross join known_rules

),

metrics as (

    select
        account_id,
        list(json_array(
            coalesce(to_json(list_position($metrics, metric_key) - 1), to_json(metric_key)), round(value, 4), nullif(state, 'measured'),
            normalized_score, effective_weight, points, peer_position, peers, round(value_before, 4), sparkline
        ) order by abs(points) desc, metric_key) as metrics
    from board_metrics
    semi join batch using (account_id)
    group by account_id

),

dimensions as (

    select
        account_id,
        list(json_array(
            dimension_key, round(dimension_score, 1), round(effective_weight, 4), round(points, 2), round(coverage, 3)
        ) order by nominal_weight desc, dimension_key) as dimensions
    from dimension_scores_history
    semi join batch using (account_id)
    where {DATE_COLUMN} = $as_of
    group by account_id

),

changes as (

    select
        account_id,
        -- A metric's name is with the metrics.
        list(json_array(
            k, component, list_position($metrics, metric_key) - 1, round(points, 3), case when metric_key is null then label end
        ) order by k, abs(points) desc, component, metric_key) as changes
    from score_changes
    semi join batch using (account_id)
    where {DATE_COLUMN} = $as_of
    group by account_id

),

actions as (

    select
        account_id,
        list(json_array(
            shown(label, {NAME_LENGTH}), shown(reason, {TEXT_LENGTH}), since, due_on, state, snoozed_until, shown(owner, {NAME_LENGTH})
        ) order by state <> 'open', priority, playbook_key) as actions
    from account_actions
    semi join batch using (account_id)
    where {DATE_COLUMN} = $as_of
    group by account_id

),

-- The people of a role, by name where the mart has names: those in force first, of them who was heard of last.
roles as (

    select
        account_id,
        role,
        count(*) filter (is_in_force) as people,
        $as_of - max(last_contact_on) filter (is_in_force) as last_contact,
        count(*) filter (left_on > $as_of - {_RECENT_DAYS}) as people_left,
        coalesce(list(json_array(
            coalesce(shown(contact_name, {NAME_LENGTH}), shown(contact_email, {NAME_LENGTH}), shown(contact_id, {NAME_LENGTH})),
            case when contact_name is not null then shown(contact_email, {NAME_LENGTH}) end,
            $as_of - joined_on, $as_of - left_on, $as_of - last_contact_on
        ) order by not is_in_force, last_contact_on desc nulls last, joined_on, contact_number)
            filter (contact_id is not null and (is_in_force or left_on > $as_of - {_LEFT_DAYS})), [])[:{_PEOPLE_SHOWN}] as names
    from account_contacts
    semi join batch using (account_id)
    group by account_id, role

),

people as (

    select account_id, list(json_array(role, people, last_contact, people_left, names) order by role) as people
    from roles
    group by account_id

),

children as (

    select
        parent_account_id as account_id,
        count(*) as child_count,
        list(json_array(account_id, account_label(account_name, account_id), tier, health_score, arr)
            order by health_score, account_id)[:{_CHILDREN_SHOWN}] as children
    from account_health
    where parent_account_id in (select account_id from batch)
    group by parent_account_id

),

parents as (

    select parent_account_id, parent_name, mean_score
    from parent_health
    where {DATE_COLUMN} = $as_of

)

select
    batch.shard,
    to_json({{
        'id': health.account_id,
        'name': account_label(health.account_name, health.account_id),
        'score': health.health_score,
        'uncapped': listed.uncapped_score,
        'cap': listed.cap,
        'tier': health.tier,
        'modelTier': health.model_tier,
        'rawTier': health.raw_tier,
        'tierSince': health.tier_since,
        'daysInTier': health.days_in_tier,
        'previousTier': health.previous_tier,
        'trend': health.trend,
        'delta': [health.delta_7d, health.delta_28d, health.delta_90d],
        'slope': round(health.slope_28d, 2),
        'coverage': round(health.coverage, 3),
        'override': case when health.override_author is not null or health.override_reason is not null then [
            shown(health.override_reason, {TEXT_LENGTH}),
            shown(health.override_author, {NAME_LENGTH}),
            cast(health.override_expires_on as varchar)
        ] end,
        'segment': shown(health.segment, {NAME_LENGTH}),
        'industry': shown(health.industry, {NAME_LENGTH}),
        'region': shown(health.region, {NAME_LENGTH}),
        'owner': listed.owner,
        'stage': health.stage,
        'scorecard': health.scorecard_key,
        'version': health.config_version,
        'seats': health.seats,
        'arr': health.arr,
        'termEndsOn': health.term_ends_on,
        'dayOffsets': series.day_offsets,
        'scores': series.scores,
        'uncappedScores': series.uncapped_scores,
        'tiers': series.tiers,
        'rules': series.rules,
        'metrics': coalesce(metrics.metrics, []),
        'dimensions': coalesce(dimensions.dimensions, []),
        'changes': coalesce(changes.changes, []),
        'actions': coalesce(actions.actions, []),
        'facts': coalesce(facts.facts, []),
        'people': coalesce(people.people, []),
        'parent': case when health.parent_account_id is not null then json_array(
            health.parent_account_id,
            account_label(coalesce(parent.account_name, parents.parent_name), health.parent_account_id),
            parent.tier,
            parent.health_score
        ) end,
        'group': case when children.child_count > 0 then
            json_array(children.child_count, round(own_group.mean_score, 1))
        end,
        'children': coalesce(children.children, [])
    }}) as account
from batch
inner join account_health as health on batch.account_id = health.account_id
inner join board_accounts as listed on batch.account_id = listed.account_id
left join series on batch.account_id = series.account_id
left join metrics on batch.account_id = metrics.account_id
left join dimensions on batch.account_id = dimensions.account_id
left join changes on batch.account_id = changes.account_id
left join actions on batch.account_id = actions.account_id
left join board_facts as facts on batch.account_id = facts.account_id
left join people on batch.account_id = people.account_id
left join children on batch.account_id = children.account_id
left join account_health as parent on health.parent_account_id = parent.account_id
left join parents on health.parent_account_id = parents.parent_account_id
left join parents as own_group on health.account_id = own_group.parent_account_id
order by batch.shard, health.account_id
"""

_LIST = f"""
select json_array(
    account_id, name, tier, health_score, uncapped_score, cap, delta_7d, delta_28d, uncapped_before, arr, term_ends_on, segment_name, stage,
    owner, coverage, reason, direction, actions, weakest, is_set_by_hand, tier_runs
)
from board_accounts
order by list_position({list(WORST_FIRST)}, tier), arr desc nulls last, account_id
"""


def write_accounts(source: BoardSource, folder: Path) -> int:
    """Write the shards `accounts-<number>.js`.

    Memory is bounded: a batch of accounts at a time, whatever their number.

    Returns:
        The number of shards; an account's is `shard_of`.
    """
    ids = [account_id for (account_id,) in source.execute("select account_id from account_health order by account_id").fetchall()]
    shards = max(1, min(MAX_SHARDS, -(-len(ids) // ACCOUNTS_PER_SHARD)))
    source.connection.register(
        "given_shards",
        pa.table({"account_id": pa.array(ids, pa.string()), "shard": [shard_of(each, shards) for each in ids]}),
    )
    source.execute("create or replace temp table board_shards as select * from given_shards")
    source.connection.unregister("given_shards")
    source.execute(_RULES)
    source.execute(_METRICS)
    source.execute(_FACTS)
    step = max(1, shards * ACCOUNTS_PER_BATCH // max(len(ids), 1))
    for first in range(0, shards, step):
        _write_batch(source, folder, first, min(first + step, shards) - 1)
    return shards


def _write_batch(source: BoardSource, folder: Path, first: int, last: int) -> None:
    cursor = source.execute(_ACCOUNTS, first_shard=first, last_shard=last)
    accounts: dict[int, list[str]] = defaultdict(list)
    while rows := cursor.fetchmany(_ROWS):
        for shard, account in rows:
            accounts[shard].append(account)
    for shard in range(first, last + 1):
        write_shard(folder, "accounts", shard, accounts[shard])


def write_account_list(source: BoardSource, path: Path) -> None:
    """Write the rows of the list of accounts."""
    cursor = source.execute(_LIST)
    with open(path, "w", encoding="utf-8") as file:
        file.write("board.list([\n")
        separator = ""
        while rows := cursor.fetchmany(_ROWS):
            file.write(separator + escape_json(",\n".join(row for (row,) in rows)))
            separator = ",\n"
        file.write("\n]);\n")
