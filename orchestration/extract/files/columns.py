"""What a file holds, before its rows are read: is it whole, and which columns has it."""

import gzip
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import RawTable
from orchestration.extract.errors import SourceError
from orchestration.extract.files.deliveries import NumberedFile, SourceFile
from orchestration.extract.files.lines import Counted, count_records, csv_records
from orchestration.extract.files.opening import damaged_gzip, first_bytes, refuse_other_encoding
from orchestration.extract.session import path_literals
from orchestration.plain_text import as_said, one_line

_DELIMITERS = (",", ";", "\t", "|")
# Far above what a table of people has; every column costs DuckDB's reader memory, whether the contract has it or not.
MAX_COLUMNS = 1_000
_NAMES_SHOWN, _LONGEST_NAME = 20, 80
# A header is looked for among so many lines.
_LINES_OF_TITLE = 30
# Schema of a Parquet file as text -> its columns' DuckDB types. A day of forty files alike is described once.
_described: dict[str, Mapping[str, str]] = {}


@dataclass(frozen=True)
class Layout:
    """What the columns of a file hold: names, DuckDB types and the number of rows (Parquet), the delimiter (CSV)."""

    names: tuple[str, ...]
    types: Mapping[str, str]
    delimiter: str = ","
    rows: int | None = None


def count_text(file: SourceFile) -> Counted:
    """Count the records of a text file from its bytes. A packed one is unpacked to its end: truncated, it would load in part.

    Raises:
        SourceError: a gzip stream is truncated or damaged.
    """
    try:
        return count_records(file.path, quoted=file.format == "csv")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(file, error) from error


def layout(connection: duckdb.DuckDBPyConnection, file: SourceFile, table: RawTable, columns: Mapping[str, str]) -> Layout | None:
    """The columns of a CSV or Parquet file; None for JSON lines and for an empty file.

    Args:
        connection: any.
        file: the file.
        table: the contract.
        columns: contract column -> column in the file, where the names differ.

    Raises:
        SourceError: a column is missing or duplicated, or the file cannot be read.
    """
    if file.format == "jsonl":
        return None
    found = read_layout(connection, file, table, columns)
    if found is None:
        return None
    try:
        check_columns(file.label, found.names, table, columns, file.hides_content)
    except SourceError as error:
        if file.format != "csv":
            raise
        if (line := _header_below(file, table, columns)) is not None:
            raise SourceError(f"{error}, or remove the lines above line {line}, which has them") from None
        if len(found.names) == 1 and all(name in found.names[0] for name in _needed(table, columns)):
            raise SourceError(
                f"{file.label}: the columns are not separated by comma, semicolon, tab or |. Deliver it with one of these"
            ) from None
        raise
    return found


def _needed(table: RawTable, columns: Mapping[str, str]) -> set[str]:
    return {columns.get(column.name, column.name) for column in table.columns if column.required or column.name in columns}


def _header_below(file: SourceFile, table: RawTable, columns: Mapping[str, str]) -> int | None:
    """The line of a header that is below a title; None without one."""
    wanted = _needed(table, columns)
    for delimiter in _DELIMITERS:
        for record in itertools.islice(csv_records(file.path, delimiter), 1, _LINES_OF_TITLE):
            if record.fields is not None and wanted <= {name.strip() for name in record.fields}:
                return record.line
    return None


def read_layout(connection: duckdb.DuckDBPyConnection, file: SourceFile, table: RawTable, columns: Mapping[str, str]) -> Layout | None:
    """The columns of a CSV or Parquet file, whatever they are; None for an empty file.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        if file.format == "csv":
            return _csv_layout(file, table, columns)
        return _parquet_layout(connection, file) if first_bytes(file.path, 1) else None
    except (OSError, EOFError, zlib.error, pa.ArrowException, duckdb.Error) as error:
        raise SourceError(f"{file.label}: cannot be read ({as_said(error)}). Deliver it again") from error


def check_columns(label: str, names: Sequence[str], table: RawTable, columns: Mapping[str, str], hides_content: bool = False) -> None:
    """Refuse a duplicate column, and the lack of a required or of an explicitly mapped one.

    Of a file whose content no message shows (`SourceFile.hides_content`) it has the names that are wanted, and none that were found:
    without a header the first row would be taken for one.
    """
    wanted = [columns.get(column.name, column.name) for column in table.columns]
    twice = sorted(name for name, times in Counter(names).items() if times > 1 and name in wanted)
    if twice:
        named = f"column {_listed(twice)} is" if not hides_content else "a column is"
        raise SourceError(f"{label}: {named} duplicated. Rename or remove one of them")
    missing = [
        columns.get(column.name, column.name)
        for column in table.columns
        if (column.required or column.name in columns) and columns.get(column.name, column.name) not in names
    ]
    if missing:
        found = f"found are {_listed(names) or 'none'}"
        if hides_content:
            found = f"wanted are {', '.join(wanted)}"
        alike = {} if hides_content else _alike(missing, names)
        example = (
            f" = {{ {', '.join(f'{name} = {json.dumps(place, ensure_ascii=False)}' for name, place in alike.items())} }}" if alike else ""
        )
        raise SourceError(
            f"{label}: column {', '.join(missing)} of {table.name} is missing; {found}. "
            f"Map renamed columns with sources.{table.name}.columns{example}"
        )


def _alike(missing: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Missing columns of the contract that are there in another case or with other signs between the words."""
    plain = {re.sub(r"[\W_]+", "_", name.lower()).strip("_"): name for name in names}
    return {name: plain[name] for name in missing if name in plain}


def _listed(names: Sequence[str]) -> str:
    """The first names; a file that is something else than it should be may have thousands, or one of a megabyte."""
    shown = ", ".join(one_line(name, _LONGEST_NAME) for name in names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def fits_as_is(found: Layout, table: RawTable, columns: Mapping[str, str]) -> bool:
    """Whether a Parquet file has the contract's columns in its types under their own names, and nothing else."""
    if any(name != in_file for name, in_file in columns.items()):
        return False
    return dict(found.types) == {column.name: column.duckdb_type.upper() for column in table.columns}


def _csv_layout(file: SourceFile, table: RawTable, columns: Mapping[str, str]) -> Layout | None:
    """The header, read with the delimiter that finds most of the contract's columns; of several, the one that finds most columns."""
    wanted = {columns.get(column.name, column.name) for column in table.columns}
    best: Layout | None = None
    unreadable = None

    def fit(names: Sequence[str]) -> tuple[int, int]:
        return len(wanted & set(names)), len(names)

    for delimiter in _DELIMITERS:
        header = next(csv_records(file.path, delimiter), None)
        if header is None:
            return None
        if header.fields is None:
            # Quoted names look broken under every delimiter but their own.
            unreadable = unreadable or header
            continue
        names = tuple(name.strip() for name in header.fields)
        if best is None or fit(names) > fit(best.names):
            best = Layout(names, {name: "VARCHAR" for name in names}, delimiter)
    if best is None and unreadable is not None:
        refuse_other_encoding(file)
        raise SourceError(f"{file.label} line {unreadable.line}: the header cannot be read: {unreadable.problem}")
    if best is not None and len(best.names) > MAX_COLUMNS:
        raise SourceError(
            f"{file.label}: {len(best.names)} columns, at most {MAX_COLUMNS} can be read. "
            f"Leave out those that {table.name} does not need, or deliver Parquet"
        )
    return best


def _parquet_layout(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> Layout:
    footer = pq.read_metadata(file.path)
    # The first line is an address in memory.
    schema = str(footer.schema).partition("\n")[2]
    if (types := _described.get(schema)) is None:
        rows = connection.execute(f"describe select * from {parquet_scan([file.path])}").fetchall()
        types = _described[schema] = {row[0]: row[1] for row in rows}
    return Layout(tuple(footer.schema.to_arrow_schema().names), types, rows=footer.num_rows)


def parquet_scan(paths: Sequence[Path]) -> str:
    return f"read_parquet({path_literals(paths)}, binary_as_string = true, hive_partitioning = false)"


@contextmanager
def reading(files: Sequence[NumberedFile]) -> Iterator[None]:
    """Name the files when DuckDB cannot read one of them."""
    named = ", ".join(numbered.file.label for numbered in files[:3]) + (", ..." if len(files) > 3 else "")
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SourceError(
            f"{named}: reading takes more memory than pipeline.memory_limit allows. "
            "Raise memory_limit, or deliver fewer columns, shorter values or smaller files"
        ) from error
    except duckdb.Error as error:
        raise SourceError(f"{named}: cannot be read ({as_said(error)}). Deliver again") from error
