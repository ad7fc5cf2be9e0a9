"""What a person wants to know of a generation at a glance, in figures."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.publish.generations import open_published
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import TIER_COLOURS
from orchestration.settings import Settings

_DAYS = f"""
select {DATE_COLUMN}, count(*), avg(health_score), avg(coverage), {", ".join(f"count(*) filter (tier = '{tier}')" for tier in TIER_COLOURS)}
from {HISTORY}
group by {DATE_COLUMN}
order by {DATE_COLUMN}
"""


@dataclass(frozen=True)
class DayFigures:
    """Figures of one as-of day.

    Attributes:
        accounts: scored on that day.
        tiers: accounts by tier, every tier named.
        mean_score: 0 to 100; None without accounts.
        mean_coverage: 0 to 1; None without accounts.
    """

    accounts: int
    tiers: dict[str, int]
    mean_score: float | None
    mean_coverage: float | None


@dataclass(frozen=True)
class RunSummary:
    """Figures of a generation. Those of its last as-of day are its own: `accounts`, `tiers`, `mean_score`, `mean_coverage`.

    Attributes:
        days: every as-of day that it holds, in order; none when no account was scored.
        not_read: raw tables that the run left as they were -> why; with any, the generation is degraded.
        orphan_warnings, value_warnings: raw tables -> what is unusual about their rows of unknown accounts, which values contradict each
            other.
        quarantined: raw tables with rows in quarantine, those with the most first -> how many, the most frequent reason, how many reasons.
        freshness: raw tables -> day of the newest fact up to the newest as-of day, None without any, and `data_freshness.status`.
    """

    days: dict[date, DayFigures]
    not_read: dict[str, str]
    orphan_warnings: dict[str, str]
    value_warnings: dict[str, str]
    quarantined: dict[str, tuple[int, str, int]]
    freshness: dict[str, tuple[date | None, str]]

    @property
    def first_as_of_date(self) -> date | None:
        return next(iter(self.days), None)

    @property
    def last_as_of_date(self) -> date | None:
        return next(reversed(self.days), None)

    @property
    def warnings(self) -> list[str]:
        """What is unusual about the rows of raw tables, a line for each table and kind."""
        return [f"{table}: {said}" for warnings in (self.orphan_warnings, self.value_warnings) for table, said in warnings.items()]

    @property
    def _last(self) -> DayFigures:
        return next(reversed(self.days.values()), DayFigures(0, dict.fromkeys(TIER_COLOURS, 0), None, None))

    @property
    def accounts(self) -> int:
        return self._last.accounts

    @property
    def tiers(self) -> dict[str, int]:
        return self._last.tiers

    @property
    def mean_score(self) -> float | None:
        return self._last.mean_score

    @property
    def mean_coverage(self) -> float | None:
        return self._last.mean_coverage


def summarize(settings: Settings, generation_path: Path) -> RunSummary:
    """Read the figures of a generation from its `health.duckdb`.

    Args:
        settings: limits of the connection.
        generation_path: folder of a generation, or the link `published/current`.
    """
    with open_published(settings, generation_path) as connection:
        days = connection.execute(_DAYS).fetchall()
        tables = connection.execute(
            "select raw_table, not_read_reason, orphan_warning, value_warning, cast(newest_fact_at as date), status "
            "from data_freshness order by raw_table"
        ).fetchall()
        quarantined = connection.execute(
            "select raw_table, cast(sum(quarantined_rows) as bigint), arg_max(reason, (quarantined_rows, reason)), count(*) "
            "from quarantine_summary group by raw_table order by 2 desc, 1"
        ).fetchall()
    not_read, orphan_warnings, value_warnings = ({row[0]: row[place] for row in tables if row[place] is not None} for place in (1, 2, 3))
    return RunSummary(
        days={
            day: DayFigures(accounts, dict(zip(TIER_COLOURS, counts, strict=True)), score, coverage)
            for day, accounts, score, coverage, *counts in days
        },
        not_read=not_read,
        orphan_warnings=orphan_warnings,
        value_warnings=value_warnings,
        quarantined={table: (rows, reason, reasons) for table, rows, reason, reasons in quarantined},
        freshness={table: (newest, status) for table, *_, newest, status in tables},
    )


def unexplained_drift(settings: Settings, generation_path: Path, first: date, last: date) -> list[tuple[date, str]]:
    """Jumps of a metric that nothing explains, on the days [first, last]: (day, what happened in one sentence)."""
    with open_published(settings, generation_path) as connection:
        return connection.execute(
            f"select {DATE_COLUMN}, message from metric_drift where explanation is null and {DATE_COLUMN} between ? and ? "
            f"order by {DATE_COLUMN}, metric_key",
            [first, last],
        ).fetchall()
