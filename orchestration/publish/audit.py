"""The last look at a new file before readers get it."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb

from orchestration.publish.build import Mart, PublishRefused, fingerprint_days
from orchestration.publish.tables import BY_NAME, DATE_COLUMN, HISTORY, METRIC_HISTORY
from orchestration.settings import Settings
from orchestration.warehouse import connect, first_line, has_log

# health_score is rounded to one decimal; the rest is room for floating-point noise.
SCORE_TOLERANCE = 0.05 + 1e-6
# Of storage version v1.0.0, at byte 12 of the file.
_STORAGE_NUMBER = 64


def audit_database(
    settings: Settings, database: Path, mart: Mart, rows: dict[str, int], changed: Iterable[date]
) -> None:
    """Read the whole of a closed `health.duckdb` and compare it with the warehouse.

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
        raise PublishRefused(f"{database.name} was not closed in order: a write-ahead log stands beside it")
    with open(database, "rb") as file:
        file.seek(12)
        if (number := int.from_bytes(file.read(8), "little")) != _STORAGE_NUMBER:
            raise PublishRefused(f"{database.name} has storage version {number} instead of {_STORAGE_NUMBER}")
    try:
        with connect(settings, database, read_only=True) as connection:
            _check_rows(connection, rows)
            _check_history(connection, mart)
            held = mart.database_days(BY_NAME[METRIC_HISTORY], settings.pipeline.metric_history_days)
            _check_points(connection, sorted(set(held).intersection(changed)))
    except duckdb.Error as error:
        raise PublishRefused(f"{database.name} cannot be read: {first_line(error)}") from error


def _check_rows(connection: duckdb.DuckDBPyConnection, rows: dict[str, int]) -> None:
    for name, expected in rows.items():
        # The hash makes DuckDB read and check every block.
        ((found, _),) = connection.execute(f"select count(*), bit_xor(hash(*columns(*))) from {name}").fetchall()
        if found != expected:
            raise PublishRefused(f"{name} has {found} rows instead of {expected}")


def _check_history(connection: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    doubled = connection.execute(
        f"select account_id, {DATE_COLUMN}, count(*) from {HISTORY} "
        f"group by account_id, {DATE_COLUMN} having count(*) > 1 order by 2, 1 limit 1"
    ).fetchall()
    if doubled:
        account, day, count = doubled[0]
        raise PublishRefused(f"{HISTORY} has {count} rows for account '{account}' on {day}: it must have one")
    found = fingerprint_days(connection, f"select * from {HISTORY}")
    if found != mart.days:
        day = min(day for day in found.keys() | mart.days.keys() if found.get(day) != mart.days.get(day))
        raise PublishRefused(f"{HISTORY} of {day} differs from the warehouse's")


def _check_points(connection: duckdb.DuckDBPyConnection, days: list[date]) -> None:
    """On each of the days the points of an account sum to its score, in the wide rows that metric_scores_history shows."""
    wide = BY_NAME[METRIC_HISTORY].stored_as
    columns = [row[0] for row in connection.execute(f"describe {wide}").fetchall()]
    metrics = [name.removesuffix("__state") for name in columns if name.endswith("__state")]
    points = " + ".join(["coalesce(cap_points, 0)", *(f"coalesce({name}__effective_weight * ({name}__score - 50), 0)" for name in metrics)])
    wrong = connection.execute(
        f"""
        with totals as (

            select
                account_id,
                {DATE_COLUMN},
                {points} as points
            from {wide}
            where {DATE_COLUMN} in (select unnest(cast($days as date[])))

        )

        select
            history.account_id,
            history.{DATE_COLUMN},
            history.health_score,
            50 + coalesce(totals.points, 0) as expected
        from {HISTORY} as history
        left join totals on totals.account_id = history.account_id and totals.{DATE_COLUMN} = history.{DATE_COLUMN}
        where history.{DATE_COLUMN} in (select unnest(cast($days as date[])))
            and not coalesce(abs(50 + coalesce(totals.points, 0) - history.health_score) <= $tolerance, false)
        order by history.{DATE_COLUMN} desc, history.account_id
        limit 1
        """,
        {"days": days, "tolerance": SCORE_TOLERANCE},
    ).fetchall()
    if wrong:
        account, day, score, expected = wrong[0]
        raise PublishRefused(
            f"{METRIC_HISTORY}: the points of account '{account}' on {day} sum to {expected}, "
            f"its health_score is {score}"
        )
