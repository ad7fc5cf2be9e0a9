"""What a connector to a remote source is: a module that yields Arrow batches of a raw table for a window of days.

A module of `CONNECTORS` offers

    is_incremental(table, source) -> bool
        whether it can read only what is new; else every extraction reads the whole table.
    read(settings, table, source, window) -> Iterator[pa.RecordBatch]
        batches whose columns bear the contract's names; values as text or in their own type, the contract judges them.
        A boolean column `_deleted`, where there is one, marks keys that the source no longer has.
    preview(settings, table, source) -> Preview
        one page, for `make check-sources`.

All raise `SourceUnavailable` with a message that names the table, and never one that holds a secret.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any

import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract.staging import DELETED
from orchestration.sources import Source

# Imported when first used: dlt and the database drivers take seconds.
CONNECTORS = {
    "stripe": "orchestration.extract.connectors.stripe.tables",
    "zendesk": "orchestration.extract.connectors.zendesk.tickets",
    "sql": "orchestration.extract.connectors.sql.rows",
}
_ROWS_PER_BATCH = 20_000


@dataclass(frozen=True)
class Window:
    """The days whose facts or changes are wanted, UTC.

    Attributes:
        since: first day; None: everything that the source has.
        until: last day of the run, or of an earlier one where all that it read is read again. What a source knows beyond it may
            come along, since scores never look ahead.
        is_backfill: whether the run is of days before `until`: what nobody dated and is seen now is left to the next run in order.
        landed: raw tables of which the lake holds rows from their present connected source.
    """

    since: date | None
    until: date
    is_backfill: bool = False
    landed: frozenset[str] = frozenset()

    @property
    def start(self) -> datetime | None:
        """First moment, with zone."""
        return None if self.since is None else datetime.combine(self.since, time(), UTC)

    @property
    def end(self) -> datetime:
        """First moment after the window, with zone."""
        return datetime.combine(self.until + timedelta(days=1), time(), UTC)


@dataclass(frozen=True)
class Preview:
    """One page of a source.

    Attributes:
        batches: its rows, as `read` would yield them; None where only a run can work them out.
        mapped: contract columns that the source has, or, of an API, that the page fills.
        unmapped: fields of the source that no contract column takes.
        note: what else a person should know; may be empty.
        broken: for each record that could not be taken apart, why.
    """

    batches: Sequence[pa.RecordBatch] | None
    mapped: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    note: str = ""
    broken: tuple[str, ...] = ()


def connector_of(source: Source) -> ModuleType:
    """The module behind a source's connector."""
    return import_module(CONNECTORS[source.connector])


def text_batches(table: RawTable, rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Rows as Arrow batches in which every column of the contract is text, as the contract judges text files.

    Args:
        table: the contract.
        rows: contract column -> value; absent and None are null. A true `_deleted` marks a key that is gone.
    """
    names = [column.name for column in table.columns]
    schema = pa.schema([*((name, pa.string()) for name in names), (DELETED, pa.bool_())])
    remaining = iter(rows)
    while chunk := list(islice(remaining, _ROWS_PER_BATCH)):
        columns = [pa.array([_text(row.get(name)) for row in chunk], pa.string()) for name in names]
        columns.append(pa.array([bool(row.get(DELETED)) for row in chunk], pa.bool_()))
        yield pa.record_batch(columns, schema=schema)


def text_batch(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows under the source's own names, all as text."""
    columns = [pa.array([_text(row[place]) for row in rows], pa.string()) for place in range(len(names))]
    return pa.record_batch(columns, names=list(names))


def filled_columns(table: RawTable, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The contract's columns that any of the rows has a value for."""
    filled = {name for row in rows for name, value in row.items() if value is not None}
    return tuple(column.name for column in table.columns if column.name in filled)


def mapping_of(table: RawTable, columns: Mapping[str, str], names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which columns of the contract stand in a source under its names, and which of its names no column takes."""
    places = {column.name: columns.get(column.name, column.name) for column in table.columns}
    mapped = tuple(name for name, place in places.items() if place in names)
    return mapped, tuple(name for name in names if name not in places.values())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
