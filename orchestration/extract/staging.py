"""Rows of files, queries and Arrow batches, judged, into the temporary table `staged`."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import DELETED
from orchestration.extract.errors import SourceError, as_said_of
from orchestration.extract.files.columns import Layout, check_columns, count_text, layout, parquet_scan, reading
from orchestration.extract.files.deliveries import Notes, NumberedFile, SourceFile
from orchestration.extract.files.lines import Counted, csv_records
from orchestration.extract.files.opening import opened
from orchestration.extract.files.query import open_file, single_select
from orchestration.extract.files.text import (
    csv_names,
    load_csv,
    load_csv_records,
    load_json_lines,
    not_blank,
    rows_loaded,
)
from orchestration.extract.judge import Judge, RawRows
from orchestration.extract.lake.write import quarantine_repeated
from orchestration.extract.session import literals, load_batches, scratch_folder
from orchestration.sources import FilesSource
from orchestration.warehouse import identifier


def create_staged(connection: duckdb.DuckDBPyConnection, table: RawTable) -> None:
    """An empty temporary table `staged` for judged rows, in place of an earlier one."""
    columns = ", ".join(f"{identifier(column.name)} {column.duckdb_type}" for column in table.columns)
    connection.execute(
        "create or replace temp table staged (_file integer, _delivery integer, _position bigint,"
        f" {columns}, _reasons varchar[], _raw varchar)"
    )


def stage_files(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    files: Sequence[NumberedFile],
    judge: Judge,
) -> Notes:
    """Append the rows of files to `staged`.

    `_position` is the row number in Parquet files; in text files it grows with the rows, and for rows with reasons it
    is the physical line. A file of which DuckDB gives fewer or more rows than its bytes hold lands no row; an empty one has none.

    Raises:
        SourceError: a file cannot be read, or not whole, or lacks a column.
    """
    parquet: dict[tuple, list[NumberedFile]] = {}
    footers: dict[int, int] = {}
    notes: Notes = {}
    scratch = scratch_folder(connection)
    for delivered in files:
        with opened(delivered.file, scratch) as file:
            numbered = replace(delivered, file=file)
            counted = None if file.format == "parquet" else count_text(file)
            found = layout(connection, file, table, columns)
            if found is None and (counted is None or counted.records == 0):
                notes.setdefault(numbered.delivery, []).append(empty_note(file))
            elif file.format == "jsonl":
                assert counted is not None
                with reading([numbered]):
                    _stage_json(connection, table, columns, numbered, counted, judge)
            elif file.format == "csv":
                assert found is not None and counted is not None
                with reading([numbered]):
                    blank = _stage_csv(connection, table, columns, numbered, found, counted, judge)
                if blank:
                    notes.setdefault(numbered.delivery, []).append(blank_note(file, blank))
            else:
                assert found is not None and found.rows is not None
                footers[numbered.number] = found.rows
                parquet.setdefault(tuple(sorted(found.types.items())), []).append(numbered)
    for types, alike in parquet.items():
        _stage_parquet(connection, table, columns, alike, dict(types), judge)
    if footers:
        check_whole(connection, "staged", files, footers)
    return notes


def empty_note(file: SourceFile) -> str:
    return f"{file.label}: empty, taken as a delivery without rows"


def blank_note(file: SourceFile, rows: int) -> str:
    return f"{file.label}: {rows} {'row' if rows == 1 else 'rows'} of nothing but blank fields left out"


def check_whole(connection: duckdb.DuckDBPyConnection, relation: str, files: Sequence[NumberedFile], footers: Mapping[int, int]) -> None:
    """Compare the rows of files in a relation with those that the footers of Parquet files name (file number -> rows)."""
    staged = dict(connection.execute(f"select _file, count(*) from {relation} group by all").fetchall())
    for numbered in files:
        wanted, read = footers.get(numbered.number), staged.get(numbered.number, 0)
        if wanted is not None and wanted != read:
            raise SourceError(f"{numbered.file.label}: {wanted} rows by its footer, but {read} could be read. Deliver it again")


def parquet_rows(table: RawTable, columns: Mapping[str, str], files: Sequence[NumberedFile], types: Mapping[str, str]) -> RawRows:
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


def _stage_csv(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    numbered: NumberedFile,
    found: Layout,
    counted: Counted,
    judge: Judge,
) -> int:
    """Stage a CSV file; how many rows of nothing but blank fields it has, which do not count."""
    names = csv_names(found)
    values = {
        column.name: (names[found.names.index(in_file)], "VARCHAR")
        for column in table.columns
        if (in_file := columns.get(column.name, column.name)) in found.names
    }

    def stage(wanted: str, position: str, **broken: Any) -> int:
        rows = _rows(table, f"loaded where {wanted}", values, file=numbered.number, delivery=numbered.delivery, position=position, **broken)
        [(staged,)] = connection.execute(f"insert into staged {_staged_rows(judge(rows))}").fetchall()
        return rows_loaded(connection) - staged

    if load_csv(connection, numbered.file, found, counted):
        blank = stage(not_blank(found), "loaded.rowid + 1")
        quarantine_repeated(connection, table, numbered.number)
        if _locate_bad_rows(connection, numbered, found):
            return blank
        connection.execute("delete from staged where _file = ?", [numbered.number])
    load_csv_records(connection, numbered.file, found)
    return stage(f"problem is not null or {not_blank(found)}", "line", problem="problem", text="shown")


def _locate_bad_rows(connection: duckdb.DuckDBPyConnection, numbered: NumberedFile, found: Layout) -> bool:
    """Turn the row numbers of bad rows into physical lines; False if the two readers do not see the same records."""
    bad = connection.execute("select _position from staged where _file = ? and _reasons is not null", [numbered.number]).fetchall()
    if not bad:
        return True
    total = rows_loaded(connection)
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
    counted: Counted,
    judge: Judge,
) -> None:
    places = [columns.get(column.name, column.name) for column in table.columns]
    nested = [place for place in places if "." in place]
    pointers = [_pointer([place]) for place in places] + [_pointer(place.split(".")) for place in nested]
    relation = f"""(
        select *, case when fault is null then json_extract_string(text, {literals(pointers)}) end as found
        from {load_json_lines(connection, numbered.file, counted)})"""
    values = {column.name: (f"found[{index}]", "VARCHAR") for index, column in enumerate(table.columns, start=1)}
    for index, place in enumerate(nested, start=len(places) + 1):
        name = table.columns[places.index(place)].name
        values[name] = (f"coalesce({values[name][0]}, found[{index}])", "VARCHAR")
    rows = _rows(
        table,
        relation,
        values,
        file=numbered.number,
        delivery=numbered.delivery,
        position="line",
        problem="fault",
        text="left(text, 10000)",
        has_typed_numbers=True,
    )
    connection.execute(f"insert into staged {_staged_rows(judge(rows))}")
    if counted.records == 1:
        _refuse_wrapped_rows(connection, table, numbered)


def _pointer(names: Sequence[str]) -> str:
    """A JSON pointer to a field, or to one within others."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def _refuse_wrapped_rows(connection: duckdb.DuckDBPyConnection, table: RawTable, numbered: NumberedFile) -> None:
    """Refuse the answer of an API as it came: one JSON object that is not a row, with the rows in a list in it."""
    found = connection.execute(
        "select key from (select text, unnest(json_keys(text)) as key from loaded where json_valid(text) and json_type(text) = 'OBJECT')"
        " where json_type(text -> key) = 'ARRAY' and json_type(text -> key -> 0) = 'OBJECT'"
        " and exists (select 1 from staged where _file = ? and _reasons is not null)",
        [numbered.number],
    ).fetchall()
    if len(found) == 1:
        key, name = found[0][0] if not numbered.file.is_foreign else "data", table.key[0]
        raise SourceError(
            f"{numbered.file.label}: one JSON object with the rows in a list in it. Take them out with a query beside the path:"
            f" query = \"select row ->> '$.{name}' as {name}, ... from (select unnest(cast(line -> '$.{key}' as json[])) as row from "
            f'file)",'
            " or deliver the list alone"
        )


def stage_broken(connection: duckdb.DuckDBPyConnection, table: RawTable, relation: str, numbered: NumberedFile, judge: Judge) -> None:
    """Append records that could not be taken apart to `staged`: `line`, `text` and `fault` of a relation."""
    rows = _rows(
        table,
        relation,
        {},
        file=numbered.number,
        delivery=numbered.delivery,
        position="line",
        problem="fault",
        text="left(text, 10000)",
    )
    connection.execute(f"insert into staged {_staged_rows(judge(rows))}")


def stage_select(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    columns: Mapping[str, str],
    selected: str,
    numbered: NumberedFile,
    judge: Judge,
    label: str,
) -> None:
    """Append the rows of a select over a file to `staged`; its columns count by name, `_position` counts its rows.

    Raises:
        SourceError: the result lacks a column.
    """
    types = {row[0]: row[1] for row in connection.execute(f"describe {selected}").fetchall()}
    check_columns(label, list(types), table, columns, numbered.file.is_foreign)
    values = {
        column.name: (identifier(in_result), types[in_result])
        for column in table.columns
        if (in_result := columns.get(column.name, column.name)) in types
    }
    rows = _rows(
        table,
        f"({selected}) as shaped",
        values,
        file=numbered.number,
        delivery=numbered.delivery,
        position="row_number() over ()",
    )
    connection.execute(f"insert into staged {_staged_rows(judge(rows))}")


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
        SourceError: a file cannot be read; the query is not a single select, fails, or its result lacks a column.
    """
    assert source.query is not None
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
                said = type(error).__name__ if file.is_foreign else as_said_of(table, error)
                raise SourceError(f"{label}: {file.label}: {said}") from (None if file.hides_content else error)
    return notes


def stage_query(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, judge: Judge) -> None:
    """Append the result of a source's query to `staged`; its columns count by name.

    Raises:
        SourceError: the query is not a single select, fails, or its result lacks a column.
    """
    assert source.query is not None
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    try:
        connection.execute(f"create or replace temp table loaded as {selected}")
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said_of(table, error)}") from (None if table.is_personal else error)
    described = connection.execute("describe loaded").fetchall()
    _stage_loaded(connection, table, source.columns, {row[0]: row[1] for row in described}, judge, label, 0)


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
        load_batches(connection, schema, alike)
        types = {row[0]: row[1] for row in connection.execute("describe loaded").fetchall()}
        [(last,)] = connection.execute("select count(*) from loaded").fetchall()
        if types.pop(DELETED, None) is not None:
            _set_deleted_apart(connection, table, columns, position)
        _stage_loaded(connection, table, columns, types, judge, label, position)
        position += last
    same = " and ".join(f"gone.{identifier(name)} is not distinct from cast(staged.{identifier(name)} as varchar)" for name in table.key)
    connection.execute(f"delete from staged using gone where {same} and staged._position < gone._position")


def _set_deleted_apart(connection: duckdb.DuckDBPyConnection, table: RawTable, columns: Mapping[str, str], rows_before: int) -> None:
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


def _staged_rows(judged: str) -> str:
    return f"select * exclude (_blanked) from ({judged}) as judged"


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
    has_typed_numbers: bool = False,
) -> RawRows:
    """`values`: contract column -> (SQL expression, DuckDB type); columns without one are null."""
    null = ("cast(null as varchar)", "VARCHAR")
    selected = ", ".join(f"{values.get(column.name, null)[0]} as r_{column.name}" for column in table.columns)
    sql = (
        f"select {file} as _file, {delivery} as _delivery, {position} as _position, {problem} as _problem,"
        f" {text} as _text, {selected} from {relation}"
    )
    return RawRows(sql, {column.name: values.get(column.name, null)[1] for column in table.columns}, has_typed_numbers)
