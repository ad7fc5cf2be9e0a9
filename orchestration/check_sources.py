"""`python -m orchestration.check_sources`: read one page of every configured table and all accounts, and say what is there.

Takes no lock and writes nothing. Ends with 1 where a source cannot be read, after all others have been.
"""

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.contract import TABLES
from orchestration.extract import extract_table, lake_select
from orchestration.extract.connectors.base import HttpSource
from orchestration.extract.doubts import find_orphans
from orchestration.extract.judge import remedy_for
from orchestration.extract.preview import FirstPage, first_page
from orchestration.extract.session import connect
from orchestration.masking import without_secrets
from orchestration.plain_text import one_line, shortened
from orchestration.settings import Settings, SettingsError, load_settings

_HEADINGS = ("table", "connector", "rows", "newest fact", "mapped columns", "unmapped fields", "note")
_NARROWEST = 150
_LONGEST_NAME, _LONGEST_NOTE = 40, 2_000
_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Checked:
    """One configured table: what its first page holds, or why it cannot be read."""

    table: str
    connector: str
    page: FirstPage | None
    fault: str | None = None
    orphan_warning: str | None = None


def check_sources(settings: Settings) -> list[Checked]:
    """Check every configured source, in the contract's order; one that cannot be read keeps no other from being checked."""
    with TemporaryDirectory() as scratch:
        checked = [_check(settings, name, Path(scratch)) for name in TABLES if name in settings.sources]
        return _with_orphans(settings, checked, Path(scratch))


def _check(settings: Settings, name: str, scratch: Path) -> Checked:
    source = settings.sources[name]
    try:
        return Checked(name, source.connector, first_page(settings, TABLES[name], source, scratch))
    except Exception as error:
        # Also what no connector foresees: the other sources are still to be checked.
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return Checked(name, source.connector, None, without_secrets(settings, said))


def _with_orphans(settings: Settings, checked: list[Checked], scratch: Path) -> list[Checked]:
    """With a warning where the facts of a page find no account."""
    if not any(one.page is not None and one.page.account_ids for one in checked):
        return checked
    with connect(settings, scratch) as connection:
        if not _load_accounts(connection, settings, scratch):
            return checked
        return [replace(one, orphan_warning=_orphan_warning(connection, one)) for one in checked]


def _load_accounts(connection: duckdb.DuckDBPyConnection, settings: Settings, scratch: Path) -> bool:
    """All accounts as `known_accounts`, read into a lake that is thrown away; False of an API, whose whole list takes too long, and of what
    cannot be read."""
    if isinstance(settings.sources["accounts"], HttpSource):
        return False
    elsewhere = settings.moved_to(scratch / "data")
    end = settings.pipeline.end_date or datetime.now(UTC).date() - timedelta(days=1)
    try:
        extract_table(elsewhere, TABLES["accounts"], end, end)
    except ValueError:
        return False
    connection.execute(f"create temp table known_accounts as select account_id from ({lake_select(elsewhere.lake, TABLES['accounts'])})")
    return True


def _orphan_warning(connection: duckdb.DuckDBPyConnection, one: Checked) -> str | None:
    if one.page is None or not one.page.account_ids:
        return None
    ids = one.page.account_ids
    connection.register("page_ids", pa.table({"account_id": list(ids), "facts": list(ids.values())}))
    facts = "(select account_id, date '1970-01-01' as day, facts from page_ids)"
    return find_orphans(connection, TABLES[one.table], facts, "known_accounts", sum(ids.values())).warning


def as_table(checked: list[Checked]) -> Table:
    """What was found, for a terminal. Names and notes come from the sources: they are shown without anything that steers one."""
    shown = Table(show_lines=True)
    for heading in _HEADINGS:
        shown.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for one in checked:
        page = one.page
        if page is None:
            shown.add_row(
                one.table, one.connector, "", "", "", "", Text(f"cannot be read: {_plain(one.fault or '', _LONGEST_NOTE)}", "red")
            )
            continue
        notes = [page.note] if page.note else []
        if page.bad:
            notes.append(f"{page.bad} of {page.rows} rows would go to quarantine, the first: {page.first_reason}")
            if (helps := remedy_for(one.table, [page.first_reason or ""])) is not None:
                notes.append(helps)
        warnings = [said for said in (page.warning, one.orphan_warning) if said is not None]
        notes += warnings
        shown.add_row(
            one.table,
            one.connector,
            "" if page.rows is None else str(page.rows),
            "" if page.newest is None else f"{page.newest:%Y-%m-%d %H:%M}",
            _names(page.mapped),
            _names(page.unmapped),
            Text(_plain("; ".join(notes), _LONGEST_NOTE), "yellow" if page.bad or warnings else ""),
        )
    return shown


def _names(names: tuple[str, ...]) -> Text:
    return Text(", ".join(_plain(name, _LONGEST_NAME) for name in shortened(names, _NAMES_SHOWN)))


def _plain(text: str, limit: int) -> str:
    """What cannot be seen is marked: here it may be why a name is not the one that a mapping expects."""
    return one_line(text, limit, mark="\N{REPLACEMENT CHARACTER}")


def main() -> int:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    checked = check_sources(settings)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, _NARROWEST))
    console.print(as_table(checked))
    absent = [name for name in TABLES if name not in settings.sources]
    if absent:
        console.print(Text(f"not configured, so that their metrics are missing: {', '.join(absent)}", "dim"))
    unread = [one.table for one in checked if one.page is None]
    if unread:
        print(f"{len(unread)} of {len(checked)} sources cannot be read: {', '.join(unread)}", file=sys.stderr)
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main())
