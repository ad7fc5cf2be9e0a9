"""A copy of the published mart in a Postgres schema, for BI tools without a DuckDB driver (`[exports.postgres]`).

One transaction: readers see the old copy until all tables are new, also those that began to read before. So rows are deleted, not
truncated, and no reader is waited for; tables are altered, not replaced, so that grants and views of other people stay. Of histories
only the days that changed are copied.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import sqlalchemy as sa

from orchestration.database_address import database_address
from orchestration.masking import masked
from orchestration.plain_text import as_said
from orchestration.publish.build import fingerprint_days
from orchestration.publish.generations import Manifest, PublishError, current_generation, open_published, read_manifest
from orchestration.publish.revisions import TABLE as REVISIONS
from orchestration.publish.tables import BY_NAME, DATE_COLUMN
from orchestration.publish.today import VIEWS as TODAY
from orchestration.settings import PostgresExport, Settings, SettingsError
from orchestration.sources import Secret
from orchestration.validate.tables import BY_NAME as VALIDATION_TABLES
from orchestration.warehouse import identifier, literal

if TYPE_CHECKING:
    # Takes pandas along, two seconds which only a run with a copy need wait for.
    import adbc_driver_postgresql.dbapi as adbc

COPIED_TABLES = (*BY_NAME, REVISIONS, *VALIDATION_TABLES, *TODAY)
# One row: which generation the schema holds. Where it is missing, the tables are somebody else's.
MARKER = "published_generation"
# table_name, as_of_date, fingerprint: what each history holds of each day. Without its rows all is copied anew.
DAYS = "copied_days"

_BATCH = 50_000
_CONNECT_SECONDS = "30"
# A changed column needs a lock that a reader's open transaction may hold.
_LOCK_TIMEOUT = "60s"
_NO_LONGER = "No longer copied: exports.postgres.tables does not name it. Whoever does not need it may drop it."
# DuckDB's type -> Postgres's, by the name that its information schema has for it.
_TYPES = {
    "VARCHAR": "text",
    "DOUBLE": "double precision",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
}


class CopyFailed(RuntimeError):
    """The schema holds what it held before. The message is one line, without address, user or password."""


@dataclass(frozen=True)
class Copied:
    """What the schema holds now: the generation, and the rows of each table."""

    generation: int
    rows: dict[str, int]


def preflight_postgres(settings: Settings) -> None:
    """Check `[exports.postgres]` without connecting.

    Raises:
        SettingsError: an unknown table, or an address that is missing or none.
    """
    target = settings.exports.postgres
    if target is None:
        return
    if unknown := sorted(set(target.tables or ()) - set(COPIED_TABLES)):
        raise SettingsError(f"exports.postgres.tables: {', '.join(unknown)} is not a published table; there is {', '.join(COPIED_TABLES)}")
    _address(settings)


def copy_to_postgres(settings: Settings) -> Copied:
    """Copy the current generation's `health.duckdb`, or the tables of it that are configured.

    Args:
        settings: with `exports.postgres`. Call it under the writer lock, so that the generation stays.

    Raises:
        SettingsError: as `preflight_postgres`.
        CopyFailed: the database cannot be reached, or refuses something.
        PublishError: nothing is published.
    """
    target = _target(settings)
    number = current_generation(settings)
    if number is None:
        raise PublishError(f"{settings.published / 'current'}: nothing is published yet")
    queries = {name: _all_of(name) for name in target.tables or COPIED_TABLES}
    queries[MARKER] = _marker_row(read_manifest(settings, number), list(queries))
    with _transaction(settings) as cursor, open_published(settings, number) as mart:
        copy = _Copy(mart, cursor, target.schema_name)
        held = copy.take_schema([*queries, DAYS])
        copy.empty(held - queries.keys())
        rows = {name: copy.table(name, query) for name, query in queries.items()}
    del rows[MARKER]
    return Copied(number, rows)


def copy_today_to_postgres(settings: Settings) -> None:
    """Copy the provisional tables alone, where the last copy of the mart had them; it needs no writer lock.

    Raises:
        SettingsError, CopyFailed, PublishError: as `copy_to_postgres`.
    """
    target = _target(settings)
    with _transaction(settings) as cursor, open_published(settings, settings.published / "current") as mart:
        copy = _Copy(mart, cursor, target.schema_name)
        for name in sorted(copy.filled().intersection(TODAY)):
            copy.table(name, _all_of(name))


def _all_of(name: str) -> str:
    return f"select * from {name}"


def _marker_row(manifest: Manifest, tables: list[str]) -> str:
    def day(text: str | None) -> str:
        return "cast(null as date)" if text is None else f"date {literal(text)}"

    return (
        f"select cast({manifest.generation} as integer) as generation, {literal(manifest.run_id)} as run_id, "
        f"cast(timestamptz {literal(manifest.published_at)} as timestamp) as published_at, "
        f"{day(manifest.first_as_of_date)} as first_as_of_date, {day(manifest.last_as_of_date)} as last_as_of_date, "
        f"{literal(' '.join(tables))} as tables"
    )


class _Copy:
    """The statements of one copy, within its transaction."""

    def __init__(self, mart: duckdb.DuckDBPyConnection, cursor: "adbc.Cursor", schema: str) -> None:
        self._mart, self._cursor, self._name, self._schema = mart, cursor, schema, identifier(schema)

    def take_schema(self, names: list[str]) -> set[str]:
        """Make the schema where there is none; refuse one in which tables of these names are not the product's.

        Returns:
            The tables that the last copy filled.
        """
        # `if not exists` would ask for the right to create schemas even where it exists.
        if not self._ask("select 1 from pg_namespace where nspname = $1", self._name):
            self._cursor.execute(f"create schema {self._schema}")
        found = self._tables()
        if MARKER not in found and (foreign := sorted(found.intersection(names))):
            raise CopyFailed(
                f"exports.postgres: the schema {self._name} has a table {foreign[0]} that was not copied by this product. "
                "Nothing was changed: name another schema"
            )
        self._cursor.execute(f"create table if not exists {self._schema}.{DAYS} (table_name text, as_of_date date, fingerprint text)")
        return self.filled()

    def filled(self) -> set[str]:
        """The tables that the last copy filled; none where there was no copy."""
        found = self._tables()
        if MARKER not in found:
            return set()
        return {name for (tables,) in self._ask(f"select tables from {self._schema}.{MARKER}") for name in tables.split()} & found

    def _tables(self) -> set[str]:
        return {name for (name,) in self._ask("select tablename::text from pg_tables where schemaname = $1", self._name)}

    def empty(self, names: set[str]) -> None:
        """Remove the rows of tables that are no longer copied: they would pass for those of the marker's generation."""
        for name in sorted(names):
            target = f"{self._schema}.{identifier(name)}"
            self._cursor.execute(f"delete from {target}")
            self._cursor.execute(f"delete from {self._schema}.{DAYS} where table_name = {literal(name)}")
            self._cursor.execute(f"comment on table {target} is {literal(_NO_LONGER)}")

    def table(self, name: str, query: str) -> int:
        """Let a table hold the rows of a query on the mart, whatever it held before; return their number."""
        columns = self._columns(name, query)
        target = f"{self._schema}.{identifier(name)}"
        if self._shape(name, target, columns):
            self._cursor.execute(f"delete from {self._schema}.{DAYS} where table_name = {literal(name)}")
        if DATE_COLUMN in columns:
            days = self._take_days(name, target, query)
            wanted = f" where {DATE_COLUMN} in ({_listed(days)})" if days else " where false"
        else:
            self._cursor.execute(f"delete from {target}")
            wanted = ""
        rows = self._mart.sql(f"select {', '.join(map(_readable, columns.items()))} from ({query}){wanted}")
        if self._cursor.adbc_ingest(name, rows.to_arrow_reader(_BATCH), mode="append", db_schema_name=self._name):
            self._cursor.execute(f"analyze {target}")
        if key := [column for column in ("account_id", DATE_COLUMN) if column in columns]:
            # After the rows: a new index is built in one go.
            index = identifier(f"{name}_{'_'.join(key)}"[:63])
            self._cursor.execute(f"create index if not exists {index} on {target} ({', '.join(key)})")
        self._describe(name, target)
        ((count,),) = self._ask(f"select count(*) from {target}")
        return count

    def _shape(self, name: str, target: str, columns: dict[str, str]) -> bool:
        """Give a table these columns; return whether its rows are to be written anew, having removed them."""
        held = dict(
            self._ask(
                "select column_name::text, data_type::text from information_schema.columns where table_schema = $1 and table_name = $2",
                self._name,
                name,
            )
        )
        if held == columns:
            return False
        if not held:
            listed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
            self._cursor.execute(f"create table {target} ({listed})")
            return True
        self._cursor.execute(f"delete from {target}")
        changes = [f"drop column {identifier(column)}" for column, kind in held.items() if columns.get(column) != kind]
        changes += [f"add column {identifier(column)} {kind}" for column, kind in columns.items() if held.get(column) != kind]
        self._cursor.execute(f"alter table {target} {', '.join(changes)}")
        return True

    def _take_days(self, name: str, target: str, query: str) -> list[date]:
        """Remove the days of a history that are no longer what the mart holds, and return those to copy."""
        mart = fingerprint_days(self._mart, query)
        held = dict(self._ask(f"select as_of_date, fingerprint from {self._schema}.{DAYS} where table_name = $1", name))
        if not held:
            self._cursor.execute(f"delete from {target}")
        changed = sorted(day for day, fingerprint in mart.items() if held.get(day) != fingerprint)
        if gone := sorted({*changed, *held.keys() - mart.keys()}.intersection(held)):
            of_days = f"{DATE_COLUMN} in ({_listed(gone)})"
            self._cursor.execute(f"delete from {target} where {of_days}")
            self._cursor.execute(f"delete from {self._schema}.{DAYS} where table_name = {literal(name)} and {of_days}")
        if changed:
            entries = [(name, day, mart[day]) for day in changed]
            self._cursor.executemany(f"insert into {self._schema}.{DAYS} values ($1, $2, $3)", entries)
        return changed

    def _columns(self, name: str, query: str) -> dict[str, str]:
        """Column -> type in Postgres."""
        kinds = {column: kind for column, kind, *_ in self._mart.execute(f"describe {query}").fetchall()}
        if unknown := [column for column, kind in kinds.items() if kind not in _TYPES]:
            raise CopyFailed(f"exports.postgres: {name}.{unknown[0]} has the type {kinds[unknown[0]]}, which has no counterpart")
        return {column: _TYPES[kind] for column, kind in kinds.items()}

    def _describe(self, name: str, target: str) -> None:
        """Carry the descriptions of table and columns over."""
        told = self._mart.execute(
            "select comment from duckdb_tables() where table_name = $1 union all select comment from duckdb_views() where view_name = $1",
            [name],
        ).fetchall()
        for (comment,) in told:
            if comment is not None:
                self._cursor.execute(f"comment on table {target} is {_text(comment)}")
        for column, comment in self._mart.execute(
            "select column_name, comment from duckdb_columns() where table_name = ? and comment is not null", [name]
        ).fetchall():
            self._cursor.execute(f"comment on column {target}.{identifier(column)} is {_text(comment)}")

    def _ask(self, query: str, *parameters: str) -> list[tuple]:
        self._cursor.execute(query, parameters)
        return self._cursor.fetchall()


def _listed(days: list[date]) -> str:
    return ", ".join(f"date '{day}'" for day in days)


def _readable(column: tuple[str, str]) -> str:
    """A column without what Postgres refuses in a text: NUL."""
    name, kind = column
    return f"replace({identifier(name)}, chr(0), '') as {identifier(name)}" if kind == "text" else identifier(name)


def _text(comment: str) -> str:
    return literal(comment.replace("\0", ""))


@contextmanager
def _transaction(settings: Settings) -> Iterator["adbc.Cursor"]:
    """A transaction that is committed at the end, or rolled back where anything fails."""
    import adbc_driver_postgresql.dbapi as adbc

    url = _address(settings)
    try:
        with adbc.connect(url.render_as_string(hide_password=False)) as connection, connection.cursor() as cursor:
            cursor.execute("set local standard_conforming_strings = on")
            cursor.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
            # One copy after the other: that of today takes no writer lock.
            cursor.execute("select pg_advisory_xact_lock(hashtext($1))", (f"health {_target(settings).schema_name}",))
            cursor.fetchall()
            yield cursor
            connection.commit()
    except adbc.Error as error:
        raise CopyFailed(_explain(error, _target(settings).url, url)) from None


def _target(settings: Settings) -> PostgresExport:
    assert settings.exports.postgres is not None
    return settings.exports.postgres


def _address(settings: Settings) -> sa.URL:
    """The configured address as libpq reads it.

    Raises:
        SettingsError: the variable is not set, or holds no address of Postgres.
    """
    secret = _target(settings).url
    url = database_address("exports.postgres.url", secret)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            f"exports.postgres.url: what {secret.env} holds is not a Postgres address. Write postgresql://user:password@host/database"
        )
    return url.set(drivername="postgresql").update_query_dict({"connect_timeout": url.query.get("connect_timeout", _CONNECT_SECONDS)})


def _explain(error: "adbc.Error", secret: Secret, url: sa.URL) -> str:
    """What the database said, in one line, and what to do."""
    import adbc_driver_postgresql.dbapi as adbc

    said = masked(str(error).replace(url.render_as_string(hide_password=False), "***"), [secret])
    for part in (url.username, url.host):
        said = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "***", said) if part else said
    said = as_said(said)
    remedy = (
        "Check the address and the network"
        if isinstance(error, adbc.OperationalError)
        else "Check what the user may do in the schema, and whether others changed its tables"
    )
    return f"exports.postgres: the database says: {said}. The copy is as it was before; {remedy}, then run again"
