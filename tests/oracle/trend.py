"""Confirmed tiers and trend: sections 6 and 7 of the specification, from an account's sequence of scored days.

Where the specification is open: a run of `unknown` raw tiers confirms nothing but is one of scored days, so it breaks
the run of another tier; `confirm_days` is that of the scorecard on the confirming day; an account's scored days stand
side by side even where days between them are not scored; of several overrides in force the one that starts last holds,
then the one with the greater id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.raw import Row
from tests.oracle.score import History

UNKNOWN = "unknown"
IMPROVING, DECLINING = Fraction(5), Fraction(-5)


@dataclass(frozen=True)
class ScoredDay:
    """What the trend needs of one scored day; `confirm_days` is that of the day's scorecard."""

    day: date
    health_score: Fraction
    raw_tier: str
    confirm_days: int = 3


@dataclass(frozen=True)
class Trend:
    """The tier and trend columns of one row of account_health_history."""

    model_tier: str
    tier: str
    delta_7d: Fraction | None
    delta_28d: Fraction | None
    delta_90d: Fraction | None
    slope_28d: Fraction | None
    trend: str
    previous_tier: str | None
    tier_since: date
    days_in_tier: int


def model_tiers(days: Sequence[ScoredDay]) -> list[str]:
    """The confirmed tier of each scored day, in the order of days."""
    return [_model_tier(days[: position + 1]) for position in range(len(days))]


def _model_tier(days: Sequence[ScoredDay]) -> str:
    """The confirmed tier of the last of the scored days."""
    if days[-1].raw_tier == UNKNOWN:
        return UNKNOWN
    for position in reversed(range(len(days))):
        needed = days[position].confirm_days
        last = [day.raw_tier for day in days[: position + 1]][-needed:]
        if len(last) == needed and set(last) == {days[position].raw_tier} and last[0] != UNKNOWN:
            return last[0]
    return next(day.raw_tier for day in days if day.raw_tier != UNKNOWN)


def override_on(overrides: Sequence[Row], d: date) -> Row | None:
    """The override in force on a day, None without one."""
    in_force = [row for row in overrides if row["starts_on"] <= d < row["expires_on"]]
    return max(in_force, key=lambda row: (row["starts_on"], row["override_id"])) if in_force else None


def slope_per_week(days: Sequence[ScoredDay], d: date) -> Fraction | None:
    """Least squares of the published score over the scored days in the 28 days ending on d; None under 7 of them."""
    points = [
        (Fraction((day.day - d).days, 7), day.health_score) for day in days if d - timedelta(days=27) <= day.day <= d
    ]
    if len(points) < 7:
        return None
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def trend_of(delta_28d: Fraction | None) -> str:
    if delta_28d is None:
        return "new"
    if delta_28d >= IMPROVING:
        return "improving"
    return "declining" if delta_28d <= DECLINING else "stable"


def trends(days: Sequence[ScoredDay], overrides: Sequence[Row] = ()) -> list[Trend]:
    """Tier and trend of each scored day of one account.

    Args:
        days: its scored days, in their order.
        overrides: its rows of `score_overrides`.
    """
    scores = {day.day: day.health_score for day in days}

    def delta(d: date, back: int) -> Fraction | None:
        before = scores.get(d - timedelta(days=back))
        return None if before is None else scores[d] - before

    confirmed = model_tiers(days)
    tiers = []
    for day, model_tier in zip(days, confirmed, strict=True):
        override = override_on(overrides, day.day)
        tiers.append(override["tier"] if override else model_tier)

    found = []
    for position, day in enumerate(days):
        start = position
        while start > 0 and tiers[start - 1] == tiers[position]:
            start -= 1
        since = days[start].day
        found.append(
            Trend(
                model_tier=confirmed[position],
                tier=tiers[position],
                delta_7d=delta(day.day, 7),
                delta_28d=delta(day.day, 28),
                delta_90d=delta(day.day, 90),
                slope_28d=slope_per_week(days, day.day),
                trend=trend_of(delta(day.day, 28)),
                previous_tier=tiers[start - 1] if start > 0 else None,
                tier_since=since,
                days_in_tier=(day.day - since).days + 1,
            )
        )
    return found


def history_trends(history: History) -> dict[tuple[str, date], Trend]:
    """Tier and trend of every account and scored day of a history."""
    found: dict[tuple[str, date], Trend] = {}
    for account_id in sorted({account_id for account_id, _ in history.scores}):
        days = [
            ScoredDay(
                score.as_of_date,
                score.health_score,
                score.raw_tier,
                history.card_of(score).confirm_days,
            )
            for score in history.of(account_id)
        ]
        rows = trends(days, history.raw.of("score_overrides", account_id))
        found |= {(account_id, day.day): row for day, row in zip(days, rows, strict=True)}
    return found
