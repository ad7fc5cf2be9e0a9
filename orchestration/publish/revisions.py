"""Published revisions: every score as it was published, append-only (docs/architecture.md, "Two histories").

What a generation adds is compared with the log of all before it; where the log is, and how it stays whole: `revision_log`.
"""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.durable import sync
from orchestration.integrity import FileEntry, hash_file
from orchestration.publish.generations import (
    DamagedGeneration,
    Manifest,
    PublishError,
    current_generation,
    generation_path,
    link,
    list_generations,
    read_manifest,
)
from orchestration.publish.revision_log import FOLDER, PART_ROWS, Part, parquet, part_of, settle
from orchestration.publish.tables import DATE_COLUMN, HISTORY, SCHEMA
from orchestration.settings import Settings
from orchestration.warehouse import connect, first_line, identifier, literal

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
    "reason": ("VARCHAR", "first published, late data, backfill, configuration changed, override, earlier days restated, or withdrawn."),
    "config_version": ("VARCHAR", "Version of the scorecard configuration that scored it."),
    "override_id": ("VARCHAR", "Override in force on the day; null without one."),
    "generation": ("INTEGER", "Generation of the mart that first showed it."),
    "rules_hash": ("VARCHAR", "Hash over the rules of its scorecard."),
    "run_id": ("VARCHAR", "Dagster run that published it."),
    "configuration_hash": ("VARCHAR", "Hash over all seeds with which it was scored."),
}
_SELECT = ", ".join(COLUMNS)
_LOGGED = ", ".join(f"cast({identifier(name)} as {kind}) as {name}" for name, (kind, _) in COLUMNS.items())


@dataclass(frozen=True)
class Revisions:
    """What a generation holds of the log.

    Attributes:
        new_file: name of the file in the generation with what it adds; None if it adds nothing.
        linked: names of the other parts of the log in the generation, with their entries.
        added: number of revisions that it adds.
        rows: all revisions.
    """

    new_file: str | None
    linked: dict[str, FileEntry]
    added: int
    rows: int


def published_days(settings: Settings) -> set[date]:
    """The days that the current generation shows (else the newest one that is whole), or that the log has and did not withdraw.

    Raises:
        PublishError: the log is damaged, or a newer version wrote the generation.
    """
    days: set[date] = set()
    for number in dict.fromkeys([current_generation(settings), *reversed(list_generations(settings))]):
        try:
            if number is not None:
                days = {date.fromisoformat(day) for day in read_manifest(settings, number).days}
                break
        except DamagedGeneration:
            continue
    parts = settle(settings)
    if parts:
        with connect(settings) as connection:
            _read_log(connection, settings.revisions, parts)
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
    parts: Sequence[Part],
) -> Revisions:
    """Compare what is about to be published with what was published last, and put table, views and files into the generation.

    Args:
        settings: where the log is.
        connection: with the warehouse attached as `warehouse` and the new database as `health`.
        building: folder of the new generation.
        generation: its number.
        days: all days of the mart.
        changed: those that may differ from the generation before.
        run_id: the run that publishes.
        published_at: UTC, without a zone.
        base: the generation before, whose copies of the log are shared.
        parts: the log, as `settle` found it.

    Raises:
        PublishError: the log cannot be read.
    """
    _read_log(connection, settings.revisions, parts)
    # And the days that were published once and are no longer in the mart.
    connection.execute(
        "create or replace temp table changed_days as select unnest(cast($changed as date[])) as day union "
        "select distinct as_of_date from log where as_of_date not in (select unnest(cast($days as date[])))",
        {"changed": sorted(changed), "days": sorted(days)},
    )
    connection.execute(_NEW_REVISIONS, {"run_id": run_id, "published_at": published_at, "generation": generation})
    [(added,)] = connection.execute("select count(*) from new_revisions").fetchall()
    name, kept = None, list(parts)
    if added:
        name, kept = _write_part(connection, settings.revisions, building / FOLDER, generation, parts)
    linked = {f"{FOLDER}/{part.name}": _copy_part(settings, part, building / FOLDER, base) for part in kept}
    rows = _write_table(connection, added)
    return Revisions(name, linked, added, rows)


def _write_part(
    connection: duckdb.DuckDBPyConnection, log: Path, folder: Path, generation: int, parts: Sequence[Part]
) -> tuple[str, list[Part]]:
    """Write the new revisions as a part, with the rows of the newest part if that is small; its name, and the parts that stay."""
    first, kept, rows = parts[-1].last + 1 if parts else 1, list(parts), f"select {_SELECT} from new_revisions"
    if parts:
        newest = log / parts[-1].name
        [(count,)] = connection.execute(f"select count(*) from {parquet([newest])}").fetchall()
        if count < PART_ROWS:
            first = kept.pop().first
            rows = f"select {_LOGGED} from {parquet([newest])} union all {rows}"
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "new.parquet"
    connection.execute(f"copy ({rows} order by as_of_date, account_id, revision) to {literal(written)} (format parquet, compression zstd)")
    name = part_of(written, first, generation).name
    written.rename(folder / name)
    return f"{FOLDER}/{name}", kept


def _copy_part(settings: Settings, part: Part, folder: Path, base: Manifest | None) -> FileEntry:
    """Bring a part of the log into the generation: shared with the generation before, but never with the log."""
    target = folder / part.name
    shared = None if base is None else generation_path(settings, base.generation) / FOLDER / part.name
    if shared is not None and part.is_at(shared):
        link(shared, target)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(settings.revisions / part.name, target)
        sync(target)
    return hash_file(target)


def _read_log(connection: duckdb.DuckDBPyConnection, folder: Path, parts: Sequence[Part]) -> None:
    """Lay the temporary view `log` over the files; what an older version wrote without a column has nulls there."""
    if not parts:
        columns = ", ".join(f"cast(null as {kind}) as {name}" for name, (kind, _) in COLUMNS.items())
        connection.execute(f"create or replace temp view log as select {columns} where false")
        return
    try:
        files = parquet(folder / part.name for part in parts)
        connection.execute(f"create or replace temp view log as select {_LOGGED} from {files}")
    except duckdb.Error as error:
        raise PublishError(f"{folder}: the log of published revisions cannot be read ({first_line(error)})") from error


def _write_table(connection: duckdb.DuckDBPyConnection, added: int) -> int:
    """Bring the table in `health` to what the log and the new revisions hold; return its number of rows."""
    [(logged,)] = connection.execute("select count(*) from log").fetchall()
    tables = connection.execute("select 1 from duckdb_tables() where database_name = 'health' and table_name = ?", [TABLE]).fetchall()
    held = connection.execute(f"select count(*) from health.main.{TABLE}").fetchall() if tables else None
    if held == [(logged,)]:
        if added:
            rows_added = f"select {_SELECT} from new_revisions order by as_of_date, account_id"
            connection.execute(f"insert into health.main.{TABLE} by name {rows_added}")
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
