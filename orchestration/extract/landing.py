"""Landing: one raw table, for the days of a run, from its source into the lake."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import TABLES, RawTable
from orchestration.extract import demo, files, lake
from orchestration.extract.engine import connect, fingerprint
from orchestration.extract.errors import SourceError
from orchestration.extract.files import Delivery, NumberedFile
from orchestration.extract.lake import WHOLE, LandedDelivery, Manifest, Mode, Partition
from orchestration.extract.quarantine import QuarantineLimitExceeded, first_rates, judged
from orchestration.extract.superseding import supersede
from orchestration.settings import EVENT_TABLE, Settings, SettingsError
from orchestration.sources import DAY, DemoSource, FilesSource
from orchestration.warehouse import identifier, literal

# Part of every delivery's identity: raise it when the same files would land differently.
_LANDING_VERSION = 1
# Deliveries are staged together up to this many bytes of files, which bounds memory and keeps both cores busy.
_BATCH_BYTES = 64 * 1024 * 1024
_EXAMPLES = 3
_SAMPLE = 4


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


@dataclass(frozen=True)
class _Incoming:
    """A delivery: its key in the manifest, its files, and the hash of all that decides what lands."""

    key: str
    delivery: Delivery
    identity: str | None


@dataclass(frozen=True)
class _BadRow:
    """An example for the message about too many bad rows."""

    file: str
    line: int
    reason: str


def extract_table(settings: Settings, table: RawTable, start: date, end: date) -> LandedTable:
    """Land one raw table for a run's days.

    Without `{day}` in the path the whole source is read and the lake is brought in line with it. With it, the
    deliveries of the run's days and of the `lookback_days` before them land, and every earlier one that never did; what
    a delivery of these days brought goes when its files are gone. Sources whose bytes did not change are not landed
    again.

    Args:
        settings: of the run.
        table: the contract.
        start, end: first and last day of the run.

    Returns:
        Counts and changed days.

    Raises:
        SourceError: the source is missing, damaged, or lacks a column.
        QuarantineLimitExceeded: too many rows break the contract; nothing landed, the old data stays.
        LakeError: the manifest on disk is damaged.
    """
    source = settings.sources.get(table.name)
    by_day = isinstance(source, FilesSource) and source.path is not None and DAY in source.path
    mode: Mode = "events" if table.name == EVENT_TABLE else "changes" if by_day else "snapshot"
    old = lake.read_manifest(settings.lake, table.name)
    first_landing = old is None or (old.mode, old.by_day) != (mode, by_day)
    kept = {} if first_landing else lake.whole_deliveries(settings.lake, old)
    lost = not first_landing and (len(kept) < len(old.deliveries) or not lake.has_superseded_file(settings.lake, old))
    lake.sweep(settings.lake, table.name)

    first_day = start - timedelta(days=settings.pipeline.lookback_days)
    available = _available(settings, table, source)
    wanted = [one for one in available if not by_day or _is_wanted(one.delivery.day, first_day, end, kept)]
    gone = {
        key for key in kept
        if by_day and first_day.isoformat() <= key <= end.isoformat() and key not in {one.key for one in available}
    }
    if isinstance(source, DemoSource):
        end = _demo_end(kept, end)
    wanted = [replace(one, identity=_identity(settings, table, source, one.delivery, end)) for one in wanted]
    fresh = [one for one in wanted if one.identity is None or not _is_landed(one, kept)]

    try:
        landed = dict(kept)
        for key in gone:
            del landed[key]
        examples: list[_BadRow] = []
        settings.temp_dir.mkdir(parents=True, exist_ok=True)
        if fresh:
            with connect(settings) as connection:
                for batch in _batches(fresh):
                    if by_day and mode == "events":
                        landed |= _land_as_is(connection, settings, table, source, batch)
                        batch = [one for one in batch if not _is_landed(one, landed)]
                    labels = _stage(connection, settings, table, source, batch, end)
                    landed |= _land(connection, settings, table, mode, batch, labels, landed, examples)
        _check_share(settings, table, [landed[one.key] for one in wanted], examples)
        superseded_file = None if first_landing or lost else old.superseded_file
        manifest = Manifest(table.name, mode, by_day, landed, superseded_file)
        if by_day and (fresh or gone or lost):
            new = set(landed) if lost else {one.key for one in fresh}
            with connect(settings) as connection:
                manifest = supersede(connection, settings, table, manifest, new)
        if manifest != old:
            lake.write_manifest(settings.lake, manifest)
    finally:
        lake.sweep(settings.lake, table.name)

    changed = _changed_days(None if first_landing else old, manifest)
    stats = lake.stats_of(table.name, mode, (manifest.deliveries[one.key] for one in wanted))
    newest = lake.stats_of(table.name, mode, manifest.deliveries.values()).newest_fact
    late = () if first_landing else tuple(day for day in changed if day < first_day)
    return LandedTable(**{**asdict(stats), "newest_fact": newest, "changed_days": changed, "late_days": late})


def preflight_sources(settings: Settings) -> None:
    """Check all sources before anything is written: paths match, headers hold the columns, queries can be prepared.

    Of a path with `{day}` no file is opened; which of them are wanted depends on the run.

    Raises:
        SettingsError: one line for each fault.
    """
    faults: list[str] = []
    with connect(settings) as connection:
        for name, source in settings.sources.items():
            if not isinstance(source, FilesSource):
                continue
            try:
                _check_source(connection, settings, TABLES[name], source)
            except SourceError as error:
                faults.append(f"{settings.config_file}: {error}")
    if faults:
        raise SettingsError("\n".join(faults))


def _check_source(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: FilesSource
) -> None:
    if source.query is not None:
        files.check_query(connection, table, source)
        return
    deliveries = files.find_deliveries(settings, table.name, source)
    if DAY not in source.path:
        for file in deliveries[0].files:
            files.layout(connection, file, table, source.columns)


def _available(settings: Settings, table: RawTable, source: FilesSource | DemoSource | None) -> list[_Incoming]:
    if not isinstance(source, FilesSource) or source.path is None:
        return [_Incoming(WHOLE, Delivery(None, ()), None)]
    found = files.find_deliveries(settings, table.name, source)
    return [_Incoming(WHOLE if one.day is None else one.day.isoformat(), one, None) for one in found]


def _is_landed(incoming: _Incoming, landed: Mapping[str, LandedDelivery]) -> bool:
    return incoming.key in landed and landed[incoming.key].source == incoming.identity


def _is_wanted(day: date, first_day: date, end: date, landed: Mapping[str, LandedDelivery]) -> bool:
    return day <= end and (day >= first_day or day.isoformat() not in landed)


def _demo_end(landed: Mapping[str, LandedDelivery], end: date) -> date:
    """The demo company as of its latest day so far: a run of earlier days must not make it forget the later ones."""
    known = landed[WHOLE].source if WHOLE in landed else None
    return max(end, date.fromisoformat(known.split()[0])) if known is not None and " " in known else end


def _identity(
    settings: Settings,
    table: RawTable,
    source: FilesSource | DemoSource | None,
    delivery: Delivery,
    end: date,
) -> str | None:
    """What decides what a delivery lands as, as a hash; None where its content cannot be known without reading it.

    For the demo company the last day stands before it, in clear.
    """
    if isinstance(source, DemoSource):
        code = files.content_hash(sorted(Path(demo.__file__).parent.glob("*.py")))
        parts = (_LANDING_VERSION, repr(table), settings.demo, settings.pipeline.start_date, code)
        return f"{end.isoformat()} {blake2b(repr(parts).encode(), digest_size=16).hexdigest()}"
    if source is not None and not delivery.files:
        return None
    rates = first_rates(settings.seeds_dir) if table.currency_date is not None else {}
    columns = source.columns if isinstance(source, FilesSource) else {}
    parts = (
        _LANDING_VERSION,
        repr(table),
        sorted(columns.items()),
        sorted(rates.items()),
        settings.pipeline.reporting_currency if table.currency_date is not None else None,
        [file.label for file in delivery.files],
        files.content_hash(file.path for file in delivery.files),
    )
    return blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _batches(incoming: Sequence[_Incoming]) -> Iterator[list[_Incoming]]:
    batch: list[_Incoming] = []
    size = 0
    for one in incoming:
        batch.append(one)
        size += sum(file.path.stat().st_size for file in one.delivery.files)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _land(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    mode: Mode,
    batch: Sequence[_Incoming],
    labels: Sequence[str],
    landed: Mapping[str, LandedDelivery],
    examples: list[_BadRow],
) -> dict[str, LandedDelivery]:
    """Write the files of the deliveries in `staged`; what landed, by delivery key. The manifest stays as it is."""
    duplicates = _drop_duplicates(connection, table)
    quarantine_files = _write_quarantine(connection, settings, table, batch, labels, landed, examples)
    partitions = _write_partitions(connection, settings, table, mode, batch, landed)
    counts = dict(connection.execute("select _delivery, count(*) from staged group by all").fetchall())
    reasons: dict[int, dict[str, int]] = {}
    for delivery, reason, rows in connection.execute(
        "select _delivery, _reasons[1], count(*) from staged where _reasons is not null group by all order by all"
    ).fetchall():
        reasons.setdefault(delivery, {})[reason] = rows
    newest = dict(
        connection.execute(
            f"select _delivery, max(cast({identifier(table.fact_column)} as timestamp)) from staged"
            " where _reasons is null group by all"
        ).fetchall()
    )
    return {
        one.key: LandedDelivery(
            source=one.identity,
            delivered=counts.get(number, 0) + duplicates.get(number, 0),
            duplicates=duplicates.get(number, 0),
            quarantined=reasons.get(number, {}),
            quarantine_file=quarantine_files.get(number),
            newest_fact=newest[number].isoformat() if newest.get(number) is not None else None,
            partitions=partitions.get(number, {}),
        )
        for number, one in enumerate(batch)
    }


def _land_as_is(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource,
    batch: Sequence[_Incoming],
) -> dict[str, LandedDelivery]:
    """Land the deliveries of events whose only file could have been written by this lake: its bytes are copied.

    These are Parquet files in the contract's columns and types, every row good, no key twice, all of one event day.
    One pass over the rows and one over the keys then replace typing, sorting out and writing.
    """
    fitting: list[NumberedFile] = []
    types: Mapping[str, str] = {}
    for number, one in enumerate(batch):
        if len(one.delivery.files) == 1 and one.delivery.files[0].format == "parquet":
            found = files.layout(connection, one.delivery.files[0], table, source.columns)
            if found is not None and files.fits_as_is(found, table, source.columns):
                fitting.append(NumberedFile(one.delivery.files[0], number, number))
                types = found.types
    if not fitting:
        return {}
    uniform = _uniform(connection, settings, table, source, fitting[:_SAMPLE], types)
    if not uniform:
        # A source whose first files are not clean has few clean ones: not worth a pass of their own.
        return {}
    if len(fitting) > _SAMPLE:
        uniform += _uniform(connection, settings, table, source, fitting[_SAMPLE:], types)
    landed: dict[str, LandedDelivery] = {}
    copies: list[tuple[Path, Path]] = []
    folder = lake.raw_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    for number, delivered, content, day, newest in uniform:
        one = batch[number]
        name = f"{_place('events', one.key, day.isoformat())}{content}.parquet"
        if not (folder / name).is_file():
            shutil.copyfile(one.delivery.files[0].path, temporary / f"{number}.parquet")
            copies.append((temporary / f"{number}.parquet", folder / name))
        partitions = {day.isoformat(): Partition((name,), delivered, content)}
        landed[one.key] = LandedDelivery(one.identity, delivered, 0, {}, None, newest.isoformat(), partitions)
    lake.keep(copies)
    shutil.rmtree(temporary)
    return landed


def _uniform(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource,
    fitting: Sequence[NumberedFile],
    types: Mapping[str, str],
) -> list[tuple[int, int, str, date, datetime]]:
    """Of files in the contract's types, those with good rows only, no key twice and one event day.

    Returns:
        Number of the file, its rows, their fingerprint, the event day, the newest fact.
    """
    rows = files.parquet_rows(table, source.columns, fitting, types)
    keys = ", ".join(f"r_{name}" for name in table.key)
    fact = identifier(table.fact_column)
    judged_rows = judged(table, rows, {}, settings.pipeline.reporting_currency)
    with files.reading(fitting):
        uniform = connection.execute(
            f"select _file, count(*), {fingerprint(_columns(table))}, cast(min({fact}) as date), max({fact})"
            f" from ({judged_rows}) as judged group by _file"
            " having count(_reasons) = 0 and not bool_or(_blanked)"
            f" and cast(min({fact}) as date) = cast(max({fact}) as date)"
        ).fetchall()
        if not uniform:
            return []
        repeated = connection.execute(
            f"select distinct _file from (select _file, hash({keys}) from ({rows.sql}) as delivered group by all"
            " having count(*) > 1) as repeated"
        ).fetchall()
    return [found for found in uniform if (found[0],) not in repeated]


def _stage(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: FilesSource | DemoSource | None,
    batch: Sequence[_Incoming],
    end: date,
) -> list[str]:
    """Fill `staged`; what the quarantine calls each of its files, by number."""
    files.create_staged(connection, table)
    rates = first_rates(settings.seeds_dir) if table.currency_date is not None else {}
    judge = partial(judged, table, rates=rates, reporting_currency=settings.pipeline.reporting_currency)
    if isinstance(source, DemoSource):
        files.stage_batches(connection, table, demo.demo_batches(settings, table, end), judge, "demo")
        return ["demo"]
    if isinstance(source, FilesSource) and source.query is not None:
        files.stage_query(connection, table, source, judge)
        return ["query"]
    numbered = [
        NumberedFile(file, number, delivery)
        for number, (delivery, file) in enumerate(
            (delivery, file) for delivery, one in enumerate(batch) for file in one.delivery.files
        )
    ]
    if numbered:
        files.stage_files(connection, table, source.columns, numbered, judge)
    return [one.file.label for one in numbered]


def _drop_duplicates(connection: duckdb.DuckDBPyConnection, table: RawTable) -> dict[int, int]:
    """Remove good rows whose key stands again later in the same delivery; how many, by delivery number."""
    keys = ", ".join(identifier(name) for name in table.key)
    # The hash decides cheaply which few rows need the exact, sorting answer.
    connection.execute(
        f"create or replace temp table twice as select hash(_delivery, {keys}) as key_hash from staged"
        " where _reasons is null group by all having count(*) > 1"
    )
    connection.execute(
        f"""
        create or replace temp table replaced as
        select row_id, _delivery
        from (
            select rowid as row_id, _delivery,
                row_number() over (partition by _delivery, {keys} order by _file desc, _position desc) as newest
            from staged
            where _reasons is null and hash(_delivery, {keys}) in (select key_hash from twice)
        ) as repeated
        where newest > 1
        """
    )
    counts = dict(connection.execute("select _delivery, count(*) from replaced group by all").fetchall())
    if counts:
        connection.execute("delete from staged where rowid in (select row_id from replaced)")
    return counts


def _columns(table: RawTable) -> str:
    return ", ".join(identifier(column.name) for column in table.columns)


def _write_partitions(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    mode: Mode,
    batch: Sequence[_Incoming],
    landed: Mapping[str, LandedDelivery],
) -> dict[int, dict[str, Partition]]:
    """Write the good rows of `staged`, one file for each delivery and event day, unless the lake has them already."""
    part = f"cast({identifier(table.fact_column)} as date)" if mode == "events" else literal(WHOLE)
    groups = connection.execute(
        f"select _delivery, cast(part as varchar), rows, fingerprint from (select _delivery, {part} as part,"
        f" count(*) as rows, {fingerprint(_columns(table))} as fingerprint from staged where _reasons is null"
        " group by all) as found order by all"
    ).fetchall()
    partitions: dict[int, dict[str, Partition]] = {}
    missing: dict[tuple[int, str], str] = {}
    for delivery, day, rows, content in groups:
        key = batch[delivery].key
        there = landed[key].partitions.get(day) if key in landed else None
        same = there is not None and (there.rows, there.fingerprint) == (rows, content)
        name = there.files[0] if same else f"{_place(mode, key, day)}{content}.parquet"
        partitions.setdefault(delivery, {})[day] = Partition((name,), rows, content)
        if not same:
            missing[delivery, day] = name
    folder = lake.raw_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    if missing:
        connection.register(
            "missing",
            pa.table({"delivery": pa.array([d for d, _ in missing], pa.int32()), "part": [day for _, day in missing]}),
        )
        wanted = f" and (_delivery, cast({part} as varchar)) in (select (delivery, part) from missing)"
        connection.execute(
            f"copy (select {_columns(table)}, _delivery, {part} as _part from staged where _reasons is null"
            f"{wanted if len(missing) < len(groups) else ''}) to {literal(temporary)}"
            " (format parquet, compression zstd, partition_by (_delivery, _part), overwrite_or_ignore true)"
        )
        connection.unregister("missing")
        written = {
            place: sorted((temporary / f"_delivery={place[0]}" / f"_part={place[1]}").iterdir()) for place in missing
        }
        named = {
            place: [folder / (name if index == 0 else f"{name.removesuffix('.parquet')}-{index}.parquet")
                    for index in range(len(written[place]))]
            for place, name in missing.items()
        }
        lake.keep((temp, final) for place in missing for temp, final in zip(written[place], named[place], strict=True))
        for (delivery, day), finals in named.items():
            names = tuple(final.relative_to(folder).as_posix() for final in finals)
            partitions[delivery][day] = replace(partitions[delivery][day], files=names)
    if mode == "snapshot" and not partitions:
        partitions = {0: {WHOLE: _write_empty(folder, temporary, table)}}
    shutil.rmtree(temporary)
    return partitions


def _place(mode: Mode, key: str, day: str) -> str:
    if mode == "events":
        return f"{lake.EVENT_DAY}{day}/{key}-"
    return f"{lake.DELIVERY_DAY}{key}/" if mode == "changes" else ""


def _write_empty(folder: Path, temporary: Path, table: RawTable) -> Partition:
    """A typed file without rows: other engines need no manifest to know the columns."""
    if not (folder / "empty.parquet").is_file():
        pq.write_table(table.arrow_schema.empty_table(), temporary / "empty.parquet")
        lake.keep([(temporary / "empty.parquet", folder / "empty.parquet")])
    return Partition(("empty.parquet",), 0, "empty")


def _write_quarantine(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    batch: Sequence[_Incoming],
    labels: Sequence[str],
    landed: Mapping[str, LandedDelivery],
    examples: list[_BadRow],
) -> dict[int, str]:
    """Write the bad rows of `staged`, one file for each delivery that has any; the names, by delivery number."""
    connection.register("labels", pa.table({"number": pa.array(range(len(labels)), pa.int32()), "label": list(labels)}))
    connection.execute(
        f"""
        create or replace temp table bad as
        select _delivery, {literal(table.name)} as "table", label as file, _position as line,
            array_to_string(_reasons, '; ') as reason, _raw as row
        from staged join labels on _file = number
        where _reasons is not null
        """
    )
    connection.unregister("labels")
    first = connection.execute("select file, line, reason from bad order by all limit ?", [_EXAMPLES]).fetchall()
    examples.extend(_BadRow(*row) for row in first)
    groups = connection.execute(
        f"select _delivery, {fingerprint('file, line, reason, row')} from bad group by all order by all"
    ).fetchall()
    folder = lake.quarantine_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    names: dict[int, str] = {}
    pairs: list[tuple[Path, Path]] = []
    for delivery, content in groups:
        key = batch[delivery].key
        names[delivery] = f"{key}-{content}.parquet"
        if key in landed and landed[key].quarantine_file == names[delivery]:
            continue
        connection.execute(
            f"copy (select * exclude (_delivery) from bad where _delivery = {delivery} order by file, line)"
            f" to {literal(temporary / names[delivery])} (format parquet, compression zstd)"
        )
        pairs.append((temporary / names[delivery], folder / names[delivery]))
    lake.keep(pairs)
    shutil.rmtree(temporary)
    return names


def _check_share(
    settings: Settings, table: RawTable, deliveries: Sequence[LandedDelivery], examples: Sequence[_BadRow]
) -> None:
    stats = lake.stats_of(table.name, "snapshot", deliveries)
    bad = sum(stats.quarantined.values())
    limit = settings.max_bad_share(table.name)
    if bad <= limit * stats.delivered:
        return
    by_count = sorted(stats.quarantined.items(), key=lambda counted: (-counted[1], counted[0]))
    reasons = ", ".join(f"{rows} x {reason}" for reason, rows in by_count)
    shown = "; ".join(f"{row.file} line {row.line}: {row.reason}" for row in examples[:_EXAMPLES])
    raise QuarantineLimitExceeded(
        f"{table.name}: {bad} of {stats.delivered} rows ({bad / stats.delivered:.1%}) break the contract, more than"
        f" max_bad_share {limit:g} allows: {reasons}. For example {shown}. Nothing was landed, the old data stays."
        f" Mend the source, or raise sources.{table.name}.max_bad_share"
    )


def _changed_days(old: Manifest | None, new: Manifest) -> tuple[date, ...]:
    if new.mode != "events":
        return ()
    before = {} if old is None else lake.day_fingerprints(old)
    after = lake.day_fingerprints(new)
    return tuple(sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day)))
