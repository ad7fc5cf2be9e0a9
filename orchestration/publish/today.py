"""The provisional state of the day that is still running, beside the mart: `published/today/`.

It is a link to the newest of a few small folders in `published/todays/`, each with the tables as Parquet and the scores as a script for the
board. `health.duckdb` has views over the files behind the link, so a generation needs no copy of them and every generation shows the newest
state. Once the mart has the day as a finished one, the views and the board no longer show what was provisional of it.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.durable import sync
from orchestration.publish.board import TODAY
from orchestration.publish.board.scripts import call
from orchestration.publish.descriptions import Described
from orchestration.publish.generations import point
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.settings import Settings
from orchestration.warehouse import connect, identifier, literal

LINK, SCRIPT = Path(TODAY).parts
_FOLDER, _BUILDING = "todays", ".building-"
# Who opens a file of the state before finds it for some hours.
_KEEP = 3

_TEXT, _DAY, _TIME, _FIGURE, _FLAG = "VARCHAR", "DATE", "TIMESTAMP", "DOUBLE", "BOOLEAN"
_KEYS = {
    "account_id": (_TEXT, "Account."),
    DATE_COLUMN: (_DAY, "The day that is still running, UTC. Facts count up to the time at which their source was read."),
}
_MARKS = {
    "is_provisional": (_FLAG, "True: the day is not over. The daily run scores it anew, as a finished day."),
    "run_id": (_TEXT, "The run that scored it."),
    "configuration_hash": (_TEXT, "Names the rules that it was scored with."),
}
_RULES = {
    "scorecard_key": (_TEXT, "Scorecard that scored the account."),
    "config_version": (_TEXT, "Version of the rules."),
}


@dataclass(frozen=True)
class TodayTable:
    """A table of the state.

    Attributes:
        columns: name -> (DuckDB type, description).
        query: its rows in the attached warehouse of today, with $day, $read_until and $scored_at; None where they are given.
    """

    name: str
    description: str
    columns: Mapping[str, tuple[str, str]]
    query: str | None = None


ACCOUNTS = TodayTable(
    "account_health_today",
    "Provisional: the score of every account on the day that is still running. No history, no revision, no confirmed tier. Empty where the "
    "newest day of the mart is as new.",
    _KEYS
    | {
        "account_name": (_TEXT, "Its name."),
        "segment": (_TEXT, "Its segment."),
        "csm": (_TEXT, "Who looks after it."),
        "stage": (_TEXT, "Stage of its life."),
        "health_score": (_FIGURE, "Score from 0 to 100 by what is known of today so far."),
        "uncapped_score": (_FIGURE, "The score without a cap."),
        "raw_tier": (
            _TEXT,
            "The tier by this score alone. It takes days to confirm a tier, so `tier` stays that of the newest finished day.",
        ),
        "coverage": (_FIGURE, "Share of the weight that was measured, 0 to 1."),
        "cap_key": (_TEXT, "The cap that holds the score down, if any."),
        "mrr": (_FIGURE, "Monthly recurring revenue in the reporting currency."),
        "arr": (_FIGURE, "mrr x 12."),
        "currency": (_TEXT, "Reporting currency."),
    }
    | _RULES
    | {
        "read_until": (_TIME, "UTC. Up to here every source was read; see sources_today for each of them."),
        "scored_at": (_TIME, "UTC. When the run began."),
    }
    | _MARKS,
    """
    select
        scores.*,
        accounts.account_name,
        accounts.csm,
        days.segment,
        days.stage,
        days.mrr,
        round(days.mrr * 12, 2) as arr,
        days.currency,
        tiers.raw_tier,
        cast($read_until as timestamp) as read_until,
        cast($scored_at as timestamp) as scored_at,
        true as is_provisional
    from warehouse.intermediate.int_scoring__account_scores as scores
    inner join warehouse.intermediate.int_scoring__account_days as days
        on scores.account_id = days.account_id
        and scores.as_of_date = days.as_of_date
    inner join warehouse.intermediate.int_scoring__raw_tiers as tiers
        on scores.account_id = tiers.account_id
        and scores.as_of_date = tiers.as_of_date
        and not tiers.is_candidate
    left join warehouse.staging.stg_crm__accounts as accounts on scores.account_id = accounts.account_id
    where scores.as_of_date = $day
    """,
)
METRICS = TodayTable(
    "metric_scores_today",
    "Provisional: what explains the scores of account_health_today, as metric_scores_history does those of finished days.",
    _KEYS
    | {
        "metric_key": (_TEXT, "Metric, or cap: and the cap that holds the score down."),
        "dimension_key": (_TEXT, "Its dimension, or cap."),
        "value": (_FIGURE, "Its value by what is known of today so far."),
        "state": (_TEXT, "measured, or why there is no value."),
        "normalized_score": (_FIGURE, "Score of the value, 0 to 100."),
        "nominal_weight": (_FIGURE, "Weight in the scorecard."),
        "effective_weight": (_FIGURE, "Weight that it had."),
        "points": (_FIGURE, "Points that it gave. Those of an account sum to its score - 50."),
    }
    | _RULES
    | _MARKS,
    "select *, true as is_provisional from warehouse.marts.metric_scores_history where as_of_date = $day",
)
SOURCES = TodayTable(
    "sources_today",
    "Up to when the sources behind account_health_today were read.",
    {
        "raw_table": (_TEXT, "Raw table."),
        DATE_COLUMN: (_DAY, "The day that is still running, UTC."),
        "read_until": (_TIME, "UTC. What the source had at this time counts."),
        "not_read_reason": (_TEXT, "Why the last run could not read it, so that an earlier reading counts; null where it was read."),
    },
)
TABLES = (ACCOUNTS, METRICS, SOURCES)

# They come last, as in every table.
_TECHNICAL = ("run_id", "configuration_hash")
# What the views add: the newest finished day beside the one that is running.
_BESIDE = {
    "tier": (_TEXT, "The tier in force: that of the newest finished day; of an account that has none, raw_tier."),
    "finished_on": (_DAY, "The newest finished day."),
    "finished_score": (_FIGURE, "The score on it; null for an account that is new today."),
    "change_so_far": (_FIGURE, "health_score - finished_score: points since the newest finished day."),
}
_NOW = "account_health_now"
VIEWS = (*(table.name for table in TABLES), _NOW)
_NOW_COLUMNS = (
    "account_id", DATE_COLUMN, "account_name", "segment", "csm", "stage", "health_score", "uncapped_score", "tier", "raw_tier", "coverage",
    "cap_key", "mrr", "arr", "currency", "scorecard_key", "config_version",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How far a source was read.

    Attributes:
        until: in UTC.
        not_read: why this run could not read it, so that an earlier reading counts; None if it did.
    """

    until: datetime
    not_read: str | None = None


def publish_today(
    settings: Settings, connection: duckdb.DuckDBPyConnection, day: date, scored_at: datetime, readings: Mapping[str, Reading]
) -> int:
    """Make what the attached `warehouse` of today holds the provisional state, in one step.

    Args:
        settings: where the mart is.
        day: the day that is running.
        scored_at: in UTC.
        readings: of the configured sources, by raw table.

    Returns:
        How many accounts it scores.
    """
    until = min(reading.until for reading in readings.values()).replace(tzinfo=None)
    given = {"day": day, "read_until": until, "scored_at": scored_at.replace(tzinfo=None)}
    for table in TABLES:
        _create(connection, table)
        if table.query is not None:
            columns = ", ".join(map(identifier, table.columns))
            used = {name: value for name, value in given.items() if f"${name}" in table.query}
            connection.execute(f"insert into {table.name} select {columns} from ({table.query}) order by all", used)
    connection.executemany(
        f"insert into {SOURCES.name} values (?, ?, ?, ?)",
        [[name, day, reading.until.replace(tzinfo=None), reading.not_read] for name, reading in sorted(readings.items())],
    )
    _write(settings, connection)
    [(accounts,)] = connection.execute(f"select count(*) from {ACCOUNTS.name}").fetchall()
    return accounts


def write_views(settings: Settings, connection: duckdb.DuckDBPyConnection) -> dict[Described, str]:
    """Make the views over the state in the attached `health`, which is in use; where there is no state yet, an empty one.

    Returns:
        Their descriptions.
    """
    if not _is_whole(settings, connection):
        with connect(settings) as empty:
            for table in TABLES:
                _create(empty, table)
            _write(settings, empty)
    newest = f"(select coalesce(max({DATE_COLUMN}), date '0001-01-01') from main.{HISTORY})"
    for table in TABLES:
        columns = [f"today.{identifier(name)}" for name in table.columns if name not in _TECHNICAL]
        query = f"from read_parquet({literal(_path(settings, table))}) as today"
        if table is ACCOUNTS:
            columns += [
                "coalesce(finished.tier, today.raw_tier) as tier",
                f"{newest} as finished_on",
                "finished.health_score as finished_score",
                "round(today.health_score - finished.health_score, 1) as change_so_far",
            ]
            query += " left join main.account_health as finished on today.account_id = finished.account_id"
        columns += [f"today.{name}" for name in _TECHNICAL if name in table.columns]
        query = f"select {', '.join(columns)} {query} where today.{DATE_COLUMN} > {newest}"
        connection.execute(f"create or replace view main.{table.name} as {query}")
    of_both = ", ".join(_NOW_COLUMNS)
    connection.execute(
        f"create or replace view main.{_NOW} as"
        f" select {of_both}, is_provisional, read_until, change_so_far from main.{ACCOUNTS.name}"
        f" union all select {of_both}, false, null, null from main.account_health"
        f" where account_id not in (select account_id from main.{ACCOUNTS.name})"
    )
    return _descriptions()


def _descriptions() -> dict[Described, str]:
    described: dict[Described, str] = {}
    for table in TABLES:
        columns = {**table.columns, **(_BESIDE if table is ACCOUNTS else {})}
        described |= {("main", table.name, None): table.description}
        described |= {("main", table.name, name): text for name, (_, text) in columns.items()}
    known = {**ACCOUNTS.columns, **_BESIDE}
    of_both = {
        DATE_COLUMN: "The day of the row: the one that is running, or the newest finished one.",
        "is_provisional": "Whether the row is of the day that is still running.",
        "read_until": "UTC. Up to here every source was read; null for a finished day.",
        "change_so_far": "Points since the newest finished day; null for a finished day.",
        "health_score": "Score from 0 to 100.",
    }
    described["main", _NOW, None] = "Every account by the newest that is known: today so far where there is a score, else the newest day."
    return described | {
        ("main", _NOW, name): of_both.get(name, known[name][1]) for name in (*_NOW_COLUMNS, "is_provisional", "read_until", "change_so_far")
    }


def _create(connection: duckdb.DuckDBPyConnection, table: TodayTable) -> None:
    columns = ", ".join(f"{identifier(name)} {kind}" for name, (kind, _) in table.columns.items())
    connection.execute(f"create or replace table {table.name} ({columns})")


def _path(settings: Settings, table: TodayTable) -> Path:
    return settings.published / LINK / f"{table.name}.parquet"


def _is_whole(settings: Settings, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is a state, with the columns of this version."""
    for table in TABLES:
        try:
            found = connection.execute(f"describe from read_parquet({literal(_path(settings, table))})").fetchall()
        except duckdb.Error:
            return False
        if [(name, kind) for name, kind, *_ in found] != [(name, kind) for name, (kind, _) in table.columns.items()]:
            return False
    return True


def _write(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the tables of the connection as a new state, let the link point to it, and remove old ones."""
    folder = settings.published / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_BUILDING}*"):
        shutil.rmtree(left)
    building = folder / f"{_BUILDING}{os.getpid()}"
    building.mkdir()
    for table in TABLES:
        connection.execute(f"copy {table.name} to {literal(building / f'{table.name}.parquet')} (format parquet, compression zstd)")
    (building / SCRIPT).write_text(_script(connection), encoding="utf-8")
    for path in building.iterdir():
        path.chmod(0o444)
        sync(path)
    sync(building)
    before = sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
    number = before[-1] + 1 if before else 1
    os.rename(building, folder / str(number))
    sync(folder)
    point(settings.published / LINK, Path(_FOLDER) / str(number))
    for old in before[: 1 - _KEEP]:
        shutil.rmtree(folder / str(old))


def _script(connection: duckdb.DuckDBPyConnection) -> str:
    """The scores for the board, whose pages are older than they."""
    rows = connection.execute(f"select account_id, health_score, {DATE_COLUMN}, read_until from {ACCOUNTS.name} order by all").fetchall()
    if not rows:
        return ""
    [*_, day, until] = rows[0]
    return call("board.setToday", {"day": day, "until": f"{until:%H:%M}", "scores": [row[:2] for row in rows]})
