"""The last look at a new file before readers get it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from orchestration.publish.build import Mart, PublishRefused, count_of, fingerprint_days
from orchestration.publish.revisions import TABLE as REVISIONS
from orchestration.publish.tables import BY_NAME, DATE_COLUMN, HISTORY, METRIC_HISTORY, TABLES, on_days
from orchestration.settings import Settings
from orchestration.warehouse import connect, first_line, has_log

# health_score is rounded to one decimal; the rest is room for floating-point noise.
SCORE_TOLERANCE = 0.05 + 1e-6
# Of storage version v1.0.0, at byte 12 of the file.
_STORAGE_NUMBER = 64


def audit_database(settings: Settings, database: Path, mart: Mart, rows: dict[str, int], changed: Sequence[date]) -> None:
    """Compare a closed `health.duckdb` with the warehouse.

    Read are all rows but those of days that were published before: they are a copy of what was audited then, compared with its hash.

    Args:
        settings: the limits of the connection.
        database: the file.
        mart: what the warehouse holds.
        rows: table -> rows that it must have.
        changed: days that were not published before; their points must sum to the score.

    Raises:
        PublishRefused: it differs; the message says where.
    """
    if has_log(database):
        raise PublishRefused(f"{database.name} was not closed in order: a write-ahead log is beside it")
    with open(database, "rb") as file:
        file.seek(12)
        if (number := int.from_bytes(file.read(8), "little")) != _STORAGE_NUMBER:
            raise PublishRefused(f"{database.name} has storage version {number} instead of {_STORAGE_NUMBER}")
    try:
        with connect(settings, database, read_only=True) as connection:
            _check_rows(connection, rows, changed)
            _check_history(connection, mart, changed)
            held = mart.database_days(BY_NAME[METRIC_HISTORY], settings.pipeline.metric_history_days)
            _check_points(connection, sorted(set(held).intersection(changed)))
    except duckdb.Error as error:
        raise PublishRefused(f"{database.name} cannot be read: {first_line(error)}") from error


def check_rows(settings: Settings, database: Path, rows: dict[str, int]) -> None:
    """Read every row of a closed `health.duckdb` that is not a history's, and count all.

    Raises:
        PublishRefused: it cannot be read, or has other numbers of rows.
    """
    try:
        with connect(settings, database, read_only=True) as connection:
            _check_rows(connection, rows, ())
    except duckdb.Error as error:
        raise PublishRefused(f"{database.name} cannot be read: {first_line(error)}") from error


def _check_rows(connection: duckdb.DuckDBPyConnection, rows: dict[str, int], changed: Sequence[date]) -> None:
    histories = {table.stored_as for table in TABLES if table.is_history} | {REVISIONS}
    for name, expected in rows.items():
        ((found,),) = connection.execute(f"select count(*) from {name}").fetchall()
        if found != expected:
            raise PublishRefused(f"{name} has {found} rows instead of {expected}")
        # The hash makes DuckDB read and check every block.
        new = f" where {on_days(changed)}" if name in histories else ""
        connection.execute(f"select bit_xor(hash(*columns(*))) from {name}{new}").fetchall()


def _check_history(connection: duckdb.DuckDBPyConnection, mart: Mart, changed: Sequence[date]) -> None:
    doubled = connection.execute(
        f"select account_id, {DATE_COLUMN}, count(*) from {HISTORY} where {on_days(changed)} "
        f"group by account_id, {DATE_COLUMN} having count(*) > 1 order by 2, 1 limit 1"
    ).fetchall()
    if doubled:
        account, day, count = doubled[0]
        raise PublishRefused(f"{HISTORY} has {count} rows for account '{account}' on {day}: it must have one")
    found = fingerprint_days(connection, f"select * from {HISTORY} where {on_days(changed)}")
    counts = dict(connection.execute(f"select {DATE_COLUMN}, count(*) from {HISTORY} group by {DATE_COLUMN}").fetchall())
    for day in sorted(counts.keys() | mart.days.keys()):
        expected = mart.days.get(day, "")
        if counts.get(day) != count_of(expected) or found.get(day, expected) != expected:
            raise PublishRefused(f"{HISTORY} of {day} differs from the warehouse's")


def _check_points(connection: duckdb.DuckDBPyConnection, days: list[date]) -> None:
    """On each of the days the points of an account sum to its score, in the wide rows that metric_scores_history shows."""
    wide = BY_NAME[METRIC_HISTORY].stored_as
    columns = [row[0] for row in connection.execute(f"describe {wide}").fetchall()]
    metrics = [name.removesuffix("__effective_weight") for name in columns if name.endswith("__effective_weight")]
    points = " + ".join(["coalesce(cap_points, 0)", *(f"coalesce({name}__effective_weight * ({name}__score - 50), 0)" for name in metrics)])
    wrong = connection.execute(
        f"""
        with totals as (

            select
                account_id,
                {DATE_COLUMN},
                {points} as points
            from {wide}
            where {on_days(days)}

        )

        select
            history.account_id,
            history.{DATE_COLUMN},
            history.health_score,
            50 + coalesce(totals.points, 0) as expected
        from {HISTORY} as history
        left join totals on totals.account_id = history.account_id and totals.{DATE_COLUMN} = history.{DATE_COLUMN}
        where {on_days(days, "history")}
            and not coalesce(abs(50 + coalesce(totals.points, 0) - history.health_score) <= $tolerance, false)
        order by history.{DATE_COLUMN} desc, history.account_id
        limit 1
        """,
        {"tolerance": SCORE_TOLERANCE},
    ).fetchall()
    if wrong:
        account, day, score, expected = wrong[0]
        raise PublishRefused(f"{METRIC_HISTORY}: the points of account '{account}' on {day} sum to {expected}, its health_score is {score}")
