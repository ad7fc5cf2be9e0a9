"""Landing files: which deliveries of a run are new, and the rows of those."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from pathlib import Path

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.files.columns import Layout, fits_as_is, layout, reading
from orchestration.extract.files.deliveries import (
    Delivery,
    Notes,
    NumberedFile,
    SourceFile,
    at_hand,
    content_hash,
    find_deliveries,
)
from orchestration.extract.files.opening import PARQUET, first_bytes
from orchestration.extract.judge import check_share, doubts_of, judge_of, rates_of
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.full_deliveries import merge
from orchestration.extract.lake.manifest import WHOLE, LandedDelivery, Manifest, Mode
from orchestration.extract.lake.superseded import supersede
from orchestration.extract.lake.write import LANDING_VERSION, AsDelivered, Examples, Incoming, land
from orchestration.extract.losses import refuse_thin_deliveries
from orchestration.extract.session import connect, find_repeated
from orchestration.extract.staging import check_whole, create_staged, parquet_rows, stage_files, stage_query, stage_shaped
from orchestration.settings import Settings
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier

# Deliveries are staged together up to this many bytes of files, which bounds memory and keeps both cores busy.
_BATCH_BYTES = 64 * 1024 * 1024
# Of one delivery, in memory while they are copied: some hundred megabytes.
_MOST_ROWS_AT_HAND = 2_000_000


def land_files(
    settings: Settings,
    table: RawTable,
    source: FilesSource | None,
    old: Manifest | None,
    whole: Manifest | None,
    first_day: date,
    end: date,
    deliveries: Sequence[Delivery] | None = None,
    examples: Examples | None = None,
) -> tuple[Manifest, list[str], bool]:
    """Land files, or nothing; the new manifest, the deliveries looked at, and whether there was none before.

    whole: the old manifest without what the lake has lost. deliveries: of the source; None: all that it has. examples: takes those of
    the landing.
    """
    by_day = source is not None and source.day_token is not None
    mode: Mode = "events" if table.by_day else "snapshot"
    if by_day and mode != "events":
        # The configuration was checked for it.
        assert source is not None and source.delivery is not None
        mode = source.delivery
    first_landing = old is None or (old.mode, old.by_day) != (mode, by_day)
    kept = {} if first_landing or whole is None else whole.deliveries
    lost = not first_landing and whole != old

    available = _available(settings, table, source, deliveries)
    wanted = [one for one in available if one.delivery.day is None or _is_wanted(one.delivery.day, first_day, end, kept)]
    gone = {key for key in kept if by_day and first_day.isoformat() <= key <= end.isoformat() and key not in {one.key for one in available}}
    wanted = [replace(one, identity=_identity(settings, table, source, one.delivery)) for one in wanted]
    fresh = [one for one in wanted if one.identity is None or not _is_landed(one, kept)]

    landed = dict(kept)
    for key in gone:
        del landed[key]
    examples = Examples() if examples is None else examples
    if fresh:
        with connect(settings) as connection:
            for batch in _batches(fresh):
                with at_hand(table.name, source, [file for one in batch for file in one.delivery.files]):
                    if source is not None and by_day and mode == "events" and source.query is None and source.timezone is None:
                        landed |= _land_as_is(connection, settings, table, source, batch, landed, examples)
                        batch = [one for one in batch if not _is_landed(one, landed)]
                        if not batch:
                            continue
                    labels, notes = _stage(connection, settings, table, source, batch)
                    landed |= land(connection, settings, table, mode, dict(enumerate(batch)), labels, landed, examples, notes)
    check_share(settings, table, [landed[one.key] for one in wanted], examples.bad)
    superseded_file = None if old is None or first_landing or lost else old.superseded_file
    checksums = lake.known_checksums(whole, kept, superseded_file)
    history_file = None if old is None or first_landing or lost else old.history_file
    manifest = Manifest(table.name, mode, by_day, landed, superseded_file, checksums=checksums, history_file=history_file)
    if source is not None and by_day and (fresh or gone or lost):
        with connect(settings) as connection:
            if mode == "full":
                refuse_thin_deliveries(source, None if first_landing else old, manifest)
                manifest = merge(connection, settings, table, manifest)
            else:
                manifest = supersede(connection, settings, table, None if first_landing or lost else old, manifest)
    return manifest, [one.key for one in wanted], first_landing


def _available(settings: Settings, table: RawTable, source: FilesSource | None, deliveries: Sequence[Delivery] | None) -> list[Incoming]:
    if source is None or source.path is None:
        return [Incoming(WHOLE, Delivery(None, ()), None)]
    found = find_deliveries(settings, table.name, source) if deliveries is None else deliveries
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
    if versions := [file.stored.version for file in delivery.files if file.stored is not None]:
        return versions
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
    examples: Examples,
) -> dict[str, LandedDelivery]:
    """Land the deliveries of events whose good rows are in the lake's own form: these are copied, and only doubtful ones are judged.

    Such deliveries are Parquet files in the contract's columns and types, of which no good row lands with another value.
    """
    found = [(one, layouts) for one in batch if (layouts := _layouts_as_is(connection, table, source, one))]
    if not found:
        return {}
    fitting = [one for one, _ in found]
    numbered = _numbered(fitting)
    footers = dict(enumerate(layout.rows or 0 for _, layouts in found for layout in layouts))
    rows = parquet_rows(table, source.columns, numbered, found[0][1][0].types)
    keys = ", ".join(["_delivery", *(f"r_{name}" for name in table.key)])
    create_staged(connection, table)
    with reading(numbered):
        find_repeated(connection, f"({rows.sql})", keys, sum(footers.values()))
        doubtful = doubts_of(settings, table)(rows, f"hash({keys}) in (select key_hash from repeated)")
        connection.execute(f"create or replace temp table doubtful as {judge_of(settings, table)(doubtful)}")
        changed = connection.execute("select distinct _delivery from doubtful where _reasons is null and _blanked").fetchall()
        if changed:
            again = [one for number, one in enumerate(fitting) if (number,) not in changed]
            return _land_as_is(connection, settings, table, source, again, known, examples)
        check_whole(connection, f"({rows.sql})", numbered, footers)
        connection.execute("insert into staged select * exclude (_blanked) from doubtful")
    typed = ", ".join(f"r_{column.name} as {identifier(column.name)}" for column in table.columns)
    files: dict[int, dict[int, Path]] = {}
    for one in numbered:
        files.setdefault(one.delivery, {})[one.number] = one.file.path
    delivered = AsDelivered(f"(select _file, _delivery, _position, {typed} from ({rows.sql}) as delivered)", files)
    labels = [one.file.label for one in numbered]
    return land(connection, settings, table, "events", dict(enumerate(fitting)), labels, known, examples, as_delivered=delivered)


def _numbered(batch: Sequence[Incoming]) -> list[NumberedFile]:
    files = ((delivery, file) for delivery, one in enumerate(batch) for file in one.delivery.files)
    return [NumberedFile(file, number, delivery) for number, (delivery, file) in enumerate(files)]


def _layouts_as_is(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, one: Incoming) -> list[Layout]:
    """The layouts of a delivery's files, if all are Parquet files in the contract's columns and types and not too many rows; else none."""
    found: list[Layout] = []
    for file in one.delivery.files:
        of_file = layout(connection, file, table, source.columns) if _is_parquet(file) else None
        if of_file is None or not fits_as_is(of_file, table, source.columns):
            return []
        found.append(of_file)
    return found if sum(layout.rows or 0 for layout in found) <= _MOST_ROWS_AT_HAND else []


def _is_parquet(file: SourceFile) -> bool:
    return file.format == "parquet" and first_bytes(file.path, len(PARQUET)) == PARQUET


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
    if source is None:
        return [], {}
    if source.path is None:
        stage_query(connection, table, source, judge)
        return ["query"], {}
    numbered = _numbered(batch)
    notes: Notes = {}
    if numbered and source.query is not None:
        notes = stage_shaped(connection, table, source, numbered, judge)
    elif numbered:
        notes = stage_files(connection, table, source.columns, numbered, judge)
    return [one.file.label for one in numbered], notes
