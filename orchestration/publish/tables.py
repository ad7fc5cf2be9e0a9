"""What is published, as data: one entry per table of the mart."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

SCHEMA = "marts"
# Of `health.duckdb`: the wide tables that views in the default schema show one metric below the other.
WIDE_SCHEMA = "wide"
DATE_COLUMN = "as_of_date"
# The last part of a month has what is left, up to seven days.
PART_DAYS = 8
# Orders rows by the parts.
PART_ORDER = f"date_trunc('month', {DATE_COLUMN}), (day({DATE_COLUMN}) - 1) // {PART_DAYS}"


@dataclass(frozen=True)
class PublishedTable:
    """One table of the mart.

    Attributes:
        name: in the warehouse's schema `marts`, in `health.duckdb` and as Parquet.
        key: columns that name a row. Of a table that is not a history, in whose order it is written, and its primary key in
            `health.duckdb`. A history has none declared: the index would double the file, and each day's rows would go through it.
        order_by: of a table that has no such columns, those in whose order it is written.
        references: column -> table whose key it is: a foreign key in `health.duckdb`. Only of one table that is made anew to another.
        is_history: it has four Parquet files per month of `as_of_date`, see `part_name`; the files of days that a run did not touch are
            shared with the generation before. Else one file, written anew.
        is_limited: `health.duckdb` holds the last `pipeline.metric_history_days` days only; Parquet holds all.
        wide: model of the warehouse's schema `intermediate` that the table is a view over. `health.duckdb` and Parquet hold that model,
            with one column for each metric: a seventh of the time and a fifth of the space. In `health.duckdb` are the same view over it,
            and the macro `<name>_in`, which gives the same rows from a folder of Parquet files.
    """

    name: str
    key: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    is_history: bool = False
    is_limited: bool = False
    wide: str | None = None

    @property
    def source(self) -> str:
        """The rows that `health.duckdb` stores for it, in the warehouse."""
        return f"warehouse.{SCHEMA}.{self.name}" if self.wide is None else f"warehouse.intermediate.{self.wide}"

    @property
    def stored_as(self) -> str:
        """The table of `health.duckdb` that holds them."""
        return self.name if self.wide is None else f"{WIDE_SCHEMA}.{self.wide.partition('__')[2]}"

    @property
    def parquet(self) -> str:
        """The place of its Parquet, in the folder of all: a folder of a history, else a file."""
        return self.stored_as.replace(".", "/") if self.is_history else f"{self.name}.parquet"


def part_name(day: date) -> str:
    """The file of a day's rows: `as_of_month=2026-01/from-09.parquet` for 9 to 16 January.

    A run that touches the last four days rewrites one or two of these; a whole month of metrics would take longer than all else that it
    publishes.
    """
    return f"as_of_month={day:%Y-%m}/from-{(day.day - 1) // PART_DAYS * PART_DAYS + 1:02d}.parquet"


def on_days(days: Collection[date], table: str | None = None) -> str:
    """SQL that holds for rows of these days; the bounds let DuckDB skip the storage of all others."""
    if not days:
        return "false"
    column = DATE_COLUMN if table is None else f"{table}.{DATE_COLUMN}"
    listed = ", ".join(f"date '{day}'" for day in sorted(days))
    return f"{column} between date '{min(days)}' and date '{max(days)}' and {column} in ({listed})"


HISTORY = "account_health_history"
METRIC_HISTORY = "metric_scores_history"

TABLES: tuple[PublishedTable, ...] = (
    PublishedTable("account_health", ("account_id",), references={"account_id": "accounts", DATE_COLUMN: "calendar"}),
    PublishedTable(HISTORY, is_history=True),
    PublishedTable("dimension_scores_history", is_history=True, wide="int_scoring__account_dimensions"),
    PublishedTable(METRIC_HISTORY, is_history=True, is_limited=True, wide="int_scoring__account_scores"),
    PublishedTable("score_changes", is_history=True, is_limited=True, wide="int_ledger__changes"),
    PublishedTable("tier_changes", is_history=True),
    PublishedTable("account_actions", is_history=True),
    PublishedTable("account_actions_history", ("account_id", "playbook_key", "opened_on")),
    PublishedTable("action_outcomes", order_by=("is_total", "playbook_key")),
    PublishedTable("segment_health", is_history=True),
    PublishedTable("parent_health", is_history=True),
    PublishedTable("candidate_scores_history", is_history=True),
    PublishedTable("account_facts", order_by=("account_id", "began_on", "kind", "fact_id")),
    PublishedTable("accounts", ("account_id",)),
    PublishedTable("account_contacts", ("account_id", "contact_number"), references={"account_id": "accounts"}),
    PublishedTable("account_outcomes", order_by=("account_id", "occurred_on", "kind", "outcome_id")),
    PublishedTable("receivables", ("invoice_id",)),
    PublishedTable("revenue_retention", order_by=("month", "is_total", "segment")),
    PublishedTable("metric_drift", (DATE_COLUMN, "metric_key"), references={DATE_COLUMN: "calendar"}),
    PublishedTable("scorecard", ("config_version", "scorecard_key", "metric_key"), references={"tested_metric_key": "metric_catalogue"}),
    PublishedTable("scorecard_tiers", ("config_version", "scorecard_key", "tier")),
    PublishedTable("metric_catalogue", ("metric_key",)),
    PublishedTable("data_freshness", ("raw_table",)),
    PublishedTable("quarantine_summary", ("raw_table", "reason")),
    PublishedTable("calendar", ("calendar_date",)),
)

BY_NAME: dict[str, PublishedTable] = {table.name: table for table in TABLES}
