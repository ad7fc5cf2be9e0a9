"""What a person wants to see of a generation at a glance: figures and a small picture."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import vl_convert

from orchestration.publish.board.assets import static_assets
from orchestration.publish.generations import open_published
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import TIER_COLOURS, WORST_FIRST
from orchestration.settings import Settings


@dataclass(frozen=True)
class RunSummary:
    """Figures of a generation.

    Attributes:
        first_as_of_date, last_as_of_date: the days that it holds; None when no account was scored.
        accounts: scored on the last day.
        tiers: accounts on the last day by tier, every tier named.
        mean_score: 0 to 100, of the last day; None without accounts.
        mean_coverage: 0 to 1, of the last day; None without accounts.
        not_read: raw tables that the run left as they were -> why; with any, the generation is degraded.
        orphan_warnings, value_warnings: raw tables -> what is unusual about their rows of unknown accounts, which values contradict each
            other.
        chart: PNG, accounts by tier on every day.
    """

    first_as_of_date: date | None
    last_as_of_date: date | None
    accounts: int
    tiers: dict[str, int]
    mean_score: float | None
    mean_coverage: float | None
    not_read: dict[str, str]
    orphan_warnings: dict[str, str]
    value_warnings: dict[str, str]
    chart: bytes


def summarize(settings: Settings, generation_path: Path) -> RunSummary:
    """Read the figures of a generation from its `health.duckdb`.

    Args:
        settings: limits of the connection.
        generation_path: folder of a generation, or the link `published/current`.
    """
    with open_published(settings, generation_path) as connection:
        days = connection.execute(f"select {DATE_COLUMN}, tier, count(*) from {HISTORY} group by all order by {DATE_COLUMN}").fetchall()
        ((accounts, score, coverage),) = connection.execute(
            f"select count(*), avg(health_score), avg(coverage) from {HISTORY} "
            f"where {DATE_COLUMN} = (select max({DATE_COLUMN}) from {HISTORY})"
        ).fetchall()
        not_read, orphan_warnings, value_warnings = (
            dict(
                connection.execute(
                    f"select raw_table, {column} from data_freshness where {column} is not null order by raw_table"
                ).fetchall()
            )
            for column in ("not_read_reason", "orphan_warning", "value_warning")
        )
    counts: dict[date, dict[str, int]] = {}
    for day, name, count in days:
        counts.setdefault(day, dict.fromkeys(TIER_COLOURS, 0))[name] = count
    last = max(counts, default=None)
    return RunSummary(
        first_as_of_date=min(counts, default=None),
        last_as_of_date=last,
        accounts=accounts,
        tiers=dict.fromkeys(TIER_COLOURS, 0) if last is None else counts[last],
        mean_score=None if score is None else float(score),
        mean_coverage=None if coverage is None else float(coverage),
        not_read=not_read,
        orphan_warnings=orphan_warnings,
        value_warnings=value_warnings,
        chart=_draw(counts),
    )


def unexplained_drift(settings: Settings, generation_path: Path, first: date, last: date) -> list[tuple[date, str]]:
    """Jumps of a metric that nothing explains, on the days [first, last]: (day, what happened in one sentence)."""
    with open_published(settings, generation_path) as connection:
        return connection.execute(
            f"select {DATE_COLUMN}, message from metric_drift where explanation is null and {DATE_COLUMN} between ? and ? "
            f"order by {DATE_COLUMN}, metric_key",
            [first, last],
        ).fetchall()


def _draw(counts: dict[date, dict[str, int]]) -> bytes:
    """Accounts by tier on every day, stacked, as on the board; the same counts give the same bytes."""
    rows = [
        {"day": day.isoformat(), "tier": tier, "stack": WORST_FIRST.index(tier), "value": value}
        for day in sorted(counts)
        for tier, value in counts[day].items()
    ]
    return vl_convert.vegalite_to_png(static_assets()["picture"] | {"data": {"values": rows}}, scale=1.5)
