"""`health`: every command of the product. `make` calls the same ones; `health COMMAND --help` explains one.

Exit status: 0 if it is done; 1 if the answer is no (a run failed, a file is damaged, a limit is exceeded); 2 if the command could not begin
or not go on, and then a line on standard error says why.

What a command needs is imported when it is called: some of it takes seconds.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.errors import UserError
from orchestration.stopping import until_signal

if TYPE_CHECKING:
    from orchestration.settings import Settings


class _InOrder(click.Group):
    """Lists its commands in the order of this file: as they are used."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def health() -> None:
    """An open customer-health warehouse: sources to scores to the published mart.

    HEALTH_CONFIG names the configuration; without it, the demo company runs.
    """


def _settings() -> Settings:
    from orchestration.settings import load_settings

    return load_settings()


@health.command()
@click.argument("days", required=False, metavar="[START...END | today]")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of what fails.")
def run(days: str | None, verbose: bool) -> int:
    """Run the pipeline, by default for all configured days.

    2026-01-05...2026-02-10 is a range of days, 2026-01-05 one day. What readers see changes only when every blocking check has passed.
    The run appears in the Dagster UI like any other.

    today scores the day that is still running, provisionally, beside the mart: no history, no confirmed tier. It gives way to any other
    run, and changes nothing of the mart.
    """
    if days == "today":
        from orchestration.intraday import show_today

        return show_today(_settings())
    from orchestration.run import run

    return run(_settings(), days, verbose)


@health.command()
def check() -> int:
    """Say what the first run would find in the sources.

    It reads them together and writes nothing. Ends with 1 where a source cannot be read, or a run would refuse it, after all have been
    looked at.
    """
    from orchestration.check_sources import show_check

    return show_check(_settings())


@health.command()
def board() -> None:
    """Open the published board, or say where it is.

    A browser opens where the command is typed; in a script it only prints the path.
    """
    from orchestration.publish.board import FOLDER
    from orchestration.publish.generations import require_current

    settings = _settings()
    require_current(settings)
    page = settings.published / "current" / FOLDER / "index.html"
    if not page.exists():
        raise UserError(f"{page}: could not be written by the last run, whose last lines say why")
    click.echo(page)
    if sys.stdout.isatty():
        click.launch(page.as_uri())


@health.command()
@click.option("--dry-run", is_flag=True, help="Show what would be sent; send and note nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: the bodies that would be posted.")
def alerts(dry_run: bool, as_json: bool) -> None:
    """Send the alerts that are due, once each.

    For after a run from the command line, where no Dagster sensor does it. An endpoint that cannot be reached is reported on standard
    error and tried again the next time; that is no failure.
    """
    from orchestration.alerts import send_due, show_due

    if dry_run:
        show_due(_settings(), as_json)
    else:
        send_due(_settings())


@health.command()
@click.option("--dry-run", is_flag=True, help="Show what would be sent; send and note nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: the bodies that would be posted.")
def digest(dry_run: bool, as_json: bool) -> None:
    """Send the weekly digests, once a week each.

    One for the company and one for each owner of accounts, to the addresses of [digest]: what moved and why, what renews, what to do
    and what was done. An address that cannot be reached is reported on standard error and tried again the next time; that is no failure.
    """
    from orchestration.alerts import send_digests_now, show_digests

    if dry_run:
        show_digests(_settings(), as_json)
    else:
        send_digests_now(_settings())


@health.group()
def scorecard() -> None:
    """The scorecard as a spreadsheet, and back."""


@scorecard.command()
@click.option("--file", type=click.Path(path_type=Path), help="Where to; by default scorecard.xlsx in the data folder.")
@click.option("--version", help="Configuration version to start from; by default the one in force.")
def write(file: Path | None, version: str | None) -> None:
    """Write the scorecard as a spreadsheet with sample accounts."""
    from orchestration.workbook.write import DEFAULT_NAME, write_workbook

    settings = _settings()
    written = write_workbook(settings, file or settings.data_dir / DEFAULT_NAME, version)
    click.echo(written.sentences())


@scorecard.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--active", is_flag=True, help="In force from its day on, whatever the workbook says.")
def import_(file: Path, active: bool) -> None:
    """Add an edited workbook to the seeds, as a new version."""
    from orchestration.workbook.adopt import import_workbook

    click.echo("\n".join(import_workbook(_settings(), file, active)))


@health.command()
def validate() -> int:
    """Compare the published scores with who left.

    The result is published with the mart. Ends with 1 where the skill is below `[validation] min_skill` and `on_low_skill` is not
    "warn".
    """
    from orchestration.locking import writer_lock
    from orchestration.run_guard import remove_leftovers
    from orchestration.validate.run import validate_and_publish

    settings = _settings()
    with writer_lock(settings, "validate"):
        remove_leftovers(settings)
        done = validate_and_publish(settings, datetime.now(UTC))
    for line in done.lines:
        click.echo(line)
    click.echo(f"published: {settings.published / 'current' / 'health.duckdb'} (generation {done.generation})")
    for fault in filter(None, (done.not_copied, done.low_skill)):
        click.echo(fault, err=True)
    return 1 if done.low_skill is not None and settings.validation.on_low_skill != "warn" else 0


@health.command()
@click.argument("base", default="")
@click.argument("candidate", default="")
@click.option("--max-arr-moved", type=float, help="Largest share (0 to 1) of arr that may change tier.")
@click.option("--max-tier-changes", type=int, help="Most accounts that may change tier.")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Also write who changes tier on each of the last 28 days as a table.")
def impact(base: str, candidate: str, max_arr_moved: float | None, max_tier_changes: int | None, table: Path | None) -> int:
    """Say what a change of the scorecard does.

    The answer is Markdown for a pull request. BASE (by default HEAD) and CANDIDATE (by default the seeds as they are) are each the name of
    a version in the seeds, or a git revision, of which the newest active version counts.

    Versions that are published are compared as they were scored. Else the last 28 days and every Monday are scored by both, in a folder
    that is thrown away: the published mart stays as it is. Tiers are those by one day's score. Ends with 1 where more changes tier than is
    allowed.
    """
    from orchestration.validate.impact import show_impact

    return show_impact(_settings(), base, candidate, max_arr_moved, max_tier_changes, table)


@health.command()
@click.option("--anchors", is_flag=True, help="Propose anchors from what the accounts measure, not weights.")
def propose_weights(anchors: bool) -> int:
    """Write the weights that outcomes suggest.

    They become a candidate version, or it says why there are none. With --anchors it writes other anchors instead, which needs no
    outcomes: worst and best of each linear metric at the 10th and 90th percentile of what the accounts measure on the newest day, by
    scorecard.

    A candidate is scored beside the version in force and changes nothing until a person sets its status to active. Ends with 1 where
    none holds.
    """
    from orchestration.validate.propose import propose

    return propose(_settings(), anchors)


@health.command()
def verify() -> int:
    """Read all that is stored and say what is damaged.

    For what is damaged it says what to do, and changes nothing. A run that is at work is waited for. Ends with 1 if something is
    damaged.
    """
    from orchestration.verify import show_faults

    return show_faults(_settings())


@health.command()
@click.option("--to", type=int, metavar="N", help="Number of the generation to go to.")
def rollback(to: int | None) -> None:
    """Make the generation before current again, also in the copy in Postgres."""
    from orchestration.locking import writer_lock
    from orchestration.publish import bring_copy, rollback

    settings = _settings()
    with writer_lock(settings, "rollback"):
        click.echo(f"generation {rollback(settings, to)} is current")
        if (fault := bring_copy(settings)) is not None:
            click.echo(fault, err=True)


@health.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def dbt(arguments: Sequence[str]) -> int:
    """Run any command of dbt on the warehouse.

    For example: health dbt build -s int_usage__windows

    It holds the writer lock. What builds a model leaves the days of the last run unfinished: the next run builds them anew, so nothing
    that was tried by hand is ever published. Before the first run, commands that only read the project work on an empty warehouse in
    memory.
    """
    from orchestration.dbt_by_hand import dbt_by_hand

    return dbt_by_hand(_settings(), arguments)


@health.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(port: int) -> None:
    """Serve the Dagster UI on 127.0.0.1.

    Its history is in the data folder.
    """
    from orchestration.ui import serve

    serve(_settings(), port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    # Looking for garbage as often as Python does by default takes a tenth of a short run: libraries make a million objects that stay.
    gc.set_threshold(100_000, 20, 20)
    words = list(sys.argv[1:] if arguments is None else arguments)
    return until_signal(" ".join(["health", *words]), lambda: _main(words))


def _main(words: list[str]) -> int:
    try:
        return health.main(words, prog_name="health", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
