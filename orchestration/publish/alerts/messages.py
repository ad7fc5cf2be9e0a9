"""Alerts as messages: JSON for a program, Block Kit for people in Slack."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from orchestration.alert_rules import Channel
from orchestration.plain_text import one_line
from orchestration.publish.alerts.evaluate import Alert
from orchestration.publish.links import account_page_url
from orchestration.settings import Settings

# Of the JSON. A field may be added under the same version; removing or changing one makes a new version.
VERSION = 1
# Slack takes 50 blocks of 3,000 characters; two blocks are kept for what is left out and for a repetition.
_SECTIONS, _SECTION_TEXT = 47, 3000
_SHOWN_OF_RULE = 10
# Before escaping, which makes up to five characters of one: a line always fits into a section.
_NAME, _SENTENCE, _LABEL, _URL = 60, 200, 100, 300
_JSON_TEXT, _JSON_URL = 1000, 2000
_BULLET, _DOT = "\u2022", " \u00b7 "

# Slack's own escapes; and look-alikes for the signs that would format the rest of the line, or make a picture of a word.
_MRKDWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {"*": "\u2217", "~": "\u223c", "`": "'", "|": "\u00a6", "_": "\u02cd", ":": "\u2236"}
)

Block = dict[str, Any]


@dataclass(frozen=True)
class Occasion:
    """The generation that a message is about."""

    as_of_date: date
    generation: int
    run_id: str
    published_at: str


@dataclass(frozen=True)
class Message:
    """What is sent to one channel in one go. `body` is JSON; `message_id` stays the same however often it is sent."""

    channel: Channel
    message_id: str
    as_of_date: date
    body: str
    attempts: int = 0


def compose(settings: Settings, channel: Channel, occasion: Occasion, alerts: Iterable[Alert]) -> Message | None:
    """One message with the alerts that are for this channel; None without any."""
    wanted = [alert for alert in alerts if alert.rule.channel in (None, channel)]
    if not wanted:
        return None
    names = [channel, occasion.as_of_date.isoformat(), *sorted(alert.key for alert in wanted)]
    message_id = hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]
    if channel == "slack":
        content = _slack_message(settings, occasion, wanted)
    else:
        content = {"version": VERSION, "message_id": message_id} | _json_message(settings, occasion, wanted)
    return Message(channel, message_id, occasion.as_of_date, json.dumps(content))


def mark_repeated(body: str) -> str:
    """A Slack message that was tried before, and may have arrived. Programs know a repetition by its message_id."""
    content = json.loads(body)
    content["blocks"].append(_context("Sent again: an earlier try was not confirmed."))
    return json.dumps(content)


def as_text(content: dict[str, Any]) -> str:
    """A Slack message as plain lines, for a terminal."""
    texts = []
    for block in content["blocks"]:
        parts = [block["text"]] if "text" in block else block["elements"]
        texts += [part["text"] for part in parts]
    return "\n\n".join(texts)


def _json_message(settings: Settings, occasion: Occasion, alerts: Sequence[Alert]) -> dict[str, Any]:
    return {
        "as_of_date": occasion.as_of_date.isoformat(),
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


def _slack_message(settings: Settings, occasion: Occasion, alerts: Sequence[Alert]) -> dict[str, Any]:
    title = f"Customer health on {occasion.as_of_date}: {len(alerts)} {'alert' if len(alerts) == 1 else 'alerts'}"
    sections: list[Block] = []
    left_out = 0
    for rule, found in groupby(alerts, key=lambda alert: alert.rule):
        group = list(found)
        lines = [f"*{_mrkdwn(rule.label, _LABEL)}* ({len(group)})"]
        lines += [_line(settings, alert) for alert in group[:_SHOWN_OF_RULE]]
        if len(group) > _SHOWN_OF_RULE:
            lines.append(f"and {len(group) - _SHOWN_OF_RULE} more")
        texts = _pack(lines)
        if len(sections) + len(texts) > _SECTIONS:
            left_out += len(group)
        else:
            sections += [{"type": "section", "text": _mrkdwn_object(text)} for text in texts]
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": title}}, *sections]
    if left_out:
        blocks.append(_context(f"and {left_out} more, of other rules"))
    return {"text": title, "blocks": blocks}


def _line(settings: Settings, alert: Alert) -> str:
    account = alert.account
    if account is None:
        return f"{_BULLET} {_mrkdwn(alert.text, _SENTENCE)}"
    name = _mrkdwn(account.account_name or "", _NAME) or _mrkdwn(account.account_id, _NAME) or "(no name)"
    url = _url(settings, account.account_id, _URL)
    if url is not None:
        name = f"<{url.replace('&', '&amp;').replace('<', '%3C').replace('>', '%3E').replace('|', '%7C')}|{name}>"
    facts = [_mrkdwn(alert.text, _SENTENCE)]
    if account.arr is not None:
        facts.append(f"{account.arr:,.0f} {_mrkdwn(settings.pipeline.reporting_currency, _NAME)} a year")
    if account.csm:
        facts.append(_mrkdwn(account.csm, _NAME))
    reason = "" if alert.reason is None else f"\n      {_mrkdwn(alert.reason, _SENTENCE)}"
    return f"{_BULLET} {name}: {_DOT.join(facts)}{reason}"


def _pack(lines: Iterable[str]) -> list[str]:
    """The lines as few strings of a section's size."""
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + 1 + len(line) <= _SECTION_TEXT:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return texts


def _mrkdwn_object(text: str) -> Block:
    # `verbatim`: Slack makes no links or mentions of what it finds in names.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn_object(text)]}


def _mrkdwn(text: str, limit: int) -> str:
    """Any text as it is read by people, on one line: nothing in it formats, links or calls somebody."""
    return one_line(text, limit).translate(_MRKDWN)


def _cut(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else f"{text[: limit - 1]}\u2026"


def _url(settings: Settings, account_id: str, limit: int) -> str | None:
    url = account_page_url(settings, account_id)
    return url if url is not None and len(url) <= limit else None
