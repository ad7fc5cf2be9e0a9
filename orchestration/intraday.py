"""The day that is still running, scored provisionally: the command `health run today` and the job `intraday`.

All it needs is in a data folder of its own, `<data_dir>/today/`: a lake that begins as that of the finished days (by hard links, since a
file of the lake never changes) and a warehouse with rollups and this one day. Models, landing and rules are those of a run. It only reads
what a run writes, takes no writer lock, and stops as soon as somebody else writes.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from orchestration.contract import TABLES
from orchestration.durable import write_text
from orchestration.errors import UserError
from orchestration.extract import LakeError, QuarantineLimitExceeded, SourceError, land_table
from orchestration.extract.lake.manifest import covered_through, quarantine_folder, raw_folder, read_manifest, write_manifest
from orchestration.locking import say_on_stdout, writing_now
from orchestration.masking import without_secrets
from orchestration.publish.generations import link, require_current
from orchestration.publish.today import Reading, publish_today
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import Settings, SettingsError
from orchestration.transform import keep_rollups, prepare
from orchestration.warehouse import attach_warehouse, connect

FOLDER = "today"
JOB = "intraday"
_LANDING, _READINGS, _LOCK = "landing", "readings.json", "today.lock"
# No ledger, trend, actions, drift or history: what explains the scores, and the tier by one day's score.
_MODELS = ("+int_scoring__raw_tiers", "+metric_scores_history")

Clock = Callable[[], datetime]


class GaveWay(UserError):
    """Somebody else writes; what was provisional stays as it was."""


class TodayFailed(UserError):
    """The day could not be scored; what was provisional stays as it was."""


@dataclass(frozen=True)
class ScoredToday:
    """What came of it.

    Attributes:
        day: the day that is running, UTC.
        accounts: number of accounts that have a provisional score.
        readings: of the configured sources, by raw table.
    """

    day: date
    accounts: int
    readings: dict[str, Reading]


def clock() -> datetime:
    return datetime.now(UTC)


def score_today(settings: Settings, now: Clock, say: Callable[[str], None] = say_on_stdout) -> ScoredToday:
    """Land what the sources have of the running day, score it by the newest rules, and publish it beside the mart.

    Args:
        now: the time in UTC; also what a source was read up to.
        say: is given one line for each source that could not be read, and for a copy in Postgres that could not be made.

    Raises:
        GaveWay: another command writes, or began to, or another process does the same.
        TodayFailed: the day could not be scored, or a file of the lake is lost or damaged.
        SettingsError, ConfigurationError: the configuration or the seeds are wrong, or end before this day.
        PublishError: nothing is published yet.
    """
    begun = now()
    day = begun.date()
    first, end = settings.pipeline.start_date, settings.pipeline.end_date
    if day < first or (end is not None and day > end):
        raise SettingsError(
            f"{settings.config_file}: {day} is running (UTC), which is not one of the days {first}...{end or ''} that are configured. "
            "Leave out pipeline.end_date to score it"
        )
    require_current(settings)

    def give_way() -> None:
        if (writer := writing_now(settings)) is not None:
            raise GaveWay(f"{writer} is writing, which goes first. What was provisional stays as it was until the next run of today")

    give_way()
    folder = settings.make_data_dir() / FOLDER
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / _LOCK).acquire(timeout=0):
            check_configuration(settings)
            readings = _land(settings, folder, day, now, say, give_way)
            accounts = _score(settings, _moved_to(settings, folder), day, begun, readings, give_way)
            _copy(settings, say)
    except Timeout:
        raise GaveWay(f"{folder / _LOCK}: another process scores today. Nothing is left to do") from None
    except LakeError as error:
        raise TodayFailed(f"{day} could not be scored provisionally: {error}") from error
    return ScoredToday(day, accounts, readings)


def _copy(settings: Settings, say: Callable[[str], None]) -> None:
    if settings.exports.postgres is not None:
        # Takes a moment to import.
        from orchestration.publish.postgres import CopyFailed, copy_today_to_postgres

        try:
            copy_today_to_postgres(settings)
        except CopyFailed as error:
            say(str(error))


def show_today(settings: Settings) -> int:
    """The command `health run today`.

    Returns:
        0, also if it gave way; errors as of `score_today`, of which word is sent as of a run that failed, once a day.
    """
    begun = time.monotonic()
    try:
        scored = score_today(settings, clock)
    except GaveWay as why:
        print(why)
        return 0
    except UserError as error:
        # What sends messages takes a moment to import.
        from orchestration.alerts import tell_failed_run
        from orchestration.publish.alerts import told_once_a_day

        tell_failed_run(settings, told_once_a_day(JOB), JOB, str(error).splitlines())
        raise
    for line in describe(scored):
        print(line)
    print(f"published: {settings.published / FOLDER}")
    print(f"total:     {time.monotonic() - begun:.1f} s")
    return 0


def describe(scored: ScoredToday) -> list[str]:
    """What a person wants to know of it."""
    until = min(reading.until for reading in scored.readings.values())
    late = [f"{name} up to {reading.until:%Y-%m-%d %H:%M}" for name, reading in scored.readings.items() if reading.not_read is not None]
    noun = "account" if scored.accounts == 1 else "accounts"
    lines = [f"{scored.day} so far: {scored.accounts} {noun} scored provisionally, every source read up to {until:%Y-%m-%d %H:%M} UTC"]
    return lines + ([f"could not be read this time, so as read before: {', '.join(late)}"] if late else [])


def _moved_to(settings: Settings, folder: Path) -> Settings:
    """The settings for the running day alone, in another data folder."""
    alone = settings.pipeline.model_copy(update={"lookback_days": 0})
    return settings.on_duckdb().model_copy(update={"pipeline": alone}).moved_to(folder)


def _land(
    settings: Settings, folder: Path, day: date, now: Clock, say: Callable[[str], None], give_way: Callable[[], None]
) -> dict[str, Reading]:
    """Land all tables on top of the finished days, in a new lake; then it takes the place of the one before.

    Of a source that cannot be read, what the one before had of this day stays.
    """
    today, landing = _moved_to(settings, folder), _moved_to(settings, folder / _LANDING)
    shutil.rmtree(landing.data_dir, ignore_errors=True)
    remove_leftovers(landing)
    before = _read_readings(today, day)
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    with suppress(FileNotFoundError):
        shutil.copytree(
            settings.lake / "journal", landing.lake / "journal", copy_function=lambda file, other: link(Path(file), Path(other))
        )
    # All of them first: what a source is asked for depends on what is there of other tables.
    for name in TABLES:
        _take_over(settings.lake, landing.lake, name)
    readings: dict[str, Reading] = {}
    for name, table in TABLES.items():
        give_way()
        at = min(now(), midnight)
        try:
            why = land_table(landing, table, day, day).unavailable
        except (SourceError, QuarantineLimitExceeded) as error:
            why = without_secrets(settings, str(error))
        if why is not None:
            say(f"{name}: not read: {why}")
            if name in before:
                _take_over(today.lake, landing.lake, name)
            finished = covered_through(landing.lake).get(name, settings.pipeline.start_date - timedelta(days=1))
            at = before.get(name) or datetime.combine(finished + timedelta(days=1), datetime.min.time(), UTC)
        if name in settings.sources:
            readings[name] = Reading(at, why)
    noted = {name: reading.until.isoformat() for name, reading in readings.items() if reading.not_read is None or name in before}
    write_text(landing.lake / _READINGS, json.dumps({"day": day.isoformat(), "until": noted}))
    shutil.rmtree(today.lake, ignore_errors=True)
    os.rename(landing.lake, today.lake)
    shutil.rmtree(landing.data_dir)
    return readings


def _take_over(source: Path, target: Path, name: str) -> None:
    """Let a table of a lake be what it is in another one. A run may be landing it meanwhile, which removes files that it replaced."""
    while True:
        for old in (raw_folder(target, name), quarantine_folder(target, name)):
            shutil.rmtree(old, ignore_errors=True)
        manifest = read_manifest(source, name)
        if manifest is None:
            return
        for path in manifest.paths():
            # One that is lost, the landing sees to.
            with suppress(FileNotFoundError):
                link(source / path, target / path)
        if read_manifest(source, name) == manifest:
            write_manifest(target, manifest)
            return


def _read_readings(today: Settings, day: date) -> dict[str, datetime]:
    """Up to when the lake of today has the sources; empty where it is of another day, or there is none."""
    try:
        noted = json.loads((today.lake / _READINGS).read_text(encoding="utf-8"))
        until = {name: datetime.fromisoformat(at) for name, at in noted["until"].items()}
        return until if noted["day"] == day.isoformat() else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _score(
    settings: Settings, today: Settings, day: date, begun: datetime, readings: dict[str, Reading], give_way: Callable[[], None]
) -> int:
    # Imports that take seconds.
    from orchestration.dbt import load_project
    from orchestration.dbt_build import DbtFailed, build_models

    remove_leftovers(today)
    give_way()
    try:
        plan = prepare(today, str(uuid.uuid4()), day, day)
        load_project(today, settings.dbt_target)
        build_models(today, *_MODELS, is_built=bool(plan.dbt_options), look=give_way)
    except DbtFailed as error:
        raise TodayFailed(f"{day} could not be scored provisionally: {error}") from error
    keep_rollups(today)
    with connect(today) as connection:
        attach_warehouse(today, connection)
        return publish_today(settings, connection, day, begun, readings)
