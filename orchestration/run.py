"""The whole pipeline from the command line, in one process. The run appears in the Dagster UI like any other."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from orchestration.disk_space import DiskFull, free_megabytes, naming_a_full_disk, used_megabytes
from orchestration.errors import UserError, message_of, root_cause
from orchestration.home import prepare_home
from orchestration.locking import WriterBusy, writer_lock
from orchestration.plain_text import one_line, shortened
from orchestration.progress import shown
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import Settings, SettingsError
from orchestration.stopping import reporting, sparing_helpers

if TYPE_CHECKING:
    # Imported within functions: it takes seconds, and a refused run need not wait for it.
    from dagster import DagsterEvent

    from orchestration.publish.summary import RunSummary

JOB = "daily_health"
_LONGEST_REASON, _WARNINGS_SHOWN, _DRIFT_SHOWN, _NOTES_SHOWN = 1_000, 12, 3, 10
# Of what is in quarantine.
_TABLES_SHOWN, _LONGEST_FAULT = 3, 60


def run_range(settings: Settings, start: date, end: date, run_id: str, verbose: bool) -> list[str]:
    """Run the job `daily_health` for the as-of days [start, end], as Dagster's run of this id. Call it under the writer lock.

    Returns:
        What failed, one line for each cause; empty if the run succeeded. Its traceback is on standard error if `verbose`.
    """
    # Dagster's definitions read the configuration when they are imported: only after that has been checked.
    import dagster as dg

    from orchestration.dead_runs import report_canceled, show_alive
    from orchestration.definitions import defs
    from orchestration.home import NO_RETRIES, RETRIES_TAG

    show_alive(settings, run_id)
    with (
        dg.DagsterInstance.get() as instance,
        reporting(lambda signal: report_canceled(instance, run_id, signal)),
        sparing_helpers(),
    ):
        result = (
            defs()
            .resolve_job_def(JOB)
            .execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                # Who waits at the terminal, or cron, hears of a source that is down at once.
                tags={
                    "dagster/asset_partition_range_start": str(start),
                    "dagster/asset_partition_range_end": str(end),
                    RETRIES_TAG: NO_RETRIES,
                },
                run_config={"loggers": {"command": {}}},
            )
        )
    return [] if result.success else _failures(result.all_events, verbose)


def _failures(events: Iterable[DagsterEvent], verbose: bool) -> list[str]:
    """What went wrong, once for each cause."""
    lines: dict[str, str] = {}
    for event in events:
        found = getattr(event.event_specific_data, "error", None) if event.is_failure else None
        if found is not None and (error := root_cause(found)).message not in lines:
            lines[error.message] = f"{event.step_key or 'run'}: {message_of(error)}"
            if verbose:
                print(error.to_string().rstrip(), file=sys.stderr)
    return list(lines.values()) or ["run: it ended without saying why"]


def parse_range(text: str | None, settings: Settings) -> tuple[date, date]:
    """`2026-01-05...2026-02-10`, one day, or None for all days of the configuration.

    Raises:
        SettingsError: no dates, the wrong way round, or outside the configuration's days.
    """
    first = settings.pipeline.start_date
    today = datetime.now(UTC).date()
    last = settings.last_day
    if last >= today:
        raise SettingsError(f"pipeline.end_date {last} is not over yet (today is {today}, UTC). Leave it out to run up to yesterday")
    if first > last:
        raise SettingsError(f"pipeline.start_date {first} is after {last}, the last day that is over (UTC). Give an earlier day")
    if text is None:
        return first, last
    start_text, _, end_text = text.partition("...")
    try:
        start, end = date.fromisoformat(start_text), date.fromisoformat(end_text or start_text)
    except ValueError as error:
        raise SettingsError(f"{text}: no range of days. Write START...END, for example {first}...{last}") from error
    if not first <= start <= end <= last:
        raise SettingsError(f"{text}: outside {first}...{last}, the days that {settings.config_file.name} configures")
    return start, end


def describe(summary: RunSummary) -> list[str]:
    """What a person wants to know when a run is done."""
    tiers = ", ".join(f"{count} {tier}" for tier, count in summary.tiers.items())
    degraded = f"; degraded: {', '.join(summary.not_read)} not read" if summary.not_read else ""
    if summary.accounts == 0:
        return [f"no account is in the scored population{degraded}", *_in_quarantine(summary)]
    return [
        f"{summary.last_as_of_date}: {summary.accounts} {'account' if summary.accounts == 1 else 'accounts'} scored: {tiers}{degraded}",
        f"mean score {summary.mean_score:.1f}, mean coverage {summary.mean_coverage:.0%}; "
        f"history from {summary.first_as_of_date} to {summary.last_as_of_date}",
        *_in_quarantine(summary),
    ]


def _in_quarantine(summary: RunSummary) -> list[str]:
    """How many rows could not be used, in one line; each with file, line and reason is in the lake."""
    found = [
        f"{rows:,} {'row' if rows == 1 else 'rows'} of {table} ({'mostly ' if reasons > 1 else ''}{one_line(reason, _LONGEST_FAULT)})"
        for table, (rows, reason, reasons) in summary.quarantined.items()
    ]
    more = f" and {len(found) - _TABLES_SHOWN} more tables" if len(found) > _TABLES_SHOWN else ""
    return [f"in quarantine: {', '.join(found[:_TABLES_SHOWN])}{more}; quarantine_summary counts all reasons"] if found else []


def run(settings: Settings, days: str | None, verbose: bool) -> int:
    """Run the pipeline for some days, as `parse_range` reads them, and show its steps and what came of it: the command `health run`.

    Args:
        verbose: show the traceback of what fails.

    Returns:
        0 if the mart was published, else 1: what was published before is unchanged.

    Raises:
        SettingsError, ConfigurationError: the days, the configuration or the seeds are wrong; nothing was written.
        WriterBusy: as `writer_lock`.
    """
    begun = time.monotonic()
    start, end = parse_range(days, settings)
    what, run_id, log = f"{JOB} {start}...{end}", str(uuid.uuid4()), settings.dbt_target / "run.log"
    try:
        check_configuration(settings)
        # Within Dagster the run takes the lock again. Taken here, a refusal is one line, and no other run comes in between.
        with writer_lock(settings, what), naming_a_full_disk(settings):
            os.environ["HEALTH_CONFIG"] = str(settings.config_file)
            remove_leftovers(settings)
            prepare_home(settings)
            with shown(log, what, begun) as display:
                failures = run_range(settings, start, end, run_id, verbose)
    except WriterBusy:
        raise
    except DiskFull as error:
        _tell(settings, None, what, [str(error)])
        if verbose:
            raise
        print(error, file=sys.stderr)
        return 1
    except UserError as error:
        _tell(settings, None, what, str(error).splitlines())
        raise
    said = list(display.warnings.said)
    space = f"{settings.data_dir} takes {used_megabytes(settings)} MB, {free_megabytes(settings)} MB are free"
    took = f"{time.monotonic() - begun:.1f} s; {space}"
    if failures:
        _print(shortened(said, _WARNINGS_SHOWN))
        for line in failures:
            print(line, file=sys.stderr)
        _tell(settings, run_id, what, failures)
        print(f"the run failed after {took}; what was published before is unchanged. Log: {log}", file=sys.stderr)
        return 1
    _show_result(settings, start, end, said)
    print(f"total:     {took}; log: {log}")
    return 0


def _tell(settings: Settings, run_id: str | None, what: str, reasons: Iterable[str]) -> None:
    # What sends messages takes a moment to import.
    from orchestration.alerts import tell_failed_run

    tell_failed_run(settings, run_id, what, reasons)


def _show_result(settings: Settings, start: date, end: date, said: Sequence[str]) -> None:
    """What the run came to, then what it could not use, each warning once."""
    from orchestration.contract import USAGE_TABLES
    from orchestration.extract import delivery_notes, thin_event_days
    from orchestration.publish.board import FOLDER as BOARD
    from orchestration.publish.summary import summarize, unexplained_drift

    current = settings.published / "current"
    summary = summarize(settings, current)
    _print(describe(summary))
    drift = [f"metric drift on {day}: {message}" for day, message in unexplained_drift(settings, current, start, end)]
    thin_days = filter(None, [thin_event_days(settings.lake, start, end, name) for name in USAGE_TABLES])
    found = [*summary.not_read.values(), *summary.warnings, *thin_days, *drift[-_DRIFT_SHOWN:]]
    notes = delivery_notes(settings.lake, start, end)
    # Most of them were also logged, some in more words.
    logged = [line for line in said if not any(line in other for other in (*found, *notes, *drift))]
    _print(shortened([line for line in found if not any(line in other for other in logged)] + logged, _WARNINGS_SHOWN))
    _print(shortened(notes, _NOTES_SHOWN, "more such notes about files"))
    print(f"published: {current / 'health.duckdb'}")
    board = current / BOARD / "index.html"
    print(f"board:     {board}" if board.exists() else "board:     could not be written, see above")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(one_line(line, _LONGEST_REASON))


if __name__ == "__main__":
    # Schedules of before there was `health run`.
    from orchestration.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
