"""How figures are written for people, as Jinja filters."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

NOTHING = "–"
_MINUS = "−"


def day(value: date | None) -> str:
    """29 Jun 2026"""
    return NOTHING if value is None else f"{value.day} {value:%b %Y}"


def moment(value: datetime) -> str:
    """29 Jun 2026, 06:00 UTC"""
    return f"{day(value)}, {value:%H:%M} UTC"


def number(value: float | None, digits: int = 0) -> str:
    """1,234.5"""
    return NOTHING if value is None else f"{value:z,.{digits}f}".replace("-", _MINUS)


def share(value: float | None, digits: int = 0) -> str:
    """72%"""
    return NOTHING if value is None else f"{100 * value:.{digits}f}%"


def compact(value: float | None) -> str:
    """4.37M, 820k, 310: an amount at a glance."""
    if value is None:
        return NOTHING
    for unit, text in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        # 999,950 is 1.0M, not 1,000k.
        if abs(value) >= unit * 0.9995:
            scaled = value / unit
            return number(scaled, 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2) + text
    return number(value)


def counted(value: int, noun: str) -> str:
    """1 account, 2 accounts"""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


FILTERS: dict[str, Callable[..., Any]] = {
    "day": day,
    "moment": moment,
    "number": number,
    "share": share,
    "compact": compact,
    "counted": counted,
}
