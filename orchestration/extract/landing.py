"""Landing: one raw table, for the days of a run, from its source into the lake."""

import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import TABLES, RawTable
from orchestration.extract import demo, files, lake
from orchestration.extract.connector import Window, connector_of
from orchestration.extract.engine import connect, fingerprint, path_literals
from orchestration.extract.errors import SourceError, SourceUnavailable
from orchestration.extract.files import Delivery, NumberedFile
from orchestration.extract.lake import WHOLE, LandedDelivery, Manifest, Mode, Partition
from orchestration.extract.quarantine import QuarantineLimitExceeded, first_rates, judged
from orchestration.extract.superseding import supersede
from orchestration.settings import EVENT_TABLE, Settings, SettingsError
from orchestration.sources import DAY, ConnectedSource, DemoSource, FilesSource, SqlSource
from orchestration.warehouse import identifier, literal

# Part of every delivery's identity: raise it when the same files would land differently.
_LANDING_VERSION = 1
# Deliveries are staged together up to this many bytes of files, which bounds memory and keeps both cores busy.
_BATCH_BYTES = 64 * 1024 * 1024
# Without them there is nobody to score.
_POPULATION = ("accounts", "subscriptions")
# Event days are numbered from here.
_FIRST_NUMBER = date(1970, 1, 1)
# Settings of a source that change nothing about the rows it delivers.
_NOT_OF_THE_ROWS = {"max_bad_share", "late_after_days", "timeout_seconds", "max_attempts", "max_retry_delay_seconds"}
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
        unavailable: why the source could not be read and the table stands as it stood; None if it was read.
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


def land_table(settings: Settings, table: RawTable, start: date, end: date) -> LandedTable:
    """As `extract_table`, but a remote source that cannot be read leaves the table as it stands.

    The days that the lake then lacks make the table's metrics late, and the next run reads them. Without any earlier landing of
    `accounts` or `subscriptions` nothing could be scored rightly: their failure is an error.

    Raises:
        SourceError, QuarantineLimitExceeded, LakeError: as `extract_table`; no message holds a secret.
    """
    try:
        return extract_table(settings, table, start, end)
    except Exception as error:
        message = without_secrets(settings, str(error))
        source = settings.sources.get(table.name)
        remote = isinstance(error, SourceUnavailable) or (
            isinstance(source, ConnectedSource) and isinstance(error, SourceError | QuarantineLimitExceeded)
        )
        old = lake.read_manifest(settings.lake, table.name) if remote else None
        if remote and (old is not None or table.name not in _POPULATION):
            return _unread(table, old, message)
        if without_secrets(settings, "".join(traceback.format_exception(error))) != "".join(traceback.format_exception(error)):
            # The causes would be logged with it.
            raise SourceError(message) from None
        raise


def _unread(table: RawTable, old: Manifest | None, message: str) -> LandedTable:
    if old is None:
        return LandedTable(table.name, "snapshot", 0, 0, 0, {}, None, unavailable=message)
    stats = lake.stats_of(table.name, old.mode, old.deliveries.values())
    return LandedTable(**asdict(stats), unavailable=message)


def without_secrets(settings: Settings, text: str) -> str:
    """The text with the value of every configured secret replaced by the name of its variable."""
    for source in settings.sources.values():
        for secret in source.secrets().values():
            value = secret.value()
            for form in {value, quote(value, safe=""), quote_plus(value)} if value else ():
                text = text.replace(form, f"<{secret.env}>")
    return text


def extract_table(settings: Settings, table: RawTable, start: date, end: date) -> LandedTable:
    """Land one raw table for a run's days.

    Files without `{day}` in the path are read as a whole and the lake is brought in line with them. With it, the deliveries of the
    run's days and of the `lookback_days` before them land, and every earlier one that never did; what a delivery of these
    days brought goes when its files are gone. Files whose bytes did not change are not landed again. Connected sources:
    see `connected`.

    Args:
        settings: of the run.
        table: the contract.
        start, end: first and last day of the run.

    Returns:
        Counts and changed days.

    Raises:
        SourceError: the source is missing, damaged, or lacks a column.
        SourceUnavailable: a remote source cannot be read; the lake stays as it was.
        QuarantineLimitExceeded: too many rows break the contract; nothing landed, the old data stays.
        LakeError: the manifest on disk is damaged.
    """
    source = settings.sources.get(table.name)
    first_day = start - timedelta(days=settings.pipeline.lookback_days)
    old = lake.read_manifest(settings.lake, table.name)
    lake.sweep(settings.lake, table.name)
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
    land = _land_connected if isinstance(source, ConnectedSource) else _land_deliveries
    try:
        manifest, looked_at, first_landing = land(settings, table, source, old, first_day, end)
        manifest = replace(manifest, through=_through(old, manifest, first_landing, end))
        if manifest != old:
            lake.write_manifest(settings.lake, manifest)
    finally:
        lake.sweep(settings.lake, table.name)

    changed = _changed_days(None if first_landing else old, manifest)
    stats = lake.stats_of(table.name, manifest.mode, (manifest.deliveries[key] for key in looked_at))
    newest = lake.stats_of(table.name, manifest.mode, manifest.deliveries.values()).newest_fact
    late = () if first_landing else tuple(day for day in changed if day < first_day)
    return LandedTable(**{**asdict(stats), "newest_fact": newest, "changed_days": changed, "late_days": late})


def _through(old: Manifest | None, new: Manifest, first_landing: bool, end: date) -> str:
    # What lands as a whole holds all that its source has, whatever day the run was for.
    if old is None or old.through is None or (first_landing and new.by_day):
        return end.isoformat()
    return max(old.through, end.isoformat())


def _land_deliveries(
    settings: Settings,
    table: RawTable,
    source: FilesSource | DemoSource | None,
    old: Manifest | None,
    first_day: date,
    end: date,
) -> tuple[Manifest, list[str], bool]:
    """Land files, the demo company, or nothing; the new manifest, the deliveries looked at, and whether none stood before."""
    by_day = isinstance(source, FilesSource) and source.path is not None and DAY in source.path
    mode: Mode = "events" if table.name == EVENT_TABLE else "changes" if by_day else "snapshot"
    first_landing = old is None or (old.mode, old.by_day) != (mode, by_day)
    kept = {} if first_landing else lake.whole_deliveries(settings.lake, old)
    lost = not first_landing and (len(kept) < len(old.deliveries) or not lake.has_superseded_file(settings.lake, old))

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

    landed = dict(kept)
    for key in gone:
        del landed[key]
    examples: list[_BadRow] = []
    if fresh:
        with connect(settings) as connection:
            for batch in _batches(fresh):
                with files.at_hand(table.name, source, [file for one in batch for file in one.delivery.files]):
                    if by_day and mode == "events":
                        landed |= _land_as_is(connection, settings, table, source, batch)
                        batch = [one for one in batch if not _is_landed(one, landed)]
                    labels = _stage(connection, settings, table, source, batch, end)
                    landed |= _land(connection, settings, table, mode, dict(enumerate(batch)), labels, landed, examples)
    _check_share(settings, table, [landed[one.key] for one in wanted], examples)
    superseded_file = None if first_landing or lost else old.superseded_file
    manifest = Manifest(table.name, mode, by_day, landed, superseded_file)
    if by_day and (fresh or gone or lost):
        new = set(landed) if lost else {one.key for one in fresh}
        with connect(settings) as connection:
            manifest = supersede(connection, settings, table, manifest, new)
    return manifest, [one.key for one in wanted], first_landing


def _land_connected(
    settings: Settings, table: RawTable, source: ConnectedSource, old: Manifest | None, first_day: date, end: date
) -> tuple[Manifest, list[str], bool]:
    """Land a source that is read over a connection; results as `_land_deliveries`.

    A connector that cannot tell what is new is read as a whole. From one that can, events land as one delivery per event day, each
    replacing what the day held; of other tables what is new replaces the rows of the same keys, so that the table stands as
    one reading of the whole source would leave it. Another configuration lands everything anew.
    """
    connector = connector_of(source)
    incremental = connector.is_incremental(table, source)
    mode: Mode = "events" if table.name == EVENT_TABLE else "snapshot"
    by_day = mode == "events" and incremental
    identity = _connected_identity(settings, table, source)
    kept: dict[str, LandedDelivery] = {}
    if old is not None and (old.mode, old.by_day) == (mode, by_day):
        kept = lake.whole_deliveries(settings.lake, old)
        if len(kept) < len(old.deliveries) or not lake.has_superseded_file(settings.lake, old):
            kept = {}
        if any(one.source != identity for one in kept.values()):
            kept = {}
    first_landing = not kept
    since, until = None, end
    if incremental and old is not None and old.through is not None:
        through = date.fromisoformat(old.through)
        if first_landing:
            until = max(end, through)
        else:
            since = min(first_day, through + timedelta(days=1))

    rates = first_rates(settings.seeds_dir) if table.currency_date is not None else {}
    judge = partial(judged, table, rates=rates, reporting_currency=settings.pipeline.reporting_currency)
    labels = [source.connector]
    examples: list[_BadRow] = []
    with connect(settings) as connection:
        files.create_staged(connection, table)
        batches = connector.read(settings, table, source, Window(since, until))
        columns = source.columns if isinstance(source, SqlSource) else {}
        files.stage_batches(connection, table, columns, batches, judge, source.connector)
        if by_day:
            batch = _split_by_day(connection, table, since, until, identity)
        else:
            batch = {0: _Incoming(WHOLE, Delivery(None, ()), identity)}
            if since is not None:
                _keep_what_is_not_new(connection, settings, table, old)
        landed = kept | _land(connection, settings, table, mode, batch, labels, kept, examples)
        looked_at = [one.key for one in batch.values()]
        _check_share(settings, table, [landed[key] for key in looked_at], examples)
        manifest = Manifest(table.name, mode, by_day, landed, None if first_landing else old.superseded_file)
        if by_day:
            manifest = supersede(connection, settings, table, manifest, set(looked_at))
    return manifest, looked_at, first_landing


def _split_by_day(
    connection: duckdb.DuckDBPyConnection, table: RawTable, since: date | None, until: date, identity: str
) -> dict[int, _Incoming]:
    """Number the rows of `staged` by their event day and quarantine those outside the window; one delivery for each of its days.

    Bad rows, whose day may be unreadable, count to the last day.
    """
    fact = f"cast({identifier(table.fact_column)} as date)"
    raw = ", ".join(f"{literal(column.name)}, cast({identifier(column.name)} as varchar)" for column in table.columns)
    outside = f"{fact} > ?" if since is None else f"not {fact} between {literal(since.isoformat())} and ?"
    connection.execute(
        f"update staged set _raw = cast(json_object({raw}) as varchar), _reasons = [?] where _reasons is null and {outside}",
        [f"{table.fact_column}: outside the days that were asked for", until],
    )
    connection.execute(
        f"update staged set _delivery = date_diff('day', date '{_FIRST_NUMBER}',"
        f" case when _reasons is null then {fact} else ? end)",
        [until],
    )
    first = since
    if first is None:
        [(oldest,)] = connection.execute(f"select min({fact}) from staged where _reasons is null").fetchall()
        first = oldest or until
    days = (first + timedelta(days=n) for n in range((until - first).days + 1))
    return {(day - _FIRST_NUMBER).days: _Incoming(day.isoformat(), Delivery(day, ()), identity) for day in days}


def _keep_what_is_not_new(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, old: Manifest
) -> None:
    """Add to `staged` what the lake has, quarantined rows too, and the source did not deliver again."""
    keys = ", ".join(identifier(name) for name in table.key)
    texts = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in table.key)
    connection.execute(f"create or replace temp table renewed as select distinct {texts} from staged union select {keys} from gone")
    same = " and ".join(f"renewed.{identifier(name)} = cast(landed.{identifier(name)} as varchar)" for name in table.key)
    columns = _columns(table)
    connection.execute(
        f"insert into staged (_file, _delivery, _position, {columns}) select 0, 0, 0, {columns}"
        f" from ({lake.lake_select(settings.lake, table)}) as landed anti join renewed on {same}"
    )
    quarantined = old.quarantine_files()
    if not quarantined:
        return
    paths = path_literals(lake.quarantine_folder(settings.lake, table.name) / name for name in quarantined)
    same = " and ".join(f"renewed.{identifier(name)} = json_extract_string(bad.row, '$.{name}')" for name in table.key)
    connection.execute(
        "insert into staged (_file, _delivery, _position, _reasons, _raw) select 0, 0, line, string_split(reason, '; '), row"
        f" from read_parquet({paths}) as bad anti join renewed on {same}"
    )


def _connected_identity(settings: Settings, table: RawTable, source: ConnectedSource) -> str:
    """What decides how an answer of the source lands, as a hash; secrets count by name."""
    rates = first_rates(settings.seeds_dir) if table.currency_date is not None else {}
    currency = settings.pipeline.reporting_currency if table.currency_date is not None else None
    mapping = source.model_dump_json(exclude=_NOT_OF_THE_ROWS)
    parts = (_LANDING_VERSION, repr(table), mapping, sorted(rates.items()), currency)
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


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
    if source.is_remote:
        # A store that is down must not keep the other sources from landing.
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
        _content(delivery),
    )
    return blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _content(delivery: Delivery) -> str | list[str]:
    if any(file.stored is not None for file in delivery.files):
        return [file.stored.version for file in delivery.files]
    return files.content_hash(file.path for file in delivery.files)


def _batches(incoming: Sequence[_Incoming]) -> Iterator[list[_Incoming]]:
    batch: list[_Incoming] = []
    size = 0
    for one in incoming:
        batch.append(one)
        size += sum(file.size for file in one.delivery.files)
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
    batch: Mapping[int, _Incoming],
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
        for number, one in batch.items()
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
        files.stage_batches(connection, table, {}, demo.demo_batches(settings, table, end), judge, "demo")
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
    batch: Mapping[int, _Incoming],
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
    batch: Mapping[int, _Incoming],
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
