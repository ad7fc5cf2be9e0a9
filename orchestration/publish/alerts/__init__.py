"""Alerts: what `seeds/alert_rules.csv` looks for in the published mart goes to Slack and to a webhook, each once.

Knows nothing of Dagster, and never changes the mart. It has a lock of its own, so that a slow endpoint holds up no run.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import duckdb
from filelock import FileLock, Timeout

from orchestration.alert_rules import CHANNELS, Channel, read_alert_rules
from orchestration.errors import UserError
from orchestration.locking import acquire, say_on_stdout
from orchestration.publish.alerts.delivery import NotDelivered, deliver, endpoints
from orchestration.publish.alerts.evaluate import find_alerts
from orchestration.publish.alerts.log import AlertLog, AlertLogError, copy_log, open_log
from orchestration.publish.alerts.mart import PublishedMart
from orchestration.publish.alerts.messages import Message, Occasion, as_text, compose
from orchestration.publish.generations import PublishError, current_generation, read_manifest
from orchestration.settings import Settings
from orchestration.sources import Secret
from orchestration.warehouse import first_line

__all__ = ["AlertLogError", "AlertsBusy", "Sent", "as_text", "endpoints", "preview_alerts", "send_alerts"]

# A message that could not be delivered while the mart moved on by so many days is not news any more.
GIVE_UP_DAYS = 7

_log = logging.getLogger(__name__)


class AlertsBusy(UserError):
    """Another process sends alerts; it sends what is due."""


@dataclass
class Sent:
    """What came of sending, by channel.

    Attributes:
        messages: number of messages delivered.
        faults: why messages are still to be sent; one line each, without addresses.
    """

    messages: dict[Channel, int] = field(default_factory=dict)
    faults: dict[Channel, list[str]] = field(default_factory=dict)


def send_alerts(settings: Settings, say: Callable[[str], None] = say_on_stdout) -> Sent:
    """Apply the rules to the published mart if its newest day is new, and send what is due, also from earlier runs.

    An endpoint that cannot be reached is not an error: its messages stay due. Without a configured one nothing happens.

    Args:
        say: is given one line before a wait for another process that sends alerts.

    Raises:
        AlertsBusy: another process kept the lock of the alerts for `pipeline.lock_timeout_seconds`.
        AlertLogError, PublishError: the log or the mart cannot be read.
        ConfigurationError: `alert_rules.csv` is wrong.
        SettingsError: the data folder cannot be written.
    """
    configured = endpoints(settings)
    sent = Sent()
    if not configured:
        return sent
    settings.make_data_dir()
    path = settings.alert_log
    path.parent.mkdir(exist_ok=True)
    try:
        lock, seconds = FileLock(path.with_suffix(".lock")), settings.pipeline.lock_timeout_seconds
        with acquire(lock, seconds, lambda: "another process is sending alerts", say), open_log(path) as log:
            newest = _apply_rules(settings, log, configured)
            for channel, secret in configured.items():
                sent.messages[channel], sent.faults[channel] = _deliver_due(settings, log, channel, secret, newest)
    except Timeout:
        text = f"{path}: another process is sending alerts. It sends what is due; nothing is left to do"
        raise AlertsBusy(text) from None
    return sent


def _deliver_due(settings: Settings, log: AlertLog, channel: Channel, secret: Secret, newest: date | None) -> tuple[int, list[str]]:
    """Send what is due to one channel, the oldest first, until it gives no answer: number sent, and why not all."""
    number, faults = 0, []
    for message in log.due(channel):
        if newest is not None and (newest - message.as_of_date).days > GIVE_UP_DAYS:
            _log.warning("the alerts of %s could not be delivered to %s and are given up", message.as_of_date, channel)
            log.give_up(message)
            continue
        log.note_attempt(message)
        try:
            deliver(settings, message, secret)
        except NotDelivered as fault:
            faults.append(str(fault))
            if not fault.is_refused:
                break
        else:
            log.note_sent(message)
            number += 1
    return number, faults


def preview_alerts(settings: Settings) -> list[Message]:
    """What `send_alerts` would send now, without sending or noting it; where no endpoint is configured, as if both were.

    Raises:
        AlertLogError, PublishError, ConfigurationError: as `send_alerts`.
    """
    channels = tuple(endpoints(settings)) or CHANNELS
    with copy_log(settings.alert_log) as log:
        _apply_rules(settings, log, channels)
        return [message for channel in channels for message in log.due(channel)]


def _apply_rules(settings: Settings, log: AlertLog, channels: Iterable[Channel]) -> date | None:
    """Enter the new alerts and their messages into the log; returns the mart's newest day."""
    number = current_generation(settings)
    if number is None:
        return None
    manifest = read_manifest(settings, number)
    if manifest.last_as_of_date is None:
        return None
    newest, known = date.fromisoformat(manifest.last_as_of_date), log.newest_day()
    # Backfills, repetitions and rollbacks bring no day that was not looked at.
    if known is not None and newest < known:
        return newest
    published_on = datetime.fromisoformat(manifest.published_at).date()
    # A repetition of the newest day says nothing new of accounts, but the source that it could not read may be news.
    rules = [rule for rule in read_alert_rules(settings.seeds_dir) if newest != known or rule.kind == "source_late"]
    first_days = {rule: _first_day(settings, log.watched_since(rule), newest, published_on) for rule in rules}
    try:
        with PublishedMart(settings, number) as mart:
            alerts = [alert for alert in find_alerts(mart, settings, first_days) if not log.is_known(alert)]
    except duckdb.Error as error:
        raise PublishError(f"generation {number} cannot be read for its alerts: {first_line(error)}") from error
    occasion = Occasion(newest, number, manifest.run_id, manifest.published_at)
    messages = [message for channel in channels if (message := compose(settings, channel, occasion, alerts))]
    log.record(newest, rules, alerts, messages)
    return newest


def _first_day(settings: Settings, watched_since: date | None, newest: date, published_on: date) -> date:
    """The first day whose news a rule reports.

    Not older than the lookback, seen from the newest day and from the day that was due when it was published; and not older
    than the rule.
    """
    last_due = published_on - timedelta(days=1)
    if settings.pipeline.end_date is not None:
        last_due = min(last_due, settings.pipeline.end_date)
    return max(watched_since or newest, max(newest, last_due) - timedelta(days=settings.pipeline.lookback_days))
