"""The working file `warehouse.duckdb`: a cache of the lake that only the pipeline opens.

It may be rebuilt from the lake at any time, so a file that is not beyond doubt is removed rather than repaired.
"""

import fcntl
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from orchestration.durable import sync
from orchestration.errors import UserError
from orchestration.settings import Settings

# Nothing is fetched from the network behind the user's back.
SAFE_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_RETRY_SECONDS = 0.2

_Opened = TypeVar("_Opened")

_log = logging.getLogger(__name__)


class WarehouseBusy(UserError):
    """Another process kept the file open for the whole wait; the message names the file and, if known, the process."""


@contextmanager
def connect(
    settings: Settings, path: Path | None = None, read_only: bool = False, temp_dir: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file under the limits of the settings; closed on leaving, whatever happened.

    A writer that closes leaves a checkpointed file with no `.wal` beside it.

    Args:
        settings: memory limit, threads, folder for spilling, and the longest wait for the file.
        path: the file; None opens an empty database in memory.
        read_only: several readers may share a file, a writer needs it alone.
        temp_dir: another folder for spilling.

    Raises:
        WarehouseBusy: another process kept the file for the whole wait.
        duckdb.Error: the file cannot be opened for another reason.
    """
    if temp_dir is None:
        settings.temp_dir.mkdir(parents=True, exist_ok=True)
    if path is not None and not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    config = SAFE_OPTIONS | {
        "memory_limit": settings.pipeline.memory_limit,
        "threads": settings.pipeline.threads,
        "temp_directory": str(temp_dir or settings.temp_dir),
    }
    if path is None:
        connection = duckdb.connect(config=config)
    else:
        connection = _patiently(settings, path, lambda: duckdb.connect(str(path), read_only=read_only, config=config))
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def attach_warehouse(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Attach the working file read-only as `warehouse`, the name by which its own views know it.

    Raises:
        WarehouseBusy: another process kept the file for the whole wait.
        duckdb.Error: the file cannot be opened for another reason.
    """
    statement = f"attach {literal(settings.warehouse)} as warehouse (read_only)"
    _patiently(settings, settings.warehouse, lambda: connection.execute(statement))


def discard_if_broken(settings: Settings) -> str | None:
    """Remove a working file that cannot be trusted, so that the next transform rebuilds it from the lake.

    Call it under the writer lock, before anything opens the file. A `.wal` beside it means that the last writer died,
    or that somebody put an older log there: DuckDB 1.5 replays either, the second one silently and wrongly, and reads a
    torn one as far as it goes. So a file with a `.wal` goes as well.

    Returns:
        Why the file was removed; None if it stays or there is none.

    Raises:
        WarehouseBusy: another process kept the file for the whole wait.
    """
    path = settings.warehouse
    _wait_until_free(settings, path)
    if logs := _logs(path):
        reason = f"{logs[0].name} was left beside it: its last writer did not finish"
    elif not path.exists():
        return None
    else:
        try:
            with connect(settings, path, read_only=True) as connection:
                connection.execute("select count(*) from duckdb_tables()").fetchall()
            return None
        except duckdb.Error as error:
            reason = first_line(error)
    discard(settings, reason)
    copy = copy_path(settings)
    if not copy.exists():
        return reason
    copy.replace(path)
    _log.warning("%s: is again what it was after the last part of a run that did not finish, which goes on from there", path)
    return discard_if_broken(settings)


def copy_path(settings: Settings) -> Path:
    """Where the copy of `keep_copy` is."""
    return settings.warehouse.with_name("warehouse.part.duckdb")


def keep_copy(settings: Settings) -> None:
    """Copy the closed working file, whole or not at all, for `discard_if_broken` to go back to.

    Raises:
        OSError: it cannot be written; the copy before it stays.
    """
    target = copy_path(settings)
    temporary = settings.temp_dir / target.name
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settings.warehouse, temporary)
    sync(temporary)
    temporary.replace(target)
    sync(target.parent)


def discard(settings: Settings, reason: str) -> None:
    """Remove the working file and its logs; log the reason."""
    for log in _logs(settings.warehouse):
        log.unlink(missing_ok=True)
    settings.warehouse.unlink(missing_ok=True)
    _log.warning("%s: removed, to be rebuilt from the lake: %s", settings.warehouse, reason)


def scan(settings: Settings, temp_dir: Path | None = None) -> str | None:
    """Read every block of the working file's tables.

    Args:
        temp_dir: as of `connect`.

    Returns:
        What is wrong with it, in one line; None if all of it can be read.
    """
    try:
        with connect(settings, settings.warehouse, read_only=True, temp_dir=temp_dir) as connection:
            for database, schema, table in connection.execute(
                "select database_name, schema_name, table_name from duckdb_tables() where not temporary"
            ).fetchall():
                relation = f"{identifier(database)}.{identifier(schema)}.{identifier(table)}"
                connection.execute(f"select bit_xor(hash(*columns(*))) from {relation}").fetchall()
    except duckdb.Error as error:
        return first_line(error)
    return None


def has_log(path: Path) -> bool:
    """Whether a write-ahead log is beside the DuckDB file, so that it was not closed in order."""
    return bool(_logs(path))


def identifier(name: str) -> str:
    """A name as an SQL identifier, whatever it is spelled with."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | Path) -> str:
    """A text as an SQL literal, for the few statements (`attach`, `copy to`, `comment on`) that take no parameters."""
    return "'" + str(text).replace("'", "''") + "'"


def rows_of(result: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """The rows of a result by column name, a thousand at a time. The connection may not run another query meanwhile."""
    names = [column[0] for column in result.description]
    while batch := result.fetchmany(1000):
        for values in batch:
            yield dict(zip(names, values, strict=True))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _patiently(settings: Settings, path: Path, action: Callable[[], _Opened]) -> _Opened:
    """Open the file by `action`, again and again while another process keeps it, up to the limit of the settings."""
    deadline = time.monotonic() + settings.pipeline.lock_timeout_seconds
    said = False
    while True:
        try:
            return action()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            if time.monotonic() >= deadline:
                raise WarehouseBusy(_busy(settings, path, str(error))) from error
        if not said:
            said = _say_wait(settings, path)
        time.sleep(_RETRY_SECONDS)


def _wait_until_free(settings: Settings, path: Path) -> None:
    """Wait until no other process has the file open, without opening it as a database, which would replay its log.

    Not for use while this process has the file open: closing any handle to it drops this process's own record locks.
    """
    deadline = time.monotonic() + settings.pipeline.lock_timeout_seconds
    said = False
    while not _is_free(path):
        if time.monotonic() >= deadline:
            raise WarehouseBusy(_busy(settings, path))
        if not said:
            said = _say_wait(settings, path)
        time.sleep(_RETRY_SECONDS)


def _say_wait(settings: Settings, path: Path) -> bool:
    seconds = settings.pipeline.lock_timeout_seconds
    _log.warning("%s: another process has the file open: waiting for at most %g s (pipeline.lock_timeout_seconds)", path, seconds)
    return True


def _is_free(path: Path) -> bool:
    if not path.exists():
        return True
    with open(path, "r+b") as file:
        try:
            # DuckDB holds a lock of the same kind.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _busy(settings: Settings, path: Path, said: str = "") -> str:
    found = re.search(r"PID (\d+)", said)
    holder = f"process {found[1]}" if found else "another process"
    return (
        f"{path}: {holder} has the file open and did not close it within "
        f"{settings.pipeline.lock_timeout_seconds:g} s. Only the pipeline may open it: end that process; "
        f"read {settings.published / 'current' / 'health.duckdb'} instead"
    )


def _logs(path: Path) -> list[Path]:
    """The write-ahead logs of a DuckDB file: `.wal`, and those of a checkpoint or a recovery that was cut short."""
    if not path.parent.is_dir():
        return []
    beside = (entry for entry in path.parent.iterdir() if entry.name.startswith(f"{path.name}."))
    return sorted(entry for entry in beside if "wal" in entry.name)
