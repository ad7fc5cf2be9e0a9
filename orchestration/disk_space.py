"""Space on the disk of the data folder: required before a run, watched during it.

What runs out of space half-way has a hundred faces, and none says so: DuckDB is silent, SQLite reports an I/O error, and Dagster cannot
even note the failure. So a run ends while there is still some space, and says why.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from orchestration.settings import Settings, SettingsError
from orchestration.stopping import end

_NEEDED_MEGABYTES = 100
# Enough for Dagster to note the failure.
_RESERVE_MEGABYTES = 20
_LOOK_EVERY_SECONDS = 0.1
_watches: list[Callable[[], None]] = []


class DiskFull(RuntimeError):
    """A run could not go on; the message says what to do."""


def free_megabytes(settings: Settings) -> int | None:
    """Space that is left for the data folder, which need not be there yet; None where the system does not say."""
    folder = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if os.path.exists(folder))
    disk = shutil.disk_usage(folder)
    return disk.free // 10**6 if disk.total else None


def used_megabytes(settings: Settings) -> int:
    """What the files of the data folder take on the disk; what several names share counts once."""
    found: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(settings.data_dir):
        for name in names:
            # What is a file of Dagster's or SQLite's may be gone by now.
            with suppress(OSError):
                stat = os.lstat(os.path.join(folder, name))
                found[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(found.values()) // 10**6


def check_space(settings: Settings) -> None:
    """Refuse to begin on a disk that is nearly full.

    Raises:
        SettingsError: less than 100 MB are free where the data folder is.
    """
    free = free_megabytes(settings)
    if free is not None and free < _NEEDED_MEGABYTES:
        raise SettingsError(
            f"{settings.data_dir}: {free} MB are free on its disk, and a run needs at least {_NEEDED_MEGABYTES}. "
            "Nothing was written: free space, or name another folder as pipeline.data_dir"
        )


def disk_full(settings: Settings) -> str | None:
    """What the user reads where less than 20 MB are free; else None."""
    free = free_megabytes(settings)
    if free is None or free >= _RESERVE_MEGABYTES:
        return None
    return (
        f"{settings.data_dir}: its disk is full: {free} MB are free, and a run ends below {_RESERVE_MEGABYTES}. Readers see a complete "
        f"mart: free {_NEEDED_MEGABYTES} MB or more, and the same command does the rest"
    )


@contextmanager
def ending_when_full(settings: Settings, report: Callable[[str], None]) -> Iterator[None]:
    """End this process, with one line on standard error and the status 1, as soon as less than 20 MB are free.

    Args:
        report: is given the line first, and has some seconds.
    """
    # Dagster has standard error go to a file while a step runs.
    stderr = os.dup(2)
    over = threading.Event()

    def look() -> None:
        said = disk_full(settings)
        if said is not None and not over.is_set():
            end(1, said, stderr, [lambda: report(said)])

    def watch() -> None:
        while not over.wait(_LOOK_EVERY_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    _watches.append(look)
    try:
        yield
    finally:
        _watches.remove(look)
        over.set()
        thread.join()
        os.close(stderr)


@contextmanager
def naming_a_full_disk(settings: Settings) -> Iterator[None]:
    """For what a command writes while no run is watched: Dagster's own folder, before and after it.

    Raises:
        DiskFull: it failed, and the disk is full.
    """
    try:
        yield
    except SettingsError:
        raise
    except Exception as error:
        full = disk_full(settings)
        if full is None:
            raise
        raise DiskFull(full) from error


def end_if_full() -> None:
    """End this process if a run in it is watched and its disk is full; what would be written now could only fail."""
    for look in list(_watches):
        look()
