"""What all sheets share: the look of cells, and the marks by which `read` finds the rows of the seeds again.

Column A of every sheet is hidden. It says what a row is: `columns of <seed>` comes before a hidden row that names the
seed's columns, `<seed>` before one row of that seed, `text` before anything else that was written. So rows are found
wherever they have moved, and a row that somebody added is distinguished from ours.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

import xlsxwriter
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from orchestration.publish.tiers import TIER_COLOURS, TIER_LABELS
from orchestration.workbook import WorkbookError

KIND = "customer-health scorecard workbook"
FORMAT = 1
INDEX_SHEET = "Index"
COLUMNS_OF = "columns of "
TEXT = "text"
MARK_COLUMN = 0

_CELL_LIMIT = 32_767  # characters, by the file format
_PROTECTED = {"format_columns": True, "format_rows": True, "autofilter": True}

Style = Literal[
    "title", "note", "head", "group", "label", "key", "number", "input", "input_text", "input_date", "input_share", "share", "score",
    "points", "check", "hidden", "wrap", "whole", "decimal", "column_name", "bold", "member", "group_share", "group_check", "group_score",
    "group_points",
]  # fmt: skip

_INPUT = {"bg_color": "#FFF7D1", "border": 1, "border_color": "#C9A227", "font_color": "#1F3C88", "locked": False}
_STYLES: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 16},
    "note": {"font_color": "#444444"},
    "head": {"bold": True, "text_wrap": True, "bg_color": "#2F3E4E", "font_color": "#FFFFFF", "valign": "vcenter"},
    "group": {"bold": True, "bg_color": "#E4E9EE"},
    "group_share": {"bold": True, "bg_color": "#E4E9EE", "num_format": "0.0%"},
    "group_score": {"bold": True, "bg_color": "#E4E9EE", "num_format": "0.0"},
    "group_points": {"bold": True, "bg_color": "#E4E9EE", "num_format": "+0.0;-0.0;0.0"},
    "group_check": {"bold": True, "bg_color": "#E4E9EE", "font_color": "#B00020"},
    "label": {},
    "member": {"align": "left", "indent": 1},
    "bold": {"bold": True},
    "wrap": {"text_wrap": True},
    "key": {"font_color": "#777777", "align": "left", "indent": 1},
    "number": {},
    "whole": {"num_format": "#,##0"},
    "decimal": {"num_format": "#,##0.00"},
    "input": _INPUT,
    # As text, so that the version 2026.10 and the operator = stay what was typed.
    "input_text": _INPUT | {"num_format": "@", "align": "left", "indent": 1},
    "input_date": _INPUT | {"num_format": "yyyy-mm-dd"},
    "input_share": _INPUT | {"num_format": "0%"},
    "share": {"num_format": "0.0%"},
    "score": {"num_format": "0.0"},
    "points": {"num_format": "+0.0;-0.0;0.0"},
    "check": {"font_color": "#B00020", "bold": True, "align": "left", "indent": 1},
    "hidden": {"font_color": "#999999"},
    "column_name": {"font_color": "#999999", "italic": True},
}


class Book:
    """A workbook that is being written; every cell is locked unless its style begins with `input`."""

    def __init__(self, path: str) -> None:
        self.file = xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False})
        # No time of writing: the same seeds and mart make the same file.
        self.file.set_properties({"title": "Scorecard", "created": datetime(2000, 1, 1)})
        self._formats = {name: self.file.add_format({"valign": "top"} | style) for name, style in _STYLES.items()}
        self._tier_formats = {
            tier: self.file.add_format({"bg_color": colour, "font_color": "#FFFFFF" if tier == "poor" else "#000000"})
            for tier, colour in TIER_COLOURS.items()
        }
        self._up, self._down, self._wrong = (
            self.file.add_format({"font_color": colour, "bold": True}) for colour in ("#1B7A3D", "#B00020", "#B00020")
        )

    def sheet(self, title: str, tab_colour: str, widths: Mapping[str, float] | None = None) -> "Sheet":
        """A protected sheet without a password. `widths`: of columns, by letter."""
        worksheet = self.file.add_worksheet(title)
        worksheet.protect("", _PROTECTED)
        worksheet.set_tab_color(tab_colour)
        worksheet.hide_gridlines(2)
        worksheet.set_landscape()
        worksheet.set_paper(9)
        worksheet.fit_to_pages(1, 0)
        worksheet.set_column(MARK_COLUMN, MARK_COLUMN, None, None, {"hidden": True})
        for column, width in (widths or {}).items():
            worksheet.set_column(f"{column}:{column}", width)
        return Sheet(self, worksheet)

    def format(self, style: Style) -> Any:
        return self._formats[style]

    def colour_tiers(self, worksheet: Worksheet, cells: str) -> None:
        for tier, label in TIER_LABELS.items():
            rule = {"type": "cell", "criteria": "==", "value": f'"{label}"', "format": self._tier_formats[tier]}
            worksheet.conditional_format(cells, rule)

    def colour_differences(self, worksheet: Worksheet, cells: str) -> None:
        for criteria, limit, format_ in ((">=", 0.05, self._up), ("<=", -0.05, self._down)):
            rule = {"type": "cell", "criteria": criteria, "value": limit, "format": format_}
            worksheet.conditional_format(cells, rule)


class Sheet:
    """One sheet; rows and columns count from 0."""

    def __init__(self, book: Book, worksheet: Worksheet) -> None:
        self.book = book
        self.worksheet = worksheet
        self.title = worksheet.get_name()
        self.next_row = 0
        # Row, seed and values of each row of a seed, in order.
        self.rows_of: list[tuple[int, str, Mapping[str, Any]]] = []
        self._columns: dict[str, dict[str, int]] = {}

    def ref(self, row: int, column: int) -> str:
        """A cell as formulas on any sheet name it."""
        return f"{quoted(self.title)}!{xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True)}"

    def range(self, first_row: int, last_row: int, column: int) -> str:
        return f"{self.ref(first_row, column)}:{xl_rowcol_to_cell(last_row, column, row_abs=True, col_abs=True)}"

    def text(self, row: int, column: int, value: str, style: Style = "label") -> None:
        """Write text as text, whatever it looks like.

        Raises:
            WorkbookError: it does not fit into a cell.
        """
        if len(value) > _CELL_LIMIT:
            found = f"{value[:40]!r}...: {len(value)} characters do not fit into a cell"
            raise WorkbookError(f"{found}. Shorten it to {_CELL_LIMIT}")
        self.worksheet.write_string(row, column, value, self.book.format(style))

    def value(self, row: int, column: int, value: Any, style: Style = "number") -> None:
        """Write text, a number, a date, or nothing where it is None."""
        if value is None or value == "":
            self.worksheet.write_blank(row, column, None, self.book.format(style))
        elif isinstance(value, str):
            self.text(row, column, value, style)
        elif isinstance(value, date):
            self.worksheet.write_datetime(row, column, value, self.book.format(style))
        else:
            self.worksheet.write_number(row, column, value, self.book.format(style))

    def formula(self, row: int, column: int, formula: str, shows: Any, style: Style) -> None:
        """`shows` is its result, for viewers that cannot calculate; None where only a spreadsheet knows."""
        self.worksheet.write_formula(row, column, f"={formula}", self.book.format(style), "" if shows is None else shows)

    def mark(self, row: int, what: str = TEXT) -> None:
        self.text(row, MARK_COLUMN, what, "hidden")

    def line(self, text: str, style: Style = "note", column: int = 2) -> int:
        """One line of text in the next row; returns its row."""
        row = self.next_row
        self.mark(row)
        self.text(row, column, text, style)
        if style == "title":
            self.worksheet.set_row(row, 26)
        self.next_row += 1
        return row

    def heads(self, heads: Mapping[int, str], height: float = 45) -> int:
        """The visible heading of a table, by column; returns its row."""
        row = self.next_row
        self.mark(row)
        for column, text in heads.items():
            self.text(row, column, text, "head")
        self.worksheet.set_row(row, height)
        self.next_row += 1
        return row

    def columns(self, seed: str, columns: Mapping[str, int]) -> None:
        """Name, in a hidden row, the sheet's columns that hold the seed's."""
        self._columns[seed] = dict(columns)
        self.mark(self.next_row, COLUMNS_OF + seed)
        for name, column in columns.items():
            self.text(self.next_row, column, name, "column_name")
        self.worksheet.set_row(self.next_row, None, None, {"hidden": True})
        self.next_row += 1

    def seed_row(self, seed: str, values: Mapping[str, Any], styles: Mapping[str, Style]) -> int:
        """One row of a seed; columns without a style are locked and grey. Returns its row."""
        row = self.next_row
        self.rows_of.append((row, seed, values))
        self.mark(row, seed)
        for name, column in self._columns[seed].items():
            self.value(row, column, values.get(name), styles.get(name, "key"))
        self.next_row += 1
        return row

    def choose(self, rows: tuple[int, int], column: int, source: list[str] | str) -> None:
        """A dropdown of these strings, or of the cells of a range (`=Index!$A$1:$A$9`), in the rows from the first to the last."""
        self.worksheet.data_validation(
            rows[0], column, rows[1], column,
            {"validate": "list", "source": source, "error_title": "Not in the list", "error_message": "Choose one of the list."},
        )  # fmt: skip

    def number(self, rows: tuple[int, int], column: int, low: float, high: float) -> None:
        """Only numbers from `low` to `high`, in the rows from the first to the last."""
        self.worksheet.data_validation(
            rows[0], column, rows[1], column,
            {
                "validate": "decimal", "criteria": "between", "minimum": low, "maximum": high, "error_title": "Not a number in range",
                "error_message": f"Enter a number from {low:,.15g} to {high:,.15g}.",
            },
        )  # fmt: skip


def quoted(title: str) -> str:
    """A sheet's title as formulas write it."""
    return "'" + title.replace("'", "''") + "'"


def literal(text: str) -> str:
    """Text inside a formula."""
    return '"' + text.replace('"', '""') + '"'
