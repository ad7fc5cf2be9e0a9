"""What a first run would make of a source: its rows, judged and landed in a lake that is thrown away.

Files and databases are read as a whole where that is cheap: the newest files up to 256 MB (16 MB from an object store), the first 200,000
rows of a database within 20 seconds. Of an API one page is read.
"""

import itertools
import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.contract import PLANNED, USAGE_TABLES, RawTable
from orchestration.extract.connectors.base import Connector, HttpSource, Preview, Window, batches_of, faults_named, mapping_of
from orchestration.extract.doubts import describe_columns, describe_values
from orchestration.extract.files.columns import read_layout
from orchestration.extract.files.deliveries import Delivery, SourceFile, at_hand, find_deliveries
from orchestration.extract.files.lines import json_records
from orchestration.extract.files.opening import opened
from orchestration.extract.files.query import open_file, single_select
from orchestration.extract.judge import by_count, describe_bad, judge_of, remedy_for
from orchestration.extract.lake.manifest import WHOLE, LandingStats, Manifest, Mode, lake_select, stats_of, write_manifest
from orchestration.extract.lake.write import Examples, Incoming, land
from orchestration.extract.land_files import land_files
from orchestration.extract.preflight import faults_of
from orchestration.extract.session import connect
from orchestration.extract.staging import create_staged, stage_batches
from orchestration.plain_text import shortened
from orchestration.settings import Settings, SettingsError
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier

_BYTES, _STORED_BYTES = 256 * 1024**2, 16 * 1024**2
_ROWS, _SECONDS = 200_000, 20
# Another time zone is not the future.
_DAYS_AHEAD = 1
_RECORDS_OF_NAMES, _NOTES_SHOWN = 100, 3
# A person waits for the answer.
_PATIENCE = {"max_attempts": 2, "max_retry_delay_seconds": 5}


@dataclass(frozen=True)
class Trial:
    """What was found in a source.

    Attributes:
        rows: records that were read, broken ones included; None where only a run can work them out.
        bad: those of them that would go to quarantine.
        is_whole: whether these are all that a first run would read.
        newest: newest value of the contract's fact column, UTC; None without any.
        mapped: columns of the contract that the source has; of an API, that the page fills.
        unmapped: fields of the source that no column takes.
        filled: columns of the contract with a value in any row; of columns of choices also each choice that occurs, `survey=nps`.
        note: which part of the source was read, and how.
        refusal: why a run would not take the table over; None if it would.
        doubts: what a person should look at, one sentence each.
        remarks: what may be worth a look.
    """

    rows: int | None
    bad: int
    is_whole: bool
    newest: datetime | None
    mapped: tuple[str, ...]
    unmapped: tuple[str, ...]
    filled: tuple[str, ...] = ()
    note: str = ""
    refusal: str | None = None
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def try_source(settings: Settings, table: RawTable, scratch: Path) -> Trial:
    """Land a source in a lake below `scratch`, as the first run would, and say what is there.

    Raises:
        SourceError, SettingsError: the source cannot be read; a run would say the same.
    """
    source = settings.sources[table.name]
    trial = _trial_settings(settings, table, scratch)
    examples = Examples()
    with connect(trial) as connection:
        if faults := faults_of(connection, settings, table, source):
            raise SettingsError("; ".join(faults))
        if isinstance(source, FilesSource):
            mapped, unmapped = _columns(connection, trial, table, source)
            manifest, is_whole, note = _land_files(trial, table, source, examples)
        else:
            assert isinstance(source, Connector)
            page, batches = _page(trial, table, source)
            mapped, unmapped = page.mapped, page.unmapped
            if page.batches is None:
                return Trial(None, 0, False, None, mapped, unmapped, mapped, page.note)
            manifest = _land_rows(connection, trial, table, source, batches, examples)
            is_whole = batches.is_whole
            of_rows = "" if is_whole else f"the first {batches.rows:,} rows"
            note = page.note or "first page" if isinstance(source, HttpSource) else of_rows
        write_manifest(trial.lake, manifest)
        stats = stats_of(table.name, manifest.mode, manifest.deliveries.values())
        rows = f"({lake_select(trial.lake, table)})"
        filled = _filled(connection, table, rows)
        odd = describe_columns(connection, table, rows, set(mapped) if isinstance(source, FilesSource) else set(filled))
        values = None if table.by_day else describe_values(connection, table, rows, stats.loaded, 0, {})
    notes = [note for key in sorted(manifest.deliveries) for note in manifest.deliveries[key].notes]
    refusal, bad = _of_bad_rows(settings, table, stats, examples, is_whole)
    repeated = _of_repeated_keys(stats, examples) if manifest.mode in ("snapshot", "full") else []
    doubts = [
        *bad,
        *repeated,
        *shortened(notes, _NOTES_SHOWN),
        *([values] if values else []),
        *odd.doubts,
        *_of_age(settings, table, stats, is_whole),
    ]
    return Trial(
        stats.delivered,
        sum(stats.quarantined.values()),
        is_whole,
        stats.newest_fact,
        mapped,
        unmapped,
        filled,
        note,
        refusal,
        tuple(doubts),
        odd.remarks,
    )


def _trial_settings(settings: Settings, table: RawTable, scratch: Path) -> Settings:
    """With a data folder that is thrown away, and a source that may have any share of bad rows: they are to be seen."""
    source = settings.sources[table.name]
    lenient = source.model_copy(
        update={"max_bad_share": 1.0} | {name: few for name, few in _PATIENCE.items() if name in type(source).model_fields}
    )
    trial = settings.moved_to(scratch).model_copy(update={"sources": {**settings.sources, table.name: lenient}})
    trial.temp_dir.mkdir(parents=True, exist_ok=True)
    return trial


def _land_files(settings: Settings, table: RawTable, source: FilesSource, examples: Examples) -> tuple[Manifest, bool, str]:
    """Land the newest files that are cheap to read: what landed, whether it is all that a run would read, and what was read."""
    end = settings.last_day
    if source.path is None:
        manifest, *_ = land_files(settings, table, source, None, None, end, end, examples=examples)
        return manifest, True, ""
    deliveries = [one for one in find_deliveries(settings, table.name, source) if one.day is None or one.day <= end]
    newest = _newest(deliveries, _STORED_BYTES if source.is_remote else _BYTES)
    manifest, *_ = land_files(settings, table, source, None, None, end, end, deliveries=newest, examples=examples)
    files, wanted = ([file for one in some for file in one.files] for some in (newest, deliveries))
    if not wanted:
        return manifest, True, f"no file up to {end}"
    last = files[-1].label
    if len(wanted) == 1:
        return manifest, True, last
    if len(files) == len(wanted):
        return manifest, True, f"{len(files)} files, the last {last}"
    return manifest, False, f"the newest {len(files)} of {len(wanted)} files, the last {last}"


def _newest(deliveries: Sequence[Delivery], size: int) -> list[Delivery]:
    """The newest files that have so many bytes together, at least one."""
    kept: list[Delivery] = []
    left = size
    for delivery in reversed(deliveries):
        files: list[SourceFile] = []
        for file in reversed(delivery.files):
            left -= file.size
            if left < 0 and (files or kept):
                return [*([replace(delivery, files=tuple(files[::-1]))] if files else []), *kept[::-1]]
            files.append(file)
        kept.append(delivery)
    return kept[::-1]


class _Batches:
    """Batches up to a number of rows; afterwards `rows` says how many there were, and `is_whole` whether these were all."""

    def __init__(self, batches: Generator[pa.RecordBatch, None, None], is_page: bool) -> None:
        self._batches = batches
        self._is_page = is_page
        self.is_whole = False
        self.rows = 0

    def __iter__(self) -> Generator[pa.RecordBatch, None, None]:
        until = time.monotonic() + _SECONDS
        with closing(self._batches) as batches:
            for batch in batches:
                wanted = batch.slice(0, _ROWS - self.rows)
                self.rows += wanted.num_rows
                yield wanted
                if self.rows == _ROWS or time.monotonic() > until:
                    return
        self.is_whole = not self._is_page


def _page(settings: Settings, table: RawTable, source: Connector) -> tuple[Preview, _Batches]:
    """A page of a connector, and the rows to judge: those of the page where it is an API's, else all that are cheap to read."""
    connector = settings.sources[table.name]
    assert isinstance(connector, Connector)
    with faults_named(source, table):
        page = connector.preview(settings, table)
    if isinstance(source, HttpSource) or page.batches is None:
        return page, _Batches((batch for batch in page.batches or ()), is_page=True)
    return page, _Batches(batches_of(connector, settings, table, Window(None, settings.last_day)), is_page=False)


def _land_rows(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    source: Connector,
    batches: _Batches,
    examples: Examples,
) -> Manifest:
    create_staged(connection, table)
    with closing(iter(batches)) as rows:
        stage_batches(connection, table, source.column_names, rows, judge_of(settings, table), source.connector)
    mode: Mode = "events" if table.by_day else "snapshot"
    landed = land(connection, settings, table, mode, {0: Incoming(WHOLE, Delivery(None, ()), None)}, [source.connector], {}, examples)
    return Manifest(table.name, mode, by_day=False, deliveries=landed)


def _columns(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: FilesSource
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the contract that the last file, or the query, has, and names that no column takes; none of those of a foreign file."""
    if source.path is None:
        return mapping_of(table, source.columns, _names_of_query(connection, table, source))
    file = find_deliveries(settings, table.name, source)[-1].files[-1]
    with at_hand(table.name, source, [file]), opened(file, settings.temp_dir, head=True) as head:
        mapped, unmapped = mapping_of(table, source.columns, _names(connection, table, source, head))
    return mapped, () if file.is_foreign else unmapped


def _names(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, file: SourceFile) -> Sequence[str]:
    if source.query is not None:
        return [] if open_file(connection, table, file) is None else _names_of_query(connection, table, source)
    if file.format == "jsonl":
        return _names_in_json(file)
    found = read_layout(connection, file, table, source.columns)
    return () if found is None else found.names


def _names_of_query(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource) -> list[str]:
    assert source.query is not None
    selected = single_select(connection, f"sources.{table.name}.query", source.query)
    try:
        return [row[0] for row in connection.execute(f"describe {selected}").fetchall()]
    except duckdb.Error:
        # The landing says it better.
        return []


def _names_in_json(file: SourceFile) -> list[str]:
    names: dict[str, None] = {}
    for record in itertools.islice(json_records(file.path), _RECORDS_OF_NAMES):
        try:
            found = json.loads(record.text)
        except ValueError:
            continue
        if isinstance(found, dict):
            names |= dict.fromkeys(_field_names(found))
    return list(names)


def _field_names(record: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """The names of a record's fields, of those within others with a point between: `account.id`."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _field_names(value, f"{within}{name}.")
        else:
            yield within + name


def _filled(connection: duckdb.DuckDBPyConnection, table: RawTable, rows: str) -> tuple[str, ...]:
    counted = ", ".join(f"count({identifier(column.name)})" for column in table.columns)
    [counts] = connection.execute(f"select {counted} from {rows} as landed").fetchall()
    filled = [column for column, known in zip(table.columns, counts, strict=True) if known]
    choices = [
        f"{column.name}={choice}"
        for column in filled
        if column.kind == "choice"
        for (choice,) in connection.execute(f"select distinct {identifier(column.name)} from {rows} as landed order by 1").fetchall()
    ]
    return (*(column.name for column in filled), *choices)


def _of_bad_rows(
    settings: Settings, table: RawTable, stats: LandingStats, examples: Examples, is_whole: bool
) -> tuple[str | None, list[str]]:
    """Why a run would be refused, or else what would go to quarantine."""
    bad = sum(stats.quarantined.values())
    if not bad:
        return None, []
    limit = settings.max_bad_share(table.name)
    said = f"{bad} of {stats.delivered} rows would go to quarantine: {describe_bad(stats.quarantined, examples.bad)}"
    if (helps := remedy_for(table.name, [*by_count(stats.quarantined), *(row.reason for row in examples.bad)])) is not None:
        said += f". Remedy: {helps}"
    if bad <= limit * stats.delivered:
        return None, [said]
    return f"{said}. More than max_bad_share {limit:g} allows{'' if is_whole else ', if all rows are like these'}", []


def _of_repeated_keys(stats: LandingStats, examples: Examples) -> list[str]:
    if not stats.duplicates:
        return []
    shown = f", for example {', '.join(examples.repeated[:3])}" if examples.repeated else ""
    rows = "row has" if stats.duplicates == 1 else "rows have"
    return [f"{stats.duplicates} more {rows} the key of a later row, which alone counts{shown}"]


def _of_age(settings: Settings, table: RawTable, stats: LandingStats, is_whole: bool) -> list[str]:
    """Whether the newest fact is so old that metrics would be late, or lies in the future."""
    if stats.newest_fact is None:
        return []
    late_after, end, newest = settings.late_after_days(table.name), settings.last_day, stats.newest_fact.date()
    # Metrics take the newest usage of either table.
    is_alone = not table.by_day or sum(name in settings.sources for name in USAGE_TABLES) == 1
    if late_after is not None and is_whole and is_alone and (end - newest).days > late_after:
        return [
            f"the newest fact is {(end - newest).days} days before {end}, more than late_after_days {late_after}: its metrics would be late"
        ]
    if table.name not in PLANNED and (newest - datetime.now(UTC).date()).days > _DAYS_AHEAD:
        return [f"the newest fact is of {newest}, which is still to come"]
    return []
