"""What a CRM gets of every account: `crm_full.csv`, and of it in `crm_update.csv` only what it was not sent yet.

Rows hold values, not differences, so that to load one twice changes nothing. What was sent is what the full files hold of the
current generation and of those that a rollback took back: an account is in the update when any of them says something else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.publish.exports.files import csv_lines
from orchestration.publish.exports.text import clean
from orchestration.publish.generations import current_generation, generation_path, list_generations
from orchestration.publish.revisions import RESTATED
from orchestration.publish.revisions import TABLE as REVISIONS
from orchestration.publish.tiers import TIER_LABELS
from orchestration.settings import Settings
from orchestration.warehouse import rows_of

FULL = "crm_full.csv"
UPDATE = "crm_update.csv"

_SCHEMA = pa.schema(
    # One decimal, also where it is a zero.
    [("account_id", pa.string()), ("score", pa.decimal128(4, 1)), ("tier", pa.string()), ("reason", pa.string())]
)
# The log of revisions knows every account that was ever published.
_LEFT = f"""
select
    known.account_id,
    last_day.as_of_date,
    last_day.health_score,
    last_day.tier
from (select distinct account_id from {REVISIONS}) as known
left join (
    select
        account_id,
        max(as_of_date) as as_of_date,
        max_by(health_score, as_of_date) as health_score,
        max_by(tier, as_of_date) as tier
    from {RESTATED}
    group by account_id
) as last_day on last_day.account_id = known.account_id
where known.account_id not in (select account_id from account_health)
order by last_day.as_of_date desc nulls last, known.account_id
"""


def crm_rows(connection: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """What a CRM should say now of every account that was ever published, in the order of their ids.

    One that is no longer scored has neither score nor tier, and a reason that does not change from day to day.
    """
    accounts = connection.execute("select *, cast(health_score as decimal(4, 1)) as score from account_health order by account_id")
    # By the id as the file has it. What was published earlier may have ids that differ in what cannot be seen: the first one counts.
    rows: dict[str, dict[str, Any]] = {}
    for account in rows_of(accounts):
        told = {key: account[key] for key in ("account_id", "score", "tier")} | {"reason": reason(account)}
        rows.setdefault(clean(account["account_id"]), told)
    for account_id, day, score, tier in connection.execute(_LEFT).fetchall():
        last = "" if day is None else f": on {day}, the last day, {score:.1f} ({TIER_LABELS[tier].lower()})"
        left = {"account_id": account_id, "score": None, "tier": None, "reason": f"No longer scored{last}."}
        rows.setdefault(clean(account_id), left)
    return pa.Table.from_pylist(sorted(rows.values(), key=lambda row: row["account_id"]), _SCHEMA).to_reader()


def reason(account: dict[str, Any]) -> str:
    """One sentence on why the account is where it is, from its row of `account_health`.

    The first that is so: a person set the tier; too little is known; the score moved by 5 points or more in 28 days; what weighs
    the account down, or lifts it.
    """
    if account["override_reason"] is not None:
        return f"{TIER_LABELS[account['tier']]}, set by {account['override_author']}: {account['override_reason']}"
    if account["tier"] == "unknown":
        return f"Only {account['coverage']:.0%} of the scorecard could be measured, too little for a tier."
    delta = account["delta_28d"]
    if account["trend"] in ("improving", "declining"):
        said = f"{'Up' if delta > 0 else 'Down'} {abs(delta):.1f} points in 28 days"
        causes = [cause for cause, points in _strongest(account, "change") if points * delta > 0]
        return f"{said}, most by: {causes[0]}." if causes else f"{said}."
    lifts = [driver for driver, _ in _strongest(account, "positive")[:2]]
    weighs = [driver for driver, _ in _strongest(account, "negative")[:2]]
    if lifts and (account["tier"] == "healthy" or not weighs):
        return f"Lifted most by: {'; '.join(lifts)}."
    if weighs:
        return f"Weighed down most by: {'; '.join(weighs)}."
    return "Nothing moves the score away from the neutral 50."


def _strongest(account: dict[str, Any], kind: str) -> list[tuple[str, float]]:
    """The account's drivers or changes of a kind with their points, strongest first: "Days late, 40.5 days"."""
    found = []
    for rank in (1, 2, 3):
        label, value, points = (account[f"{kind}_{rank}_{part}"] for part in ("label", "value", "points"))
        if label is not None:
            # The label of a cap is a sentence.
            label = label.removesuffix(".")
            found.append((label if value is None else f"{label}, {value}", points))
    return found


def write_crm(connection: duckdb.DuckDBPyConnection, folder: Path, told: Sequence[Path]) -> None:
    """Write both files.

    Args:
        connection: on the generation's `health.duckdb`.
        folder: for the files.
        told: the full files that a CRM may have been sent; without any it is sent everything.
    """
    header, *rows = csv_lines(crm_rows(connection))
    known = [_lines(path) for path in told]
    news = [row for row in rows if not known or any(row not in lines for lines in known)]
    for name, lines in ((FULL, rows), (UPDATE, news)):
        (folder / name).write_bytes(b"".join(line + b"\n" for line in (header, *lines)))


def told_files(settings: Settings, exports: str) -> list[Path]:
    """The full files of the current generation and of those after it, which were current before a rollback."""
    current = current_generation(settings)
    if current is None:
        return []
    return [generation_path(settings, number) / exports / FULL for number in list_generations(settings) if number >= current]


def _lines(path: Path) -> frozenset[bytes]:
    """The lines of a full file. One that is lost or damaged held something else, so that its accounts are sent again."""
    try:
        return frozenset(path.read_bytes().splitlines())
    except OSError:
        return frozenset()
