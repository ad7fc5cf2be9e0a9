"""Terms: for how long a customer has committed. Whoever pays by the month has none."""

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from orchestration.extract.connectors.stripe.shapes import Body, Known, day_of, items_of, price_of, recurring

# Three months are never shorter than that (February to April).
LEAST_DAYS = 89
_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}


def terms_of(body: Body, known: Known, start: date) -> list[tuple[date, date]]:
    """First day and end (exclusive) of every term since `start` that is a commitment, of any item.

    Stripe has the present billing period only. The periods before it are counted back from it by the interval of the price, as price and
    seats too count back to the start where no event reports others.
    """
    return [
        (max(begin, start), end)
        for item in items_of(body)
        for begin, end in _periods(item, body, known, start)
        if (end - max(begin, start)).days >= LEAST_DAYS
    ]


def term_end(terms: Iterable[tuple[date, date]], day: date) -> date | None:
    """End of the term in which a day lies, the first one of several; after all terms the last one's, since nobody knows of a renewal."""
    terms = list(terms)
    running = [end for begin, end in terms if begin <= day < end]
    over = [end for _, end in terms if end <= day]
    return min(running, default=None) or max(over, default=None)


def period_start(body: Body, known: Known) -> date | None:
    """First day of the present billing period, the last one of several items."""
    begun = (next(_periods(item, body, known, date.min), None) for item in items_of(body))
    return max((period[0] for period in begun if period is not None), default=None)


def _periods(item: Body, body: Body, known: Known, start: date) -> Iterator[tuple[date, date]]:
    """The item's billing periods after `start`, the present one first."""
    begins, end = (day_of(item.get(name) or body.get(name)) for name in ("current_period_start", "current_period_end"))
    price = price_of(item, known) or {}
    unit, count = recurring(price, "interval"), recurring(price, "interval_count") or 1
    if end is None or (begins is None and unit not in _MONTHS | _DAYS):
        return
    latest, steps = end, 0
    if begins is not None:
        yield begins, end
        latest = end = begins
    while unit in _MONTHS | _DAYS and end > start and isinstance(count, int) and count > 0:
        steps += count
        begins = _before(latest, unit, steps, start)
        if begins is None:
            return
        yield begins, end
        end = begins


def _before(day: date, unit: str, steps: int, start: date) -> date | None:
    try:
        if unit in _DAYS:
            return day - timedelta(days=_DAYS[unit] * steps)
        year, month = divmod(day.year * 12 + day.month - 1 - _MONTHS[unit] * steps, 12)
        # What began on the 31st ends on the last day of a shorter month.
        is_last = day.day == monthrange(day.year, day.month)[1]
        wanted = max(day.day, start.day) if is_last else day.day
        return date(year, month + 1, min(wanted, monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError):
        return None
