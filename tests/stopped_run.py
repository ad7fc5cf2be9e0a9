"""`python -m tests.stopped_run SIGNAL PLACE FILE RANGE`: `health run RANGE`, which sends itself a signal at a place.

It writes the time to FILE first.

A place is `before module:function` or `after module:class.method`, for the function's first call, or a text that dbt writes.
Where the signal does not end the process at once, the function is a statement of DuckDB that lasts for minutes.
RANGE may be `today@2026-03-10T15:00:00+00:00`: `health run today` at that time.
SIGNAL may also be FULL: from then on nothing more fits on the disk of FILE, and the run goes on.
"""

import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration import intraday
from orchestration.cli import main

_MINUTES = "select sum(a.range * b.range) from range(10000000) as a, range(10000000) as b"


def stop_at(signal_name: str, place: str, send: Callable[[], None]) -> None:
    when, _, function = place.partition(" ")
    if when not in ("before", "after"):
        sys.stdout = _Stdout(sys.stdout, place, send)
        return
    module_name, path = function.split(":")
    *owners, function_name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module_name))
    original = getattr(owner, function_name)

    def stop(*arguments: Any, **named: Any) -> Any:
        import duckdb

        if when == "after":
            original(*arguments, **named)
        send()
        if signal_name == "FULL" and when == "before":
            return original(*arguments, **named)
        duckdb.execute(_MINUTES).fetchall()

    setattr(owner, function_name, stop)


def send(name: str, note: Path) -> None:
    if name == "FULL":
        with suppress(OSError), open(note, "wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        return
    note.write_text(str(time.time()))
    if name == "SIGINT":
        # As from a terminal: to all programs of the command.
        os.killpg(0, signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.Signals[name])


class _Stdout:
    """Standard output that sends the signal when a text is written to it."""

    def __init__(self, stream: Any, text: str, send: Callable[[], None]) -> None:
        self._stream, self._text, self._send = stream, text, send

    def write(self, text: str) -> int:
        if self._text in text:
            self._send()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    signal_name, at, sent_at, days = sys.argv[1:]
    days, _, now = days.partition("@")
    if now:
        intraday.clock = lambda: datetime.fromisoformat(now)
    stop_at(signal_name, at, lambda: send(signal_name, Path(sent_at)))
    sys.exit(main(["run", days]))
