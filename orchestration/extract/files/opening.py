"""What a file really is, by its first bytes whatever its name, and a copy of it that the readers can read where it is not one of theirs.

The readers take UTF-8 text (CSV, or one JSON object on each line; plain or gzip) and Parquet. Text in another encoding, a zip with one
file in it, an Excel sheet, a JSON array and pretty-printed JSON are copied into that form, piece by piece. What cannot be read is
refused with what it is and what to do.
"""

import codecs
import csv
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

from orchestration.extract.errors import SourceError
from orchestration.extract.files.deliveries import SourceFile
from orchestration.extract.files.lines import GZIP, MAX_LINE_BYTES, open_binary, physical_lines
from orchestration.plain_text import as_said, one_line

PARQUET = b"PAR1"
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# How a file begins that no reader takes, what it is, what to do.
_UNREADABLE = (
    (_OLE, "an old Excel file (.xls), or one with a password", "Save it as .xlsx without a password, or as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "Read it with connector = \"sql\", or export the table as CSV"),
    (b"%PDF", "a PDF", "Export the data as CSV"),
    (b"BZh", "packed with bzip2", "Pack it with gzip, or deliver it unpacked"),
    (b"\xfd7zXZ\0", "packed with xz", "Pack it with gzip, or deliver it unpacked"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "Pack it with gzip, or deliver it unpacked"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Deliver the file in it"),
    (b"Rar!", "a RAR archive", "Deliver the file in it"),
    (b"ARROW1", "an Arrow file", "Deliver Parquet"),
    (b"Obj\x01", "an Avro file", "Deliver Parquet, or one JSON object on each line"),
    (b"ORC", "an ORC file", "Deliver Parquet"),
    (GZIP, "packed with gzip a second time", "Pack it once"),
    (_ZIP, "an Excel or zip file within an archive", "Deliver it unpacked"),
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Tried in this order on bytes that are no UTF-8; what reads as letters and signs of these is likely.
_LIKELY = ("shift-jis", "windows-1252", "mac-roman", "cp850", "windows-1250", "windows-1251", "koi8-r")
_LETTERS = re.compile(
    r"[äöüÄÖÜßéèêëàáâãåæçñòóôõøíìîïúùûýÿœÉÈÀÁÇÑÓØÅÆŒ€–—‘’“”„…°§®©™«»]|[ąćęłńśźżčďěňřšťůžőűĄĆĘŁŃŚŹŻČĎŘŠŤŽ]|[А-Яа-яЁё]{2,}|[ぁ-ヿ一-鿿]{2,}"
)
# Nobody writes so: MÅller, кОМПАНИЯ.
_CASE_WITHIN_WORD = re.compile("[a-zа-я][ÄÖÜÅÆÇÉÈÀÁÑÓØА-Я]|[A-Z][ÄÖÜÅÆÇÉÈÀÁÑÓØ][a-z]")
_HEAD_BYTES, _BLOCK = 64 * 1024, 1 << 20
# Of a file that is only looked at.
_HEAD_CHARACTERS, _HEAD_ROWS = 1 << 20, 1_000
# Unpacked; openpyxl holds the strings of a workbook in memory.
_LARGEST_WORKBOOK = 512 * 1024 * 1024
_DELIMITER_LINE = re.compile(r"\ufeff?\"?sep=[,;\t|]\"?(?=[\r\n])", re.IGNORECASE)
_JSON_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class _Text:
    """How the text of a file is to be read.

    Attributes:
        encoding: None for UTF-8.
        old_mac: whether lines end in a lone carriage return.
        names_delimiter: whether the first line is Excel's `sep=;`, which is not a header.
        is_json: whether it is JSON, in whatever form.
    """

    encoding: str | None
    old_mac: bool
    names_delimiter: bool
    is_json: bool


@contextmanager
def opened(file: SourceFile, scratch: Path, head: bool = False) -> Iterator[SourceFile]:
    """The file as the readers take it: itself, or a copy in the folder `scratch` that is removed afterwards.

    Args:
        file: at hand; an empty one comes as it is.
        scratch: made where it is needed.
        head: a copy of the first megabyte is enough.

    Raises:
        SourceError: the file is damaged, or of a kind that cannot be read; the message says what it is and what to do.
    """
    first = first_bytes(file.path)
    if not first or first.startswith(PARQUET):
        yield replace(file, format="parquet") if first else file
        return
    chunks: Iterable[str] | None
    with ExitStack() as stack:
        if first.startswith(_ZIP):
            file, chunks = _of_zip(stack, file)
        elif file.format == "parquet" and b"\0" in first and not first.startswith(GZIP):
            refuse_unreadable(file, first)
            yield file
            return
        else:
            stream = stack.enter_context(_unpacked(file))
            file, chunks = _of_stream(file, stream)
        if chunks is None:
            yield file
            return
        scratch.mkdir(parents=True, exist_ok=True)
        copy = Path(stack.enter_context(TemporaryDirectory(dir=scratch))) / "copy"
        _write(copy, chunks, head)
        yield replace(file, path=copy, stored=None)


def refuse_other_encoding(file: SourceFile) -> None:
    """Refuse a text file with lines that are no UTF-8, unless other lines show that it is UTF-8 and these lines are broken.

    Raises:
        SourceError: names the encoding that it is likely in.
    """
    broken: list[tuple[int, bytes]] = []
    for line in physical_lines(file.path):
        if line.problem is not None and line.data is not None:
            if len(broken) < 100:
                broken.append((line.number, line.data))
        elif not line.text.isascii():
            return
    if broken:
        number, data = broken[0]
        found = _likely_encoding([line for _, line in broken])
        if found is None:
            remedy = 'Say with the source\'s encoding what it is, for example encoding = "shift-jis"'
        else:
            shown = "" if file.hides_content else f" (it then reads '{_around_letter(data, found)}')"
            remedy = f'It is likely {found}{shown}: write encoding = "{found}" in the source\'s section'
        raise SourceError(f"{file.label} line {number}: not UTF-8. {remedy}, or save the file as UTF-8")


def refuse_unreadable(file: SourceFile, first: bytes) -> None:
    """Refuse a file that begins like one that no reader takes."""
    for magic, what, remedy in _UNREADABLE:
        if first.startswith(magic):
            raise SourceError(f"{file.label}: {what}, which cannot be read. {remedy}")
    if first[257:262] == b"ustar":
        raise SourceError(f"{file.label}: a tar archive, which cannot be read. Deliver the files in it")


def first_bytes(path: Path, size: int = _HEAD_BYTES) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


@contextmanager
def _unpacked(file: SourceFile) -> Iterator[BinaryIO]:
    try:
        with open_binary(file.path) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(file, error) from error


def damaged_gzip(file: SourceFile, error: Exception) -> SourceError:
    return SourceError(f"{file.label}: truncated or damaged gzip stream ({error}). Deliver it again")


def _of_stream(file: SourceFile, stream: BinaryIO, is_copied: bool = False) -> tuple[SourceFile, Iterable[str] | None]:
    """The file with its format, and its text in pieces where a copy is needed (`is_copied`: in any case)."""
    first = stream.read(_HEAD_BYTES)
    refuse_unreadable(file, first)
    if first.startswith(PARQUET):
        raise SourceError(f"{file.label}: packed Parquet, which cannot be read. Deliver it unpacked: Parquet packs its columns itself")
    text = _text_of(file, first)
    file = replace(file, format="jsonl" if text.is_json else "csv" if file.format == "parquet" else file.format)
    is_pretty = text.is_json and _is_no_line(file, text, first)
    if not (is_copied or text.encoding or text.old_mac or text.names_delimiter or is_pretty):
        return file, None
    chunks = _decoded(file, text, first, stream)
    return file, (_json_lines(file, chunks) if is_pretty else chunks)


def _text_of(file: SourceFile, first: bytes) -> _Text:
    encoding = next((encoding for mark, encoding in _MARKS if first.startswith(mark)), None)
    # Of a file that is UTF-8 the setting would make signs that nobody wrote: it is for the source's other files.
    if encoding is None and file.encoding is not None and not _is_utf8(first):
        encoding = file.encoding if codecs.lookup(file.encoding).name not in ("utf-8", "ascii") else None
    if encoding is None and b"\0" in first[:2]:
        encoding = "utf-16-be" if first[:1] == b"\0" else "utf-16-le"
    head = codecs.getincrementaldecoder(encoding or "utf-8")("replace").decode(first)
    said = head.lstrip("\ufeff \t\r\n")
    lowered = said[:500].lower()
    if lowered.startswith(("<!doctype html", "<html")):
        raise SourceError(f"{file.label}: an HTML page, perhaps that of a login or of an error. Deliver the data itself")
    if lowered.startswith("<?xml"):
        raise SourceError(f"{file.label}: XML, which cannot be read. Save it as .xlsx or CSV")
    is_json = file.format == "jsonl" or re.match(r'\{\s*"|\[\s*[\[{]', said) is not None
    names_delimiter = _DELIMITER_LINE.match(head) is not None
    return _Text(None if encoding == "utf-8-sig" else encoding, "\r" in head and "\n" not in head, names_delimiter, is_json)


def _is_utf8(first: bytes) -> bool:
    """Whether there are characters beyond ASCII, and all are UTF-8; by chance that is so of hardly any other text."""
    try:
        return not codecs.getincrementaldecoder("utf-8")("strict").decode(first).isascii()
    except UnicodeDecodeError:
        return False


def _is_no_line(file: SourceFile, text: _Text, first: bytes) -> bool:
    """Whether JSON is an array, or an object over several lines, rather than one object on each line."""
    said = codecs.getincrementaldecoder(text.encoding or "utf-8")("replace").decode(first).lstrip("\ufeff \t\r\n")
    if said.startswith("["):
        # A line that is a list is a bad row among others; a file that begins a list of objects is one.
        return re.match(r"\[\s*(\{|\]\s*$)", said) is not None
    # An object that goes on in the next line with a name or an end, or within a list; else the line is one, if a broken one.
    return re.match(r'\{(?:[^\n]*[,{])?\s*\n\s*["}]|\{[^\n]*\[\s*\n', said) is not None


def _decoded(file: SourceFile, text: _Text, first: bytes, stream: BinaryIO) -> Iterator[str]:
    """The text of a stream of which the first bytes were read, in pieces."""
    encoding = text.encoding or "utf-8-sig"
    # Lines that are no UTF-8 are judged by those who read them.
    decoder = codecs.getincrementaldecoder(encoding)("strict" if text.encoding else "surrogateescape")
    lines, block = 1, first
    while True:
        try:
            piece = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            at = lines + error.object[: error.start].count(b"\n")
            raise SourceError(
                f"{file.label} line {at}: byte 0x{error.object[error.start]:02x} is not a character of {encoding} ({error.reason}). "
                "Fix the source's encoding, or save the file as UTF-8"
            ) from None
        piece = piece.replace("\r", "\n") if text.old_mac else piece
        if text.names_delimiter and block is first:
            # The line stays, blank: those below it keep their numbers.
            piece = _DELIMITER_LINE.sub("", piece)
        lines += piece.count("\n")
        yield piece
        if not block:
            return
        block = stream.read(_BLOCK)


def _json_lines(file: SourceFile, chunks: Iterable[str]) -> Iterator[str]:
    """JSON values, in an array or one after another, as one on each line: on the line where each began, if that is still to come.

    Raises:
        SourceError: it is not JSON; or what follows it cannot be separated.
    """
    written = 1
    for line, value in _json_values(file, iter(chunks)):
        yield "\n" * max(line - written, 0)
        # A line break in JSON is between its parts only.
        yield value.replace("\r", " ").replace("\n", " ") + "\n"
        written = max(line, written) + 1


def _end_of_space(text: str, start: int) -> int:
    found = _JSON_SPACE.match(text, start)
    return start if found is None else found.end()


def _json_values(file: SourceFile, chunks: Iterator[str]) -> Iterator[tuple[int, str]]:
    decoder = json.JSONDecoder()
    buffer, position, line = next(chunks, "").lstrip("\ufeff"), 0, 1
    is_array, is_first = None, True
    while True:
        end = _end_of_space(buffer, position)
        if is_first and end < len(buffer):
            is_array, is_first = buffer[end] == "[", False
            end += is_array
            end = _end_of_space(buffer, end)
        line += buffer.count("\n", position, end)
        position = end
        fault = None
        if position < len(buffer):
            if is_array and buffer[position] == "]":
                # Another page of an API's answer may follow.
                is_array, is_first, position = False, True, position + 1
                continue
            try:
                _, end = decoder.raw_decode(buffer, position)
                # A number at the end of a piece may go on in the next one.
                if end < len(buffer):
                    yield line, buffer[position:end]
                    line += buffer.count("\n", position, end)
                    position = end
                    continue
            except ValueError as error:
                fault = error
            except RecursionError:
                raise SourceError(f"{file.label} line {line}: JSON nested too deep. Deliver one flat object on each line") from None
        more = next(chunks, None)
        if more is not None and len(buffer) - position <= MAX_LINE_BYTES:
            buffer, position = buffer[position:] + more, 0
            continue
        if fault is not None and more is not None:
            raise SourceError(f"{file.label} line {line}: a JSON value over 8 MB. Deliver one object on each line")
        if fault is not None or is_array:
            said = getattr(fault, "msg", "the array is not closed")
            raise SourceError(f"{file.label} line {line}: not valid JSON ({said}), or cut off. Deliver it again")
        if position < len(buffer):
            yield line, buffer[position:]
        return


def _of_zip(stack: ExitStack, file: SourceFile) -> tuple[SourceFile, Iterable[str] | None]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(file.path))
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged_zip(file, error) from error
    names = archive.namelist()
    if "xl/workbook.xml" in names:
        return replace(file, format="csv"), _sheet_lines(stack, file, archive)
    if "xl/workbook.bin" in names or "content.xml" in names:
        raise SourceError(f"{file.label}: a spreadsheet other than .xlsx, which cannot be read. Save it as .xlsx or CSV")
    # macOS adds files of its own.
    hidden = re.compile(r"(^|/)(__MACOSX/|\.)")
    inner = [one for one in archive.infolist() if not one.is_dir() and not hidden.search(one.filename)]
    if len(inner) != 1:
        listed = ", ".join(one_line(one.filename, 80) for one in inner[:5])
        named = f" ({listed}{', ...' if len(inner) > 5 else ''})" if inner and not file.is_foreign else ""
        raise SourceError(f"{file.label}: a zip file with {len(inner)} files in it{named}; one can be read. Deliver them unpacked")
    [member] = inner
    if member.flag_bits & 1:
        raise SourceError(f"{file.label}: a zip file with a password, which cannot be read. Deliver it without one")
    stream = stack.enter_context(_members_stream(file, archive, member))
    suffix = Path(member.filename.lower()).suffix
    format_ = "jsonl" if suffix in (".json", ".jsonl", ".ndjson") else file.format if file.format != "parquet" else "csv"
    return _of_stream(replace(file, format=format_), stream, is_copied=True)


@contextmanager
def _members_stream(file: SourceFile, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[BinaryIO]:
    try:
        with archive.open(member) as stream:
            yield cast(BinaryIO, stream)
    except NotImplementedError as error:
        raise SourceError(f"{file.label}: a zip file of a kind that cannot be read ({as_said(error)}). Deliver it unpacked") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged_zip(file, error) from error


def _damaged_zip(file: SourceFile, error: Exception) -> SourceError:
    return SourceError(f"{file.label}: truncated or damaged zip file ({as_said(error)}). Deliver it again")


def _sheet_lines(stack: ExitStack, file: SourceFile, archive: zipfile.ZipFile) -> Iterator[str]:
    """The rows of an Excel sheet as lines of CSV, each as wide as the first that is not blank."""
    # Imported when first used.
    import openpyxl

    if sum(one.file_size for one in archive.infolist()) > _LARGEST_WORKBOOK:
        raise SourceError(f"{file.label}: over 512 MB when unpacked, too large for an Excel file. Save the sheet as CSV")
    try:
        # A path would have to end in .xlsx.
        book = openpyxl.load_workbook(stack.enter_context(file.path.open("rb")), read_only=True, data_only=True)
        stack.callback(book.close)
        if file.sheet is not None and file.sheet not in book.sheetnames:
            listed = "" if file.is_foreign else f"; there is {', '.join(one_line(name, 80) for name in book.sheetnames)}"
            raise SourceError(f"{file.label}: no sheet {file.sheet}{listed}. Fix the source's sheet")
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        sheet = book[file.sheet] if file.sheet is not None else visible[0]
        # What the file says of its size may be wrong: some programs write 1 x 1.
        sheet.reset_dimensions()
        width = 0
        for cells in sheet.iter_rows(values_only=True):
            texts = [_cell_text(cell) for cell in cells]
            while texts and texts[-1] == "":
                texts.pop()
            width = width or len(texts)
            texts += [""] * (width - len(texts))
            line = StringIO()
            csv.writer(line, lineterminator="\n").writerow(texts)
            yield line.getvalue()
    except SourceError:
        raise
    except Exception as error:
        # openpyxl raises whatever a damaged file leads it to.
        raise SourceError(f"{file.label}: an Excel file that cannot be read ({as_said(error)}). Save it as CSV") from error


def _cell_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= 2**53:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


def _write(copy: Path, chunks: Iterable[str], head: bool) -> None:
    """Write text as UTF-8; of a head whole lines only."""
    size = rows = 0
    with copy.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        for chunk in chunks:
            size += len(chunk)
            rows += 1
            if head and (size > _HEAD_CHARACTERS or rows > _HEAD_ROWS):
                out.write(chunk[: chunk.rfind("\n") + 1])
                return
            out.write(chunk)


def _likely_encoding(lines: list[bytes]) -> str | None:
    best, most = None, 0.6
    for encoding in _LIKELY:
        try:
            text = b"".join(lines).decode(encoding)
        except UnicodeDecodeError:
            continue
        foreign = sum(not character.isascii() for character in text)
        share = sum(len(found) for found in _LETTERS.findall(text)) / foreign
        if _CASE_WITHIN_WORD.search(text):
            share /= 2
        if share > most:
            best, most = encoding, share
    return best


def _around_letter(line: bytes, encoding: str) -> str:
    """The few words around the first character that is not plain."""
    text = line.decode(encoding)
    at = next(index for index, character in enumerate(text) if not character.isascii())
    return one_line(re.split(r'[,;\t|"]', text[:at])[-1][-30:] + re.split(r'[,;\t|"\r\n]', text[at:])[0][:30], 80)
