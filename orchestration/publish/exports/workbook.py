"""`account_health.xlsx`: the newest day for people who live in a spreadsheet.

The same mart gives the same bytes: nothing in the file says when it was written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from orchestration.publish.exports.text import clean, is_formula
from orchestration.publish.generations import PublishError
from orchestration.publish.links import account_page_url
from orchestration.publish.tables import DATE_COLUMN
from orchestration.publish.tiers import TIER_COLOURS, TIER_LABELS, TIER_TEXT_COLOURS
from orchestration.settings import Settings
from orchestration.warehouse import rows_of

Row = dict[str, Any]

# What Excel takes: rows below the header, links of a sheet, characters of a link.
_ROWS, _LINKS, _LINK_LENGTH = 1_048_575, 65_530, 2_000
_A4 = 9
# Columns that are legible side by side on a page: who it is, how much is at stake and why. The rest is beside them, on the screen only.
_PRINTED = 8
# Of a line of text, in points; rows whose text is longer get the height for it, up to so many lines.
_LINE_HEIGHT, _LINES = 15, 4
_HEADER_COLOUR = "#1f2a37"
_EDGE = "#d5d9de"

# Kind of a column -> how its cells look; a tier has the look of its own.
_FORMATS: dict[str, dict[str, Any]] = {
    # LibreOffice indents only what says on which side.
    "text": {"indent": 1, "align": "left"},
    "long": {"indent": 1, "align": "left", "text_wrap": True},
    "link": {"font_color": "#0b57d0", "underline": 1},
    "score": {"num_format": "0.0"},
    "change": {"num_format": "+0.0;-0.0;0.0"},
    "money": {"num_format": "#,##0"},
    "cents": {"num_format": "#,##0.00"},
    "whole": {"num_format": "0", "align": "center"},
    "percent": {"num_format": "0%"},
    "date": {"num_format": "yyyy-mm-dd", "align": "center"},
}


@dataclass(frozen=True)
class Column:
    """A column of a sheet: its heading, where its value comes from, and a key of `_FORMATS`."""

    heading: str
    value: str | Callable[[Row], Any]
    kind: str = "text"
    width: int = 14

    def of(self, row: Row) -> Any:
        return self.value(row) if callable(self.value) else row[self.value]


def _words(column: str) -> Callable[[Row], str | None]:
    """A key as words: `at_risk` reads "At risk"."""
    return lambda row: None if row[column] is None else row[column].replace("_", " ").capitalize()


def _reason(prefix: str) -> Callable[[Row], str | None]:
    """A driver or change in one cell: "Days late: 40.5 days (-6.2)"."""

    def tell(row: Row) -> str | None:
        label, value, points = (row[f"{prefix}_{part}"] for part in ("label", "value", "points"))
        if label is None:
            return None
        # The label of a cap is a sentence.
        return f"{label.removesuffix('.')}{'' if value is None else f': {value}'} ({points:+.1f})"

    return tell


def _columns(currency: str, has_names: bool) -> dict[str, tuple[Column, ...]]:
    """The columns of each sheet; those of people have names only where the mart may."""
    account, account_id = Column("Account", "account_name", "link", 30), Column("Account ID", "account_id")
    arr = Column(f"ARR ({currency})", "arr", "money", 15)
    csm = Column("Customer-success manager", "csm", "text", 20)
    tier, score = Column("Tier", "tier", "tier", 10), Column("Score", "health_score", "score", 8)
    weighs, lifts, changed = (
        [Column(f"{heading} {rank}", _reason(f"{prefix}_{rank}"), "text", 52) for rank in (1, 2, 3)]
        for heading, prefix in (("Weighs down", "negative"), ("Lifts", "positive"), ("Changed in 28 days", "change"))
    )
    accounts = (
        account,
        tier,
        score,
        Column("Change 28 days", "delta_28d", "change", 9),
        arr,
        Column("Term ends", "term_ends_on", "date", 12),
        csm,
        replace(weighs[0], kind="long", width=60),
        # What follows is not printed, see _PRINTED.
        changed[0],
        lifts[0],
        account_id,
        Column("Change 7 days", "delta_7d", "change", 9),
        Column("Change 90 days", "delta_90d", "change", 9),
        Column("Trend", _words("trend"), "text", 11),
        Column("In this tier since", "tier_since", "date", 12),
        Column("Tier before", lambda row: TIER_LABELS.get(row["previous_tier"]), "text", 10),
        *(column for driver in (weighs, lifts, changed) for column in driver[1:]),
        Column("Seats", "seats", "whole", 8),
        Column("Stage", _words("stage"), "text", 12),
        Column("Segment", "segment"),
        Column("Industry", "industry"),
        Column("Region", "region", "text", 10),
        Column("Measured share of the scorecard", "coverage", "percent", 17),
        Column("Tier set by hand, reason", "override_reason", "text", 30),
        Column("Set by", "override_author"),
        Column("Set until", "override_expires_on", "date", 12),
    )
    actions = (
        Column("Priority", "priority", "whole", 9),
        Column("Action", "label", "text", 30),
        account,
        tier,
        Column("Owner", "owner", "text", 20),
        Column("Due", "due_on", "date", 12),
        Column("State", _words("state"), "text", 10),
        Column("Why", "reason", "long", 70),
        arr,
        Column("Since", "since", "date", 12),
        Column("Snoozed until", "snoozed_until", "date", 12),
        account_id,
        score,
    )
    receivables = (
        account,
        csm,
        Column("Invoice", "invoice_id"),
        Column("Due", "due_on", "date", 12),
        Column("Days overdue", "days_overdue", "whole", 9),
        Column(f"Owed ({currency})", "owed", "cents", 15),
        Column("Still a customer", lambda row: "yes" if row["is_scored"] else "no", "text", 10),
        Column("Written off", "written_off_on", "date", 12),
        account_id,
        Column("Owed in its currency", "owed_in_currency", "cents", 15),
        Column("Currency", "invoice_currency", "text", 9),
        Column("Issued", "issued_on", "date", 12),
    )
    named = (Column("Name", "contact_name", "text", 26), Column("Mail address", "contact_email", "text", 30))
    people = (
        account,
        Column("Role", _words("role"), "text", 16),
        *(named if has_names else ()),
        Column("Last contact", "last_contact_on", "date", 12),
        Column("Since", "joined_on", "date", 12),
        Column("Left", "left_on", "date", 12),
        csm,
        account_id,
        *((Column("Contact ID", "contact_id"),) if has_names else ()),
    )
    return {"Accounts": accounts, "Actions": actions, "Receivables": receivables, "People": people}


def write_workbook(
    settings: Settings, connection: duckdb.DuckDBPyConnection, path: Path, generation: int, queries: Mapping[str, str]
) -> None:
    """Write the workbook.

    Args:
        settings: reporting currency, the board's address, and whether people are named.
        connection: on the generation's `health.duckdb`.
        path: of the new file.
        generation: its number, for the first sheet.
        queries: sheet -> the query whose rows it shows, in that order; see `_columns`.

    Raises:
        PublishError: it cannot be written.
    """
    ((day,),) = connection.execute(f"select max({DATE_COLUMN}) from ({queries['Accounts']})").fetchall()
    options = {
        # Row by row to disk instead of a whole sheet in memory.
        "constant_memory": True,
        "tmpdir": str(settings.temp_dir),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
    }
    try:
        with xlsxwriter.Workbook(path, options) as book:
            # Else the moment of writing.
            created = datetime.combine(day or date(2000, 1, 1), time())
            book.set_properties({"title": "Customer health", "created": created})
            formats = _Formats(book)
            columns = _columns(settings.pipeline.reporting_currency, settings.privacy.contact_names)
            _write_about(book.add_worksheet("About"), formats, connection, queries, day, generation)
            for name, query in queries.items():
                sheet = book.add_worksheet(name)
                sheet.set_footer(f"&LCustomer health as of {day}&RPage &P of &N")
                _write_sheet(settings, sheet, formats, columns[name], rows_of(connection.execute(f"{query} limit {_ROWS}")))
    except XlsxWriterException as error:
        raise PublishError(f"{path.name} cannot be written: {error}") from error


class _Formats:
    """The formats of a workbook, each made once."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        base = {"valign": "top"}
        self.by_kind = {kind: book.add_format(base | look) for kind, look in _FORMATS.items()}
        # An apostrophe that Excel does not show: the cell stays a text even when a person edits it.
        self.quoted = {kind: book.add_format(base | look | {"quote_prefix": True}) for kind, look in _FORMATS.items()}
        edge = {"border": 1, "border_color": _EDGE}
        self.by_tier = {
            tier: book.add_format(base | edge | {"bg_color": colour, "font_color": TIER_TEXT_COLOURS[tier]})
            for tier, colour in TIER_COLOURS.items()
        }
        self.header = self.make(bold=True, font_color="#ffffff", bg_color=_HEADER_COLOUR, text_wrap=True, valign="vcenter")

    def make(self, **look: Any) -> Format:
        return self._book.add_format(look)


def _write_sheet(settings: Settings, sheet: Worksheet, formats: _Formats, columns: tuple[Column, ...], rows: Iterator[Row]) -> None:
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    # Header and account stay in sight.
    sheet.freeze_panes(1, 1 + [column.kind for column in columns].index("link"))
    sheet.set_row(0, 32)
    for place, column in enumerate(columns):
        sheet.set_column(place, place, column.width)
        sheet.write_string(0, place, column.heading, formats.header)
    last = 0
    for last, row in zip(count(1), rows, strict=False):
        values = [column.of(row) for column in columns]
        lengths = (len(value or "") / column.width for column, value in zip(columns, values, strict=True) if column.kind == "long")
        # No program works out the height of wrapped text in a file that says none.
        sheet.set_row(last, _LINE_HEIGHT * max(1, min(ceil(max(lengths, default=0)), _LINES)))
        for place, (column, value) in enumerate(zip(columns, values, strict=True)):
            if value is not None:
                _write_cell(settings, sheet, formats, last, place, column.kind, value, row)
    sheet.autofilter(0, 0, last, len(columns) - 1)
    sheet.print_area(0, 0, last, min(len(columns), _PRINTED) - 1)


def _write_cell(settings: Settings, sheet: Worksheet, formats: _Formats, line: int, place: int, kind: str, value: Any, row: Row) -> None:
    if kind == "tier":
        sheet.write_string(line, place, TIER_LABELS[value], formats.by_tier[value])
    elif isinstance(value, date):
        sheet.write_datetime(line, place, value, formats.by_kind[kind])
    elif not isinstance(value, str):
        sheet.write_number(line, place, value, formats.by_kind[kind])
    else:
        text = clean(value)
        look = formats.quoted if is_formula(text) else formats.by_kind
        # Who has left has no page.
        url = _account_link(settings, row["account_id"]) if kind == "link" and line <= _LINKS and row.get("is_scored", True) else None
        if url is None:
            sheet.write_string(line, place, text, look["text" if kind == "link" else kind])
        else:
            sheet.write_url(line, place, url, look[kind], text)


def _account_link(settings: Settings, account_id: str) -> str | None:
    """The account's page; None without a board on a web server, or where the address is longer than Excel takes."""
    url = account_page_url(settings, account_id)
    return url if url is not None and url.startswith(("http://", "https://")) and len(url) <= _LINK_LENGTH else None


def _write_about(
    sheet: Worksheet,
    formats: _Formats,
    connection: duckdb.DuckDBPyConnection,
    queries: Mapping[str, str],
    day: date | None,
    generation: int,
) -> None:
    """What this file is, for the one who gets it by mail."""
    counts = dict(connection.execute(f"select tier, count(*) from ({queries['Accounts']}) group by tier").fetchall())
    bold, wrapped = formats.make(bold=True), formats.make(text_wrap=True, valign="top")
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 90)
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.hide_gridlines(2)
    sheet.write_string(0, 0, "Customer health", formats.make(bold=True, font_size=16))
    sheet.write_string(2, 0, "As of", bold)
    sheet.write_string(2, 1, "no account is in the scored population" if day is None else day.isoformat(), wrapped)
    sheet.write_string(3, 0, "Published generation", bold)
    sheet.write_number(3, 1, generation, formats.make(align="left"))
    sheet.write_string(5, 0, "Tier", bold)
    sheet.write_string(5, 1, "Accounts", bold)
    for line, (tier, label) in enumerate(TIER_LABELS.items(), start=6):
        sheet.write_string(line, 0, label, formats.by_tier[tier])
        sheet.write_string(line, 1, f"{counts.get(tier, 0):,}" + _TIER_NOTES.get(tier, ""), wrapped)
    notes = list(_GLOSSARY)
    for name, query in queries.items():
        ((rows,),) = connection.execute(f"select count(*) from ({query})").fetchall()
        if rows > _ROWS:
            notes.append(("Left out", f"{name}: a sheet holds {_ROWS:,} of the {rows:,} rows. The CSV file has all."))
    for line, (word, meaning) in enumerate(notes, start=11):
        sheet.write_string(line, 0, word, bold)
        sheet.write_string(line, 1, meaning, wrapped)


_TIER_NOTES = {"unknown": " - too little of the scorecard could be measured for a tier"}
_GLOSSARY = (
    ("Score", "0 to 100, higher is healthier; 50 is neutral. A tier changes only after some days on the other side of its limit."),
    ("Weighs down, lifts", "The metrics that take the most points from the neutral 50, or add the most, with their values."),
    ("Changed in 28 days", "What moved the score most in four weeks, with the points that it moved it by."),
    ("Measured share", "How much of the scorecard was really measured. Missing data never counts as bad data."),
    ("Actions", "What to do, most urgent first, with the reason in the account's own numbers; what is snoozed, done or dismissed last."),
    ("Receivables", "Every invoice that is not paid, also of customers who left; what is overdue longest first."),
    ("People", "The contacts of each account by role, and when each was last heard of: by use of the product, a message or an answer."),
)
