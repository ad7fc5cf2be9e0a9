"""What is wrong with the seeds, in words for whoever edits them: one line with file, line, what was found and what to do."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.errors import UserError
from orchestration.scorecard.schema import Seeds

_MAX_FAULTS_SHOWN = 50


@dataclass(frozen=True)
class Fault:
    """`line` is None where a file, or a row that is not there, is at fault; `column` where no single cell is. Else than an error a warning
    stops no run."""

    seed: str
    line: int | None
    text: str
    column: str | None = None
    is_error: bool = True


class ConfigurationError(UserError, ValueError):
    """The scorecard seeds cannot be used; the message has one line per fault, with file, line and remedy.

    Attributes:
        faults: the same faults as data, for who knows the rows from elsewhere than from the files.
    """

    def __init__(self, message: str, faults: "Sequence[Fault]" = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


def message(seeds: Seeds, faults: list[Fault]) -> str:
    lines = [one_fault(seeds, fault) for fault in faults[:_MAX_FAULTS_SHOWN]]
    if len(faults) > _MAX_FAULTS_SHOWN:
        lines.append(f"{len(faults) - _MAX_FAULTS_SHOWN} more faults are not listed. Fix these first")
    return "\n".join(lines)


def one_fault(seeds: Seeds, fault: Fault) -> str:
    line = "" if fault.line is None else f" line {fault.line}"
    return f"{seeds.file(fault.seed)}{line}: {fault.text}"


def show(value: Any) -> str:
    """A value as found, on one line whatever it holds: quoted, escaped and cut."""
    text = value if isinstance(value, str) else f"{value:.15g}" if isinstance(value, float) else str(value)
    return repr(text if len(text) <= 60 else text[:60] + "...")


def suggest(found: str, known: Collection[str]) -> str:
    # Signs are too short for likeness to mean anything: `=>` is as near to `>` as to `>=`.
    close = difflib.get_close_matches(found[:200], known, n=1) if any(map(str.isalnum, found)) else []
    return f"Did you mean {show(close[0])}?" if close else ""
