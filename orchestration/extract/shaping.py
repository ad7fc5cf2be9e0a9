"""Files whose rows a query shapes: nested JSON taken apart, rows left out, columns computed.

The query is DuckDB's SQL and reads one file at a time, as the relation `file`. Of JSON lines it has one column, `line`, the JSON object;
of CSV files the columns by name, as text; of Parquet files the columns as they are. What is broken in a text file goes to quarantine
before the query; what the query gives is judged by the contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import count_text, parquet_scan, read_layout, reading
from orchestration.extract.files.deliveries import Delivery, NumberedFile, SourceFile
from orchestration.extract.files.opening import opened
from orchestration.extract.files.query import check_query, single_select
from orchestration.extract.files.text import csv_names, load_csv, load_csv_records, load_json_lines, not_blank
from orchestration.extract.session import scratch_folder
from orchestration.extract.staging import Judge, Notes, blank_note, empty_note, stage_broken, stage_select
from orchestration.plain_text import as_said
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier

_JSON_ROW = "cast(null as json) as line"


@dataclass(frozen=True)
class Shape:
    """What the view `file` does not hold: a relation of broken records, if there can be any, and how many rows are blank."""

    broken: str | None = None
    blank: int = 0


def stage_shaped(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    source: FilesSource,
    numbered_files: Sequence[NumberedFile],
    judge: Judge,
) -> Notes:
    """Append what the source's query makes of each file to `staged`; an empty file has no rows.

    `_position` counts the rows of the result; for broken records of text files it is the physical line.

    Raises:
        SourceError: a file cannot be read; the query is no single select, fails, or its result lacks a column.
    """
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    notes: Notes = {}
    for delivered in numbered_files:
        with opened(delivered.file, scratch_folder(connection)) as file:
            numbered = replace(delivered, file=file)
            with reading([numbered]):
                shape = open_file(connection, table, file)
                if shape is None:
                    notes.setdefault(numbered.delivery, []).append(empty_note(file))
                    continue
                if shape.broken is not None:
                    stage_broken(connection, table, shape.broken, numbered, judge)
            if shape.blank:
                notes.setdefault(numbered.delivery, []).append(blank_note(file, shape.blank))
            try:
                stage_select(connection, table, source.columns, selected, numbered, judge, label)
            except duckdb.Error as error:
                # The message of a conversion that failed shows the value.
                said = as_said(error) if not file.is_foreign else type(error).__name__
                raise SourceError(f"{label}: {file.label}: {said}") from (None if file.is_foreign else error)
    return notes


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
        check_query(connection, table, source, first.is_foreign)
    elif source.day_token is None:
        with TemporaryDirectory() as scratch, opened(first, Path(scratch), head=True) as file:
            if open_file(connection, table, file) is not None:
                check_query(connection, table, source, first.is_foreign)


def open_file(connection: duckdb.DuckDBPyConnection, table: RawTable, file: SourceFile) -> Shape | None:
    """Make the view `file` of a file that is `opened`; None for an empty one, which has no columns."""
    if file.format == "jsonl":
        connection.execute(f"create or replace temp table lines as select * from {load_json_lines(connection, file, count_text(file))}")
        connection.execute("drop table loaded")
        _define(connection, "select cast(text as json) as line from lines where fault is null")
        return Shape("(select * from lines where fault is not null)")
    found = read_layout(connection, file, table, {})
    if found is None:
        return None
    if file.format == "parquet":
        _define(connection, f"select * from {parquet_scan([file.path])}")
        return Shape()
    names = ", ".join(f"{name} as {identifier(shown)}" for name, shown in zip(csv_names(found), found.names, strict=True))
    if load_csv(connection, file, found, count_text(file)):
        broken, is_read = None, "true"
    else:
        load_csv_records(connection, file, found)
        broken, is_read = "(select line, shown as text, problem as fault from loaded where problem is not null)", "problem is null"
    _define(connection, f"select {names} from loaded where {is_read} and {not_blank(found)}")
    [(blank,)] = connection.execute(f"select count(*) from loaded where {is_read} and not {not_blank(found)}").fetchall()
    return Shape(broken, blank)


def _define(connection: duckdb.DuckDBPyConnection, selected: str) -> None:
    connection.execute(f"create or replace temp view file as {selected}")
