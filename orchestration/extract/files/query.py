"""The query of a `files` source: one select, which shapes the rows of its files: nested JSON taken apart, rows left out, columns computed.

It is DuckDB's SQL. With a path it reads one file at a time, as the relation `file`. Of JSON lines that has one column, `line`, the JSON
object; of CSV files the columns by name, as text; of Parquet files the columns as they are. What is broken in a text file goes to
quarantine before the query; what the query gives is judged by the contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import check_columns, count_text, parquet_scan, read_layout
from orchestration.extract.files.deliveries import Delivery, SourceFile
from orchestration.extract.files.opening import opened
from orchestration.extract.files.text import csv_names, load_csv, load_csv_records, load_json_lines, not_blank
from orchestration.plain_text import as_said
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier

_JSON_ROW = "cast(null as json) as line"


def check_query(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, is_foreign: bool = False) -> None:
    """Prepare a source's query without running it.

    Args:
        connection: with the view `file`, where the query reads one.
        table: the contract.
        source: with the query.
        is_foreign: as `SourceFile`, of the file that the query reads.

    Raises:
        SourceError: as `stage_query`.
    """
    assert source.query is not None
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    try:
        described = connection.execute(f"describe {selected}").fetchall()
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said(error)}") from error
    check_columns(label, [row[0] for row in described], table, source.columns, is_foreign)


def single_select(connection: duckdb.DuckDBPyConnection, label: str, query: str) -> str:
    """A source's query as a select without comments that could swallow what follows.

    Raises:
        SourceError: it is not a single select.
    """
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError(f"{label}: give one select statement")
    # The line break ends a comment at the end of the query.
    return f"select * from (\n{statements[0].query.strip().rstrip(';')}\n) as delivered"


@dataclass(frozen=True)
class Shape:
    """What the view `file` does not hold: a relation of broken records, if there can be any, and how many rows are blank."""

    broken: str | None = None
    blank: int = 0


def check_shaped(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, deliveries: Sequence[Delivery]) -> None:
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
