"""Alerts as messages: JSON for a program, a report for people."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, cast

from orchestration.alert_rules import Channel
from orchestration.plain_text import one_line
from orchestration.publish.alerts.evaluate import Alert
from orchestration.publish.alerts.mart import AccountDay
from orchestration.publish.alerts.rendering import NAME, Line, Report, line, part, render
from orchestration.publish.links import account_page_url
from orchestration.settings import Settings

# Of the JSON. A field may be added under the same version; removing or changing one makes a new version.
VERSION = 1
_JSON_TEXT, _JSON_URL = 1000, 2000


@dataclass(frozen=True)
class Occasion:
    """The generation that a message is about; None and blank where none was published yet."""

    as_of_date: date | None
    generation: int | None
    run_id: str
    published_at: str


@dataclass(frozen=True)
class Message:
    """What is sent to one destination in one go. `body` is JSON; `message_id` stays the same however often it is sent.

    Attributes:
        destination: its name; the last part, after a full stop, is the channel.
        as_of_date: the day of the mart that it tells of.
    """

    destination: str
    message_id: str
    as_of_date: date
    body: str
    attempts: int = 0

    @property
    def channel(self) -> Channel:
        return cast(Channel, self.destination.rpartition(".")[2])


def compose(settings: Settings, channel: Channel, occasion: Occasion, alerts: Iterable[Alert], day: date) -> Message | None:
    """One message with the alerts that are for this channel; None without any.

    Args:
        day: from which on the message is news.
    """
    wanted = [alert for alert in alerts if alert.rule.channel in (None, channel)]
    if not wanted:
        return None
    message_id = identify(channel, day.isoformat(), *sorted(alert.key for alert in wanted))
    if channel == "webhook":
        content = {"version": VERSION, "message_id": message_id} | _json_message(settings, occasion, wanted)
    else:
        content = render(channel, _report(settings, occasion, wanted))
    return Message(channel, message_id, day, json.dumps(content))


def identify(*names: str) -> str:
    """The id of a message, from what makes it this one."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]


def _report(settings: Settings, occasion: Occasion, alerts: Sequence[Alert]) -> Report:
    on = "" if occasion.as_of_date is None else f" on {occasion.as_of_date}"
    title = f"Customer health{on}: {len(alerts)} {'alert' if len(alerts) == 1 else 'alerts'}"
    groups = groupby(alerts, key=lambda alert: alert.rule)
    return Report(title, tuple(part(rule.label, (_line(settings, alert) for alert in found)) for rule, found in groups))


def _line(settings: Settings, alert: Alert) -> Line:
    account = alert.account
    if account is None:
        return line([alert.text], reason=alert.reason)
    facts = [alert.text]
    if account.arr is not None:
        facts.append(f"{account.arr:,.0f} {settings.pipeline.reporting_currency} a year")
    if account.csm:
        facts.append(account.csm)
    return line(facts, _name(account), account_page_url(settings, account.account_id), alert.reason)


def _name(account: AccountDay) -> str:
    return one_line(account.account_name or "", NAME) or one_line(account.account_id, NAME) or "(no name)"


def _json_message(settings: Settings, occasion: Occasion, alerts: Sequence[Alert]) -> dict[str, Any]:
    return {
        "as_of_date": None if occasion.as_of_date is None else occasion.as_of_date.isoformat(),
        "generation": occasion.generation,
        "run_id": occasion.run_id,
        "published_at": occasion.published_at,
        "currency": settings.pipeline.reporting_currency,
        "alert_count": len(alerts),
        "alerts": [
            {
                "key": alert.key,
                "rule": alert.rule.key,
                "label": alert.rule.label,
                "kind": alert.rule.kind,
                "since": alert.since.isoformat(),
                "text": _cut(alert.text, _JSON_TEXT),
                "reason": _cut(alert.reason, _JSON_TEXT),
                "account": _json_account(settings, alert),
                "raw_table": alert.raw_table,
                "metric_key": alert.metric_key,
            }
            for alert in alerts
        ],
    }


def _json_account(settings: Settings, alert: Alert) -> dict[str, Any] | None:
    account = alert.account
    if account is None:
        return None
    return {
        "account_id": account.account_id,
        "account_name": _cut(account.account_name, _JSON_TEXT),
        "segment": _cut(account.segment, _JSON_TEXT),
        "csm": _cut(account.csm, _JSON_TEXT),
        "arr": account.arr,
        "health_score": account.health_score,
        "tier": account.tier,
        "previous_tier": account.previous_tier,
        "tier_since": account.tier_since.isoformat(),
        "delta_7d": account.delta_7d,
        "delta_28d": account.delta_28d,
        "term_ends_on": None if account.term_ends_on is None else account.term_ends_on.isoformat(),
        "url": _url(settings, account.account_id, _JSON_URL),
    }


def _cut(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else f"{text[: limit - 1]}\u2026"


def _url(settings: Settings, account_id: str, limit: int) -> str | None:
    url = account_page_url(settings, account_id)
    return url if url is not None and len(url) <= limit else None
