"""One writer at a time: every command that writes below the data folder holds this lock.

The lock is an `flock`, so the kernel frees it however its holder dies. Who holds it is in a note beside it, which
is only ever used to word the message of the one who waited in vain.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from orchestration.errors import UserError
from orchestration.settings import Settings

LOCK_NAME = "writer.lock"
NOTE_NAME = "writer.lock.json"


class WriterBusy(UserError):
    """Another command writes; the message names it. Nothing was written."""


def say_on_stdout(message: str) -> None:
    print(message, flush=True)


@contextmanager
def writer_lock(settings: Settings, holder: str, say: Callable[[str], None] = say_on_stdout) -> Iterator[None]:
    """Hold the right to write below `settings.data_dir`; a thread that holds it may take it again.

    Args:
        settings: `pipeline.lock_timeout_seconds` bounds the wait.
        holder: what the command does, in words for the one who has to wait: `daily_health 2026-01-05...2026-01-06`.
        say: is given one line before a wait: for what, and how long at most.

    Raises:
        SettingsError: the data folder cannot be written.
        WriterBusy: another process kept the lock for the whole wait.
    """
    folder = settings.make_data_dir()
    lock = FileLock(folder / LOCK_NAME, is_singleton=True)
    if lock.is_locked:
        yield
        return
    seconds = settings.pipeline.lock_timeout_seconds
    try:
        acquire(lock, seconds, lambda: f"{_describe(folder / NOTE_NAME)} is writing", say)
    except Timeout:
        raise WriterBusy(
            f"{folder / LOCK_NAME}: {_describe(folder / NOTE_NAME)} is writing and did not finish within "
            f"{seconds:g} s. Nothing was written: wait for it to end, or raise pipeline.lock_timeout_seconds"
        ) from None
    try:
        # On a full disk: the holder is just not named.
        with suppress(OSError):
            _write_note(folder / NOTE_NAME, holder)
        yield
    finally:
        # Before the release: afterwards the note may already be the next holder's.
        (folder / NOTE_NAME).unlink(missing_ok=True)
        lock.release()


def acquire(
    lock: BaseFileLock, seconds: float, why: Callable[[], str], say: Callable[[str], None] = say_on_stdout
) -> AbstractContextManager[BaseFileLock]:
    """Take the lock. Who has to wait for it says why, and for how many seconds at most.

    Returns:
        What releases the lock on leaving.

    Raises:
        Timeout: another process kept it for the whole wait.
    """
    with suppress(Timeout):
        return lock.acquire(timeout=0)
    say(f"{why()}: waiting for at most {seconds:g} s (pipeline.lock_timeout_seconds)")
    return lock.acquire(timeout=seconds)


def _write_note(path: Path, holder: str) -> None:
    note = {"pid": os.getpid(), "holder": holder, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(note), encoding="utf-8")
    os.replace(temporary, path)


def writing_now(settings: Settings) -> str | None:
    """Who holds the lock, in words; None if nobody does, or has not signed yet. For who gives way without wanting it."""
    return _holder(settings.data_dir / NOTE_NAME)


def _describe(path: Path) -> str:
    return _holder(path) or "another command"


def _holder(path: Path) -> str | None:
    """The holder in words. A note whose process is gone is a dead holder's, and the present one has not signed yet."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        pid, holder, since = int(note["pid"]), str(note["holder"]), str(note["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"'{holder}' (process {pid}, since {since})" if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
