"""Write a generation, audit it, flip the link that readers follow (docs/architecture.md, "Publishing").

Apart from the package itself, because the libraries that draw the board and write the exports take a second to import.
"""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from orchestration.disk_space import free_megabytes
from orchestration.integrity import FileEntry
from orchestration.progress import now_at
from orchestration.publish.audit import audit_database, check_rows
from orchestration.publish.board import FOLDER as BOARD
from orchestration.publish.board import write_board
from orchestration.publish.build import (
    Built,
    Mart,
    PublishRefused,
    RunState,
    build_generation,
    read_mart,
    read_run_state,
)
from orchestration.publish.exports import EXPORTS, write_exports
from orchestration.publish.generations import (
    DATABASE,
    FORMAT,
    DamagedGeneration,
    Manifest,
    PublishError,
    current_generation,
    flip,
    generation_path,
    install,
    link,
    open_published,
    prune,
    read_manifest,
    require_current,
    seal,
    start_building,
)
from orchestration.publish.revision_log import enter, next_number, settle
from orchestration.publish.validation import Rows, copy_database, parquet_name, replace_tables
from orchestration.settings import Settings
from orchestration.validate.headline import low_skill, read_headline
from orchestration.validate.tables import TABLES as VALIDATION_TABLES
from orchestration.warehouse import attach_warehouse, connect, discard, first_line, has_log, literal, scan

PASSED = "passed"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedGeneration:
    """What `publish` made current.

    Attributes:
        number, path: the generation and its folder.
        run_id, published_at: as given.
        first_as_of_date, last_as_of_date: the days it holds; None when no account was scored.
        rows: rows of each table of `health.duckdb`.
        changed_days: number of as-of days that differ from the generation before.
        linked_files: number of Parquet files shared with it.
        revisions: number of published revisions that it added.
        faults: why it lacks its board or its exports; one line each.
    """

    number: int
    path: Path
    run_id: str
    published_at: datetime
    first_as_of_date: date | None
    last_as_of_date: date | None
    rows: dict[str, int]
    changed_days: int
    linked_files: int
    revisions: int
    faults: tuple[str, ...] = ()


def publish(settings: Settings, run_id: str, published_at: datetime) -> PublishedGeneration:
    """Publish the warehouse's marts as a new generation and make it current.

    Args:
        settings: where, and how many generations and days of metric history stay.
        run_id: the run whose result this is; `control.run_state` must say that it passed.
        published_at: with its time zone.

    Raises:
        PublishRefused: the run did not pass, or the new file is not what the warehouse holds.
        PublishError: it could not be written or the warehouse not be read.
        WarehouseBusy: another process kept the warehouse open.

        After any of them readers have what they had before.
    """
    if not settings.warehouse.exists():
        raise PublishRefused(f"{settings.warehouse}: no such file: run the transform first")
    now_at("publish", DATABASE)
    if has_log(settings.warehouse):
        # DuckDB says nothing when its last write fails, as on a full disk; the log that stays is all there is to see.
        raise PublishRefused(
            f"{settings.warehouse}: not all of it could be written: a .wal is left beside it, and {free_megabytes(settings)} MB are free. "
            "Free space if that is little, then run again"
        )
    _require_skill(settings, run_id)
    building = None
    try:
        revisions = settle(settings)
        with connect(settings) as connection:
            attach_warehouse(settings, connection)
            state = _require_passed(read_run_state(connection), run_id)
            base = _base(settings)
            mart = read_mart(connection, state, base)
            building = start_building(settings)
            number = next_number(settings)
            built = build_generation(settings, connection, building, mart, base, number, run_id, published_at, revisions)
        now_at("publish", "audit")
        audit_database(settings, building / DATABASE, mart, built.rows, built.changed)
        for_people, faults = _write_for_people(settings, building, number, published_at)
        now_at("publish", "seal")
        files = built.linked | seal(building, [*built.new_files, *for_people])
        manifest = _manifest(settings, number, state, published_at, mart, built, files)
        path = install(settings, building, manifest)
        flip(settings, manifest.generation)
    except PublishError as error:
        raise type(error)(f"run {run_id} is not published: {error}") from error
    except (duckdb.Error, OSError) as error:
        raise PublishError(_explain(settings, run_id, error)) from error
    finally:
        # After `install` the folder has its number and this name is gone.
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    try:
        enter(settings, number)
    except (OSError, PublishError) as error:
        _log.warning("%s: the revisions of this generation enter the log with the next run (%s)", settings.revisions, error)
    prune(settings)
    return PublishedGeneration(
        number=manifest.generation,
        path=path,
        run_id=run_id,
        published_at=published_at,
        first_as_of_date=min(mart.days, default=None),
        last_as_of_date=max(mart.days, default=None),
        rows=built.rows,
        changed_days=len(built.changed),
        linked_files=len(built.linked),
        revisions=built.revisions,
        faults=tuple(faults),
    )


def publish_validation(settings: Settings, rows: Rows, published_at: datetime) -> int:
    """Publish validation tables with the mart of the current generation, as the next generation.

    Args:
        settings: where the generations are. Call it under the writer lock.
        rows: table -> rows, as `orchestration.validate.run` makes them from the current generation.
        published_at: with its time zone.

    Returns:
        The number of the new generation.

    Raises:
        PublishError: nothing is published, the current generation is damaged, or the next one could not be written.
    """
    number = require_current(settings)
    manifest = read_manifest(settings, number)
    building = start_building(settings)
    try:
        copy_database(settings, manifest, building)
        with connect(settings) as connection:
            connection.execute(f"attach {literal(building / DATABASE)} as health")
            counts = replace_tables(connection, building, rows)
            connection.execute("checkpoint health")
            connection.execute("detach health")
        written = {DATABASE, *(parquet_name(table.name) for table in VALIDATION_TABLES)}
        kept = {
            name: entry
            for name, entry in manifest.files.items()
            if name not in written and not name.startswith((f"{BOARD}/", f"{EXPORTS}/"))
        }
        for name in kept:
            link(generation_path(settings, number) / name, building / name)
        check_rows(settings, building / DATABASE, manifest.rows | counts)
        next_one = next_number(settings)
        for_people, _ = _write_for_people(settings, building, next_one, published_at)
        new = replace(
            manifest,
            generation=next_one,
            previous=number,
            published_at=published_at.astimezone(UTC).isoformat(timespec="seconds"),
            rows=manifest.rows | counts,
            files=dict(sorted((kept | seal(building, [*written, *for_people])).items())),
        )
        install(settings, building, new)
        flip(settings, next_one)
    except (duckdb.Error, OSError) as error:
        # A board of this version does not fit a mart of an earlier one.
        remedy = " Run the pipeline, then try again." if isinstance(error, duckdb.CatalogException | duckdb.BinderException) else ""
        raise PublishError(f"the validation is not published: {first_line(error)}.{remedy} Readers keep what they had") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    prune(settings)
    return next_one


def _write_for_people(settings: Settings, building: Path, number: int, published_at: datetime) -> tuple[list[str], list[str]]:
    """Write the board and the exports: the names of their files, and the faults of what is left out.

    A full disk or a mart that cannot be read withholds the generation. Anything else that is wrong with pages and spreadsheets
    (a chart library that ships its script in another shape) is not a reason to keep the mart from BI tools.
    """
    files: list[str] = []
    faults: list[str] = []
    now_at("publish", f"{BOARD} and {EXPORTS}")
    # Side by side: pages are the work of DuckDB, spreadsheets of Python.
    with ThreadPoolExecutor(2) as pool:
        written = {
            BOARD: pool.submit(write_board, settings, building, published_at),
            EXPORTS: pool.submit(write_exports, settings, building, number),
        }
    for folder, files_of in written.items():
        try:
            files += files_of.result()
        except (duckdb.Error, OSError):
            raise
        except Exception as error:
            shutil.rmtree(building / folder, ignore_errors=True)
            faults.append(f"{folder}/ is left out of this generation: {first_line(error)}")
            _log.exception("%s", faults[-1])
    return files, faults


def _require_passed(state: RunState, run_id: str) -> RunState:
    if state.run_id != run_id:
        raise PublishRefused(f"the warehouse holds the result of run {state.run_id}: run it again")
    if state.status != PASSED:
        raise PublishRefused(
            f"control.run_state says '{state.status}', not '{PASSED}': a blocking check failed, or the transform did "
            "not end. Fix what the checks report and run it again"
        )
    return state


def _require_skill(settings: Settings, run_id: str) -> None:
    """Refuse to publish while the last validation found too little, where `[validation]` wants it so."""
    number = current_generation(settings)
    if settings.validation.on_low_skill != "stop" or number is None:
        return
    with open_published(settings, number) as mart:
        headline = read_headline(mart, settings.validation.horizon_days)
    # Nothing has been validated yet: only a mart can be.
    if headline is not None and (reason := low_skill(settings, headline)):
        raise PublishRefused(f"run {run_id} is not published: {reason}. Change on_low_skill, or the scorecard, and run `make validate`")


def _base(settings: Settings) -> Manifest | None:
    """The current generation, whose unchanged days the next one shares; None where it is of no use."""
    number = current_generation(settings)
    if number is None:
        return None
    try:
        return read_manifest(settings, number)
    except DamagedGeneration as error:
        _log.warning("%s; everything is written anew", error)
        return None


def _manifest(
    settings: Settings,
    number: int,
    state: RunState,
    published_at: datetime,
    mart: Mart,
    built: Built,
    files: dict[str, FileEntry],
) -> Manifest:
    days = sorted(mart.days)
    return Manifest(
        format=FORMAT,
        generation=number,
        previous=current_generation(settings),
        run_id=state.run_id,
        published_at=published_at.astimezone(UTC).isoformat(timespec="seconds"),
        first_as_of_date=days[0].isoformat() if days else None,
        last_as_of_date=days[-1].isoformat() if days else None,
        configuration_hash=state.configuration_hash,
        rows=built.rows,
        columns=mart.columns,
        days={day.isoformat(): mart.days[day] for day in days},
        files=dict(sorted(files.items())),
    )


def _explain(settings: Settings, run_id: str, error: BaseException) -> str:
    """One line on why a generation could not be written; a warehouse that cannot be read is removed on the way."""
    said = f"run {run_id} is not published: {first_line(error)}"
    damage = scan(settings)
    if damage is None:
        return f"{said}. Readers keep what they had; fix the cause (disk full?) and run again"
    discard(settings, damage)
    return f"{said}. {settings.warehouse} was damaged and is removed: the next run rebuilds it from the lake"
