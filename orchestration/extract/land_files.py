"""Landing files: which deliveries of a run are new, and the rows of those."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.files.columns import Layout, fits_as_is, layout, parquet_scan, reading
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
from orchestration.extract.judge import check_share, judge_of, rates_of
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.full_deliveries import merge
from orchestration.extract.lake.manifest import WHOLE, LandedDelivery, Manifest, Mode, Partition
from orchestration.extract.lake.superseded import supersede
from orchestration.extract.lake.write import LANDING_VERSION, Examples, Incoming, columns_of, land, place_of
from orchestration.extract.losses import refuse_thin_deliveries
from orchestration.extract.session import connect, fingerprint
from orchestration.extract.staging import create_staged, parquet_rows, stage_files, stage_query, stage_shaped
from orchestration.settings import Settings
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier, literal

# Deliveries are staged together up to this many bytes of files, which bounds memory and keeps both cores busy.
_BATCH_BYTES = 64 * 1024 * 1024
_SAMPLE = 4


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
                        landed |= _land_as_is(connection, settings, table, source, batch, landed)
                        batch = [one for one in batch if not _is_landed(one, landed)]
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
            rows[number] = sum(layout.rows or 0 for layout in found)
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


def _layouts_as_is(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, one: Incoming) -> list[Layout]:
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
            f"select _delivery, count(*), {fingerprint(columns_of(table))}, cast(min({fact}) as date), cast(max({fact}) as timestamp)"
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
    if source is None:
        return [], {}
    if source.path is None:
        stage_query(connection, table, source, judge)
        return ["query"], {}
    numbered = [
        NumberedFile(file, number, delivery)
        for number, (delivery, file) in enumerate((delivery, file) for delivery, one in enumerate(batch) for file in one.delivery.files)
    ]
    notes: Notes = {}
    if numbered and source.query is not None:
        notes = stage_shaped(connection, table, source, numbered, judge)
    elif numbered:
        notes = stage_files(connection, table, source.columns, numbered, judge)
    return [one.file.label for one in numbered], notes
