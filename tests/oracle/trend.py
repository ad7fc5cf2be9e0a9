"""Confirmed tiers, why they change, and trend (docs/scoring.md, "Tiers", "Trend" and "Tier changes"), from an account's scored days.

To note: an account's scored days are consecutive even where days between them are not
scored; of several overrides in force the one that starts last holds, then the one with the greater id. In quantile
mode a limit is crossed by the raw tiers alone. The run that confirmed a change is the unbroken run of scored days on
the new side of the limit next to the old tier. `rules` asks what the card of the day before that run, its tier mode
included, would make of the run's days; in quantile mode it sees the percentiles of those days as they were. A change
from or to unknown is `coverage` also where it is a new min_coverage that does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.cards import Scorecard
from tests.oracle.raw import Row
from tests.oracle.score import History, raw_tier

UNKNOWN = "unknown"
RANKED = ("poor", "at_risk", "healthy")
LIMITS = RANKED[1:]  # a limit is known by the tier that begins there; nothing lies below the lowest tier
HELD_DAYS = 7
IMPROVING, DECLINING = Fraction(5), Fraction(-5)


@dataclass(frozen=True)
class ScoredDay:
    """What tiers and trend need of one scored day.

    Attributes:
        rules: the scorecard of the account on the day.
        coverage_but_for_late: the coverage if the late metrics counted as measured.
        percentile: None where coverage is below the minimum.
    """

    day: date
    health_score: Fraction
    raw_tier: str
    rules: Scorecard
    coverage: Fraction
    coverage_but_for_late: Fraction
    percentile: Fraction | None


@dataclass(frozen=True)
class Trend:
    """The tier and trend columns of one row of account_health_history."""

    model_tier: str
    is_tier_held: bool
    tier: str
    delta_7d: Fraction | None
    delta_28d: Fraction | None
    delta_90d: Fraction | None
    slope_28d: Fraction | None
    trend: str
    previous_tier: str | None
    tier_since: date
    days_in_tier: int


@dataclass(frozen=True)
class TierChange:
    """One row of tier_changes: the first scored day with another tier than the scored day before."""

    as_of_date: date
    from_tier: str
    to_tier: str
    cause: str


def is_above(tier: str, limit: str) -> bool:
    """Whether a known tier is on the upper side of a limit."""
    return RANKED.index(tier) >= RANKED.index(limit)


def on_side(day: ScoredDay, limit: str, upper: bool) -> bool:
    """Whether a day is on a side of a limit; a day of unknown is on none."""
    return day.raw_tier != UNKNOWN and is_above(day.raw_tier, limit) == upper


def crosses(days: Sequence[ScoredDay], limit: str, upwards: bool) -> bool:
    """Whether the last of the days crosses a limit."""
    rules = days[-1].rules
    last = days[-rules.confirm_days :]
    if len(last) < rules.confirm_days or not all(on_side(day, limit, upwards) for day in last):
        return False
    if rules.tier_mode == "quantile":
        return True
    (at,) = (tier.min_score for tier in rules.tiers if tier.tier == limit)
    if upwards:
        return days[-1].health_score >= at + rules.tier_margin
    return days[-1].health_score < at - rules.tier_margin


def model_tiers(days: Sequence[ScoredDay]) -> list[tuple[str, bool]]:
    """The confirmed tier of each scored day, in the order of days, and whether it is held."""
    found: list[tuple[str, bool]] = []
    above: dict[str, bool] = {}  # by limit; empty before the first day with a known raw tier
    last_known = date.min
    for position, day in enumerate(days):
        until = days[: position + 1]
        if day.raw_tier == UNKNOWN:
            late = day.coverage_but_for_late >= day.rules.min_coverage
            held = bool(above) and late and (day.day - last_known).days <= HELD_DAYS
            found.append((_highest(above) if held else UNKNOWN, held))
            continue
        last_known = day.day
        for limit in LIMITS:
            above.setdefault(limit, is_above(day.raw_tier, limit))
            if crosses(until, limit, upwards=True):
                above[limit] = True
            elif crosses(until, limit, upwards=False):
                above[limit] = False
        found.append((_highest(above), False))
    return found


def _highest(above: dict[str, bool]) -> str:
    return max((limit for limit in LIMITS if above[limit]), key=RANKED.index, default=RANKED[0])


def override_on(overrides: Sequence[Row], d: date) -> Row | None:
    """The override in force on a day, None without one."""
    in_force = [row for row in overrides if row["starts_on"] <= d < row["expires_on"]]
    return max(in_force, key=lambda row: (row["starts_on"], row["override_id"])) if in_force else None


def published_tiers(days: Sequence[ScoredDay], overrides: Sequence[Row]) -> list[str]:
    """The tier of each scored day: that of the override in force, else the model's."""
    found = []
    for day, (model_tier, _) in zip(days, model_tiers(days), strict=True):
        override = override_on(overrides, day.day)
        found.append(override["tier"] if override else model_tier)
    return found


def tier_changes(days: Sequence[ScoredDay], overrides: Sequence[Row] = ()) -> list[TierChange]:
    """Every change of the published tier of one account, and its cause."""
    tiers = published_tiers(days, overrides)
    found = []
    for position in range(1, len(days)):
        before, now = tiers[position - 1], tiers[position]
        if before == now:
            continue
        if override_on(overrides, days[position].day):
            cause = "override"
        elif override_on(overrides, days[position - 1].day):
            cause = "override_ended"
        elif UNKNOWN in (before, now):
            cause = "coverage"
        elif would_stay(days[: position + 1], before, now):
            cause = "rules"
        else:
            cause = "score"
        found.append(TierChange(days[position].day, before, now, cause))
    return found


def would_stay(days: Sequence[ScoredDay], before: str, now: str) -> bool:
    """Whether the last day would still have the tier of the day before it under the rules from before the run."""
    rises = RANKED.index(now) > RANKED.index(before)
    limit = RANKED[RANKED.index(before) + 1] if rises else before
    start = len(days) - 1
    while on_side(days[start - 1], limit, rises):
        start -= 1
    rules = days[start - 1].rules
    under_them = [
        replace(day, rules=rules, raw_tier=raw_tier(rules, day.health_score, day.coverage, day.percentile)) for day in days[start:]
    ]
    return model_tiers([*days[:start], *under_them])[-1][0] == before


def slope_per_week(days: Sequence[ScoredDay], d: date) -> Fraction | None:
    """Least squares of the published score over the scored days in the 28 days ending on d; None under 7 of them."""
    points = [(Fraction((day.day - d).days, 7), day.health_score) for day in days if d - timedelta(days=27) <= day.day <= d]
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
    tiers = published_tiers(days, overrides)

    found = []
    for position, day in enumerate(days):
        start = position
        while start > 0 and tiers[start - 1] == tiers[position]:
            start -= 1
        since = days[start].day
        model_tier, held = confirmed[position]
        found.append(
            Trend(
                model_tier=model_tier,
                is_tier_held=held,
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


def scored_days(history: History, account_id: str) -> list[ScoredDay]:
    """The scored days of an account, in their order."""
    return [
        ScoredDay(
            score.as_of_date,
            score.health_score,
            score.raw_tier,
            history.card_of(score),
            score.coverage,
            score.coverage_but_for_late,
            score.percentile,
        )
        for score in history.of(account_id)
    ]


def history_trends(history: History) -> dict[tuple[str, date], Trend]:
    """Tier and trend of every account and scored day of a history."""
    found: dict[tuple[str, date], Trend] = {}
    for account_id in sorted({account_id for account_id, _ in history.scores}):
        days = scored_days(history, account_id)
        rows = trends(days, history.raw.of("score_overrides", account_id))
        found |= {(account_id, day.day): row for day, row in zip(days, rows, strict=True)}
    return found


def history_tier_changes(history: History) -> dict[tuple[str, date], TierChange]:
    """The changes of tier of every account of a history."""
    return {
        (account_id, change.as_of_date): change
        for account_id in sorted({account_id for account_id, _ in history.scores})
        for change in tier_changes(scored_days(history, account_id), history.raw.of("score_overrides", account_id))
    }
