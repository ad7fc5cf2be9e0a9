"""The rows of a table or a query, as a stream of Arrow batches."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from dlt.common.libs.pyarrow import PyToArrowConversionException
from dlt.sources.sql_database import TableLoader

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import Preview, Window, mapping_of, text_batch
from orchestration.extract.connectors.sql import SqlSource
from orchestration.extract.connectors.sql.database import connected
from orchestration.extract.errors import SourceError

_ROWS_PER_BATCH = 20_000
_PREVIEW_ROWS = 100
_BEGINNING = datetime(1, 1, 1)


def read(table: RawTable, source: SqlSource, window: Window) -> Iterator[pa.RecordBatch]:
    """The rows of a window, in batches with the source's own column names.

    Raises:
        SettingsError: the variable with the address is not set.
        SourceError: a column is of a type without counterpart in Arrow (a range, a composite).
        SourceUnavailable: the database cannot be reached, or refuses the query.
    """
    with connected(table.name, source) as connection:
        statement = _statement(connection, table, source, window)
        # Back into the engine's pool, from which the loader takes it.
        connection.close()
        loader = TableLoader(
            connection.engine,
            "pyarrow",
            # Of a statement of our own it reads neither the table nor the default query.
            cast(sa.Table, sa.table("source")),
            {},
            chunk_size=_ROWS_PER_BATCH,
            query_adapter_callback=cast(Any, lambda *_: statement),
        )
        endless = _endless_columns(table, source)
        try:
            for rows in loader.load_rows():
                yield from _without_infinity(_plain(rows), endless).to_batches()
        except PyToArrowConversionException as error:
            raise SourceError(
                f"sources.{table.name}: column {error.field_name} is of a type that cannot be read. Leave it out, or cast it to text in "
                f"a query"
            ) from None


def preview(table: RawTable, source: SqlSource) -> Preview:
    """The first hundred rows, of a table only the columns that `read` reads.

    Raises:
        SettingsError, SourceUnavailable: as `read`.
    """
    today = datetime.now(UTC).date()
    with connected(table.name, source) as connection:
        statement = _statement(connection, table, source, Window(None, today))
        result = connection.execution_options(yield_per=_PREVIEW_ROWS).execute(statement)
        names, rows = list(result.keys()), result.fetchmany(_PREVIEW_ROWS)
        result.close()
        found = names if source.table is None else _columns(connection, source)
    mapped, unmapped = mapping_of(table, source.columns, found)
    note = "first rows only" if len(rows) == _PREVIEW_ROWS else ""
    return Preview([text_batch(names, rows)], mapped, unmapped, note)


def _statement(connection: sa.Connection, table: RawTable, source: SqlSource, window: Window) -> sa.Executable:
    is_sqlite = connection.dialect.name == "sqlite"
    # As the database writes times without a zone.
    zone = ZoneInfo(source.timezone or "UTC")
    start: date | str = _BEGINNING if window.start is None else window.start.astimezone(zone).replace(tzinfo=None)
    end: date | str = window.end.astimezone(zone).replace(tzinfo=None)
    if is_sqlite:
        # It compares texts: '2026-01-05' lies before '2026-01-05 00:00:00', yet not before '2026-01-05'.
        start, end = (str(moment).removesuffix(" 00:00:00") for moment in (start, end))
    if source.query is not None:
        statement = sa.text(source.query.strip().rstrip(";"))
        return statement.bindparams(start=start, end=end) if source.parameters else statement
    schema, name = _place(source)
    found = _columns(connection, source)
    places = [source.columns.get(column.name, column.name) for column in table.columns]
    relation = sa.table(name, *(sa.column(column) for column in found), schema=schema)
    selected = sa.select(*(relation.c[column] for column in [place for place in places if place in found] or found))
    fact = source.columns.get(table.fact_column, table.fact_column)
    if table.by_day and fact in found:
        if table.by_name[table.fact_column].kind == "date":
            # A day is that day in every zone.
            start, end = _days(window, is_sqlite)
        # A row without its time belongs to no day: the whole reading brings it, for the quarantine.
        moment = _sqlite_moment(relation.c[fact]) if is_sqlite else relation.c[fact]
        in_window = sa.and_(moment >= start, moment < end)
        selected = selected.where(in_window if window.since is not None else sa.or_(moment < end, moment.is_(None)))
    return selected


def _days(window: Window, as_text: bool) -> tuple[date | str, date | str]:
    """First day of a window, and first day after it."""
    first = _BEGINNING.date() if window.start is None else window.start.date()
    return (first.isoformat(), window.end.date().isoformat()) if as_text else (first, window.end.date())


def _sqlite_moment(text: sa.ColumnElement) -> sa.ColumnElement:
    """A time in UTC from any text that the contract reads; null for others. SQLite itself reads `+02:00` and `Z`, not `+02`, `+0200` and
    `UTC`."""
    text = sa.cast(sa.func.trim(text), sa.String)
    spellings = (
        text,
        text + ":00",
        sa.func.substr(text, 1, sa.func.length(text) - 2) + ":" + sa.func.substr(text, -2),
        sa.func.replace(text, "UTC", ""),
    )
    return sa.func.coalesce(*(sa.func.datetime(one) for one in spellings))


def _columns(connection: sa.Connection, source: SqlSource) -> list[str]:
    schema, name = _place(source)
    return [column["name"] for column in sa.inspect(connection).get_columns(name, schema=schema)]


def _place(source: SqlSource) -> tuple[str | None, str]:
    """Schema, where one is named, and name of the source's table."""
    schema, _, name = (source.table or "").rpartition(".")
    return schema or None, name


def _plain(rows: pa.Table) -> pa.Table:
    """With columns of nothing but nulls as text, which DuckDB has no other type for."""
    fields = [pa.field(one.name, pa.string()) if pa.types.is_null(one.type) else one.with_nullable(True) for one in rows.schema]
    return rows.cast(pa.schema(fields))


def _endless_columns(table: RawTable, source: SqlSource) -> set[str]:
    """The source's names of the columns in which Postgres's `infinity` means what null means to the contract: it has not happened."""
    places = {column.name: source.columns.get(column.name, column.name) for column in table.columns}
    optional = {column.name for column in table.columns if column.kind in ("date", "timestamp") and not column.required}
    return {places[name] for name in optional} - {place for name, place in places.items() if name not in optional}


def _without_infinity(rows: pa.Table, columns: set[str]) -> pa.Table:
    for position, field in enumerate(rows.schema):
        if field.name in columns and pa.types.is_string(field.type):
            values = rows.column(position)
            rows = rows.set_column(position, field, pc.if_else(pc.equal(values, "infinity"), None, values))
    return rows
