"""Find the rows of the seeds in a workbook that somebody edited, by the marks that `book` describes."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from orchestration.scorecard import SEEDS
from orchestration.workbook import WorkbookError
from orchestration.workbook.book import COLUMNS_OF, FORMAT, INDEX_SHEET, KIND
from orchestration.workbook.rules import VERSIONS

# A workbook of ours unpacks to a few megabytes.
_UNPACKED_LIMIT = 200_000_000
# How the file format writes characters that XML cannot hold.
_ESCAPED = re.compile("_x(00[01][0-9A-F]|FFF[EF])_")


@dataclass(frozen=True)
class SheetRow:
    """A row of a seed in the workbook: its cells as the strings that the seed's file would hold."""

    sheet: str
    row: int
    letters: dict[str, str]
    cells: dict[str, str]

    def place(self, column: str | None) -> str:
        """Where a message sends the reader."""
        cell = f"cell {self.letters[column]}{self.row}" if column in self.letters else f"row {self.row}"
        return f"sheet {self.sheet!r} {cell}"


@dataclass(frozen=True)
class Draft:
    """What a workbook says. `rows` has config_version in one row only, that of the versions."""

    path: Path
    base: str
    rows: dict[str, list[SheetRow]] = field(default_factory=lambda: {seed: [] for seed in SEEDS})

    @property
    def version(self) -> SheetRow:
        return self.rows[VERSIONS][0]


def read_workbook(path: Path) -> Draft:
    """Read a workbook that `write` made, as it was saved: formulas count as what they showed; links and macros are not looked at.

    Raises:
        WorkbookError: it is not such a workbook, or a sheet, a heading or the version's row is not where it was; one line per fault.
    """
    book = _open(path)
    base, titles = _index(path, book)
    missing = [title for title in titles if title not in book.sheetnames]
    if missing:
        others = [title for title in book.sheetnames if title not in titles and title != INDEX_SHEET]
        found = f"the sheet {missing[0]!r} is missing; there is {', '.join(map(repr, others))}"
        raise WorkbookError(f"{path.name}: {found}. Give it back its name")
    draft = Draft(path, base)
    faults = [fault for title in titles for fault in _read_sheet(book[title], draft)]
    if not faults and len(draft.rows[VERSIONS]) != 1:
        faults = [f"the new version is in {len(draft.rows[VERSIONS])} rows. Keep one, as make scorecard wrote it"]
    if faults:
        raise WorkbookError("\n".join(f"{path.name}: {fault}" for fault in faults))
    return draft


def _open(path: Path) -> openpyxl.Workbook:
    if not path.is_file():
        raise WorkbookError(f"{path}: no such file. Name the workbook: make scorecard-import FILE=...")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _UNPACKED_LIMIT:
            raise WorkbookError(f"{path.name}: unpacks to {unpacked:,} bytes, which no scorecard workbook does. Name the right file")
        with open(path, "rb") as file:
            return openpyxl.load_workbook(file, data_only=True, keep_links=False)
    except WorkbookError:
        raise
    # openpyxl passes on whatever its parsers raise about a damaged file.
    except Exception as error:
        remedy = "Save it as Excel workbook (.xlsx) without a password, or copy it again if it was cut off"
        raise WorkbookError(f"{path.name}: is not a readable .xlsx workbook ({type(error).__name__}). {remedy}") from error


def _index(path: Path, book: openpyxl.Workbook) -> tuple[str, list[str]]:
    """The version that the workbook was made from, and the titles of the sheets to read."""
    index = book[INDEX_SHEET] if INDEX_SHEET in book.sheetnames else None
    if index is None or index["A1"].value != KIND:
        raise WorkbookError(f"{path.name}: was not written by make scorecard. Write a workbook with it and change that one")
    if index["B1"].value != FORMAT:
        raise WorkbookError(f"{path.name}: was written by another version of this program. Write a new workbook with make scorecard")
    rows = index.iter_rows(min_row=2, max_col=2, values_only=True)
    entries = [(kind, _text(value)) for kind, value in rows if kind]
    return entries[0][1], [value for kind, value in entries if kind == "sheet"]


def _read_sheet(sheet: Worksheet, draft: Draft) -> Iterator[str]:
    columns: dict[str, dict[str, int]] = {}
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        mark = _text(cells[0]) if cells else ""
        if mark.startswith(COLUMNS_OF):
            seed = mark.removeprefix(COLUMNS_OF)
            columns[seed] = {text: position for position, cell in enumerate(cells) if position and (text := _text(cell))}
            if set(columns[seed]) | {"config_version"} != set(SEEDS[seed].columns) | {"config_version"}:
                remedy = "Do not add or remove columns"
                yield f"sheet {sheet.title!r} row {number}: the columns are not those of make scorecard. {remedy}"
                return
        elif mark in columns:
            texts = {name: _text(cells[position]) for name, position in columns[mark].items()}
            # Free rows, and those that somebody cleared.
            if any(texts.values()):
                letters = {name: get_column_letter(position + 1) for name, position in columns[mark].items()}
                draft.rows[mark].append(SheetRow(sheet.title, number, letters, texts))
        elif not mark and columns:
            filled = next((position for position, cell in enumerate(cells) if cell is not None), None)
            if filled is not None:
                cell = f"{get_column_letter(filled + 1)}{number}"
                found = f"{_text(cells[filled])!r:.60} is in a row that make scorecard did not write"
                yield f"sheet {sheet.title!r} cell {cell}: {found}. Move it into a free yellow row"


def _text(value: Any) -> str:
    """A cell as a seed's file would hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(float(value)).removesuffix(".0")
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(value))
