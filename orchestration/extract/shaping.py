"""Files whose rows a query shapes: nested JSON taken apart, rows left out, columns computed.

The query is DuckDB's SQL and reads one file at a time, as the relation `file`. Of JSON lines it has one column, `line`, the JSON object;
of CSV files the columns by name, as text; of Parquet files the columns as they are. What is broken in a text file goes to quarantine
before the query; what the query gives is judged by the contract.
"""

from collections.abc import Sequence

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.deliveries import Delivery, NumberedFile, SourceFile
from orchestration.extract.errors import SourceError
from orchestration.extract.layout import count_text, empty_file, parquet_scan, read_layout, reading
from orchestration.extract.source_query import check_query, single_select
from orchestration.extract.staging import Judge, stage_broken, stage_select
from orchestration.extract.text_files import csv_names, load_csv, load_csv_records, load_json_lines
from orchestration.plain_text import as_said
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier

_JSON_ROW = "cast(null as json) as line"


def stage_shaped(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    source: FilesSource,
    numbered_files: Sequence[NumberedFile],
    judge: Judge,
) -> None:
    """Append what the source's query makes of each file to `staged`.

    `_position` counts the rows of the result; for broken records of text files it is the physical line.

    Raises:
        SourceError: a file cannot be read; the query is no single select, fails, or its result lacks a column.
    """
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    for numbered in numbered_files:
        file = numbered.file
        with reading([numbered]):
            broken = open_file(connection, table, file)
            if broken is not None:
                stage_broken(connection, table, broken, numbered, judge)
        try:
            stage_select(connection, table, source.columns, selected, numbered, judge, label)
        except duckdb.Error as error:
            # The message of a conversion that failed shows the value.
            said = as_said(error) if not file.is_foreign else type(error).__name__
            raise SourceError(f"{label}: {file.label}: {said}") from (None if file.is_foreign else error)


def check_shaped(
    connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, deliveries: Sequence[Delivery]
) -> None:
    """Prepare a source's query without running it, on the shape of the first file.

    With a delivery day in the path no file is opened: then only queries over JSON lines, whose shape is known, are prepared.

    Raises:
        SourceError: as `stage_shaped`.
    """
    first = deliveries[0].files[0]
    if first.format == "jsonl":
        _define(connection, f"select {_JSON_ROW} where false")
    elif source.day_token is None:
        open_file(connection, table, first)
    else:
        return
    check_query(connection, table, source, first.is_foreign)


def open_file(connection: duckdb.DuckDBPyConnection, table: RawTable, file: SourceFile) -> str | None:
    """Make the view `file`; a relation of the records that are not in it since they are broken, if any can be."""
    if file.format == "jsonl":
        connection.execute(f"create or replace temp table lines as select * from {load_json_lines(connection, file, count_text(file))}")
        connection.execute("drop table loaded")
        _define(connection, "select cast(text as json) as line from lines where fault is null")
        return "(select * from lines where fault is not null)"
    found = read_layout(connection, file, table, {})
    if found is None:
        raise empty_file(file)
    if file.format == "parquet":
        _define(connection, f"select * from {parquet_scan([file.path])}")
        return None
    names = ", ".join(f"{name} as {identifier(shown)}" for name, shown in zip(csv_names(found), found.names, strict=True))
    if load_csv(connection, file, found, count_text(file)):
        _define(connection, f"select {names} from loaded")
        return None
    load_csv_records(connection, file, found)
    _define(connection, f"select {names} from loaded where problem is null")
    return "(select line, shown as text, problem as fault from loaded where problem is not null)"


def _define(connection: duckdb.DuckDBPyConnection, selected: str) -> None:
    connection.execute(f"create or replace temp view file as {selected}")
