"""A report for people (alerts, a digest), and what it looks like in Slack (Block Kit), in Teams (an Adaptive Card) and in a mail.

Names and sentences come from data: in none of the three does any of it format, link, or call somebody.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jinja2

from orchestration.alert_rules import Channel
from orchestration.plain_text import one_line

# Of a line before escaping, which makes up to five characters of one: it always fits into a section of Slack.
NAME, SENTENCE, LABEL, URL = 60, 200, 100, 300
_SHOWN_OF_PART = 10
# Slack takes 50 blocks of 3,000 characters; three blocks are kept for the address, for what is left out and for a repetition.
_SECTIONS, _SECTION_TEXT = 46, 3000
# Teams takes 28 KB.
_CARD_BYTES = 25_000
_BULLET, _DOT = "\u2022", " \u00b7 "
_REPEATED = "Sent again: an earlier try was not confirmed."
_TO_BOARD = "Open the board"

# Slack's own escapes; and look-alikes for the signs that would format the rest of the line, or make a picture of a word.
_MRKDWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {"*": "\u2217", "~": "\u223c", "`": "'", "|": "\u00a6", "_": "\u02cd", ":": "\u2236"}
)

Block = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One thing that a report tells: facts about an account, and why; without a name, facts alone."""

    facts: tuple[str, ...]
    name: str | None = None
    url: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Part:
    """Lines below a heading: the first of `total`."""

    heading: str
    lines: tuple[Line, ...]
    total: int

    def first(self, shown: int) -> "Part":
        return replace(self, lines=self.lines[:shown])

    @property
    def title(self) -> str:
        return f"{self.heading} ({self.total})"

    @property
    def rest(self) -> str | None:
        left = self.total - len(self.lines)
        return f"and {left} more" if left else None


@dataclass(frozen=True)
class Report:
    """What people are sent in one message. `url` is the page of the board that shows more."""

    title: str
    parts: tuple[Part, ...]
    intro: tuple[str, ...] = ()
    url: str | None = None


def line(facts: Iterable[str], name: str | None = None, url: str | None = None, reason: str | None = None) -> Line:
    """A line from texts of any length and content."""
    return Line(
        tuple(one_line(fact, SENTENCE) for fact in facts),
        None if name is None else one_line(name, NAME),
        url if url is not None and len(url) <= URL else None,
        None if reason is None else one_line(reason, SENTENCE),
    )


def part(heading: str, lines: Iterable[Line]) -> Part:
    """The first lines below a heading; the others are counted."""
    found = tuple(lines)
    return Part(one_line(heading, LABEL), found[:_SHOWN_OF_PART], len(found))


def render(channel: Channel, report: Report) -> dict[str, Any]:
    """What is sent to a channel for people, as JSON can hold it."""
    return _RENDERERS[channel](report)


def mark_repeated(channel: Channel, content: dict[str, Any]) -> dict[str, Any]:
    """A message that was tried before, and may have arrived. A program knows a repetition by its message_id."""
    if channel == "slack":
        content["blocks"].append(_context(_REPEATED))
    elif channel == "teams":
        content["attachments"][0]["content"]["body"].append(_runs(_run(_REPEATED, isSubtle=True)))
    elif channel == "email":
        content["text"] += f"\n{_REPEATED}\n"
    return content


def as_text(channel: Channel, content: dict[str, Any]) -> str:
    """A message for people as plain lines, for a terminal."""
    if channel == "email":
        return f"Subject: {content['subject']}\n\n{content['text']}".rstrip()
    if channel == "teams":
        rows = content["attachments"][0]["content"]["body"]
        return "\n".join("".join(run["text"] for run in row.get("inlines", [row])) for row in rows)
    texts = []
    for block in content["blocks"]:
        elements = [block["text"]] if "text" in block else block["elements"]
        texts += [element["text"] for element in elements]
    return "\n\n".join(texts)


# --- Slack ---


def _slack(report: Report) -> dict[str, Any]:
    sections: list[Block] = []
    if report.intro:
        sections.append(_section("\n".join(_mrkdwn(text) for text in report.intro)))
    left_out = 0
    for each in report.parts:
        lines = [f"*{_mrkdwn(each.heading)}* ({each.total})", *(_slack_line(one) for one in each.lines)]
        texts = _pack([*lines, *([each.rest] if each.rest else [])])
        if len(sections) + len(texts) > _SECTIONS:
            left_out += each.total
        else:
            sections += [_section(text) for text in texts]
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": report.title}}, *sections]
    if left_out:
        blocks.append(_context(f"and {left_out} more, of other rules"))
    if report.url:
        blocks.append(_context(_slack_link(report.url, _TO_BOARD)))
    return {"text": report.title, "blocks": blocks}


def _slack_line(one: Line) -> str:
    facts = _DOT.join(_mrkdwn(fact) for fact in one.facts)
    reason = "" if one.reason is None else f"\n      {_mrkdwn(one.reason)}"
    if one.name is None:
        return f"{_BULLET} {facts}{reason}"
    name = _mrkdwn(one.name) if one.url is None else _slack_link(one.url, _mrkdwn(one.name))
    return f"{_BULLET} {name}: {facts}{reason}"


def _slack_link(url: str, text: str) -> str:
    return f"<{url.replace('&', '&amp;').replace('<', '%3C').replace('>', '%3E').replace('|', '%7C')}|{text}>"


def _pack(lines: Iterable[str]) -> list[str]:
    """The lines as few strings of a section's size."""
    texts: list[str] = []
    for text in lines:
        if texts and len(texts[-1]) + 1 + len(text) <= _SECTION_TEXT:
            texts[-1] += f"\n{text}"
        else:
            texts.append(text)
    return texts


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn_object(text)}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn_object(text)]}


def _mrkdwn_object(text: str) -> Block:
    # `verbatim`: Slack makes no links or mentions of what it finds in names.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _mrkdwn(text: str) -> str:
    return text.translate(_MRKDWN)


# --- Teams ---


def _teams(report: Report) -> dict[str, Any]:
    """With as many lines of each part as a card may hold."""
    for shown in range(_SHOWN_OF_PART, -1, -1):
        content = _card(replace(report, parts=tuple(each.first(shown) for each in report.parts)))
        if len(json.dumps(content)) <= _CARD_BYTES:
            break
    return content


def _card(report: Report) -> dict[str, Any]:
    # In runs of text, unlike in text blocks, no sign formats.
    body = [_runs(_run(report.title, size="large", weight="bolder")), *(_runs(_run(text)) for text in report.intro)]
    for each in report.parts:
        body.append(_runs(_run(each.title, weight="bolder")) | {"spacing": "medium"})
        for one in each.lines:
            body.append(_runs(*_teams_line(one)) | {"spacing": "small"})
        if each.rest:
            body.append(_runs(_run(each.rest, isSubtle=True)) | {"spacing": "small"})
    if report.url:
        body.append(_runs(_run(_TO_BOARD, selectAction=_open(report.url))) | {"spacing": "medium"})
    card = {"type": "AdaptiveCard", "version": "1.4", "body": body, "msteams": {"width": "Full"}}
    return {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]}


def _teams_line(one: Line) -> Iterator[Block]:
    yield _run(f"{_BULLET} ")
    if one.name is not None:
        yield _run(one.name, weight="bolder", **({} if one.url is None else {"selectAction": _open(one.url)}))
        yield _run(": ")
    yield _run(_DOT.join(one.facts))
    if one.reason is not None:
        yield _run(f" \u2013 {one.reason}", isSubtle=True)


def _open(url: str) -> Block:
    return {"type": "Action.OpenUrl", "url": url}


def _run(text: str, **look: Any) -> Block:
    return {"type": "TextRun", "text": text, **look}


def _runs(*inlines: Block) -> Block:
    return {"type": "RichTextBlock", "inlines": list(inlines)}


# --- mail ---

_HTML = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ report.title }}</title></head>
<body style="font: 15px/1.45 system-ui, sans-serif; max-width: 46em">
<h1 style="font-size: 1.35em">{{ report.title }}</h1>
{% for text in report.intro %}
<p style="margin: .2em 0">{{ text }}</p>
{% endfor %}
{% for part in report.parts %}
<h2 style="font-size: 1.1em; margin: 1.2em 0 .3em">{{ part.title }}</h2>
<ul style="margin: 0; padding-left: 1.2em">
{% for line in part.lines %}
<li style="margin: .3em 0">
{%- if line.name is not none -%}
<b>{% if line.url %}<a href="{{ line.url }}">{{ line.name }}</a>{% else %}{{ line.name }}{% endif %}</b>: {% endif -%}
{{ line.facts | join(dot) }}
{%- if line.reason is not none %}<br><span style="color: #55606e">{{ line.reason }}</span>{% endif %}</li>
{% endfor %}
{% if part.rest %}
<li style="margin: .3em 0; color: #55606e">{{ part.rest }}</li>
{% endif %}
</ul>
{% endfor %}
{% if report.url %}
<p><a href="{{ report.url }}">{{ to_board }}</a></p>
{% endif %}
</body></html>
"""
)


def _mail(report: Report) -> dict[str, Any]:
    return {
        "subject": report.title,
        "text": "\n".join(_mail_lines(report)),
        "html": _HTML.render(report=report, dot=_DOT, to_board=_TO_BOARD),
    }


def _mail_lines(report: Report) -> Iterator[str]:
    yield from report.intro
    for each in report.parts:
        yield from ("", each.title)
        for one in each.lines:
            yield f"* {'' if one.name is None else f'{one.name}: '}{_DOT.join(one.facts)}"
            if one.reason is not None:
                yield f"  {one.reason}"
        if each.rest:
            yield f"* {each.rest}"
    if report.url:
        yield from ("", f"{_TO_BOARD}: {report.url}")
    yield ""


_RENDERERS: dict[Channel, Callable[[Report], dict[str, Any]]] = {"slack": _slack, "teams": _teams, "email": _mail}
