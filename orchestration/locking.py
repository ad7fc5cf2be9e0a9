"""One writer at a time: every command that writes below the data folder holds this lock.

The lock is an `flock`, so the kernel frees it however its holder dies. Who holds it stands in a note beside it, which
is only ever used to word the message of the one who waited in vain.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from orchestration.settings import Settings

LOCK_NAME = "writer.lock"
NOTE_NAME = "writer.lock.json"


class WriterBusy(RuntimeError):
    """Another command writes; the message names it. Nothing was written."""


@contextmanager
def writer_lock(settings: Settings, holder: str) -> Iterator[None]:
    """Hold the right to write below `settings.data_dir`; not re-entrant.

    Args:
        settings: `pipeline.lock_timeout_seconds` bounds the wait.
        holder: what the command does, in words for the one who has to wait: `daily_health 2026-01-05...2026-01-06`.

    Raises:
        SettingsError: the data folder cannot be written.
        WriterBusy: another process kept the lock for the whole wait.
    """
    folder = settings.make_data_dir()
    timeout = settings.pipeline.lock_timeout_seconds
    lock = FileLock(folder / LOCK_NAME, timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise WriterBusy(
            f"{folder / LOCK_NAME}: {_describe(folder / NOTE_NAME)} is writing and did not finish within "
            f"{timeout:g} s. Nothing was written: wait for it to end, or raise pipeline.lock_timeout_seconds"
        ) from None
    try:
        _write_note(folder / NOTE_NAME, holder)
        yield
    finally:
        # Before the release: afterwards the note may already be the next holder's.
        (folder / NOTE_NAME).unlink(missing_ok=True)
        lock.release()


def _write_note(path: Path, holder: str) -> None:
    note = {"pid": os.getpid(), "holder": holder, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(note), encoding="utf-8")
    os.replace(temporary, path)


def _describe(path: Path) -> str:
    """The holder in words. A note whose process is gone is a dead holder's, and the present one has not signed yet."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        pid, holder, since = int(note["pid"]), str(note["holder"]), str(note["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
    return f"'{holder}' (process {pid}, since {since})" if _is_alive(pid) else "another command"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
