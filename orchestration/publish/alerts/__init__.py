"""Alerts: what `seeds/alert_rules.csv` looks for in the published mart, and in the runs that should publish it, goes by e-mail, to Slack,
to Teams and to a webhook, each once.

Knows nothing of Dagster, and never changes the mart. It has a lock of its own, so that a slow endpoint holds up no run.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import duckdb
from filelock import FileLock, Timeout

from orchestration.alert_rules import OF_THE_PIPELINE, AlertRule, Channel, read_alert_rules
from orchestration.errors import UserError
from orchestration.locking import acquire, say_on_stdout
from orchestration.publish.alerts.delivery import Destination, alert_destinations, deliver
from orchestration.publish.alerts.evaluate import Alert, find_alerts, find_alerts_of_today
from orchestration.publish.alerts.faults import NotDelivered
from orchestration.publish.alerts.log import AlertLog, AlertLogError, copy_log, open_log
from orchestration.publish.alerts.mart import PublishedMart
from orchestration.publish.alerts.messages import Message, Occasion, compose
from orchestration.publish.generations import Manifest, PublishError, current_generation, read_manifest
from orchestration.scorecard import ConfigurationError
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import first_line

__all__ = [
    "AlertLogError", "AlertsBusy", "FailedRun", "Sent", "alert_destinations", "late_mart", "preview_alerts", "send_alerts",
    "told_once_a_day",
]  # fmt: skip

# A message that could not be delivered while the mart moved on by so many days is not news any more.
GIVE_UP_DAYS = 7
# Shown by a preview where no address is configured.
_SHOWN: tuple[Channel, ...] = ("slack", "webhook")

_log = logging.getLogger(__name__)


class AlertsBusy(UserError):
    """Another process sends alerts; it sends what is due."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, or could not begin.

    Attributes:
        run_id: word of a run is sent once.
        what: the job and its days.
        reasons: why, one line each, without secrets.
    """

    run_id: str
    what: str
    reasons: Sequence[str]


def told_once_a_day(job: str) -> str:
    """What stands for the `run_id` of a job that is due every hour, so that word of it is sent once a day."""
    return f"{job} {datetime.now(UTC).date()}"


@dataclass
class Sent:
    """What came of sending, by destination.

    Attributes:
        messages: number of messages delivered.
        faults: why messages are still to be sent; one line each, without addresses.
        without_address: owners whose digest has nowhere to go.
    """

    messages: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    without_address: list[str] = field(default_factory=list)


def send_alerts(settings: Settings, say: Callable[[str], None] = say_on_stdout, failed: FailedRun | None = None) -> Sent:
    """Apply the rules to the published mart if its newest day is new, and send what is due, also from earlier runs.

    An endpoint that cannot be reached is not an error: its messages stay due. Without a configured one nothing happens.

    Args:
        say: is given one line before a wait for another process that sends alerts.
        failed: a run that rules of the kind `run_failed` tell of.

    Raises:
        AlertsBusy: another process kept the lock of the alerts for `pipeline.lock_timeout_seconds`.
        AlertLogError, PublishError: the log or the mart cannot be read.
        ConfigurationError: `alert_rules.csv` is wrong.
        SettingsError: the data folder cannot be written.
    """
    where = alert_destinations(settings)
    if not where:
        return Sent()
    with writable_log(settings, say) as log:
        newest = _apply_rules(settings, log, [to.channel for to in where], failed)
        return send_due(settings, log, where, newest)


@contextmanager
def writable_log(settings: Settings, say: Callable[[str], None]) -> Iterator[AlertLog]:
    """The log of alerts, for one process at a time.

    Raises:
        AlertsBusy, AlertLogError, SettingsError: as `send_alerts`.
    """
    settings.make_data_dir()
    path = settings.alert_log
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        with acquire(lock, settings.pipeline.lock_timeout_seconds, lambda: "another process is sending alerts", say), open_log(path) as log:
            yield log
    except Timeout:
        text = f"{path}: another process is sending alerts. It sends what is due; nothing is left to do"
        raise AlertsBusy(text) from None


def send_due(settings: Settings, log: AlertLog, where: Iterable[Destination], newest: date | None) -> Sent:
    """Send what is due, by destination. Where an address gives no answer, what else goes there waits for the next time."""
    sent, silent = Sent(), dict[str, str]()
    for to in where:
        if (fault := silent.get(to.where)) is not None and log.due(to.name):
            sent.messages[to.label], sent.faults[to.label] = 0, [fault]
            continue
        number, faults, is_silent = _deliver_due(settings, log, to, newest)
        sent.messages[to.label], sent.faults[to.label] = number, faults
        if is_silent:
            silent[to.where] = faults[-1]
    return sent


def _deliver_due(settings: Settings, log: AlertLog, to: Destination, newest: date | None) -> tuple[int, list[str], bool]:
    """Send what is due to one destination, the oldest first, until it gives no answer: number sent, why not all, whether it was silent."""
    number, faults = 0, []
    for message in log.due(to.name):
        if newest is not None and (newest - message.as_of_date).days > GIVE_UP_DAYS:
            _log.warning("the message of %s could not be delivered to %s and is given up", message.as_of_date, to.label)
            log.give_up(message)
            continue
        log.note_attempt(message)
        try:
            deliver(settings, message, to)
        except NotDelivered as fault:
            faults.append(str(fault))
            if not fault.is_refused:
                return number, faults, True
        else:
            log.note_sent(message)
            number += 1
    return number, faults, False


def preview_alerts(settings: Settings) -> list[Message]:
    """What `send_alerts` would send now, without sending or noting it; where no address is configured, as for Slack and a webhook.

    Raises:
        AlertLogError, PublishError, ConfigurationError: as `send_alerts`.
    """
    channels = [to.channel for to in alert_destinations(settings)] or _SHOWN
    with copy_log(settings.alert_log) as log:
        _apply_rules(settings, log, channels, None)
        return [message for channel in channels for message in log.due(channel)]


def late_mart(settings: Settings, manifest: Manifest, today: date) -> date | None:
    """The newest published day if a newer one is overdue: as the board says it, by `pipeline.cadence_days`.

    Args:
        today: in UTC.
    """
    newest, end = manifest.newest_day, settings.pipeline.end_date
    if newest is None:
        return None
    is_complete = end is not None and newest >= end
    return newest if not is_complete and (today - newest).days > settings.pipeline.cadence_days + 1 else None


def _apply_rules(settings: Settings, log: AlertLog, channels: Iterable[Channel], failed: FailedRun | None) -> date | None:
    """Enter the new alerts and their messages into the log; returns the mart's newest day."""
    number, today = current_generation(settings), datetime.now(UTC).date()
    manifest = None if number is None else read_manifest(settings, number)
    newest = None if manifest is None else manifest.newest_day
    rules, known = _rules(settings, failed), log.newest_day()
    # A day that is older than it should be, but new, is history that is being loaded.
    late = None if manifest is None or newest != known else late_mart(settings, manifest, today)
    alerts = [alert for alert in _of_the_pipeline(settings, rules, late, failed, today) if not log.is_known(alert)]
    looked_at: list[AlertRule] = []
    applied_to = None
    # Backfills, repetitions and rollbacks bring no day that was not looked at.
    if number is not None and manifest is not None and newest is not None and (known is None or newest >= known):
        applied_to, published_on = newest, datetime.fromisoformat(manifest.published_at).date()
        # A repetition of the newest day says nothing new of accounts, but the source that it could not read may be news.
        of_finished_days = [rule for rule in rules if rule.kind not in (*OF_THE_PIPELINE, "today")]
        looked_at = [rule for rule in of_finished_days if newest != known or rule.kind == "source_late"]
        first_days = {rule: _first_day(settings, log.watched_since(rule), newest, published_on) for rule in looked_at}
        try:
            with PublishedMart(settings, number) as mart:
                found = find_alerts(mart, settings, first_days)
                found += find_alerts_of_today(mart, rules)
                alerts += [alert for alert in found if not log.is_known(alert)]
        except duckdb.Error as error:
            raise PublishError(f"generation {number} cannot be read for its alerts: {first_line(error)}") from error
    occasion = Occasion(newest, number, manifest.run_id if manifest else "", manifest.published_at if manifest else "")
    # A failed run is news of its own day, not of the mart's.
    day = today if newest is None or failed is not None else newest
    messages = [message for channel in channels if (message := compose(settings, channel, occasion, alerts, day))]
    log.record(applied_to, looked_at, alerts, messages)
    return newest


def _rules(settings: Settings, failed: FailedRun | None) -> list[AlertRule]:
    """The rules; where they are what is wrong with a run that failed, those of the shipped ones that tell so."""
    try:
        return read_alert_rules(settings.seeds_dir)
    except ConfigurationError:
        if failed is None:
            raise
        return [rule for rule in read_alert_rules(PROJECT_ROOT / "seeds") if rule.kind in OF_THE_PIPELINE]


def _of_the_pipeline(
    settings: Settings, rules: Iterable[AlertRule], late: date | None, failed: FailedRun | None, today: date
) -> Iterator[Alert]:
    """What the rules find in the runs that should publish the mart."""
    days = settings.pipeline.cadence_days
    for rule in rules:
        if rule.kind == "run_failed" and failed is not None:
            text = f"{failed.what} failed; what was published before is unchanged"
            yield Alert(rule, failed.run_id, today, today, date.min, text, "; ".join(failed.reasons) or None)
        elif rule.kind == "mart_late" and late is not None:
            rhythm = "every day" if days == 1 else f"every {days} days"
            yield Alert(rule, "mart", late, late, late, f"The newest published day is {late}; a newer one is due {rhythm}")


def _first_day(settings: Settings, watched_since: date | None, newest: date, published_on: date) -> date:
    """The first day whose news a rule reports.

    Not older than the lookback, seen from the newest day and from the day that was due when it was published; and not older
    than the rule.
    """
    last_due = published_on - timedelta(days=1)
    if settings.pipeline.end_date is not None:
        last_due = min(last_due, settings.pipeline.end_date)
    return max(watched_since or newest, max(newest, last_due) - timedelta(days=settings.pipeline.lookback_days))
