"""The `files` connector: finds the files of a source, checks them, and stages their rows, judged, in DuckDB.

Clean files are read by DuckDB alone. Where a text file is broken somewhere, it is read again record by record
(`records.py`), so that one broken line costs one row.
"""

import glob
import gzip
import hashlib
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import RawTable
from orchestration.extract.engine import literals, path_literals
from orchestration.extract.errors import SourceError
from orchestration.extract.quarantine import RawRows
from orchestration.extract.records import MAX_LINE_BYTES, csv_records, json_records, open_binary
from orchestration.extract.storage import StoredObject, address_of, fetch, list_objects
from orchestration.settings import Settings
from orchestration.sources import DAY, DemoSource, FilesSource
from orchestration.warehouse import identifier, literal

_DAY_GLOB = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_DAY_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}")
_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BATCH_ROWS = 50_000

# Boolean column of batches: the source no longer has this key.
DELETED = "_deleted"

Format = Literal["csv", "jsonl", "parquet"]
_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
Judge = Callable[[RawRows], str]


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `label` is its path as a person knows it, relative to the configuration where it can be.

    A file in an object store (`stored`) is at `path` only while it is `at_hand`.
    """

    path: Path
    label: str
    format: Format
    stored: StoredObject | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.stored is None else self.stored.size


@dataclass(frozen=True)
class Delivery:
    """The files of one delivery day, by name; of the whole source (`day` is None) where the path has no `{day}`."""

    day: date | None
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class NumberedFile:
    """A file with its place in the order of extraction and the number of its delivery."""

    file: SourceFile
    number: int
    delivery: int


@dataclass(frozen=True)
class Layout:
    """What stands in the columns of a file: names, DuckDB types (Parquet) and the delimiter (CSV)."""

    names: tuple[str, ...]
    types: Mapping[str, str]
    delimiter: str = ","


def find_deliveries(settings: Settings, name: str, source: FilesSource) -> list[Delivery]:
    """The deliveries of a source with a path, oldest first. Lists folders; opens no file.

    Raises:
        SourceError: no file matches, a file is of no known format, or a `{day}` is no date.
    """
    where = f"sources.{name}.path"
    pattern = source.path if source.is_remote else str(settings.resolve(source.path))
    files = _stored_files(settings, name, source) if source.is_remote else _local_files(settings, where, pattern)
    if not files:
        place = "in the object store" if source.is_remote else f"in {settings.config_file.parent}"
        raise SourceError(f"{where}: no file matches {source.path} ({place}). Mend the path")
    if DAY not in pattern:
        return [Delivery(None, tuple(files))]
    by_day: dict[date, list[SourceFile]] = {}
    for file in files:
        by_day.setdefault(_delivery_day(where, pattern, file), []).append(file)
    return [Delivery(day, tuple(by_day[day])) for day in sorted(by_day)]


def _local_files(settings: Settings, where: str, pattern: str) -> list[SourceFile]:
    found = sorted(path for path in _glob(pattern.replace(DAY, _DAY_GLOB)) if path.is_file())
    return [SourceFile(path, _label(settings, path), _format(where, path)) for path in found]


def _stored_files(settings: Settings, name: str, source: FilesSource) -> list[SourceFile]:
    folder = settings.temp_dir / "fetched" / name
    return [
        SourceFile(folder / one.key, address_of(source, one.key), _format(f"sources.{name}.path", Path(one.key)), one)
        for one in list_objects(name, source, _DAY_GLOB)
    ]


@contextmanager
def at_hand(name: str, source: FilesSource | DemoSource | None, files: Iterable[SourceFile]) -> Iterator[None]:
    """Fetch those of the files that are in an object store, and remove the copies at the end.

    Raises:
        SourceUnavailable: the store does not give one.
    """
    fetched: list[Path] = []
    try:
        for file in files:
            if file.stored is not None:
                fetched.append(file.path)
                fetch(name, source, file.stored.key, file.path)
        yield
    finally:
        for path in fetched:
            path.unlink(missing_ok=True)


def _glob(pattern: str) -> list[Path]:
    """Matching paths; a name that exists as it stands is no pattern, whatever brackets are in it."""
    if Path(pattern).is_file():
        return [Path(pattern)]
    return [Path(path) for path in glob.glob(pattern, recursive=True)]


def _label(settings: Settings, path: Path) -> str:
    folder = settings.config_file.parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _format(where: str, path: Path) -> Format:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _FORMATS or (suffix == ".parquet" and path.name.lower().endswith(".gz")):
        known = ", ".join(_FORMATS)
        raise SourceError(f"{where}: {path.name} is of no known format; there is {known}, text also with .gz")
    return _FORMATS[suffix]


def _delivery_day(where: str, pattern: str, file: SourceFile) -> date:
    place = str(file.path) if file.stored is None else file.label
    for text in _DAY_TEXT.findall(place):
        if fnmatchcase(place, pattern.replace(DAY, text)):
            try:
                return date.fromisoformat(text)
            except ValueError:
                raise SourceError(f"{where}: {file.label}: {text} is no date. Rename or remove the file") from None
    raise SourceError(f"{where}: {file.label} stands for more than one day. Use the same day throughout its path")


def content_hash(paths: Iterable[Path]) -> str:
    """A hash of the names and the bytes of files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def verify_gzip(file: SourceFile) -> None:
    """Unpack the whole stream once: a truncated one would load in part.

    Raises:
        SourceError: the stream is truncated or damaged.
    """
    if not file.path.name.lower().endswith(".gz"):
        return
    try:
        with open_binary(file.path) as stream:
            while stream.read(_CHUNK):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{file.label}: truncated or damaged gzip stream ({error}). Deliver it again") from error


def layout(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, table: RawTable, columns: Mapping[str, str]
) -> Layout | None:
    """The columns of a CSV or Parquet file; None for JSON lines and for a file without a single byte.

    Args:
        connection: any.
        file: the file.
        table: the contract.
        columns: contract column -> column in the file, where the names differ.

    Raises:
        SourceError: a column is missing or stands twice, or the file cannot be read.
    """
    if file.format == "jsonl":
        return None
    try:
        found = (
            _csv_layout(file, table, columns) if file.format == "csv" else _parquet_layout(connection, file)
        )
    except (OSError, EOFError, zlib.error, pa.ArrowException, duckdb.Error) as error:
        raise SourceError(f"{file.label}: cannot be read ({_one_line(error)}). Deliver it again") from error
    if found is not None:
        check_columns(file.label, found.names, table, columns)
    return found


def check_columns(label: str, names: Sequence[str], table: RawTable, columns: Mapping[str, str]) -> None:
    """Refuse names that stand twice, and the lack of a required or of an explicitly mapped column."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(f"{label}: column {', '.join(twice)} stands twice. Rename or remove one of them")
    missing = [
        columns.get(column.name, column.name)
        for column in table.columns
        if (column.required or column.name in columns) and columns.get(column.name, column.name) not in names
    ]
    if missing:
        raise SourceError(
            f"{label}: column {', '.join(missing)} of {table.name} is missing; found are {', '.join(names) or 'none'}. "
            f"Map renamed columns with sources.{table.name}.columns"
        )


def _csv_layout(file: SourceFile, table: RawTable, columns: Mapping[str, str]) -> Layout | None:
    """The header, read with the delimiter that finds most of the contract's columns."""
    wanted = {columns.get(column.name, column.name) for column in table.columns}
    best: Layout | None = None
    unreadable = None
    for delimiter in _DELIMITERS:
        header = next(csv_records(file.path, delimiter), None)
        if header is None:
            return None
        if header.fields is None:
            # Quoted names look broken under every delimiter but their own.
            unreadable = unreadable or header
            continue
        names = tuple(name.strip() for name in header.fields)
        if best is None or len(wanted & set(names)) > len(wanted & set(best.names)):
            best = Layout(names, {name: "VARCHAR" for name in names}, delimiter)
    if best is None and unreadable is not None:
        raise SourceError(f"{file.label} line {unreadable.line}: the header cannot be read: {unreadable.problem}")
    return best


def _parquet_layout(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> Layout:
    names = pq.read_schema(file.path).names
    described = connection.execute(f"describe select * from {parquet_scan([file.path])}").fetchall()
    return Layout(tuple(names), {row[0]: row[1] for row in described})


def parquet_scan(paths: Sequence[Path]) -> str:
    return (
        f"read_parquet({path_literals(paths)},"
        " binary_as_string = true, hive_partitioning = false)"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def create_staged(connection: duckdb.DuckDBPyConnection, table: RawTable) -> None:
    """An empty temporary table `staged` for judged rows, in place of an earlier one."""
    columns = ", ".join(f"{identifier(column.name)} {column.duckdb_type}" for column in table.columns)
    connection.execute(
        "create or replace temp table staged (_file integer, _delivery integer, _position bigint,"
        f" {columns}, _reasons varchar[], _raw varchar)"
    )


def _staged_rows(judged: str) -> str:
    return f"select * exclude (_blanked) from ({judged}) as judged"


def stage_files(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    files: Sequence[NumberedFile],
    judge: Judge,
) -> None:
    """Append the rows of files to `staged`.

    `_position` is the row number in Parquet files; in text files it grows with the rows, and for rows with reasons it
    is the physical line.

    Raises:
        SourceError: a file cannot be read, or lacks a column.
    """
    parquet: dict[tuple, list[NumberedFile]] = {}
    headless: list[NumberedFile] = []
    has_header = False
    for numbered in files:
        file = numbered.file
        verify_gzip(file)
        found = layout(connection, file, table, columns)
        if file.format == "jsonl":
            _stage_json(connection, table, columns, numbered, judge)
        elif found is None:
            headless.append(numbered)
        elif file.format == "csv":
            has_header = True
            _stage_csv(connection, table, columns, numbered, found, judge)
        else:
            parquet.setdefault(tuple(sorted(found.types.items())), []).append(numbered)
    if headless and not has_header:
        raise SourceError(f"{headless[0].file.label}: empty, not even a header. Deliver it again, or remove it")
    for types, alike in parquet.items():
        _stage_parquet(connection, table, columns, alike, dict(types), judge)


def parquet_rows(
    table: RawTable, columns: Mapping[str, str], files: Sequence[NumberedFile], types: Mapping[str, str]
) -> RawRows:
    """The rows of Parquet files that have the same columns."""
    numbers = [numbered.number for numbered in files]
    deliveries = [numbered.delivery for numbered in files]
    values = {
        column.name: (identifier(in_file), types[in_file])
        for column in table.columns
        if (in_file := columns.get(column.name, column.name)) in types
    }
    return _rows(
        table,
        f"{parquet_scan([numbered.file.path for numbered in files])}",
        values,
        file=f"list_extract({numbers}, cast(file_index as bigint) + 1)",
        delivery=f"list_extract({deliveries}, cast(file_index as bigint) + 1)",
        position="file_row_number + 1",
    )


def fits_as_is(found: Layout, table: RawTable, columns: Mapping[str, str]) -> bool:
    """Whether a Parquet file has the contract's columns in its types under their own names, and nothing else."""
    if any(name != in_file for name, in_file in columns.items()):
        return False
    return dict(found.types) == {column.name: column.duckdb_type.upper() for column in table.columns}


def _stage_parquet(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    files: Sequence[NumberedFile],
    types: Mapping[str, str],
    judge: Judge,
) -> None:
    with reading(files):
        connection.execute(f"insert into staged {_staged_rows(judge(parquet_rows(table, columns, files, types)))}")


@contextmanager
def reading(files: Sequence[NumberedFile]) -> Iterator[None]:
    """Name the files when DuckDB cannot read one of them."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.ProgrammingError):
        raise
    except duckdb.Error as error:
        named = ", ".join(numbered.file.label for numbered in files[:3]) + (", ..." if len(files) > 3 else "")
        raise SourceError(f"{named}: cannot be read ({_one_line(error)}). Deliver again") from error


def _rows(
    table: RawTable,
    relation: str,
    values: Mapping[str, tuple[str, str]],
    *,
    file: str | int,
    delivery: str | int,
    position: str,
    problem: str = "cast(null as varchar)",
    text: str = "cast(null as varchar)",
) -> RawRows:
    """`values`: contract column -> (SQL expression, DuckDB type); columns without one are null."""
    null = ("cast(null as varchar)", "VARCHAR")
    selected = ", ".join(f"{values.get(column.name, null)[0]} as r_{column.name}" for column in table.columns)
    sql = (
        f"select {file} as _file, {delivery} as _delivery, {position} as _position, {problem} as _problem,"
        f" {text} as _text, {selected} from {relation}"
    )
    return RawRows(sql, {column.name: values.get(column.name, null)[1] for column in table.columns})


def _stage_csv(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    numbered: NumberedFile,
    found: Layout,
    judge: Judge,
) -> None:
    names = [f"f{index}" for index in range(len(found.names))]
    values = {
        column.name: (names[found.names.index(in_file)], "VARCHAR")
        for column in table.columns
        if (in_file := columns.get(column.name, column.name)) in found.names
    }

    def stage(position: str, **broken: str) -> None:
        rows = _rows(
            table, "loaded", values, file=numbered.number, delivery=numbered.delivery, position=position, **broken
        )
        connection.execute(f"insert into staged {_staged_rows(judge(rows))}")

    declared = ", ".join(f"'{name}': 'varchar'" for name in names)
    fast = _load_text(
        connection, numbered.file, f"header = true, columns = {{{declared}}}, delim = {literal(found.delimiter)},"
        " quote = '\"', escape = '\"', strict_mode = true"
    )
    if fast:
        stage("loaded.rowid + 1")
        if _locate_bad_rows(connection, numbered, found):
            return
        connection.execute("delete from staged where _file = ?", [numbered.number])
    schema = pa.schema([("line", pa.int64()), ("problem", pa.string()), ("shown", pa.string())])
    for name in names:
        schema = schema.append(pa.field(name, pa.string()))
    blank = [None] * len(names)
    records = itertools.islice(csv_records(numbered.file.path, found.delimiter, len(names)), 1, None)
    rows = ((r.line, r.problem, r.text if r.problem else None, *(r.fields or blank)) for r in records)
    _load_batches(connection, schema, _batches(schema, rows))
    stage("line", problem="problem", text="shown")


def _load_text(connection: duckdb.DuckDBPyConnection, file: SourceFile, options: str) -> bool:
    """Load a text file into `loaded`, all columns as text, in the file's order; False where a line is broken."""
    try:
        connection.execute(
            f"create or replace temp table loaded as select * from read_csv({path_literals([file.path])},"
            f" auto_detect = false, {options}, max_line_size = {MAX_LINE_BYTES}, buffer_size = {4 * MAX_LINE_BYTES})"
        )
    except (duckdb.InvalidInputException, duckdb.OutOfRangeException, duckdb.ConversionException):
        return False
    return True


def _locate_bad_rows(connection: duckdb.DuckDBPyConnection, numbered: NumberedFile, found: Layout) -> bool:
    """Turn the row numbers of bad rows into physical lines; False if the two readers do not see the same records."""
    bad = connection.execute(
        "select _position from staged where _file = ? and _reasons is not null", [numbered.number]
    ).fetchall()
    if not bad:
        return True
    total = connection.execute("select count(*) from loaded").fetchall()[0][0]
    wanted = {position for (position,) in bad}
    lines: dict[int, int] = {}
    ordinal = 0
    for record in itertools.islice(csv_records(numbered.file.path, found.delimiter, len(found.names)), 1, None):
        if record.problem is not None:
            return False
        ordinal += 1
        if ordinal in wanted:
            lines[ordinal] = record.line
    if ordinal != total:
        return False
    connection.register("located", pa.table({"ordinal": list(lines.keys()), "line": list(lines.values())}))
    connection.execute(
        "update staged set _position = located.line from located"
        " where staged._file = ? and staged._position = located.ordinal and staged._reasons is not null",
        [numbered.number],
    )
    connection.unregister("located")
    return True


def _stage_json(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    numbered: NumberedFile,
    judge: Judge,
) -> None:
    # The delimiter is a character that no valid JSON holds unescaped; blank lines come as nulls, so rows are lines.
    options = "header = false, columns = {'text': 'varchar'}, delim = '\x01', quote = '', escape = ''"
    if _load_text(connection, numbered.file, options):
        loaded = "(select rowid + 1 as line, cast(null as varchar) as problem, text from loaded)"
    else:
        schema = pa.schema([("line", pa.int64()), ("problem", pa.string()), ("text", pa.string())])
        rows = ((record.line, record.problem, record.text) for record in json_records(numbered.file.path))
        _load_batches(connection, schema, _batches(schema, rows))
        loaded = "loaded"
    pointers = [
        "/" + columns.get(column.name, column.name).replace("~", "~0").replace("/", "~1") for column in table.columns
    ]
    relation = f"""(
        select *, case when fault is null then json_extract_string(text, {literals(pointers)}) end as found
        from (
            select line, text,
                case
                    when problem is not null then problem
                    when not json_valid(text) then 'no valid JSON'
                    when json_type(text) <> 'OBJECT' then 'no JSON object'
                    when len(list_distinct(json_keys(text))) < len(json_keys(text)) then 'key twice in one JSON object'
                end as fault
            from {loaded} as loaded
            where problem is not null or trim(text, e' \\t\\r') <> ''))"""
    values = {column.name: (f"found[{index}]", "VARCHAR") for index, column in enumerate(table.columns, start=1)}
    rows = _rows(
        table, relation, values, file=numbered.number, delivery=numbered.delivery, position="line",
        problem="fault", text="left(text, 10000)",
    )
    connection.execute(f"insert into staged {_staged_rows(judge(rows))}")


def stage_query(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, judge: Judge) -> None:
    """Append the result of a source's query to `staged`; its columns count by name.

    Raises:
        SourceError: the query is no single select, fails, or its result lacks a column.
    """
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    try:
        connection.execute(f"create or replace temp table loaded as {selected}")
    except duckdb.Error as error:
        raise SourceError(f"{label}: {_one_line(error)}") from error
    described = connection.execute("describe loaded").fetchall()
    _stage_loaded(connection, table, source.columns, {row[0]: row[1] for row in described}, judge, label, 0)


def check_query(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource) -> None:
    """Prepare a source's query without running it.

    Raises:
        SourceError: as `stage_query`.
    """
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    try:
        described = connection.execute(f"describe {selected}").fetchall()
    except duckdb.Error as error:
        raise SourceError(f"{label}: {_one_line(error)}") from error
    check_columns(label, [row[0] for row in described], table, source.columns)


def single_select(connection: duckdb.DuckDBPyConnection, label: str, query: str) -> str:
    """A source's query as a select without comments that could swallow what follows.

    Raises:
        SourceError: it is no single select.
    """
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise SourceError(f"{label}: {_one_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError(f"{label}: give one select statement")
    # The line break ends a comment at the end of the query.
    return f"select * from (\n{statements[0].query.strip().rstrip(';')}\n) as delivered"


def stage_batches(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    batches: Iterable[pa.RecordBatch],
    judge: Judge,
    label: str,
) -> None:
    """Append the rows of Arrow batches to `staged`; `_position` counts the rows.

    Keys that a batch marks as `_deleted` come into `gone`, as text, and not into `staged`, and what `staged` has of them from before
    the deletion goes. What comes after it is a row that was restored.

    Raises:
        SourceError: a batch lacks a column.
    """
    keys = ", ".join(f"{identifier(name)} varchar" for name in table.key)
    connection.execute(f"create or replace temp table gone ({keys}, _position bigint)")
    position = 0
    for schema, alike in itertools.groupby(batches, key=lambda batch: batch.schema):
        _load_batches(connection, schema, alike)
        types = {row[0]: row[1] for row in connection.execute("describe loaded").fetchall()}
        [(last,)] = connection.execute("select count(*) from loaded").fetchall()
        if types.pop(DELETED, None) is not None:
            _set_deleted_apart(connection, table, columns, position)
        _stage_loaded(connection, table, columns, types, judge, label, position)
        position += last
    same = " and ".join(f"gone.{identifier(name)} = cast(staged.{identifier(name)} as varchar)" for name in table.key)
    connection.execute(f"delete from staged using gone where {same} and staged._position < gone._position")


def _set_deleted_apart(
    connection: duckdb.DuckDBPyConnection, table: RawTable, columns: Mapping[str, str], rows_before: int
) -> None:
    keys = ", ".join(f"cast({identifier(columns.get(name, name))} as varchar)" for name in table.key)
    connection.execute(f"insert into gone select {keys}, loaded.rowid + {rows_before + 1} from loaded where {DELETED}")
    connection.execute(f"delete from loaded where {DELETED}")


def _stage_loaded(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    types: Mapping[str, str],
    judge: Judge,
    label: str,
    rows_before: int,
) -> None:
    """Stage `loaded`, a table with the source's own columns."""
    check_columns(label, list(types), table, columns)
    values = {
        column.name: (f"loaded.{identifier(in_file)}", types[in_file])
        for column in table.columns
        if (in_file := columns.get(column.name, column.name)) in types
    }
    rows = _rows(table, "loaded", values, file=0, delivery=0, position=f"loaded.rowid + {rows_before + 1}")
    connection.execute(f"insert into staged {_staged_rows(judge(rows))}")


def _load_batches(
    connection: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    raised: list[Exception] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            raised.append(error)
            raise

    connection.register("incoming", pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        connection.execute("create or replace temp table loaded as select * from incoming")
    except duckdb.Error:
        # DuckDB makes an error of its own, with a traceback as text, of what a batch's maker raised.
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.unregister("incoming")


def _batches(schema: pa.Schema, rows: Iterator[tuple]) -> Iterator[pa.RecordBatch]:
    while chunk := list(itertools.islice(rows, _BATCH_ROWS)):
        columns = zip(zip(*chunk, strict=True), schema.types, strict=True)
        yield pa.record_batch([pa.array(column, type=type_) for column, type_ in columns], schema=schema)
