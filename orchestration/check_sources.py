"""Read the configured sources together and say what the first run would find. Takes no lock and writes nothing."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.contract import TABLES, USAGE_TABLES
from orchestration.expected_coverage import ExpectedCoverage, expected_coverage
from orchestration.extract import lake_select
from orchestration.extract.doubts import describe_playbooks, find_orphans
from orchestration.extract.session import connect
from orchestration.extract.trial import Trial, try_source
from orchestration.masking import without_secrets
from orchestration.plain_text import one_line, shortened
from orchestration.run_guard import check_seeds
from orchestration.scorecard import ConfigurationError, load_seeds, read_playbooks
from orchestration.settings import Settings
from orchestration.warehouse import identifier

_HEADINGS = ("table", "connector", "rows", "newest fact", "mapped columns", "unmapped fields", "read")
_NARROWEST = 150
_LONGEST_NAME, _LONGEST_SENTENCE = 40, 2_000
_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Checked:
    """One configured table: what a first run would find, or why it cannot be read."""

    table: str
    connector: str
    found: Trial | None
    fault: str | None = None
    orphan_warning: str | None = None
    playbook_warning: str | None = None


def check_sources(settings: Settings) -> list[Checked]:
    """Check every configured source, in the contract's order; one that cannot be read keeps no other from being checked."""
    with TemporaryDirectory() as scratch:
        checked = [_check(settings, name, Path(scratch)) for name in TABLES if name in settings.sources]
        return list(_with_orphans(settings, checked, Path(scratch)))


def _check(settings: Settings, name: str, scratch: Path) -> Checked:
    connector = settings.sources[name].connector
    try:
        return Checked(name, connector, try_source(settings, TABLES[name], scratch))
    except Exception as error:
        # Also what no connector foresees: the other sources are still to be checked.
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return Checked(name, connector, None, without_secrets(settings, said))


def _with_orphans(settings: Settings, checked: list[Checked], scratch: Path) -> Iterator[Checked]:
    """With a warning where facts find no account. Where not all accounts were read, nobody knows."""
    [accounts] = [one.found for one in checked if one.table == "accounts"]
    lake = settings.moved_to(scratch).lake
    with connect(settings, scratch) as connection:
        for one in checked:
            has_rows = one.found is not None and one.found.rows
            if has_rows and one.table == "action_log":
                one = replace(one, playbook_warning=_playbook_warning(connection, settings, lake))
            is_known = accounts is not None and accounts.is_whole and has_rows
            yield replace(one, orphan_warning=_orphan_warning(connection, settings, lake, one.table)) if is_known else one


def _playbook_warning(connection: duckdb.DuckDBPyConnection, settings: Settings, lake: Path) -> str | None:
    try:
        known = {playbook.key for playbook in read_playbooks(load_seeds(settings.seeds_dir))}
    except ConfigurationError:
        # Which is said by itself.
        return None
    return describe_playbooks(connection, f"({lake_select(lake, TABLES['action_log'])})", known)


def _orphan_warning(connection: duckdb.DuckDBPyConnection, settings: Settings, lake: Path, name: str) -> str | None:
    table = TABLES[name]
    if not table.has_account:
        return None
    rows = f"({lake_select(lake, table)})"
    facts = f"(select account_id, cast({identifier(table.fact_column)} as date) as day, 1 as facts from {rows} as landed)"
    [(total,)] = connection.execute(f"select count(*) from {rows} as landed").fetchall()
    days = settings.pipeline.start_date, settings.last_day
    return find_orphans(connection, table, facts, f"({lake_select(lake, TABLES['accounts'])})", total, days).warning


def expected(settings: Settings, checked: list[Checked]) -> list[ExpectedCoverage]:
    """Which metrics and what coverage the sources will give, by scorecard of the newest day.

    Raises:
        ConfigurationError: the seeds cannot be used, as in a run.
    """
    filled = {one.table: one.found.filled for one in checked if one.found is not None and one.found.filled}
    return expected_coverage(load_seeds(settings.seeds_dir), filled, settings.last_day)


def as_table(checked: list[Checked]) -> Table:
    """What there is, for a terminal. Names come from the sources: they are shown without anything that steers one."""
    shown = Table(show_lines=True)
    for heading in _HEADINGS:
        shown.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for one in checked:
        found = one.found
        if found is None:
            shown.add_row(one.table, one.connector, "", "", "", "", Text("nothing", "red"))
            continue
        shown.add_row(
            one.table,
            one.connector,
            "" if found.rows is None else f"{found.rows:,}",
            "" if found.newest is None else f"{found.newest:%Y-%m-%d %H:%M}",
            _names(found.mapped),
            _names(found.unmapped),
            Text(_plain(found.note, _LONGEST_SENTENCE)),
        )
    return shown


def sentences(checked: list[Checked]) -> Iterator[Text]:
    """What a person should know of each source, the worst in red."""
    for one in checked:
        found = one.found
        if found is None:
            yield _sentence(one.table, f"cannot be read: {one.fault}", "red")
            continue
        if found.refusal is not None:
            yield _sentence(one.table, f"a run would refuse it: {found.refusal}", "red")
        for doubt in (*found.doubts, *filter(None, (one.orphan_warning, one.playbook_warning))):
            yield _sentence(one.table, doubt, "yellow")
        for remark in found.remarks:
            yield _sentence(one.table, remark, "")


def _sentence(about: str, said: str, style: str) -> Text:
    return Text(f"{about}: {_plain(said, _LONGEST_SENTENCE)}", style)


def metrics_and_coverage(cards: list[ExpectedCoverage]) -> Iterator[Text]:
    """For each scorecard one line, and what keeps metrics from being measured."""
    for card in cards:
        counting = len(card.measured) + sum(map(len, card.missing.values()))
        said = f"scorecard {card.scorecard_key}: {len(card.measured)} of {counting} metrics that count, coverage up to {card.coverage:.0%}"
        if card.coverage >= card.min_coverage:
            yield Text(said)
        else:
            yield Text(f"{said}, below min_coverage {card.min_coverage:.0%}: every account would be unknown", "red")
        for said, lacking in (("missing", card.missing), ("not applicable", card.not_applicable)):
            for need, metrics in lacking.items():
                yield Text(f"  {said} without {need}: {', '.join(metrics)}", "dim")


def _names(names: tuple[str, ...]) -> Text:
    return Text(", ".join(_plain(name, _LONGEST_NAME) for name in shortened(names, _NAMES_SHOWN)))


def _plain(text: str, limit: int) -> str:
    """What cannot be seen is marked: here it may be why a name is not the one that a mapping expects."""
    return one_line(text, limit, mark="\N{REPLACEMENT CHARACTER}")


def show_check(settings: Settings) -> int:
    """Print what was found: the command `health check`; 1 where a source cannot be read or a run would refuse it, else 0.

    Raises:
        ConfigurationError: the seeds cannot be used, as in a run.
    """
    doubts = check_seeds(settings, settings.seeds_dir)
    checked = check_sources(settings)
    cards = expected(settings, checked)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, _NARROWEST))
    console.print(as_table(checked))
    for said in (*sentences(checked), *(Text(doubt, "yellow") for doubt in doubts), *metrics_and_coverage(cards)):
        console.print(said, soft_wrap=True)
    # One table of usage is enough.
    given = {*settings.sources, *(USAGE_TABLES if not settings.sources.keys().isdisjoint(USAGE_TABLES) else ())}
    absent = [name for name in TABLES if name not in given]
    if absent:
        console.print(Text(f"not configured, so that their metrics are missing: {', '.join(absent)}", "dim"))
    unread = [one.table for one in checked if one.found is None]
    if unread:
        print(f"{len(unread)} of {len(checked)} sources cannot be read: {', '.join(unread)}", file=sys.stderr)
    refused = [one.table for one in checked if one.found is not None and one.found.refusal is not None]
    if refused:
        print(f"a run would refuse {', '.join(refused)}", file=sys.stderr)
    return 1 if unread or refused else 0
