"""The days ever scored, noted beside the lake: a rebuilt warehouse scores all of them again, so no published day is lost with it."""

import logging
from collections.abc import Collection
from datetime import date
from pathlib import Path

from orchestration.durable import write_text
from orchestration.integrity import read_stamped, stamped
from orchestration.publish.revisions import published_days
from orchestration.settings import Settings

_log = logging.getLogger(__name__)


def read_scored_days(settings: Settings) -> set[date]:
    """The days ever scored. A note that is lost or damaged is written anew from what was published, with a warning.

    Raises:
        PublishError: the note has to be written anew, and the log of revisions cannot be read.
    """
    path = _file(settings)
    try:
        noted = read_stamped(path)
        # An older version noted a list, without a hash.
        return {date.fromisoformat(day) for day in (noted["days"] if isinstance(noted, dict) else noted)}
    except FileNotFoundError:
        fault = "missing"
    except (ValueError, TypeError, KeyError):
        fault = "damaged"
    days = published_days(settings)
    if days or fault == "damaged":
        held = f"{len(days)} days, {min(days)} to {max(days)}" if days else "none"
        _log.warning("%s: %s, written anew from the days that were published: %s", path, fault, held)
        write_scored_days(settings, days)
    return days


def write_scored_days(settings: Settings, days: Collection[date]) -> None:
    write_text(_file(settings), stamped({"days": [day.isoformat() for day in sorted(days)]}))


def _file(settings: Settings) -> Path:
    return settings.lake / "scored_days.json"
