"""Landing: one raw table, for the days of a run, from its source into the lake."""

import logging
import shutil
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import duckdb

from orchestration.contract import RawTable
from orchestration.extract import shaping
from orchestration.extract.connectors.base import Connector
from orchestration.extract.errors import SourceError, SourceUnavailable, SuddenLoss
from orchestration.extract.files.columns import Layout, fits_as_is, layout, parquet_scan, reading
from orchestration.extract.files.deliveries import (
    Delivery,
    NumberedFile,
    SourceFile,
    at_hand,
    content_hash,
    find_deliveries,
)
from orchestration.extract.files.opening import PARQUET, first_bytes
from orchestration.extract.judge import QuarantineLimitExceeded
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import WHOLE, Fault, LakeError, LandedDelivery, Manifest, Mode, Partition
from orchestration.extract.lake.superseded import supersede
from orchestration.extract.lake.write import (
    LANDING_VERSION,
    BadRow,
    Incoming,
    check_share,
    columns_of,
    judge_of,
    land,
    place_of,
    rates_of,
)
from orchestration.extract.land_connected import land_connected
from orchestration.extract.losses import POPULATION, describe_losses, refuse_sudden_loss
from orchestration.extract.session import connect, fingerprint
from orchestration.extract.staging import Notes, create_staged, parquet_rows, stage_files, stage_query
from orchestration.masking import without_secrets
from orchestration.settings import EVENT_TABLE, Settings
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier, literal

# Deliveries are staged together up to this many bytes of files, which bounds memory and keeps both cores busy.
_BATCH_BYTES = 64 * 1024 * 1024
_SAMPLE = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandedTable:
    """What an extraction landed: delivered = loaded + duplicates + all quarantined, over the deliveries it looked at.

    Attributes:
        table: raw table.
        mode: `snapshot`, `changes` or `events`.
        delivered: records in the sources, broken ones included.
        loaded: rows that count in the lake.
        duplicates: rows that a later row with the same key replaces.
        quarantined: rows by (first) reason.
        newest_fact: newest time in the fact column of the whole table, UTC; None without rows.
        changed_days: event days whose rows changed; only in mode `events`.
        late_days: those of them that lie before the run's first day less the lookback; none at the first landing.
        unavailable: why the source was not taken over and the table stays as it was; None if it was.
        losses: what was taken over but has far fewer rows than before, one sentence each.
        notes: what a person should know about the files of the deliveries, one sentence each.
    """

    table: str
    mode: Mode
    delivered: int
    loaded: int
    duplicates: int
    quarantined: dict[str, int]
    newest_fact: datetime | None
    changed_days: tuple[date, ...] = ()
    late_days: tuple[date, ...] = ()
    unavailable: str | None = None
    losses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def land_table(
    settings: Settings, table: RawTable, start: date, end: date, event_days: Collection[date] = ()
) -> LandedTable:
    """As `extract_table`, but a remote source that cannot be read, and any that lost most of its rows, leaves the table as it is.

    The manifest then says why. The days that the lake lacks make the table's metrics late, and the next run reads them. Without any
    earlier landing of `accounts` or `subscriptions` nothing could be scored rightly: their failure is an error.

    Raises:
        SourceError, QuarantineLimitExceeded, LakeError: as `extract_table`; no message holds a secret.
    """
    try:
        return extract_table(settings, table, start, end, event_days)
    except Exception as error:
        message = without_secrets(settings, str(error))
        source = settings.sources.get(table.name)
        is_remote = source is not None and source.is_remote
        may_stay = isinstance(error, SourceUnavailable | SuddenLoss) or (
            is_remote and isinstance(error, SourceError | QuarantineLimitExceeded)
        )
        old = lake.read_manifest(settings.lake, table.name) if may_stay else None
        has_landed = old is not None and len(old.deliveries) > 0
        if may_stay and (has_landed or table.name not in POPULATION):
            return _unread(settings, table, old, message, event_days)
        logged = "".join(traceback.format_exception(error))
        if without_secrets(settings, logged) != logged:
            # The causes would be logged with it.
            raise SourceError(message) from None
        raise


def _unread(
    settings: Settings, table: RawTable, old: Manifest | None, message: str, event_days: Collection[date]
) -> LandedTable:
    # A table that never landed gets a manifest without deliveries: a place for the message.
    old = old or Manifest(table.name, "snapshot", by_day=False)
    faults = lake.find_faults(settings.lake, old, settings.pipeline.threads, event_days)
    for path, fault in faults.items():
        raise LakeError(
            f"{settings.lake / path}: {fault}, and the source of {table.name} cannot be read now ({message}). Run again when it can, or "
            "restore the file from a backup"
        )
    if old.not_read != message:
        lake.write_manifest(settings.lake, replace(old, not_read=message))
    stats = lake.stats_of(table.name, old.mode, old.deliveries.values())
    return LandedTable(**asdict(stats), unavailable=message)


def extract_table(
    settings: Settings, table: RawTable, start: date, end: date, event_days: Collection[date] = ()
) -> LandedTable:
    """Land one raw table for a run's days.

    Files without `{day}` in the path are read as a whole and the lake is brought in line with them. With it, the deliveries of the
    run's days and of the `lookback_days` before them land, and every earlier one that never did; what a delivery of these
    days brought goes when its files are gone. Files whose bytes did not change are not landed again. What a connector
    reads: see `land_connected`. What the lake has lost, or holds damaged, lands again.

    Args:
        settings: of the run.
        table: the contract.
        start, end: first and last day of the run.
        event_days: days of `usage_events` whose files are compared with their checksums; those of other tables always are.

    Returns:
        Counts and changed days.

    Raises:
        SourceError: the source is missing, damaged, or lacks a column.
        SourceUnavailable: a remote source cannot be read; the lake stays as it was.
        SuddenLoss: the table came with far fewer rows than it has; the lake stays as it was.
        QuarantineLimitExceeded: too many rows break the contract; nothing landed, the old data stays.
        LakeError: the manifest on disk and its copy are lost or damaged, or a damaged file cannot be landed again.
    """
    old = lake.begin_landing(settings.lake, table.name)
    try:
        return _extract_table(settings, table, start, end, old, event_days)
    except duckdb.Error:
        # Whether keys came before is looked up in files of all days, which are not compared first.
        if old is None or not lake.find_faults(settings.lake, old, settings.pipeline.threads):
            raise
        return _extract_table(settings, table, start, end, old, None)


def _extract_table(
    settings: Settings, table: RawTable, start: date, end: date, old: Manifest | None, event_days: Collection[date] | None
) -> LandedTable:
    source = settings.sources.get(table.name)
    first_day = start - timedelta(days=settings.pipeline.lookback_days)
    threads = settings.pipeline.threads
    faults = {} if old is None else lake.find_faults(settings.lake, old, threads, event_days)
    whole = None if old is None else lake.without_files(old, faults)
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
    is_connected = isinstance(source, Connector)
    try:
        if is_connected:
            manifest, looked_at, first_landing = land_connected(settings, table, source, old, whole, first_day, end)
        elif source is None or isinstance(source, FilesSource):
            manifest, looked_at, first_landing = _land_deliveries(settings, table, source, old, whole, first_day, end)
        else:
            raise TypeError(f"sources.{table.name}: {type(source).__name__} is neither FilesSource nor a Connector")
        accepted = None if old is None else old.accepted
        if first_landing or not manifest.by_day:
            accepted = refuse_sudden_loss(source, old, manifest) or accepted
        manifest = replace(manifest, through=_through(old, manifest, first_landing, is_connected, end), accepted=accepted)
        if old is not None and (old.mode, old.by_day) == (manifest.mode, manifest.by_day):
            _require_landed_again(settings, old, manifest, faults, first_day, end)
        manifest = lake.with_checksums(settings.lake, manifest, threads)
        if manifest != old:
            lake.write_manifest(settings.lake, manifest)
    finally:
        lake.sweep(settings.lake, table.name)

    changed = _changed_days(None if first_landing else old, manifest)
    stats = lake.stats_of(table.name, manifest.mode, (manifest.deliveries[key] for key in looked_at))
    newest = lake.stats_of(table.name, manifest.mode, manifest.deliveries.values()).newest_fact
    notes = tuple(note for key in looked_at for note in manifest.deliveries[key].notes)
    late = () if first_landing else tuple(day for day in changed if day < first_day)
    losses = tuple(describe_losses(source, old, manifest))
    return LandedTable(**{**asdict(stats), "newest_fact": newest, "changed_days": changed, "late_days": late}, losses=losses, notes=notes)


def _through(old: Manifest | None, new: Manifest, first_landing: bool, is_connected: bool, end: date) -> str:
    # What lands as a whole holds all that its source has, whatever day the run was for; a connection is read that far.
    if old is None or old.through is None or (first_landing and new.by_day and not is_connected):
        return end.isoformat()
    return max(old.through, end.isoformat())


def _require_landed_again(
    settings: Settings, old: Manifest, new: Manifest, faults: Mapping[str, Fault], first_day: date, end: date
) -> None:
    """Refuse to go on without rows whose file is damaged; of a file that somebody removed, only say what is missing."""
    for key, delivery in old.deliveries.items():
        found = {path: faults[path] for path in old.paths_of(delivery) if path in faults}
        # Of the days that are read anew, what the source no longer has was taken back.
        taken_back = first_day.isoformat() <= key <= end.isoformat()
        for path, fault in found.items():
            if key in new.deliveries:
                _log.warning("%s: was %s and is landed again", settings.lake / path, fault)
            elif not taken_back:
                missing = f"{settings.lake / path}: {fault}, and the source no longer has the delivery {key} of {old.table}"
                restore = "Restore the file from a backup, or bring the delivery back into the source"
                if "damaged" in found.values():
                    raise LakeError(
                        f"{missing}. {restore}, and run again. To go on without its {delivery.loaded} rows, remove the file"
                    )
                _log.warning("%s: its %s rows no longer count. %s", missing, delivery.loaded, restore)
    if old.superseded_path in faults:
        _log.warning("%s: was %s and is written again", settings.lake / old.superseded_path, faults[old.superseded_path])


def _land_deliveries(
    settings: Settings,
    table: RawTable,
    source: FilesSource | None,
    old: Manifest | None,
    whole: Manifest | None,
    first_day: date,
    end: date,
) -> tuple[Manifest, list[str], bool]:
    """Land files, or nothing; the new manifest, the deliveries looked at, and whether none stood before.

    whole: the old manifest without what the lake has lost.
    """
    by_day = source is not None and source.day_token is not None
    mode: Mode = "events" if table.name == EVENT_TABLE else "changes" if by_day else "snapshot"
    first_landing = old is None or (old.mode, old.by_day) != (mode, by_day)
    kept = {} if first_landing else whole.deliveries
    lost = not first_landing and whole != old

    available = _available(settings, table, source)
    wanted = [one for one in available if not by_day or _is_wanted(one.delivery.day, first_day, end, kept)]
    gone = {
        key for key in kept
        if by_day and first_day.isoformat() <= key <= end.isoformat() and key not in {one.key for one in available}
    }
    wanted = [replace(one, identity=_identity(settings, table, source, one.delivery)) for one in wanted]
    fresh = [one for one in wanted if one.identity is None or not _is_landed(one, kept)]

    landed = dict(kept)
    for key in gone:
        del landed[key]
    examples: list[BadRow] = []
    if fresh:
        with connect(settings) as connection:
            for batch in _batches(fresh):
                with at_hand(table.name, source, [file for one in batch for file in one.delivery.files]):
                    if by_day and mode == "events" and source.query is None and source.timezone is None:
                        landed |= _land_as_is(connection, settings, table, source, batch, landed)
                        batch = [one for one in batch if not _is_landed(one, landed)]
                    labels, notes = _stage(connection, settings, table, source, batch)
                    landed |= land(connection, settings, table, mode, dict(enumerate(batch)), labels, landed, examples, notes)
    check_share(settings, table, [landed[one.key] for one in wanted], examples)
    superseded_file = None if first_landing or lost else old.superseded_file
    checksums = lake.known_checksums(whole, kept, superseded_file)
    manifest = Manifest(table.name, mode, by_day, landed, superseded_file, checksums=checksums)
    if by_day and (fresh or gone or lost):
        with connect(settings) as connection:
            manifest = supersede(connection, settings, table, None if first_landing or lost else old, manifest)
    return manifest, [one.key for one in wanted], first_landing


def _available(settings: Settings, table: RawTable, source: FilesSource | None) -> list[Incoming]:
    if source is None or source.path is None:
        return [Incoming(WHOLE, Delivery(None, ()), None)]
    found = find_deliveries(settings, table.name, source)
    return [Incoming(WHOLE if one.day is None else one.day.isoformat(), one, None) for one in found]


def _is_landed(incoming: Incoming, landed: Mapping[str, LandedDelivery]) -> bool:
    return incoming.key in landed and landed[incoming.key].source == incoming.identity


def _is_wanted(day: date, first_day: date, end: date, landed: Mapping[str, LandedDelivery]) -> bool:
    return day <= end and (day >= first_day or day.isoformat() not in landed)


def _identity(
    settings: Settings,
    table: RawTable,
    source: FilesSource | None,
    delivery: Delivery,
) -> str | None:
    """What decides what a delivery lands as, as a hash; None where its content cannot be known without reading it."""
    if source is not None and not delivery.files:
        return None
    rates, currency = rates_of(settings, table)
    shape = None
    if source is not None:
        shape = (sorted(source.columns.items()), source.query, source.format, source.encoding, source.sheet, source.notation)
    parts = (
        LANDING_VERSION,
        repr(table),
        shape,
        sorted(rates.items()),
        currency,
        [file.label for file in delivery.files],
        _content(delivery),
    )
    return blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _content(delivery: Delivery) -> str | list[str]:
    if any(file.stored is not None for file in delivery.files):
        return [file.stored.version for file in delivery.files]
    return content_hash(file.path for file in delivery.files)


def _batches(incoming: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    batch: list[Incoming] = []
    size = 0
    for one in incoming:
        batch.append(one)
        size += sum(file.size for file in one.delivery.files)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _land_as_is(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource,
    batch: Sequence[Incoming],
    known: Mapping[str, LandedDelivery],
) -> dict[str, LandedDelivery]:
    """Land the deliveries of events whose files could have been written by this lake: one file's bytes are copied, several are joined.

    These are Parquet files in the contract's columns and types, every row good, no key twice in the delivery, all of one event day.
    One pass over the rows and one over the keys then replace typing, sorting out and writing.
    """
    fitting: dict[int, list[NumberedFile]] = {}
    rows: dict[int, int] = {}
    types: Mapping[str, str] = {}
    for number, one in enumerate(batch):
        found = _layouts_as_is(connection, table, source, one)
        if found:
            fitting[number] = [NumberedFile(file, number, number) for file in one.delivery.files]
            rows[number] = sum(layout.rows for layout in found)
            types = found[0].types
    if not fitting:
        return {}
    # From all over the batch: one dirty day must not speak for the others.
    sample = list(fitting)[:: max(1, len(fitting) // _SAMPLE)]
    uniform = _uniform(connection, settings, table, source, [file for number in sample for file in fitting.pop(number)], types)
    if not uniform:
        # Where none of several deliveries is clean, few are: not worth a pass of their own.
        return {}
    if fitting:
        uniform += _uniform(connection, settings, table, source, [file for files in fitting.values() for file in files], types)
    landed: dict[str, LandedDelivery] = {}
    copies: list[tuple[Path, Path]] = []
    folder = lake.raw_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    for number, delivered, content, day, newest in uniform:
        if delivered != rows[number]:
            # Fewer or more rows than the footers name: `_stage` says of which file.
            continue
        one = batch[number]
        name = f"{place_of('events', one.key, day.isoformat())}{content}.parquet"
        there = known[one.key].partitions.get(day.isoformat()) if one.key in known else None
        if there is not None and (there.rows, there.fingerprint) == (delivered, content):
            partition = there
        else:
            partition = Partition((name,), delivered, content)
            _join(connection, table, [file.path for file in one.delivery.files], temporary / f"{number}.parquet")
            copies.append((temporary / f"{number}.parquet", folder / name))
        landed[one.key] = LandedDelivery(one.identity, delivered, 0, {}, None, newest.isoformat(), {day.isoformat(): partition})
    lake.keep(copies)
    shutil.rmtree(temporary)
    return landed


def _layouts_as_is(
    connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, one: Incoming
) -> list[Layout]:
    """The layouts of a delivery's files, if all are Parquet files in the contract's columns and types; else none."""
    found: list[Layout] = []
    for file in one.delivery.files:
        of_file = layout(connection, file, table, source.columns) if _is_parquet(file) else None
        if of_file is None or not fits_as_is(of_file, table, source.columns):
            return []
        found.append(of_file)
    return found


def _is_parquet(file: SourceFile) -> bool:
    return file.format == "parquet" and first_bytes(file.path, len(PARQUET)) == PARQUET


def _join(connection: duckdb.DuckDBPyConnection, table: RawTable, files: Sequence[Path], joined: Path) -> None:
    if len(files) == 1:
        shutil.copyfile(files[0], joined)
        return
    connection.execute(
        f"copy (select {columns_of(table)} from {parquet_scan(files)}) to {literal(joined)} (format parquet, compression zstd)"
    )


def _uniform(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource,
    fitting: Sequence[NumberedFile],
    types: Mapping[str, str],
) -> list[tuple[int, int, str, date, datetime]]:
    """Of deliveries in the contract's types, those with good rows only, no key twice and one event day.

    Returns:
        Number of the delivery, its rows, their fingerprint, the event day, the newest fact.
    """
    rows = parquet_rows(table, source.columns, fitting, types)
    keys = ", ".join(f"r_{name}" for name in table.key)
    fact = identifier(table.fact_column)
    judged_rows = judge_of(settings, table)(rows)
    with reading(fitting):
        uniform = connection.execute(
            f"select _delivery, count(*), {fingerprint(columns_of(table))}, cast(min({fact}) as date), max({fact})"
            f" from ({judged_rows}) as judged group by _delivery"
            " having count(_reasons) = 0 and not bool_or(_blanked)"
            f" and cast(min({fact}) as date) = cast(max({fact}) as date)"
        ).fetchall()
        if not uniform:
            return []
        repeated = connection.execute(
            f"select distinct _delivery from (select _delivery, hash({keys}) from ({rows.sql}) as delivered group by all"
            " having count(*) > 1) as repeated"
        ).fetchall()
    return [found for found in uniform if (found[0],) not in repeated]


def _stage(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource | None,
    batch: Sequence[Incoming],
) -> tuple[list[str], Notes]:
    """Fill `staged`; what the quarantine calls each of its files, by number, and notes about them."""
    create_staged(connection, table)
    judge = judge_of(settings, table)
    if source is not None and source.path is None:
        stage_query(connection, table, source, judge)
        return ["query"], {}
    numbered = [
        NumberedFile(file, number, delivery)
        for number, (delivery, file) in enumerate(
            (delivery, file) for delivery, one in enumerate(batch) for file in one.delivery.files
        )
    ]
    notes: Notes = {}
    if numbered and source.query is not None:
        notes = shaping.stage_shaped(connection, table, source, numbered, judge)
    elif numbered:
        notes = stage_files(connection, table, source.columns, numbered, judge)
    return [one.file.label for one in numbered], notes


def _changed_days(old: Manifest | None, new: Manifest) -> tuple[date, ...]:
    if new.mode != "events":
        return ()
    before = {} if old is None else lake.day_fingerprints(old)
    after = lake.day_fingerprints(new)
    return tuple(sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day)))
