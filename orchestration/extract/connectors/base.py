"""What a connector is: one class that holds the settings of `[sources.<table>]` as fields and reads with them.

The name in the configuration is that of its module: `connector = "stripe"` is the module `stripe` of this folder,
`connector = "acme_health.hubspot"` that module of your own. Nothing else is to be registered. What takes long to import (dlt, drivers of
databases), a connector imports when it reads: the configuration is loaded by every command.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator

from orchestration.contract import RawTable
from orchestration.extract.errors import SourceError
from orchestration.settings import Settings, SettingsError
from orchestration.sources import Source, place_of

# Boolean column of batches: the source no longer has this key.
DELETED = "_deleted"
_OURS = "orchestration."
_ROWS_PER_BATCH = 20_000
_ROWS_PER_PAGE = 100


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
    """

    batches: Sequence[pa.RecordBatch] | None
    mapped: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    note: str = ""


class Connector(Source, ABC):
    """A source that a class of its own reads.

    Its methods raise `SourceUnavailable` where the source is down, and `SourceError` where it is not what it should be. A message names
    the table, and never holds a secret.
    """

    @abstractmethod
    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        """The rows of a raw table, in batches whose columns have the contract's names (or those of `column_names`).

        Values are text or of their own type: the contract judges them. A boolean column `_deleted`, where there is one, marks keys that the
        source no longer has. `window` says what is wanted; only a connector that `is_incremental` need look at it.
        """

    def is_incremental(self, table: RawTable) -> bool:
        """Whether only what is new can be read; else every run reads the whole table."""
        return False

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        """One page, for `make check-sources`: by default the first rows that `read` gives."""
        batches = self.read(settings, table, Window(None, settings.last_day))
        with closing(batches) if isinstance(batches, Generator) else nullcontext():
            page = [batch.slice(0, _ROWS_PER_PAGE) for batch in islice(batches, 1)]
        names = [name for batch in page for name in batch.schema.names if batch[name].null_count < batch.num_rows]
        mapped, unmapped = mapping_of(table, self.column_names, [name for name in names if name != DELETED])
        is_cut = sum(batch.num_rows for batch in page) == _ROWS_PER_PAGE
        return Preview(page, mapped, unmapped, "first rows only" if is_cut else "")

    def check_settings(self, settings: Settings, table: RawTable) -> None:
        """Find what is wrong with the settings beyond what their types say, without connecting.

        Raises:
            SettingsError: says what, and the remedy.
        """

    def version(self, settings: Settings, table: RawTable, until: date) -> str | None:
        """A text that changes whenever what `read` gives does: unchanged, nothing is read. None: only reading shows it."""
        return None

    @property
    def is_remote(self) -> bool:
        return not self.is_made_up


@contextmanager
def faults_named(source: Source, table: RawTable) -> Iterator[None]:
    """Turn what a team's own connector did not foresee into a fault of its source, with the line of the connector.

    The same in a connector that comes along is a fault of this program, and stays what it is.

    Raises:
        SourceError: names the line, and says what was raised there.
    """
    module = type(source).__module__
    try:
        yield
    except (SourceError, SettingsError, MemoryError):
        raise
    except Exception as error:
        if module.startswith(_OURS):
            raise
        said = type(error).__name__ if table.is_personal else f"{type(error).__name__}: {error}"
        faulty = f"sources.{table.name}: {place_of(error, module)}: {said}. Fix the connector"
        raise SourceError(faulty) from (None if table.is_personal else error)


def batches_of(source: Connector, settings: Settings, table: RawTable, window: Window) -> Generator[pa.RecordBatch, None, None]:
    """What a connector reads, see `faults_named`.

    Raises:
        SourceError: also where the connector yields something else than record batches.
    """
    with faults_named(source, table):
        for batch in source.read(settings, table, window):
            if not isinstance(batch, pa.RecordBatch):
                raise SourceError(
                    f"sources.{table.name}: {type(source).__name__}.read yields {type(batch).__name__}. Yield Arrow record batches, for"
                    " example with text_batches"
                )
            yield batch


class HttpSource(Connector):
    """What all HTTP APIs share.

    Attributes:
        timeout_seconds: longest wait for a connection, and for the whole answer to one request.
        max_attempts: how often a request is made before the source counts as unavailable.
        max_retry_delay_seconds: longest pause between two attempts, also where the server asks for a longer one.
    """

    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    max_attempts: int = Field(default=6, ge=1, le=100)
    max_retry_delay_seconds: float = Field(default=120, gt=0, le=3600)

    @field_validator("base_url", check_fields=False)
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return None if url is None else http_address(url).rstrip("/")


def http_address(url: str) -> str:
    """The address itself.

    Raises:
        ValueError: it is not one.
    """
    if not re.match(r"https?://[^/\s]+", url):
        raise ValueError("give an address that begins with https:// (or http:// for a test server)")
    return url


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
    """Which columns of the contract a source has under its names, and which of its names no column takes."""
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
