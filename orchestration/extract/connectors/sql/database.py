"""Connections to databases, for the `sql` connector.

The session only reads: Postgres, MySQL and SQLite are set to refuse writing; for others the database's own user must.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import sqlalchemy as sa
from psycopg.errors import _WaitTimeout
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from orchestration.contract import TABLES
from orchestration.database_address import database_address
from orchestration.extract.connectors.sql import SqlSource
from orchestration.extract.errors import SourceUnavailable
from orchestration.masking import masked
from orchestration.plain_text import as_said
from orchestration.settings import SettingsError

_ATTEMPTS = 3
# What psycopg takes besides libpq's options.
_OF_PSYCOPG = ("autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory")
# What a new connection is sent first; the time zone decides how Postgres and MySQL compare a moment with `:start`.
_FIRST_WORDS = {
    "postgresql": (
        "set session characteristics as transaction read only, isolation level repeatable read",
        "set time zone 'UTC'",
        "set datestyle = 'ISO'",
    ),
    "mysql": ("set session transaction read only", "set time_zone = '+00:00'"),
    "mariadb": ("set session transaction read only", "set time_zone = '+00:00'"),
    "sqlite": ("pragma query_only = on",),
}
_CONNECT_SECONDS = 30
# A lock that is held longer is a fault of the other side.
_LOCK_SECONDS = 60
# How much later than the server's own limit a server is given up that does not keep to it.
_GRACE_SECONDS = 30
_LIBPQ = {"connect_timeout": _CONNECT_SECONDS, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


@contextmanager
def connected(name: str, source: SqlSource) -> Iterator[sa.Connection]:
    """A connection that only reads.

    Args:
        name: raw table.
        source: of the table.

    Raises:
        SettingsError: as `check_address`.
        SourceUnavailable: for whatever the database says, here or where the connection is used; without address, user or password.
    """
    engine = _engine(name, source)
    try:
        attempts = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=10),
            retry=retry_if_exception_type(sa.exc.OperationalError),
            reraise=True,
        )
        with attempts(engine.connect) as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        remedy = (
            "Check the address and the network, or try again later"
            if isinstance(error, sa.exc.OperationalError)
            else (f"Check sources.{name}.{'query' if source.query else 'table'} and what the user may read")
        )
        # A conversion that failed quotes the value.
        said = "a value cannot be converted" if isinstance(error, sa.exc.DataError) and TABLES[name].is_personal else _said(error, source)
        raise SourceUnavailable(f"sources.{name}: the database says: {said}. {remedy}") from None
    finally:
        engine.dispose()


def check_address(name: str, source: SqlSource) -> None:
    """Find what is wrong with the address, without connecting.

    Raises:
        SettingsError: the variable with the address is not set or holds none, or its driver is not installed or refuses an option.
    """
    engine = _engine(name, source)
    if engine.dialect.driver != "psycopg":
        return
    _, options = engine.dialect.create_connect_args(engine.url)
    try:
        psycopg.conninfo.make_conninfo(**{key: value for key, value in options.items() if key not in _OF_PSYCOPG})
    except psycopg.Error as error:
        raise SettingsError(f"sources.{name}.url: what {source.url.env} holds cannot be used: {_said(error, source)}. Fix it") from None


def _engine(name: str, source: SqlSource) -> sa.Engine:
    where = f"sources.{name}.url"
    url = database_address(where, source.url)
    try:
        arguments = _connect_arguments(url, source.timeout_seconds)
        engine = sa.create_engine(_of_what_is_there(url), hide_parameters=True, connect_args=arguments)
    except (sa.exc.ArgumentError, ImportError, OSError, TypeError, ValueError) as error:
        raise SettingsError(f"{where}: what {source.url.env} holds cannot be used: {_reason(error)}") from None
    words = [*_FIRST_WORDS.get(engine.dialect.name, ()), *_limits(engine, source.timeout_seconds)]
    sa.event.listen(engine, "connect", lambda driver_connection, _: _say(driver_connection, words))
    if engine.dialect.driver == "psycopg":
        sa.event.listen(engine, "connect", lambda driver_connection, _: _read_times_as_text(driver_connection))
    if engine.dialect.driver == "psycopg" and not _limited_by_address(engine.url, "statement_timeout"):
        patience = source.timeout_seconds + _GRACE_SECONDS
        sa.event.listen(engine, "do_connect", lambda *given: _PatientConnection.begin(patience, *given[2:]))
    return engine


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"the driver {error.name} is not installed. Install it beside this product, or name another driver"
    if isinstance(error, OSError):
        # BigQuery's driver takes its key from a file.
        return f"{error.filename}: {error.strerror}. Name a file that this user may read"
    if isinstance(error, sa.exc.NoSuchModuleError):
        return (
            "nothing that is installed speaks to the kind of database it begins with. Install its driver, or write postgresql+psycopg://..."
        )
    return "no SQLAlchemy address. Write postgresql+psycopg://user:password@host/database"


def _said(error: Exception, source: SqlSource) -> str:
    # Before it is cut: half a secret would not be known.
    return as_said(masked(str(getattr(error, "orig", None) or error), [source.url]))


def _say(driver_connection: Any, words: Iterable[str]) -> None:
    cursor = driver_connection.cursor()
    for word in words:
        cursor.execute(word)
    cursor.close()
    # What is said within a transaction would be taken back with it.
    driver_connection.commit()


def _read_times_as_text(driver_connection: psycopg.Connection) -> None:
    """Python has no `infinity`, no year 10000 and none before Christ: one such value would end the reading of all rows."""
    text = psycopg.adapters.get_loader(psycopg.adapters.types["text"].oid, psycopg.pq.Format.TEXT)
    assert text is not None
    for kind in ("date", "timestamp", "timestamptz"):
        driver_connection.adapters.register_loader(kind, text)


def _connect_arguments(url: sa.URL, seconds: float) -> dict[str, Any]:
    """Time limits of the driver, but for those that the address sets itself."""
    mysql = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": math.ceil(seconds), "write_timeout": math.ceil(seconds)}
    by_driver: dict[str, dict[str, Any]] = {
        "psycopg": _LIBPQ,
        "psycopg2": _LIBPQ,
        "pymysql": mysql,
        "mysqldb": mysql,
        # How long it waits for a writer's lock.
        "pysqlite": {"timeout": seconds},
    }
    arguments = by_driver.get(url.get_driver_name(), {})
    return {name: value for name, value in arguments.items() if name not in url.query}


def _limits(engine: sa.Engine, seconds: float) -> list[str]:
    """Statements that set Postgres's time limits where it has none or longer ones, but for those that the address sets itself."""
    if engine.dialect.name != "postgresql":
        return []
    limits = {"statement_timeout": seconds, "lock_timeout": min(seconds, _LOCK_SECONDS)}
    return [
        f"select set_config(name, '{limit * 1000:.0f}', false) from pg_settings"
        f" where name = '{name}' and cast(setting as bigint) not between 1 and {limit * 1000:.0f}"
        for name, limit in limits.items()
        if not _limited_by_address(engine.url, name)
    ]


def _limited_by_address(url: sa.URL, name: str) -> bool:
    return name in str(url.query.get("options", ""))


class _PatientConnection(psycopg.Connection):
    """A connection that gives up a server whose answer takes too long to arrive: the server's own limits need one that still works."""

    _patience = math.inf

    @classmethod
    def begin(cls, patience: float, arguments: Sequence[Any], options: Mapping[str, Any]) -> "_PatientConnection":
        connection = cls.connect(*arguments, **options)
        connection._patience = patience
        return connection

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's, which without a limit waits for the whole answer for ever.

        A server that sends one byte at a time is given up like one that sends nothing.
        """
        try:
            return super().wait(gen, interval, self._patience if timeout is None else timeout)
        except _WaitTimeout:
            self.close()
            raise psycopg.OperationalError(f"no complete answer within {self._patience:.0f} seconds") from None


def _of_what_is_there(url: sa.URL) -> sa.URL:
    """The address; SQLite would make an empty file of a mistyped name unless it is opened read-only."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:" or "uri" in url.query:
        return url
    return url.set(database=f"file:{quote(url.database)}", query={**url.query, "mode": "ro", "uri": "true"})
