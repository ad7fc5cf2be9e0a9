"""CSV and JSON lines into `loaded`, a table of strings.

Clean files are read by DuckDB alone. Where a text file is broken somewhere, has a line longer than DuckDB's buffer, or gives
DuckDB another number of records than its bytes hold (`Counted`), it is read again record by record (`records.py`), so that one
broken line costs one row, and none is lost.
"""

import itertools
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import Layout
from orchestration.extract.files.deliveries import SourceFile
from orchestration.extract.files.lines import (
    INVALID_ENCODING,
    MAX_LINE_BYTES,
    NOT_JSON,
    NOT_OBJECT,
    Counted,
    csv_records,
    is_gzip,
    json_records,
)
from orchestration.extract.files.opening import refuse_other_encoding
from orchestration.extract.session import load_batches, path_literals
from orchestration.warehouse import literal

_BATCH_ROWS = 50_000
_BATCH_CHARACTERS = 4 * MAX_LINE_BYTES


def csv_names(found: Layout) -> list[str]:
    """What the columns of a CSV file are called in `loaded`."""
    return [f"f{index}" for index in range(len(found.names))]


def load_csv(connection: duckdb.DuckDBPyConnection, file: SourceFile, found: Layout, counted: Counted) -> bool:
    """Load a CSV file into `loaded`, all columns as text; False where a record is broken, too long, or not read."""
    declared = ", ".join(f"'{name}': 'varchar'" for name in csv_names(found))
    options = (
        f"header = true, columns = {{{declared}}}, delim = {literal(found.delimiter)}, quote = '\"', escape = '\"', strict_mode = true"
    )
    return not counted.has_long_line and _load_text(connection, file, options) == counted.records - 1


def load_csv_records(connection: duckdb.DuckDBPyConnection, file: SourceFile, found: Layout) -> None:
    """Load a CSV file record by record: as `load_csv` with `line`, and for broken ones `problem` and `shown`.

    Raises:
        SourceError: the file is not UTF-8.
    """
    names = csv_names(found)
    schema = pa.schema([("line", pa.int64()), ("problem", pa.string()), ("shown", pa.string())])
    for name in names:
        schema = schema.append(pa.field(name, pa.string()))
    blank = [None] * len(names)
    records = itertools.islice(csv_records(file.path, found.delimiter, len(names)), 1, None)
    rows = ((r.line, r.problem, r.text if r.problem else None, *(r.fields or blank)) for r in records)
    load_batches(connection, schema, _batches(schema, rows))
    _refuse_other_encoding(connection, file)


def not_blank(found: Layout) -> str:
    """SQL for whether a row of a CSV file in `loaded` has a field that is not blank; the first one decides it for most rows."""
    names = csv_names(found)
    plain = " or ".join(f"{name} >= '!'" for name in names)
    return f"({plain} or regexp_matches(concat_ws('', {', '.join(names)}), '[^\\s\\p{{Z}}]'))"


def _refuse_other_encoding(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> None:
    if connection.execute("select 1 from loaded where problem = ? limit 1", [INVALID_ENCODING]).fetchall():
        refuse_other_encoding(file)


def load_json_lines(connection: duckdb.DuckDBPyConnection, file: SourceFile, counted: Counted) -> str:
    """Load a JSON lines file into `loaded`.

    Returns:
        A relation of the lines that are not blank: `line` (number), `text`, and what is wrong (`fault`) with one that is not a JSON object.

    Raises:
        SourceError: not every line could be read, or the file is not UTF-8.
    """
    # The delimiter is a character that no valid JSON holds unescaped; blank lines come as nulls, so rows are lines.
    options = "header = false, columns = {'text': 'varchar'}, delim = '\x01', quote = '', escape = ''"
    if not counted.has_long_line and _load_text(connection, file, options) == counted.lines:
        loaded = "(select rowid + 1 as line, cast(null as varchar) as problem, text from loaded)"
    else:
        schema = pa.schema([("line", pa.int64()), ("problem", pa.string()), ("text", pa.string())])
        rows = ((record.line, record.problem, record.text) for record in json_records(file.path))
        load_batches(connection, schema, _batches(schema, rows))
        if (read := rows_loaded(connection)) != counted.records:
            raise SourceError(f"{file.label}: {counted.records} records in the file, but {read} could be read. Deliver it in parts")
        _refuse_other_encoding(connection, file)
        loaded = "loaded"
    return f"""(
        select line, text,
            case
                when problem is not null then problem
                when not json_valid(text) then {literal(NOT_JSON)}
                when json_type(text) <> 'OBJECT' then {literal(NOT_OBJECT)}
                when len(list_distinct(json_keys(text))) < len(json_keys(text)) then 'key twice in one JSON object'
            end as fault
        from {loaded} as loaded
        where problem is not null or trim(text, e' \\t\\r') <> '')"""


def _load_text(connection: duckdb.DuckDBPyConnection, file: SourceFile, options: str) -> int | None:
    """Load a text file into `loaded`, all columns as text, in the file's order; how many rows, None where a line is broken."""
    try:
        connection.execute(
            f"create or replace temp table loaded as select * from read_csv({path_literals([file.path])},"
            f" auto_detect = false, compression = '{'gzip' if is_gzip(file.path) else 'none'}', {options}, "
            f"max_line_size = {MAX_LINE_BYTES}, buffer_size = {4 * MAX_LINE_BYTES})"
        )
    except (
        duckdb.InvalidInputException, duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.NotImplementedException
    ):  # fmt: skip
        return None
    return rows_loaded(connection)


def rows_loaded(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select count(*) from loaded").fetchall()[0][0]


def _batches(schema: pa.Schema, rows: Iterator[tuple]) -> Iterator[pa.RecordBatch]:
    """Rows in batches that fit in memory, however long their strings are."""
    chunk: list[tuple] = []
    size = 0
    for row in rows:
        chunk.append(row)
        # The first one is the number of the line.
        size += sum(len(text) for text in row[1:] if text)
        if len(chunk) == _BATCH_ROWS or size >= _BATCH_CHARACTERS:
            yield _batch(schema, chunk)
            chunk, size = [], 0
    if chunk:
        yield _batch(schema, chunk)


def _batch(schema: pa.Schema, rows: list[tuple]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), schema.types, strict=True)
    return pa.record_batch([pa.array(column, type=type_) for column, type_ in columns], schema=schema)
