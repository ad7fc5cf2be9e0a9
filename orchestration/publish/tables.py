"""What is published, as data: one entry per table of the mart."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

SCHEMA = "marts"
DATE_COLUMN = "as_of_date"


@dataclass(frozen=True)
class PublishedTable:
    """One table of the mart.

    Attributes:
        name: in the warehouse's schema `marts`, in `health.duckdb` and as Parquet.
        order_by: columns in whose order a table without parts is written.
        part: histories have one Parquet file per day or month of `as_of_date`; the files of days that a run did not
            touch are shared with the generation before. None: one file, written anew.
        is_limited: `health.duckdb` holds the last `pipeline.metric_history_days` days only; Parquet holds all.
    """

    name: str
    order_by: tuple[str, ...] = ()
    part: Literal["day", "month"] | None = None
    is_limited: bool = False

    def part_key(self, day: date) -> str:
        """The folder of a day's rows: `as_of_date=2026-01-31` or `as_of_month=2026-01`."""
        return f"{DATE_COLUMN}={day.isoformat()}" if self.part == "day" else f"as_of_month={day:%Y-%m}"


HISTORY = "account_health_history"
METRIC_HISTORY = "metric_scores_history"

TABLES: tuple[PublishedTable, ...] = (
    PublishedTable("account_health", ("account_id",)),
    PublishedTable(HISTORY, part="month"),
    PublishedTable("dimension_scores_history", part="month"),
    PublishedTable(METRIC_HISTORY, part="day", is_limited=True),
    PublishedTable("score_changes", part="day", is_limited=True),
    PublishedTable("tier_changes", part="month"),
    PublishedTable("account_actions", part="month"),
    PublishedTable("segment_health", part="month"),
    PublishedTable("parent_health", part="month"),
    PublishedTable("candidate_scores_history", part="month"),
    PublishedTable("metric_drift", ("as_of_date", "metric_key")),
    PublishedTable("scorecard"),
    PublishedTable("scorecard_tiers", ("config_version", "scorecard_key", "min_score")),
    PublishedTable("metric_catalogue"),
    PublishedTable("data_freshness"),
    PublishedTable("quarantine_summary"),
    PublishedTable("calendar", ("calendar_date",)),
)

BY_NAME: dict[str, PublishedTable] = {table.name: table for table in TABLES}
