"""The figures of the portfolio page: of everyone's accounts, and of each owner's."""

from pathlib import Path
from typing import Any

from orchestration.publish.board.scripts import shard_of, write_json, write_shard
from orchestration.publish.board.source import NAME_LENGTH, TEXT_LENGTH, BoardSource
from orchestration.publish.movements import WEEK
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import AT_RISK, WORST_FIRST

EVERYONE = ""
MONTH = 28
RENEWAL_DAYS = 90
STAGES = ("onboarding", "mature", "renewing")
OWNERS_PER_SHARD = 5
MAX_SHARDS = 64
_MOVEMENTS_SHOWN = 8
_ACTIONS_SHOWN = 9
_ACTIONS_PER_PLAYBOOK = 3
_RENEWALS_SHOWN = 5
_SEGMENTS_SHOWN = 12
_RECEIVABLES_SHOWN = 10
_OWNERS_SHOWN = 100
_DRIFT_DAYS = 28
_DRIFT_SHOWN = 3

# Each account counts for everyone and for its owner of today. An owner's past is that of the accounts that are theirs today; everyone's has
# the accounts that have left since, too.
_SCOPES = f"""
create or replace temp table scopes as
select unnest(['{EVERYONE}', owner]) as scope, *
from board_accounts;

create or replace temp view scoped_history as
select '{EVERYONE}' as scope, *
from {HISTORY}
union all
select accounts.owner, history.*
from {HISTORY} as history
inner join board_accounts as accounts using (account_id)
"""

_HEADLINES = f"""
select
    scope,
    {DATE_COLUMN} = $as_of as is_now,
    count(*) as accounts,
    sum(arr) as arr,
    count(arr) as accounts_with_arr,
    avg(health_score) as mean_score,
    avg(coverage) as coverage,
    count(*) filter (tier = 'healthy') / count(*) as healthy_share,
    coalesce(sum(arr) filter (tier in {AT_RISK}), 0) as arr_at_risk
from scoped_history
where {DATE_COLUMN} in ($as_of, $as_of - {MONTH})
group by all
"""

_BY_TIER = "[" + ", ".join(f"coalesce({{0}} filter (tier = '{tier}'), 0)" for tier in WORST_FIRST) + "]"

# A list for each day, the worst tier first.
_TIERS_OVER_TIME = f"""
with days as (

    select
        scope,
        {DATE_COLUMN} - $first_day as day,
        {_BY_TIER.format("count(*)")} as accounts,
        cast({_BY_TIER.format("sum(arr)")} as bigint[]) as arr
    from scoped_history
    where {DATE_COLUMN} between $first_day and $as_of
    group by all

)

select
    scope,
    list(day order by day) as days,
    list(accounts order by day) as accounts,
    list(arr order by day) as arr
from days
group by scope
"""

# Brief: what a list says of an account, wherever it is named.
_BRIEF = "[scopes.account_id, scopes.name, scopes.tier] as account, scopes.health_score, scopes.uncapped_score, scopes.cap, scopes.arr"

_MOVEMENTS = f"""
select
    scopes.scope,
    coalesce(movements.direction, 0) as direction,
    count(*) over same as count,
    {_BRIEF},
    movements.from_tier,
    movements.to_tier,
    movements.points,
    cast(movements.changed_on as varchar) as changed_on,
    rtrim(shown(movements.reason, {NAME_LENGTH}), '.') as why
from movements
inner join scopes using (account_id)
window same as (partition by scopes.scope, coalesce(movements.direction, 0))
qualify row_number() over (
    same order by movements.to_tier = 'poor' desc, scopes.arr desc nulls last, scopes.account_id
) <= {_MOVEMENTS_SHOWN}
order by scopes.scope, direction, movements.to_tier = 'poor' desc, scopes.arr desc nulls last, scopes.account_id
"""

_RENEWAL_WEEKS = f"""
select
    scope,
    cast($as_of + cast((term_ends_on - $as_of) // 7 * 7 as integer) as varchar) as start,
    tier,
    count(*) as accounts,
    round(coalesce(sum(arr), 0)) as arr
from scopes
where term_ends_on between $as_of and $as_of + {RENEWAL_DAYS}
group by all
order by scope, start, tier
"""

# The first of each month; all of the month's figures in each row.
_RENEWALS = f"""
select
    scopes.scope,
    strftime(scopes.term_ends_on, '%Y-%m') as month,
    count(*) over same as count,
    coalesce(sum(scopes.arr) over same, 0) as sum_arr,
    coalesce(sum(case when scopes.tier in {AT_RISK} then scopes.arr end) over same, 0) as arr_at_risk,
    {_BRIEF},
    cast(scopes.term_ends_on as varchar) as term_ends_on
from scopes
where scopes.term_ends_on between $as_of and $as_of + {RENEWAL_DAYS}
window same as (partition by scopes.scope, date_trunc('month', scopes.term_ends_on))
qualify row_number() over (same order by scopes.tier in {AT_RISK} desc, scopes.arr desc nulls last, scopes.account_id) <= {_RENEWALS_SHOWN}
order by scopes.scope, month, scopes.tier in {AT_RISK} desc, scopes.arr desc nulls last, scopes.account_id
"""

_SEGMENTS = f"""
with days as (

    select
        scope,
        {DATE_COLUMN} = $as_of as is_now,
        segment,
        count(*) as accounts,
        sum(arr) as arr,
        avg(health_score) as mean_score,
        coalesce(sum(arr) filter (tier in {AT_RISK}), 0) as arr_at_risk,
        {_BY_TIER.format("count(*)")} as by_tier
    from scoped_history
    where {DATE_COLUMN} in ($as_of, $as_of - {MONTH})
    group by all

)

select
    now.scope,
    shown(now.segment, {NAME_LENGTH}) as name,
    now.accounts,
    now.arr,
    now.mean_score,
    now.arr_at_risk,
    now.by_tier,
    now.mean_score - before.mean_score as change
from days as now
left join days as before
    on not before.is_now
    and now.scope = before.scope
    and now.segment is not distinct from before.segment
where now.is_now
qualify row_number() over (partition by now.scope order by now.arr desc nulls last, now.accounts desc, name) <= {_SEGMENTS_SHOWN}
order by now.scope, now.arr desc nulls last, now.accounts desc, name
"""

_PLAYBOOKS = f"""
select
    scopes.scope,
    shown(actions.label, {NAME_LENGTH}) as label,
    min(actions.priority) as priority,
    count(*) as accounts,
    sum(scopes.arr) as arr,
    count(*) filter (actions.since > $as_of - {WEEK}) as new,
    count(*) filter (actions.due_on < $as_of) as overdue
from account_actions as actions
inner join scopes using (account_id)
where actions.{DATE_COLUMN} = $as_of and actions.state = 'open'
group by scopes.scope, shown(actions.label, {NAME_LENGTH})
order by scopes.scope, priority, label
"""

_ACTIONS = f"""
with ranked as (

    select
        scopes.scope,
        {_BRIEF},
        coalesce(shown(actions.owner, {NAME_LENGTH}), scopes.owner) as owner,
        actions.playbook_key,
        actions.priority,
        shown(actions.label, {NAME_LENGTH}) as label,
        shown(actions.reason, {TEXT_LENGTH}) as reason,
        cast(actions.since as varchar) as since,
        cast(actions.due_on as varchar) as due_on,
        row_number() over (
            partition by scopes.scope, actions.playbook_key order by scopes.arr desc nulls last, scopes.account_id
        ) as place
    from account_actions as actions
    inner join scopes using (account_id)
    where actions.{DATE_COLUMN} = $as_of and actions.state = 'open'

)

select * exclude (playbook_key, priority, place)
from ranked
where place <= {_ACTIONS_PER_PLAYBOOK}
qualify row_number() over (partition by scope order by priority, playbook_key, place) <= {_ACTIONS_SHOWN}
order by scope, priority, playbook_key, place
"""

# Where the accounts of a stage are weak: the mean of each dimension, the accounts that it is the mean of, those of which it is the lowest,
# and what most often is to be done for those that are below healthy.
_JOURNEY = f"""
with asked as (

    select
        scopes.scope,
        scopes.stage,
        scopes.weakest,
        shown(actions.label, {NAME_LENGTH}) as label,
        count(*) as accounts
    from account_actions as actions
    inner join scopes using (account_id)
    where actions.{DATE_COLUMN} = $as_of and actions.state = 'open' and scopes.tier in {AT_RISK}
    group by all

),

playbooks as (

    select
        scope,
        stage,
        weakest,
        first(label order by accounts desc, label) as playbook,
        max(accounts) as playbook_accounts
    from asked
    group by scope, stage, weakest

)

select
    scopes.scope,
    scopes.stage,
    dimensions.dimension_key as dimension,
    round(avg(dimensions.dimension_score), 1) as score,
    count(*) as accounts,
    count(*) filter (scopes.weakest = dimensions.dimension_key) as weakest,
    any_value(playbooks.playbook) as playbook,
    any_value(playbooks.playbook_accounts) as playbook_accounts
from dimension_scores_history as dimensions
inner join scopes using (account_id)
left join playbooks
    on scopes.scope = playbooks.scope
    and scopes.stage is not distinct from playbooks.stage
    and dimensions.dimension_key = playbooks.weakest
where dimensions.{DATE_COLUMN} = $as_of and dimensions.dimension_score is not null
group by scopes.scope, scopes.stage, dimensions.dimension_key
order by scopes.scope, list_position({list(STAGES)}, scopes.stage), scopes.stage, dimensions.dimension_key
"""

# What is overdue, of customers who left too, with the sums of all of it; the largest claims first.
_RECEIVABLES = f"""
with claims as (

    select
        unnest(['{EVERYONE}', owner_label(csm)]) as scope,
        [account_id, account_label(account_name, account_id)] as account,
        is_scored,
        shown(invoice_id, {NAME_LENGTH}) as invoice,
        days_overdue,
        owed,
        written_off_on is not null as is_written_off
    from receivables
    where days_overdue > 0

)

select
    *,
    count(*) over same as count,
    sum(owed) over same as sum_owed,
    count(*) filter (not is_scored) over same as count_left,
    sum(owed) filter (not is_scored) over same as sum_left,
    count(*) filter (is_written_off) over same as count_written_off,
    sum(owed) filter (is_written_off) over same as sum_written_off
from claims
where scope in (select scope from scopes)
window same as (partition by scope)
qualify row_number() over (partition by scope order by is_written_off, owed desc, invoice) <= {_RECEIVABLES_SHOWN}
order by scope, is_written_off, owed desc, invoice
"""

_SOURCES = f"""
with quarantine as (

    select raw_table, arg_max(reason, quarantined_rows) as reason
    from quarantine_summary
    group by raw_table

)

select
    freshness.* exclude (not_read_reason, orphan_warning, value_warning),
    shown(freshness.not_read_reason, {TEXT_LENGTH}) as not_read_reason,
    shown(freshness.orphan_warning, {TEXT_LENGTH}) as orphan_warning,
    shown(freshness.value_warning, {TEXT_LENGTH}) as value_warning,
    shown(quarantine.reason, 200) as reason
from data_freshness as freshness
left join quarantine using (raw_table)
order by late_since is null, raw_table
"""

_DRIFT = f"""
select {DATE_COLUMN} as day, shown(message, {TEXT_LENGTH}) as message
from metric_drift
where explanation is null and {DATE_COLUMN} > $as_of - {_DRIFT_DAYS} and {DATE_COLUMN} <= $as_of
order by {DATE_COLUMN} desc, metric_key
limit {_DRIFT_SHOWN}
"""


_PARTS = {
    "movements": _MOVEMENTS,
    "weeks": _RENEWAL_WEEKS,
    "renewals": _RENEWALS,
    "segments": _SEGMENTS,
    "playbooks": _PLAYBOOKS,
    "actions": _ACTIONS,
    "journey": _JOURNEY,
    "receivables": _RECEIVABLES,
}


def read_sources(source: BoardSource) -> dict[str, Any]:
    """What `index.html` says of the data behind the scores."""
    sources = [row | {"name": _name_of_table(row["raw_table"])} for row in source.rows(_SOURCES)]
    return {
        "sources": sources,
        "late_sources": [row for row in sources if row["late_since"] is not None],
        "quarantined": sum(row["quarantined_rows"] or 0 for row in sources),
        "drift": source.rows(_DRIFT),
        "renewal_days": RENEWAL_DAYS,
    }


def read_portfolios(source: BoardSource) -> dict[str, dict[str, Any]]:
    """Owner -> the figures of their portfolio, as `portfolio.js` shows them; EVERYONE -> those of all, and a row for each owner."""
    if source.as_of is None:
        return {}
    source.connection.execute(_SCOPES)
    portfolios: dict[str, dict[str, Any]] = {
        row["scope"]: {"id": row.pop("scope"), "days": row, "now": None, "before": None} | {name: [] for name in _PARTS}
        for row in source.rows(_TIERS_OVER_TIME)
    }
    for row in source.rows(_HEADLINES):
        portfolios[row.pop("scope")]["now" if row.pop("is_now") else "before"] = row
    for name, query in _PARTS.items():
        for row in source.rows(query):
            portfolios[row.pop("scope")][name].append(row)
    owners = [_owner(name, page) for name, page in portfolios.items() if name != EVERYONE]
    owners.sort(key=lambda row: (-row["arr_at_risk"], row["owner"]))
    portfolios[EVERYONE]["owners"] = owners[:_OWNERS_SHOWN]
    return portfolios


def write_portfolios(source: BoardSource, folder: Path) -> int:
    """Write the shards `portfolios-<number>.js`.

    Returns:
        The number of shards; an owner's is `shard_of`.
    """
    portfolios = read_portfolios(source)
    shards = max(1, min(MAX_SHARDS, -(-len(portfolios) // OWNERS_PER_SHARD)))
    entries: dict[int, list[str]] = {shard: [] for shard in range(shards)}
    for name, page in sorted(portfolios.items()):
        entries[shard_of(name, shards)].append(write_json(page))
    for shard, texts in entries.items():
        write_shard(folder, "portfolios", shard, texts)
    return shards


def _owner(name: str, page: dict[str, Any]) -> dict[str, Any]:
    now, before = page["now"], page["before"]
    change = None if before is None else now["mean_score"] - before["mean_score"]
    actions = sum(row["accounts"] for row in page["playbooks"])
    return {"owner": name, "change": change, "actions": actions} | {
        key: now[key] for key in ("accounts", "mean_score", "arr", "arr_at_risk")
    }


def _name_of_table(raw_table: str) -> str:
    """`csm_pulses` as people write it."""
    name = raw_table.replace("_", " ")
    return name.replace("csm", "CSM", 1) if name.startswith("csm") else name.capitalize()
