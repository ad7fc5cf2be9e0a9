"""SIGINT and SIGTERM end a command at once, wherever it is: in a query of minutes, in an import, in a wait for a lock.

What a run writes survives `kill -9` at any moment, so little is wound up here: dbt closes the warehouse (`orchestration.dbt_build`),
and Dagster shows the run as canceled.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker

_REPORT_SECONDS = 5
_reports: list[Callable[[str], None]] = []
_ending = threading.Lock()


def until_signal(what: str, work: Callable[[], int]) -> int:
    """Do the work; SIGINT and SIGTERM end this process with one line on standard error and the exit status 128 + signal.

    The work has a thread of its own. Python runs signal handlers in the main thread, between two of its own instructions: that one
    waits and is always ready. Dagster, which would catch signals and put them off, does so in the main thread only.

    Args:
        what: the command, as the line names it.

    Returns:
        What the work returned.
    """
    # Dagster has standard error go to a file while a step runs.
    stderr = os.dup(2)
    # The process that counts the semaphores of this one would complain about an end without a farewell.
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), quiet)))
    before = {number: signal.signal(number, lambda received, _: _end(received, stderr, what)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(work).result()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(stderr)


@contextmanager
def reporting(report: Callable[[str], None]) -> Iterator[None]:
    """Have `report` called with the signal's name before a signal ends the process; it has some seconds."""
    _reports.append(report)
    try:
        yield
    finally:
        _reports.remove(report)


@contextmanager
def sparing_helpers() -> Iterator[None]:
    """Programs that are started meanwhile by this thread do not get a terminal's Ctrl-C: they end when this process has.

    Dagster starts some that watch the output of a run, and each would end with a traceback of its own. Of no effect in the main thread,
    which takes the signal itself.
    """
    if threading.current_thread() is threading.main_thread():
        yield
        return
    # When it starts, it lets the signal through to the thread that needs it: so before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(received: int, stderr: int, what: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    name = signal.Signals(received).name
    line = f"{what}: stopped by {name}. Readers see a complete mart; the same command again does the rest"
    end(128 + received, line, stderr, [partial(report, name) for report in reversed(_reports)])


def end(status: int, line: str, stderr: int, reports: Iterable[Callable[[], None]]) -> None:
    """End this process with one line on standard error, whatever its threads do. The first call counts; one during it returns.

    Args:
        stderr: the descriptor that the line goes to.
        reports: are called after that, and have some seconds together.
    """
    if not _ending.acquire(blocking=False):
        return
    last_resort = threading.Timer(_REPORT_SECONDS, os._exit, [status])
    last_resort.daemon = True
    last_resort.start()
    with suppress(OSError):
        os.write(stderr, f"{line}\n".encode())
    # What other threads and the reports complain about from now on is not news.
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for report in reports:
        with suppress(Exception):
            report()
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(status)
