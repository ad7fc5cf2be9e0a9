"""One page of each source, judged as a run would judge it, without writing anything."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import Connector, Preview, mapping_of, text_batch
from orchestration.extract.doubts import describe_values
from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import layout, parquet_scan, reading
from orchestration.extract.files.deliveries import NumberedFile, SourceFile, at_hand, find_deliveries
from orchestration.extract.files.lines import INVALID_ENCODING, NOT_JSON, NOT_OBJECT, Record, csv_records, json_records
from orchestration.extract.files.opening import opened, refuse_other_encoding
from orchestration.extract.files.query import check_query, open_file, single_select
from orchestration.extract.judge import judge_of
from orchestration.extract.session import connect
from orchestration.extract.staging import create_staged, empty_note, stage_batches
from orchestration.plain_text import as_said
from orchestration.settings import Settings
from orchestration.sources import FilesSource, Source
from orchestration.warehouse import identifier

_ROWS = 100
# A person waits for the answer.
_PATIENCE = {"max_attempts": 2, "max_retry_delay_seconds": 5}


@dataclass(frozen=True)
class FirstPage:
    """What one page of a source holds.

    Attributes:
        rows: records on the page; None where only a run can work them out.
        newest: newest value of the contract's fact column, UTC; None without any.
        mapped, unmapped, note: as `Preview`.
        bad: how many of the rows would go to quarantine.
        first_reason: why the first of them would; None without any.
        warning: which values of the others contradict each other; None for none.
        account_ids: of the others, with how many rows each has; none of a table without accounts.
    """

    rows: int | None
    newest: datetime | None
    mapped: tuple[str, ...]
    unmapped: tuple[str, ...]
    note: str
    bad: int = 0
    first_reason: str | None = None
    warning: str | None = None
    account_ids: Mapping[str, int] = field(default_factory=dict)


def first_page(settings: Settings, table: RawTable, source: Source, scratch: Path) -> FirstPage:
    """Read one page of a source and judge its rows by the contract.

    Args:
        settings: of the run; its data folder is left alone.
        table: the contract.
        source: of the table.
        scratch: a folder for what has to be fetched or spilled; the caller removes it.

    Raises:
        SourceError: the source is missing, damaged, cannot be reached, or lacks a column.
        SettingsError: a secret's variable is not set, or an option cannot be used.
    """
    with connect(settings, scratch) as connection:
        page = _page_of(connection, settings, table, source, scratch)
        if page.batches is None:
            return FirstPage(None, None, page.mapped, page.unmapped, page.note)
        create_staged(connection, table)
        label = f"sources.{table.name}"
        stage_batches(connection, table, source.column_names, page.batches, judge_of(settings, table), label)
        fact = f"cast({identifier(table.fact_column)} as timestamp)"
        [(rows, bad, newest)] = connection.execute(
            f"select count(*), count(_reasons), max(case when _reasons is null then {fact} end) from staged"
        ).fetchall()
        reasons = [*page.broken, *(
            f"row {position}: {reason}"
            for position, reason in connection.execute(
                "select _position, _reasons[1] from staged where _reasons is not null order by _position limit 1"
            ).fetchall()
        )]  # fmt: skip
        good = "(select * from staged where _reasons is null)"
        warning = describe_values(connection, table, good, rows - bad, 0, {})
        ids = f"select account_id, count(*) from {good} as good group by all" if table.has_account else "select null, 0 where false"
        account_ids = dict(connection.execute(ids).fetchall())
    return FirstPage(
        rows + len(page.broken), newest, page.mapped, page.unmapped, page.note, bad + len(page.broken), next(iter(reasons), None),
        warning, account_ids,
    )  # fmt: skip


def _page_of(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: Source, scratch: Path) -> Preview:
    if isinstance(source, Connector):
        patience = {name: value for name, value in _PATIENCE.items() if name in type(source).model_fields}
        return source.model_copy(update=patience).preview(settings, table)
    if source.path is None:
        return _page_of_query(connection, table, source, "")
    found, note = _last_file(settings, table, source, scratch)
    with at_hand(table.name, source, [found]), opened(found, scratch, head=True) as file:
        if source.query is None:
            return _page_of_file(connection, table, source, file, note)
        return _page_of_shaped(connection, table, source, file, note)


def _page_of_query(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    source: FilesSource,
    note: str,
    broken: Sequence[str] = (),
    is_foreign: bool = False,
) -> Preview:
    check_query(connection, table, source, is_foreign)
    label = f"sources.{table.name}.query"
    try:
        found = connection.execute(f"{single_select(connection, label, source.query)} limit {_ROWS}")
        return _preview(table, source.columns, [column[0] for column in found.description], found.fetchall(), note, broken)
    except duckdb.Error as error:
        said = as_said(error) if not is_foreign else type(error).__name__
        raise SourceError(f"{label}: {said}") from (None if is_foreign else error)


def _last_file(settings: Settings, table: RawTable, source: FilesSource, scratch: Path) -> tuple[SourceFile, str]:
    """The last file of the last delivery, and how a person knows it."""
    deliveries = find_deliveries(settings, table.name, source)
    file = deliveries[-1].files[-1]
    count = sum(len(delivery.files) for delivery in deliveries)
    note = file.label if count == 1 else f"{file.label}, the last of {count} files"
    if file.stored is not None:
        file = replace(file, path=scratch / file.path.name)
    return file, note


def _page_of_shaped(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, file: SourceFile, note: str) -> Preview:
    """What the source's query makes of a file, its first rows; the records that are broken before it."""
    with reading([NumberedFile(file, 0, 0)]):
        shape = open_file(connection, table, file)
        if shape is None:
            return _nothing_in(file, note)
        broken = [] if shape.broken is None else connection.execute(f"select line, fault from {shape.broken} limit {_ROWS}").fetchall()
    return _page_of_query(connection, table, source, note, [_fault(line, fault) for line, fault in broken], file.is_foreign)


def _page_of_file(connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, file: SourceFile, note: str) -> Preview:
    """The first rows of a file as it stands."""
    found = layout(connection, file, table, source.columns)
    if file.format == "jsonl":
        records = list(itertools.islice(json_records(file.path), _ROWS))
        names, rows, broken = _json_rows(records, table, source.columns)
    elif found is None:
        return _nothing_in(file, note)
    elif file.format == "csv":
        records = list(itertools.islice(csv_records(file.path, found.delimiter, len(found.names)), 1, _ROWS + 1))
        names, rows = found.names, [one.fields for one in records if one.problem is None and "".join(one.fields).strip()]
        broken = [_fault(one.line, one.problem) for one in records if one.problem is not None]
    else:
        names, broken = found.names, []
        with reading([NumberedFile(file, 0, 0)]):
            rows = connection.execute(f"select * from {parquet_scan([file.path])} limit {_ROWS}").fetchall()
    if any(one.problem == INVALID_ENCODING for one in ([] if file.format == "parquet" else records)):
        refuse_other_encoding(file)
    return _preview(table, source.columns, names, rows, note, broken)


def _nothing_in(file: SourceFile, note: str) -> Preview:
    return Preview([], (), (), "; ".join(dict.fromkeys((note, empty_note(file)))))


def _json_rows(records: Sequence[Record], table: RawTable, columns: Mapping[str, str]) -> tuple[list[str], list[list[Any]], list[str]]:
    """Names, rows and faults of JSON lines; what is not a text in them as JSON, as the landing takes it."""
    objects: list[dict[str, Any]] = []
    broken: list[str] = []
    for one in records:
        problem = one.problem
        if problem is None:
            try:
                found = json.loads(one.text)
                problem = None if isinstance(found, dict) else NOT_OBJECT
            except ValueError:
                problem = NOT_JSON
        if problem is None:
            objects.append(found)
        else:
            broken.append(_fault(one.line, problem))
    # A key that no line has is null in all of them.
    places = [columns.get(column.name, column.name) for column in table.columns]
    names = list(dict.fromkeys([*(name for one in objects for name in one), *places]))
    rows = [[_json_text(one.get(name)) for name in names] for one in objects]
    return names, rows, broken


def _json_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _fault(line: int, problem: str) -> str:
    return f"line {line}: {problem}"


def _preview(
    table: RawTable,
    columns: Mapping[str, str],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    note: str,
    broken: Sequence[str] = (),
) -> Preview:
    mapped, unmapped = mapping_of(table, columns, names)
    if len(rows) + len(broken) == _ROWS:
        note = f"{note}, first rows only".removeprefix(", ")
    return Preview([text_batch(names, rows)], mapped, unmapped, note, tuple(broken))
