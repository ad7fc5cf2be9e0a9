"""The figures of the portfolio page."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.publish.board.source import NAME_LENGTH, TEXT_LENGTH, BoardSource
from orchestration.publish.movements import WEEK
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import AT_RISK, TIER_COLOURS, TIER_LABELS, WORST_FIRST

MONTH = 28
RENEWAL_DAYS = 90
_MOVEMENTS_SHOWN = 8
_ACTIONS_SHOWN = 9
_ACTIONS_PER_PLAYBOOK = 3
_SEGMENTS_SHOWN = 12
_DRIFT_DAYS = 28
_DRIFT_SHOWN = 3


_HEADLINE = f"""
select
    count(*) as accounts,
    sum(arr) as arr,
    count(arr) as accounts_with_arr,
    avg(health_score) as mean_score,
    avg(coverage) as coverage,
    count(*) filter (tier = 'healthy') / count(*) as healthy_share,
    coalesce(sum(arr) filter (tier in {AT_RISK}), 0) as arr_at_risk
from {HISTORY}
where {DATE_COLUMN} = $as_of - cast($days_ago as integer)
"""

_TIERS_OVER_TIME = f"""
select
    cast({DATE_COLUMN} as varchar) as day,
    tier,
    cast(sum(accounts) as integer) as accounts,
    round(sum(arr)) as arr
from segment_health
where {DATE_COLUMN} between $first_day and $as_of
group by {DATE_COLUMN}, tier
order by {DATE_COLUMN}, tier
"""

_TIERS = """
select
    tier,
    count(*) as accounts,
    count(*) / sum(count(*)) over () as account_share,
    sum(arr) as arr,
    sum(arr) / nullif(sum(sum(arr)) over (), 0) as arr_share
from account_health
group by tier
"""

_MOVEMENTS = f"""
select
    health.account_id,
    account_label(health.account_name, health.account_id) as name,
    health.arr,
    health.health_score,
    health.delta_7d,
    movements.* exclude (account_id, reason),
    rtrim(shown(movements.reason, {NAME_LENGTH}), '.') as why
from movements
inner join account_health as health using (account_id)
where coalesce(movements.direction, 0) = $direction
order by movements.to_tier = 'poor' desc, health.arr desc nulls last, health.account_id
"""

_RENEWALS = f"""
select
    cast($as_of + cast((term_ends_on - $as_of) // 7 * 7 as integer) as varchar) as week,
    tier,
    count(*) as accounts,
    round(coalesce(sum(arr), 0)) as arr
from account_health
where term_ends_on between $as_of and $as_of + {RENEWAL_DAYS}
group by all
order by week, tier
"""

_ACCOUNTS_BY_TIER = ", ".join(f"cast(coalesce(sum(accounts) filter (tier = '{tier}'), 0) as integer) as {tier}" for tier in TIER_COLOURS)

_SEGMENTS = f"""
with days as (

    select
        {DATE_COLUMN},
        segment,
        cast(sum(accounts) as integer) as accounts,
        sum(arr) as arr,
        sum(mean_score * accounts) / sum(accounts) as mean_score,
        sum(arr) filter (tier in {AT_RISK}) as arr_at_risk,
        {_ACCOUNTS_BY_TIER}
    from segment_health
    where {DATE_COLUMN} in ($as_of, $as_of - {MONTH})
    group by {DATE_COLUMN}, segment

)

select
    shown(now.segment, {NAME_LENGTH}) as name,
    now.* exclude ({DATE_COLUMN}, segment),
    now.mean_score - before.mean_score as change
from days as now
left join days as before
    on before.{DATE_COLUMN} < now.{DATE_COLUMN}
    and now.segment is not distinct from before.segment
where now.{DATE_COLUMN} = $as_of
order by now.arr desc nulls last, now.accounts desc, name
limit {_SEGMENTS_SHOWN}
"""

_PLAYBOOKS = f"""
select
    shown(actions.label, {NAME_LENGTH}) as label,
    min(actions.priority) as priority,
    count(*) as accounts,
    sum(health.arr) as arr,
    count(*) filter (actions.since > $as_of - {WEEK}) as new
from account_actions as actions
inner join account_health as health using (account_id)
where actions.{DATE_COLUMN} = $as_of
group by shown(actions.label, {NAME_LENGTH})
order by priority, label
"""

_ACTIONS = f"""
with ranked as (

    select
        actions.*,
        row_number() over (
            partition by actions.playbook_key order by health.arr desc nulls last, health.account_id
        ) as place
    from account_actions as actions
    inner join account_health as health using (account_id)
    where actions.{DATE_COLUMN} = $as_of

)

select
    health.account_id,
    account_label(health.account_name, health.account_id) as name,
    health.tier,
    shown(health.csm, {NAME_LENGTH}) as csm,
    shown(actions.label, {NAME_LENGTH}) as label,
    shown(actions.reason, {TEXT_LENGTH}) as reason,
    actions.since
from ranked as actions
inner join account_health as health using (account_id)
where actions.place <= {_ACTIONS_PER_PLAYBOOK}
order by actions.priority, actions.playbook_key, actions.place
limit {_ACTIONS_SHOWN}
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
    cast($as_of - cast(newest_fact_at as date) as integer) as age,
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


def read_portfolio(source: BoardSource, labels: Mapping[str, str] = TIER_LABELS) -> dict[str, Any]:
    """What `index.html` shows, with these names of the tiers; `charts` holds the rows of its charts, the rest is for the template."""
    sources = [row | {"name": _name_of_table(row["raw_table"])} for row in source.rows(_SOURCES)]
    page: dict[str, Any] = {
        "sources": sources,
        "late_sources": [row for row in sources if row["late_since"] is not None],
        "quarantined": sum(row["quarantined_rows"] or 0 for row in sources),
        "drift": source.rows(_DRIFT),
        "charts": {},
    }
    if source.as_of is None:
        return page
    (now,) = source.rows(_HEADLINE, days_ago=0)
    (before,) = source.rows(_HEADLINE, days_ago=MONTH)
    renewals = source.rows(_RENEWALS)
    segments = source.rows(_SEGMENTS)
    over_time = source.rows(_TIERS_OVER_TIME)
    by_name = {row["tier"]: row for row in source.rows(_TIERS)}
    nothing = {"accounts": 0, "account_share": 0.0, "arr": 0.0, "arr_share": 0.0}
    return page | {
        "now": now,
        "before": before if before["accounts"] else None,
        "has_arr": bool(now["accounts_with_arr"]),
        "by_tier": [{**nothing, **by_name.get(tier, {}), "tier": tier} for tier in TIER_COLOURS],
        "fell": _movements(source, -1),
        "rose": _movements(source, 1),
        "unclear": _movements(source, 0),
        "renewals": _sum_by_tier(renewals),
        "renewing_at_risk": sum(row["arr"] for row in renewals if row["tier"] in AT_RISK),
        "renewal_days": RENEWAL_DAYS,
        "segments": segments,
        "playbooks": source.rows(_PLAYBOOKS),
        "actions": source.rows(_ACTIONS),
        "charts": {
            "tiersByAccounts": [_point(row, labels, row["accounts"]) for row in over_time],
            "tiersByArr": [_point(row, labels, row["arr"] or 0) for row in over_time] if now["accounts_with_arr"] else [],
            "renewals": [
                {
                    "week": row["week"],
                    "tier": labels[row["tier"]],
                    "stack": WORST_FIRST.index(row["tier"]),
                    "arr": row["arr"],
                    "accounts": row["accounts"],
                }
                for row in renewals
            ],
            "segments": [
                {
                    "segment": row["name"] or "No segment",
                    "tier": labels[tier],
                    "stack": WORST_FIRST.index(tier),
                    "accounts": row[tier],
                    "share": row[tier] / row["accounts"],
                }
                for row in segments
                for tier in TIER_COLOURS
            ],
        },
    }


def _point(row: dict[str, Any], labels: Mapping[str, str], value: float) -> dict[str, Any]:
    return {"day": row["day"], "tier": labels[row["tier"]], "stack": WORST_FIRST.index(row["tier"]), "value": value}


def _sum_by_tier(renewals: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Tier -> accounts and arr, worst first, those that renew only."""
    totals: dict[str, dict[str, float]] = {}
    for row in sorted(renewals, key=lambda row: WORST_FIRST.index(row["tier"])):
        total = totals.setdefault(row["tier"], {"accounts": 0, "arr": 0.0})
        total["accounts"] += row["accounts"]
        total["arr"] += row["arr"]
    return totals


def _movements(source: BoardSource, direction: int) -> dict[str, Any]:
    """How many accounts fell (-1), rose (1) or went to or from unknown (0) this week, and the first of them."""
    rows = source.rows(_MOVEMENTS, direction=direction)
    return {
        "count": len(rows),
        "shown": rows[:_MOVEMENTS_SHOWN],
    }


def _name_of_table(raw_table: str) -> str:
    """`csm_pulses` as people write it."""
    name = raw_table.replace("_", " ")
    return name.replace("csm", "CSM", 1) if name.startswith("csm") else name.capitalize()
