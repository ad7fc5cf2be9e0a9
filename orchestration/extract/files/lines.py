"""Text files record by record, in plain Python, with physical line numbers.

DuckDB reads clean files much faster; this reader is for files in which a line is broken (the line goes to quarantine,
the others load) and for saying on which line a bad row is. It never holds more than one record in memory.
"""

import csv
import gzip
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE_BYTES = 8 * 1024 * 1024
LONG_LINE = "line over 8 MB"
INVALID_ENCODING = "invalid encoding"
UNCLOSED_QUOTE = "unclosed quote"
TEXT_AFTER_QUOTE = "text after a closing quote"
WRONG_WIDTH = "wrong number of fields"
NOT_JSON = "not valid JSON, wanted is one object on each line"
NOT_OBJECT = "not a JSON object, wanted is one on each line"

GZIP = b"\x1f\x8b"

_SHOWN_CHARACTERS = 10_000
_BLOCK = 1 << 20
_MARK = b"\xef\xbb\xbf"
# A quote that begins a field and is not closed on its line; one within a field, as of inches, opens nothing.
_OPEN_QUOTE = re.compile(rb'(?:^|[,;\t|])"(?:[^"]|"")*$')

# The module's default of 128 KB would refuse long notes.
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line, line end included; `problem` is set where it cannot be read, with the bytes (`data`) that are not UTF-8."""

    number: int
    text: str
    problem: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first physical line (from 1), its fields or what is wrong, and its text as far as it is shown."""

    line: int
    fields: list[str] | None
    problem: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What the bytes of a text file hold, whatever a parser makes of them.

    Attributes:
        lines: physical lines.
        records: records, a header included; blank lines are not.
        has_long_line: whether a line is longer than `MAX_LINE_BYTES`.
    """

    lines: int
    records: int
    has_long_line: bool


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where they are those of gzip, whatever the name."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def count_records(path: Path, quoted: bool) -> Counted:
    """Count the records of a text file from its bytes, in one pass that holds no more than a line.

    Args:
        path: the file.
        quoted: CSV: a quoted field may span lines. Otherwise each line that is not blank is a record.
    """
    lines = records = size = 0
    has_long_line = in_quotes = False
    tail = b""

    def count(data: bytes) -> None:
        nonlocal lines, records, in_quotes
        here, not_blank, in_quotes = _count_whole_lines(data, quoted, in_quotes)
        lines += here
        records += not_blank

    with open_binary(path) as stream:
        block = stream.read(_BLOCK).removeprefix(_MARK)
        while block:
            first, end = block.find(b"\n"), block.rfind(b"\n") + 1
            if not end:
                size += len(block)
                tail = tail + block if size <= MAX_LINE_BYTES else b""
            else:
                if size + first > MAX_LINE_BYTES:
                    has_long_line, lines, records = True, lines + 1, records + 1
                    count(block[first + 1 : end])
                else:
                    count(tail + block[:end])
                tail = block[end:]
                size = len(tail)
            block = stream.read(_BLOCK)
    if size > MAX_LINE_BYTES:
        return Counted(lines + 1, records + 1, True)
    count(tail)
    return Counted(lines, records, has_long_line)


def _count_whole_lines(data: bytes, quoted: bool, in_quotes: bool) -> tuple[int, int, bool]:
    """Lines, records that begin in them, and whether the last one ends within quotes."""
    if not data:
        return 0, 0, in_quotes
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if quoted and (in_quotes or b'"' in data):
        records = 0
        for line in data.removesuffix(b"\n").split(b"\n"):
            if in_quotes:
                in_quotes = line.count(b'"') % 2 == 0
            elif line not in (b"", b"\r"):
                records += 1
                in_quotes = line.count(b'"') % 2 == 1 and _OPEN_QUOTE.search(line) is not None
        return lines, records, in_quotes
    may_be_blank = data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or b"\n\r\n" in data
    if quoted and not may_be_blank:
        return lines, lines, False
    blanks = b"\r" if quoted else b" \t\r"
    return lines, sum(1 for line in data.removesuffix(b"\n").split(b"\n") if line.strip(blanks)), False


def physical_lines(path: Path) -> Iterator[Line]:
    """The lines of a UTF-8 text file, without a byte order mark; a line over 8 MB is skipped over, not held."""
    with open_binary(path) as stream:
        number = 0
        while chunk := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                chunk = chunk.removeprefix(_MARK)
            if len(chunk) > MAX_LINE_BYTES and not chunk.endswith(b"\n"):
                shown = chunk[:_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
                while chunk and not chunk.endswith(b"\n"):
                    chunk = stream.readline(MAX_LINE_BYTES)
                yield Line(number, shown, LONG_LINE)
                continue
            try:
                yield Line(number, chunk.decode("utf-8"))
            except UnicodeDecodeError:
                yield Line(number, chunk.decode("utf-8", "backslashreplace"), INVALID_ENCODING, chunk)


def json_records(path: Path) -> Iterator[Record]:
    """The lines of a JSON lines file that are not blank, unparsed."""
    for line in physical_lines(path):
        text = line.text.strip(" \t\r\n")
        if text or line.problem is not None:
            shown = text if line.problem is None else text[:_SHOWN_CHARACTERS]
            yield Record(line.number, None, line.problem, shown)


def csv_records(path: Path, delimiter: str, width: int | None = None) -> Iterator[Record]:
    """The records of a CSV file, header first.

    A quoted field may span lines. Where a quote is not closed, or a record over several lines has not `width` fields,
    only its first line counts as broken, and reading goes on with the next line: one stray quote costs one row.

    Args:
        path: the file.
        delimiter: one character.
        width: expected number of fields; None: any number. Blank fields more at the end are let pass, and fields that lack at the
            end of a line are blank: Excel leaves out their delimiters. Not so in a last line without a line end, which may be cut off.
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
            while len(fields) > width and not fields[-1].strip():
                fields.pop()
            if not pulled and (line.text.endswith("\n") or not text.strip()):
                fields += [""] * (width - len(fields))
            if len(fields) != width:
                fields, problem = None, UNCLOSED_QUOTE if pulled else WRONG_WIDTH
        if problem is not None:
            pending.extendleft(reversed(pulled))
        yield Record(line.number, fields, problem, text[:_SHOWN_CHARACTERS])


def _feed(first: Line, next_line: Callable[[], Line | None], pulled: list[Line]) -> Iterator[str]:
    """Line after line for one record, until it is complete, 8 MB long, or a line cannot be read."""
    yield first.text
    size = len(first.text)
    while size <= MAX_LINE_BYTES and (line := next_line()) is not None:
        pulled.append(line)
        if line.problem is not None:
            return
        size += len(line.text)
        yield line.text
