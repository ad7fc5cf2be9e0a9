"""Published revisions: every score as it was published, append-only (architecture, decision 8).

The log is one Parquet file for each generation that added any, next to the lake: truth, not cache. A file is written as a part of its
generation and enters the log when readers see the generation, so a crash on either side of the flip loses nothing and doubles nothing:
`settle` brings in what a killed run could not.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.publish.generations import (
    PARQUET,
    DamagedGeneration,
    FileEntry,
    Manifest,
    PublishError,
    current_generation,
    generation_path,
    hash_file,
    link,
    list_generations,
    read_manifest,
    sync,
)
from orchestration.publish.tables import DATE_COLUMN, HISTORY, SCHEMA
from orchestration.settings import Settings
from orchestration.warehouse import connect, identifier, literal

TABLE = "published_revisions"
# Views beside the table.
FIRST_PUBLISHED = "as_first_published"
RESTATED = "as_restated"

DESCRIPTIONS = {
    TABLE: "Every score as it was published, append-only: a restated score adds a revision and keeps the old one.",
    FIRST_PUBLISHED: "Each score as it was shown first, whatever was restated since.",
    RESTATED: "Each score as it was published last. Withdrawn ones are left out.",
}
# Column -> (DuckDB type, description).
COLUMNS: dict[str, tuple[str, str]] = {
    "account_id": ("VARCHAR", "The account."),
    "as_of_date": ("DATE", "The scored day."),
    "revision": ("INTEGER", "1 for what was published first, then 2, 3, ..."),
    "health_score": ("DOUBLE", "Score as published; null where the account's score for the day was withdrawn."),
    "tier": ("VARCHAR", "Tier as published; null where withdrawn."),
    "published_at": ("TIMESTAMP", "When it was published, UTC."),
    "run_id": ("VARCHAR", "Dagster run that published it."),
    "reason": ("VARCHAR", "first published, late data, backfill, configuration changed, override, earlier days restated, or withdrawn."),
    "config_version": ("VARCHAR", "Version of the scorecard configuration that scored it."),
    "configuration_hash": ("VARCHAR", "Hash over all seeds with which it was scored."),
    "rules_hash": ("VARCHAR", "Hash over the rules of its scorecard."),
    "override_id": ("VARCHAR", "Override in force on the day; null without one."),
    "generation": ("INTEGER", "Generation of the mart that first showed it."),
}
_SELECT = ", ".join(COLUMNS)


@dataclass(frozen=True)
class Revisions:
    """What a generation holds of the log.

    Attributes:
        new_file: name of the file in the generation with what it adds; None if it adds nothing.
        linked: names of the files shared with the log, with their entries.
        added: number of revisions that it adds.
        rows: all revisions.
    """

    new_file: str | None
    linked: dict[str, FileEntry]
    added: int
    rows: int


def settle(settings: Settings) -> None:
    """Bring what the current generation added into the log, if the run that published it was killed before it could.

    Only the newest generation may be ahead of the log: an older number that is not in it was never seen by readers.
    """
    number = current_generation(settings)
    if number is None:
        return
    source = generation_path(settings, number) / _name(number)
    if source.exists() and number > max(_log(settings), default=0):
        settings.revisions.mkdir(parents=True, exist_ok=True)
        # A link, or a copy under another name first, so that a file of the log is there whole or not at all.
        temporary = settings.revisions / f".{number}"
        temporary.unlink(missing_ok=True)
        link(source, temporary)
        temporary.rename(settings.revisions / f"{number:08d}.parquet")
        sync(settings.revisions)


def published_days(settings: Settings) -> set[date]:
    """The days that the current generation shows (else the newest one that is whole), or that the log has and did not withdraw.

    Raises:
        PublishError: the log cannot be read, or a newer version wrote the generation.
    """
    days: set[date] = set()
    for number in dict.fromkeys([current_generation(settings), *reversed(list_generations(settings))]):
        try:
            if number is not None:
                days = {date.fromisoformat(day) for day in read_manifest(settings, number).days}
                break
        except DamagedGeneration:
            continue
    log = _log(settings)
    if log:
        with connect(settings) as connection:
            _read_log(connection, log)
            shown = connection.execute(
                "select as_of_date from (select as_of_date, arg_max(health_score is not null, revision) as is_shown from log"
                " group by account_id, as_of_date) as last group by as_of_date having bool_or(is_shown)"
            ).fetchall()
        days |= {day for (day,) in shown}
    return days


def add_revisions(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    building: Path,
    generation: int,
    days: Collection[date],
    changed: Collection[date],
    run_id: str,
    published_at: datetime,
    base: Manifest | None,
) -> Revisions:
    """Compare what is about to be published with what was published last, and put table, views and files into the generation.

    Args:
        settings: where the log stands.
        connection: with the warehouse attached as `warehouse` and the new database as `health`.
        building: folder of the new generation.
        generation: its number.
        days: all days of the mart.
        changed: those that may differ from the generation before.
        run_id: the run that publishes.
        published_at: UTC, without a zone.
        base: the generation before; its entries of shared files are taken over.

    Raises:
        PublishError: the log cannot be read.
    """
    log = _log(settings)
    _read_log(connection, log)
    # And the days that were published once and are no longer in the mart.
    connection.execute(
        "create or replace temp table changed_days as select unnest(cast($changed as date[])) as day union "
        "select distinct as_of_date from log where as_of_date not in (select unnest(cast($days as date[])))",
        {"changed": sorted(changed), "days": sorted(days)},
    )
    connection.execute(
        _NEW_REVISIONS, {"run_id": run_id, "published_at": published_at, "generation": generation}
    )
    [(added,)] = connection.execute("select count(*) from new_revisions").fetchall()
    name = _name(generation) if added else None
    if name:
        (building / name).parent.mkdir(parents=True)
        connection.execute(
            f"copy (select {_SELECT} from new_revisions order by as_of_date, account_id) "
            f"to {literal(building / name)} (format parquet, compression zstd)"
        )
    linked = {}
    for number, path in log.items():
        shared = _name(number)
        link(path, building / shared)
        known = base.files.get(shared) if base else None
        linked[shared] = known or hash_file(path)
    rows = _write_table(connection, added)
    return Revisions(name, linked, added, rows)


def _name(generation: int) -> str:
    return f"{PARQUET}/{TABLE}/generation={generation}/part.parquet"


def _log(settings: Settings) -> dict[int, Path]:
    """The files of the log by generation, ascending."""
    if not settings.revisions.is_dir():
        return {}
    return {int(path.stem): path for path in sorted(settings.revisions.glob("[0-9]*.parquet"))}


def _read_log(connection: duckdb.DuckDBPyConnection, log: dict[int, Path]) -> None:
    """Lay the temporary view `log` over the files; what an older version wrote without a column has nulls there."""
    if not log:
        columns = ", ".join(f"cast(null as {kind}) as {name}" for name, (kind, _) in COLUMNS.items())
        connection.execute(f"create or replace temp view log as select {columns} where false")
        return
    files = ", ".join(literal(path) for path in log.values())
    columns = ", ".join(f"cast({identifier(name)} as {kind}) as {name}" for name, (kind, _) in COLUMNS.items())
    try:
        connection.execute(
            f"create or replace temp view log as select {columns} from read_parquet([{files}], hive_partitioning = false)"
        )
    except duckdb.Error as error:
        raise PublishError(
            f"{next(iter(log.values())).parent}: the log of published revisions cannot be read ({error}). Restore the damaged file: "
            f"every generation has a copy in {PARQUET}/{TABLE}"
        ) from error


def _write_table(connection: duckdb.DuckDBPyConnection, added: int) -> int:
    """Bring the table in `health` to what the log and the new revisions hold; return its number of rows."""
    [(logged,)] = connection.execute("select count(*) from log").fetchall()
    tables = connection.execute(
        "select 1 from duckdb_tables() where database_name = 'health' and table_name = ?", [TABLE]
    ).fetchall()
    held = connection.execute(f"select count(*) from health.main.{TABLE}").fetchall() if tables else None
    if held == [(logged,)]:
        if added:
            connection.execute(f"insert into health.main.{TABLE} select {_SELECT} from new_revisions order by as_of_date, account_id")
        return logged + added
    # Nothing to start from, or a generation that was rolled back to: it lacks what came after it.
    connection.execute(
        f"create or replace table health.main.{TABLE} as select {_SELECT} from log union all select {_SELECT} from new_revisions "
        "order by as_of_date, account_id, revision"
    )
    connection.execute("use health")
    connection.execute(f"create or replace view {FIRST_PUBLISHED} as select * from {TABLE} where revision = 1")
    connection.execute(
        f"create or replace view {RESTATED} as select * exclude (last_revision) from ("
        f"select *, max(revision) over (partition by account_id, as_of_date) as last_revision from {TABLE}"
        ") as numbered where revision = last_revision and health_score is not null"
    )
    connection.execute("use memory")
    for relation, description in DESCRIPTIONS.items():
        kind = "table" if relation == TABLE else "view"
        connection.execute(f"comment on {kind} health.main.{relation} is {literal(description)}")
        for column, (_, text) in COLUMNS.items():
            connection.execute(f"comment on column health.main.{relation}.{column} is {literal(text)}")
    return logged + added


_NEW_REVISIONS = f"""
create or replace temp table new_revisions as
with shown as (

    select * exclude (position)
    from (
        select *, row_number() over (partition by account_id, as_of_date order by revision desc) as position
        from log
        where as_of_date in (select day from changed_days)
    ) as numbered
    where position = 1

),

now as (

    select account_id, {DATE_COLUMN} as as_of_date, health_score, tier, config_version, configuration_hash, rules_hash, override_id
    from warehouse.{SCHEMA}.{HISTORY}
    where {DATE_COLUMN} in (select day from changed_days)

)

select
    coalesce(now.account_id, shown.account_id) as account_id,
    coalesce(now.as_of_date, shown.as_of_date) as as_of_date,
    cast(coalesce(shown.revision, 0) + 1 as integer) as revision,
    now.health_score,
    now.tier,
    cast($published_at as timestamp) as published_at,
    $run_id as run_id,
    case
        when shown.account_id is null then 'first published'
        when now.account_id is null then 'withdrawn'
        when shown.health_score is not null and now.rules_hash is distinct from shown.rules_hash then 'configuration changed'
        when now.health_score = shown.health_score and now.override_id is distinct from shown.override_id then 'override'
        when now.as_of_date between state.first_day and state.last_day then 'backfill'
        when now.as_of_date in (select as_of_date from warehouse.control.as_of_days) then 'late data'
        else 'earlier days restated'
    end as reason,
    now.config_version,
    now.configuration_hash,
    now.rules_hash,
    now.override_id,
    cast($generation as integer) as generation
from now
full outer join shown on now.account_id = shown.account_id and now.as_of_date = shown.as_of_date
cross join warehouse.control.run_state as state
where
    (shown.account_id is null or now.health_score is distinct from shown.health_score or now.tier is distinct from shown.tier)
    -- What is withdrawn already stays so.
    and (now.account_id is not null or shown.health_score is not null)
"""
