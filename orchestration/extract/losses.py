"""Far fewer rows than before: which landings are not taken over, and what else is worth a warning."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from statistics import median

from orchestration.contract import EVENT_TABLE, TABLES, USAGE_TABLES
from orchestration.extract.errors import SuddenLoss
from orchestration.extract.lake.manifest import WHOLE, LandedDelivery, Manifest, read_manifest
from orchestration.sources import ACCEPTANCE, Source

# Without them there is nobody to score.
POPULATION = ("accounts", "subscriptions")
# A table or a delivery with fewer rows may lose most of them in a day.
_ENOUGH_ROWS = 20
# A day of usage is compared with the same weekday of four weeks, where the table reaches back to three of them.
_WEEKS, _ENOUGH_WEEKS = 4, 3
_THIN_SHARE = 0.2
# Below it, only a day without any event could be thin.
_ENOUGH_EVENTS = 5
_SHOWN = 5


def refuse_sudden_loss(source: Source | None, old: Manifest | None, new: Manifest) -> str | None:
    """Refuse a table that was read whole and has far fewer rows than the lake has.

    That is less than `min_share` of at least 20 rows; of `accounts` and `subscriptions` also none at all. What the demo company
    makes up, or left behind, is not judged.

    Args:
        source: the table's source; None where it has none any more, which is what the configuration wants.
        old: what the lake has.
        new: what would take its place.

    Returns:
        The `accept_smaller` that made the landing acceptable, which counts once; None where none was needed.

    Raises:
        SuddenLoss: says how to accept it.
    """
    if source is None or source.is_made_up or old is None or _is_made_up(old):
        return None
    before, after = _loaded(old.deliveries), _loaded(new.deliveries)
    if not _is_sudden_loss(source, new.table, before, after):
        return None
    code = _code(old)
    if _accepts(source, code, after):
        return source.accept_smaller
    as_of = "" if old.through is None else f" of {old.through}"
    raise SuddenLoss(
        f"sources.{new.table}: {after} rows came, and the last landing{as_of} has {before}: less than min_share {source.min_share:g}"
        f' allows, so the {before} rows stay. If {after} is right, write accept_smaller = "{after} of {before}, {code}" below'
        f" [sources.{new.table}] and run again: it counts once"
    )


def refuse_thin_deliveries(source: Source, old: Manifest | None, new: Manifest) -> None:
    """Refuse a new delivery with far fewer rows than the one before it: whoever it lacks would count as having left.

    Raises:
        SuddenLoss: says how to accept it.
    """
    days = sorted(new.deliveries)
    for earlier, later in pairwise(days):
        before, after = _delivered_rows(new.deliveries[earlier]), _delivered_rows(new.deliveries[later])
        is_known = old is not None and later in old.deliveries and _delivered_rows(old.deliveries[later]) == after
        if is_known or not _is_sudden_loss(source, new.table, before, after):
            continue
        code = blake2b(repr((new.table, earlier, before, later)).encode(), digest_size=3).hexdigest()
        if not _accepts(source, code, after):
            raise SuddenLoss(
                f"sources.{new.table}: the delivery of {later} has {after} rows, and that of {earlier} has {before}: less than min_share"
                f" {source.min_share:g} allows, so the table stays as it was. If the file is not whole, deliver it again or remove it; "
                f"if {after}"
                f' is right, write accept_smaller = "{after} of {before}, {code}" below [sources.{new.table}] and run again: it counts once'
            )


def _is_sudden_loss(source: Source, table: str, before: int, after: int) -> bool:
    is_small = after < source.min_share * before and before >= _ENOUGH_ROWS
    return is_small or (after == 0 < before and table in POPULATION and source.min_share > 0)


def _accepts(source: Source, code: str, rows: int) -> bool:
    """Whether the configuration's `accept_smaller` is for the loss with this code and takes so few rows."""
    accepted = re.fullmatch(ACCEPTANCE, source.accept_smaller or "")
    return accepted is not None and accepted[0].endswith(code) and rows >= int(accepted[1])


def _code(old: Manifest) -> str:
    """Names a landing: another one has another code, also one with the same rows after something was accepted."""
    deliveries = [(key, one.source, one.loaded) for key, one in sorted(old.deliveries.items())]
    return blake2b(repr((old.table, old.through, old.accepted, deliveries)).encode(), digest_size=3).hexdigest()


def _is_made_up(manifest: Manifest) -> bool:
    """Whether the rows are those of the demo company, whose identity begins with a day in clear."""
    return WHOLE in manifest.deliveries and " " in (manifest.deliveries[WHOLE].source or "")


def _loaded(deliveries: Mapping[str, LandedDelivery]) -> int:
    return sum(one.loaded for one in deliveries.values())


def describe_losses(source: Source | None, old: Manifest | None, new: Manifest) -> list[str]:
    """What was taken over, but lost rows in a way that may be a fault: one sentence each.

    A table without a source any more, a small one that became empty, deliveries of a day that came again with far fewer rows, and days of
    counted usage of which a later delivery has far fewer.
    """
    short = _days_cut_short(source, old, new) if source is not None and TABLES[new.table].is_aggregate else []
    said = f"a later delivery has far fewer rows of a day, and it alone counts: {_listed(short)}. Deliver all of a day, or nothing of it"
    return ([f"{new.table}: {said}"] if short else []) + _losses_since(source, old, new)


def _losses_since(source: Source | None, old: Manifest | None, new: Manifest) -> list[str]:
    if old is None or _is_made_up(old) or (source is not None and source.is_made_up):
        return []
    before, after = _loaded(old.deliveries), _loaded(new.deliveries)
    if source is None:
        # What one table of usage no longer has, the other one may have.
        missing = "" if new.table in USAGE_TABLES else ", its metrics are missing"
        gone = f"{new.table}: not in the configuration any more; its {before} rows no longer count{missing}"
        return [gone] if before else []
    if after == 0 < before:
        return [f"{new.table}: no rows came, so it is empty now; the last landing had {before}"]
    if not new.by_day or not old.by_day:
        return []
    shrunk = []
    for day, one in sorted(old.deliveries.items()):
        had, has = _delivered_rows(one), _delivered_rows(new.deliveries.get(day))
        if had >= _ENOUGH_ROWS and has < source.min_share * had:
            shrunk.append(f"{day} ({has} of {had})")
    return [f"{new.table}: came again with far fewer rows: {_listed(shrunk)}"] if shrunk else []


def _days_cut_short(source: Source, old: Manifest | None, new: Manifest) -> list[str]:
    """Of the days that changed, those of which the delivery that counts has far fewer rows than one that it replaces."""
    before = {} if old is None else rows_by_event_day(old)
    most: dict[date, int] = {}
    for one in new.deliveries.values():
        for day, part in one.partitions.items():
            most[date.fromisoformat(day)] = max(most.get(date.fromisoformat(day), 0), part.rows)
    return [
        f"{day} ({rows} of {most[day]})"
        for day, rows in sorted(rows_by_event_day(new).items())
        if rows != before.get(day) and most[day] >= _ENOUGH_ROWS and rows < source.min_share * most[day]
    ]


def _delivered_rows(delivery: LandedDelivery | None) -> int:
    return 0 if delivery is None else sum(part.rows for part in delivery.partitions.values())


def thin_event_days(lake: Path, start: date, end: date, name: str = EVENT_TABLE) -> str | None:
    """Which of the days [start, end] have less than a fifth of the rows of usage that the weekday usually has, in one sentence.

    Usual is the median of the same weekday in the four weeks before. Reads the manifests only. Days that were not extracted are
    late, not thin; nor are those on which the other table of usage began to take the place of this one.
    """
    manifest = read_manifest(lake, name)
    rows = {} if manifest is None else rows_by_event_day(manifest)
    if manifest is None or not rows:
        return None
    others = [found for other in USAGE_TABLES if other != name and (found := read_manifest(lake, other)) is not None]
    taken_over = {day for other in others for day in rows_by_event_day(other)}
    last = end if manifest.through is None else min(end, date.fromisoformat(manifest.through))
    first_known = min(rows)
    thin = []
    for number in range((last - start).days + 1):
        day = start + timedelta(days=number)
        before = [day - timedelta(weeks=week) for week in range(1, _WEEKS + 1)]
        known = [rows.get(one, 0) for one in before if one >= first_known]
        usual = median(known) if len(known) >= _ENOUGH_WEEKS else 0
        is_switch = day in taken_over and not taken_over.issuperset(before)
        if usual >= _ENOUGH_EVENTS and rows.get(day, 0) < _THIN_SHARE * usual and not is_switch:
            thin.append(f"{day} ({rows.get(day, 0)}, usually {usual:.0f})")
    return f"{name}: less than a fifth of the usual {'events' if name == EVENT_TABLE else 'rows'}: {_listed(thin)}" if thin else None


def rows_by_event_day(manifest: Manifest) -> dict[date, int]:
    rows: dict[date, int] = {}
    for one in manifest.deliveries.values():
        for day, part in one.partitions.items():
            if day != WHOLE:
                at = date.fromisoformat(day)
                rows[at] = rows.get(at, 0) + part.rows - part.superseded
    return rows


def _listed(found: list[str]) -> str:
    more = len(found) - _SHOWN
    return ", ".join(found[-_SHOWN:]) + (f" and {more} earlier" if more > 0 else "")
