"""What a run is doing, for the person who waits: a line for each step with its time, and between the lines a bar or a sign of life.

The code at work says what it begins (`now_at`). Nobody hears it unless a command shows it (`shown`): the Dagster UI has its own events.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from orchestration.stopping import reporting

if TYPE_CHECKING:
    # Imported for a terminal only.
    from rich.progress import Progress, TaskID

# Where there is no terminal, nothing is silent for longer.
_SIGN_OF_LIFE_SECONDS = 9
_PARTS_SHOWN = 6
_display: "Display | None" = None


def now_at(step: str, part: str, of: int = 0, name: str = "") -> None:
    """The work begins the next unit of a step: `now_at("dbt", "staging", of=104, name="stg_crm__accounts")`.

    Args:
        step: a line of the output. With another step, the one before is over.
        part: what the time of the step is broken down by.
        of: the number of units that the step has, where it is known.
        name: of the unit, where the part has several.
    """
    if _display is not None:
        _display.now_at(step, part, of, name)


def warnings() -> logging.Handler:
    """What keeps the warnings of the run that is shown; elsewhere they go nowhere."""
    return logging.NullHandler() if _display is None else _display.warnings


@contextmanager
def shown(log: Path, first_line: str, since: float) -> Iterator["Display"]:
    """Show the steps on standard output. What anything else writes there meanwhile, above all dbt, goes to the file `log`.

    Args:
        since: when the first step began, on the monotonic clock.
    """
    global _display
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(log, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        _display = display = Display(out, first_line, since)
        logging.root.addHandler(display.warnings)
        try:
            with reporting(lambda _: display.stop()):
                yield display
        finally:
            logging.root.removeHandler(display.warnings)
            _display = None
            display.close()
            sys.stdout.flush()
            os.dup2(out.fileno(), 1)
            with suppress(OSError):
                out.close()


class Warnings(logging.Handler):
    """Keeps each warning once, in order, and writes it to standard output, which is the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        # Dagster puts the run and the step before what was said.
        self.said[getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()] = None
        print(self.format(record), flush=True)


class Display:
    """The steps as they pass.

    Attributes:
        warnings: what was logged meanwhile.
    """

    def __init__(self, out: TextIO, first_line: str, since: float) -> None:
        self.warnings = Warnings()
        self._out = out
        self._bar = _bar(out) if out.isatty() and os.environ.get("TERM") != "dumb" else None
        self._lock, self._over = threading.Lock(), threading.Event()
        self._spoke = since
        self._write(first_line)
        self._begin("start", since)
        threading.Thread(target=self._give_signs_of_life, daemon=True).start()

    def now_at(self, step: str, part: str, of: int, name: str) -> None:
        with self._lock:
            now = time.monotonic()
            if step != self._step:
                self._end(now)
                self._begin(step, now)
            self._note_time(now)
            self._part, self._name, self._of = part, name, of
            self._units += 1
            if self._bar is not None:
                progress, task = self._bar
                progress.update(task, step=step, description=f"{part} {name}", completed=self._units - 1, total=of or None)

    def close(self) -> None:
        """The last step is over."""
        with self._lock:
            self._end(time.monotonic())
        self.stop()

    def stop(self) -> None:
        """Show nothing more; a terminal has its cursor back."""
        self._over.set()
        if self._bar is not None:
            self._bar[0].stop()

    def _begin(self, step: str, now: float) -> None:
        self._step, self._part, self._name, self._of, self._units = step, "", "", 0, 0
        self._since = self._part_since = now
        self._parts: dict[str, float] = {}
        self._sign: str | None = None

    def _note_time(self, now: float) -> None:
        if self._part:
            self._parts[self._part] = self._parts.get(self._part, 0.0) + now - self._part_since
        self._part_since = now

    def _end(self, now: float) -> None:
        self._note_time(now)
        if self._sign is not None:
            self._put("\n")
        self._write(f"{self._step:<10}{now - self._since:7.1f} s  {_longest(self._parts)}".rstrip())

    def _give_signs_of_life(self) -> None:
        """All signs of a step are on one line: a slow machine gets no more lines than a fast one."""
        while self._bar is None and not self._over.wait(max(0.1, self._spoke + _SIGN_OF_LIFE_SECONDS - time.monotonic())):
            with self._lock:
                if time.monotonic() - self._spoke < _SIGN_OF_LIFE_SECONDS or self._over.is_set():
                    continue
                sign = f" {self._units}/{self._of} {self._part}" if self._of else f" {self._part}"
                self._put((f"{self._step:<10}" if self._sign is None else "") + (" ." if self._sign == sign else sign.rstrip()))
                self._sign, self._spoke = sign, time.monotonic()

    def _write(self, line: str) -> None:
        self._spoke = time.monotonic()
        if self._bar is None:
            self._put(f"{line}\n")
        else:
            self._bar[0].console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _put(self, text: str) -> None:
        # Who read it may have gone (`make run | head`): that is no reason to stop the run.
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()


def _longest(parts: dict[str, float]) -> str:
    """The parts with their seconds, in order; of many, those that took longest and the others in a sum."""
    shown = list(parts) if len(parts) <= _PARTS_SHOWN else sorted(parts, key=lambda part: -parts[part])[: _PARTS_SHOWN // 2]
    said = [f"{part} {parts[part]:.1f} s" for part in shown]
    if others := parts.keys() - set(shown):
        said.append(f"{len(others)} others {sum(parts[part] for part in others):.1f} s")
    return ", ".join(said)


def _bar(out: TextIO) -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    progress = Progress(
        TextColumn("{task.fields[step]:<9}", markup=False),
        TimeElapsedColumn(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=Console(file=out),
        transient=True,
        refresh_per_second=4,
        # What the run writes there goes to the log.
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = progress.add_task("", total=None, step="start")
    progress.start()
    return progress, task
