"""Text files record by record, in plain Python, with physical line numbers.

DuckDB reads clean files much faster; this reader is for files in which a line is broken (the line goes to quarantine,
the others load) and for telling on which line a bad row stands. It never holds more than one record in memory.
"""

import csv
import gzip
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_LINE_BYTES = 8 * 1024 * 1024
LONG_LINE = "line over 8 MB"
INVALID_ENCODING = "invalid encoding"
UNCLOSED_QUOTE = "unclosed quote"
TEXT_AFTER_QUOTE = "text after a closing quote"
WRONG_WIDTH = "wrong number of fields"

_SHOWN_CHARACTERS = 10_000

# The module's default of 128 KB would refuse long notes.
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line, line end included; `problem` is set where it cannot be read."""

    number: int
    text: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first physical line (from 1), its fields or what is wrong, and its text as far as it is shown."""

    line: int
    fields: list[str] | None
    problem: str | None
    text: str


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where the name ends in `.gz`."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def physical_lines(path: Path) -> Iterator[Line]:
    """The lines of a UTF-8 text file, without a byte order mark; a line over 8 MB is skipped over, not held."""
    with open_binary(path) as stream:
        number = 0
        while chunk := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            if len(chunk) > MAX_LINE_BYTES and not chunk.endswith(b"\n"):
                shown = chunk[:_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
                while chunk and not chunk.endswith(b"\n"):
                    chunk = stream.readline(MAX_LINE_BYTES)
                yield Line(number, shown, LONG_LINE)
                continue
            try:
                yield Line(number, chunk.decode("utf-8"))
            except UnicodeDecodeError:
                yield Line(number, chunk.decode("utf-8", "backslashreplace"), INVALID_ENCODING)


def json_records(path: Path) -> Iterator[Record]:
    """The lines of a JSON lines file that are not blank, unparsed."""
    for line in physical_lines(path):
        text = line.text.strip()
        if text:
            shown = text if line.problem is None else text[:_SHOWN_CHARACTERS]
            yield Record(line.number, None, line.problem, shown)


def csv_records(path: Path, delimiter: str, width: int | None = None) -> Iterator[Record]:
    """The records of a CSV file, header first.

    A quoted field may span lines. Where a quote is not closed, or a record over several lines has not `width` fields,
    only its first line counts as broken, and reading goes on with the next line: one stray quote costs one row.

    Args:
        path: the file.
        delimiter: one character.
        width: expected number of fields; None: any number. One empty field more at the end is let pass.
    """
    lines = physical_lines(path)
    pending: deque[Line] = deque()

    def next_line() -> Line | None:
        return pending.popleft() if pending else next(lines, None)

    while (line := next_line()) is not None:
        text = line.text.removesuffix("\n").removesuffix("\r")
        if line.problem is not None:
            yield Record(line.number, None, line.problem, text[:_SHOWN_CHARACTERS])
            continue
        if not text:
            continue
        pulled: list[Line] = []
        problem = None
        fields: list[str] | None = None
        if '"' not in text:
            fields = text.split(delimiter)
        else:
            try:
                fields = next(csv.reader(_feed(line, next_line, pulled), delimiter=delimiter, strict=True))
            except csv.Error as error:
                problem = UNCLOSED_QUOTE if pulled or "end of data" in str(error) else TEXT_AFTER_QUOTE
        if fields is not None and width is not None:
            if len(fields) == width + 1 and fields[-1] == "":
                fields.pop()
            if len(fields) != width:
                fields, problem = None, UNCLOSED_QUOTE if pulled else WRONG_WIDTH
        if problem is not None:
            pending.extendleft(reversed(pulled))
        yield Record(line.number, fields, problem, text[:_SHOWN_CHARACTERS])


def _feed(first: Line, next_line, pulled: list[Line]) -> Iterator[str]:
    """Line after line for one record, until it is complete, 8 MB long, or a line cannot be read."""
    yield first.text
    size = len(first.text)
    while size <= MAX_LINE_BYTES and (line := next_line()) is not None:
        pulled.append(line)
        if line.problem is not None:
            return
        size += len(line.text)
        yield line.text
