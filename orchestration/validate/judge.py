"""What the points say: skill with its verdict, tiers, tenths and the probabilities that may be claimed from them."""

from dataclasses import dataclass

import numpy as np

from orchestration.validate.judge_rules import (
    EXPECTED_OVER_ACTUAL,
    EXPECTED_RATIO,
    MIN_LEAVERS,
    MIN_LOWER_BOUND,
    NO_SKILL,
    SKILL,
    TOO_FEW,
)
from orchestration.validate.points import LEAD_DAYS, TENTHS, TIERS, Departures, Points
from orchestration.validate.statistics import (
    Bools,
    Estimate,
    Floats,
    Ints,
    auc,
    counts_by_group,
    estimate,
    falling,
    share,
)

_NOTHING = Estimate(None, None, None)


@dataclass(frozen=True)
class Judgement:
    """One scope of one version, history and horizon.

    Attributes:
        account_days, accounts, leavers: points, accounts among them, and accounts that left.
        first_day, last_day: of the points, days since 1970; None without any.
        skill: AUC within day and tenure.
        within_day, pooled: AUC within the day, and over all points.
        lift: leaving rate of the lowest tenth by that of all.
        below_green: days before leaving -> share of those who left that were below green.
        all_below_green: share of all account days below green, to hold the lead times against.
    """

    account_days: int
    accounts: int
    leavers: int
    first_day: int | None
    last_day: int | None
    skill: Estimate
    within_day: Estimate
    pooled: Estimate
    lift: Estimate
    below_green: dict[int, Estimate]
    all_below_green: Estimate
    verdict: str
    reason: str


@dataclass(frozen=True)
class TierRate:
    """A tier's leaving rate, and how it compares with the next better tier's.

    Attributes:
        ratio: leaving rate by that of the next better tier that has points; None for the best.
        is_separable: the lower bound of the ratio is above 1; None for the best.
        reason: where the tiers do not differ as they should; empty otherwise.
    """

    tier: str
    account_days: int
    accounts: int
    leavers: int
    rate: Estimate
    ratio: Estimate
    is_separable: bool | None
    reason: str


@dataclass(frozen=True)
class Tenth:
    """Accounts and days by tenth of the day's scores, 1 holds the lowest.

    Attributes:
        rate: share that left within the horizon.
        probability: chance to leave, falling with the score; nothing where it may not be claimed.
    """

    tenth: int
    account_days: int
    leaving_days: int
    lowest_score: float | None
    highest_score: float | None
    rate: Estimate
    probability: Estimate


@dataclass(frozen=True)
class Calibration:
    """The tenths, and whether their probabilities may be claimed.

    Attributes:
        reason: why not; empty where they may.
        base_rate: share of all that left within the last completed horizon; None if there is none.
        brier, base_brier: mean squared error of the probabilities and of the base rate, as both were known on the day.
        expected_over_actual: of the last two completed periods, the newer one last.
    """

    tenths: list[Tenth]
    reason: str
    base_rate: float | None
    brier: float | None
    base_brier: float | None
    expected_over_actual: tuple[float | None, float | None]


def judge(points: Points, leaves: Bools, departures: Departures | None, weights: Ints, with_all: bool = True) -> Judgement:
    """Skill and verdict of labelled points.

    Args:
        points, leaves: as `Points.labelled` gives them.
        departures: None leaves the lead times out.
        weights: of the accounts.
        with_all: else skill alone.
    """
    skill = estimate(auc(points.score, points.stratum, points.account, leaves, weights))
    leavers = int(np.unique(points.account[leaves]).size)
    verdict, reason = _verdict(skill, leavers, points)
    rest = dict.fromkeys(("within_day", "pooled", "lift", "all_below_green"), _NOTHING)
    if with_all:
        below, known = counts_by_group(np.where(points.tier < 0, -1, 0), 1, points.account, points.tier > 0, weights)
        gone, rows = counts_by_group((points.tenth > 0).astype(np.int64), 2, points.account, leaves, weights)
        rest = {
            "within_day": estimate(auc(points.score, points.day, points.account, leaves, weights)),
            "pooled": estimate(auc(points.score, np.zeros_like(points.day), points.account, leaves, weights)),
            "lift": estimate(share(share(gone[:, 0], rows[:, 0]), share(gone.sum(axis=1), rows.sum(axis=1)))),
            "all_below_green": estimate(share(below[:, 0], known[:, 0])),
        }
    return Judgement(
        account_days=int(points.day.size),
        accounts=int(np.unique(points.account).size),
        leavers=leavers,
        first_day=int(points.day.min()) if points.day.size else None,
        last_day=int(points.day.max()) if points.day.size else None,
        skill=skill,
        below_green={days: _NOTHING for days in LEAD_DAYS} if departures is None else _below_green(departures, weights),
        verdict=verdict,
        reason=reason,
        **rest,
    )


def _verdict(skill: Estimate, leavers: int, points: Points) -> tuple[str, str]:
    if points.day.size == 0:
        return TOO_FEW, "no Monday is old enough to know who left"
    if leavers < MIN_LEAVERS:
        return TOO_FEW, f"{leavers} account{'' if leavers == 1 else 's'} left; {MIN_LEAVERS} are needed to judge"
    if skill.low is None or skill.low <= MIN_LOWER_BOUND:
        found = "cannot be computed" if skill.low is None else f"is at {skill.low:.3f}"
        return NO_SKILL, f"the lower bound of skill {found}; it must be above {MIN_LOWER_BOUND}"
    return SKILL, f"the lower bound of skill is at {skill.low:.3f}, above {MIN_LOWER_BOUND}"


def _below_green(departures: Departures, weights: Ints) -> dict[int, Estimate]:
    shares = {}
    for days, below in zip(LEAD_DAYS, departures.below_green, strict=True):
        group = np.where(below < 0, -1, 0)
        part, whole = counts_by_group(group, 1, departures.account, below == 1, weights)
        shares[days] = estimate(share(part[:, 0], whole[:, 0]))
    return shares


def judge_tiers(points: Points, leaves: Bools, weights: Ints) -> list[TierRate]:
    """The tiers from best to worst, each against the next better one."""
    gone, rows = counts_by_group(points.tier, len(TIERS), points.account, leaves, weights)
    rates = share(gone, rows)
    found = []
    better = None
    for place, tier in enumerate(TIERS):
        chosen = points.tier == place
        ratio, is_separable, reason = _NOTHING, None, ""
        if better is not None:
            ratio = estimate(share(rates[:, place], rates[:, better]))
            is_separable = ratio.low is not None and ratio.low > 1
            reason = _tier_reason(tier, TIERS[better], ratio, is_separable)
        found.append(
            TierRate(
                tier=tier,
                account_days=int(chosen.sum()),
                accounts=int(np.unique(points.account[chosen]).size),
                leavers=int(np.unique(points.account[chosen & leaves]).size),
                rate=estimate(rates[:, place]),
                ratio=ratio,
                is_separable=is_separable,
                reason=reason,
            )
        )
        if chosen.any():
            better = place
    return found


def _tier_reason(tier: str, better: str, ratio: Estimate, is_separable: bool) -> str:
    if ratio.value is None:
        return f"{tier} and {better} cannot be compared: one has no points, or nobody left"
    if ratio.high is not None and ratio.high < 1:
        return f"{tier} accounts leave less often than {better} ones: {ratio.value:.2f} times"
    if not is_separable:
        return f"{tier} accounts leave {ratio.value:.2f} times as often as {better} ones; the interval does not exclude 1"
    if tier == "poor" and ratio.value < EXPECTED_RATIO:
        return f"poor accounts leave {ratio.value:.2f} times as often as {better} ones; {EXPECTED_RATIO} times is expected"
    return ""


def calibrate(points: Points, leaves: Bools, weights: Ints, horizon: int, verdict: str) -> Calibration:
    """Chance to leave by tenth, published only where it held on days that the fit had not seen."""
    gone, rows = counts_by_group(points.tenth, TENTHS, points.account, leaves, weights)
    rates = share(gone, rows)
    check = _check(points, leaves, horizon)
    not_shown = f"the score has not shown that it tells who leaves within {horizon} days (verdict {verdict})"
    reason = check.reason if verdict == SKILL else not_shown
    fitted = None
    if not reason:
        fitted = np.stack([falling(rate, size) for rate, size in zip(rates, rows, strict=True)])
    tenths = []
    for place in range(TENTHS):
        chosen = points.tenth == place
        tenths.append(
            Tenth(
                tenth=place + 1,
                account_days=int(chosen.sum()),
                leaving_days=int((chosen & leaves).sum()),
                lowest_score=float(points.score[chosen].min()) if chosen.any() else None,
                highest_score=float(points.score[chosen].max()) if chosen.any() else None,
                rate=estimate(rates[:, place]),
                probability=_NOTHING if fitted is None else estimate(fitted[:, place]),
            )
        )
    return Calibration(tenths, reason, check.base_rate, check.brier, check.base_brier, check.expected_over_actual)


@dataclass(frozen=True)
class _Check:
    reason: str
    base_rate: float | None
    brier: float | None = None
    base_brier: float | None = None
    expected_over_actual: tuple[float | None, float | None] = (None, None)


def _check(points: Points, leaves: Bools, horizon: int) -> _Check:
    """Fit on each day what was complete before it, and compare with what happened after it, over the last two completed periods."""
    if points.day.size == 0:
        return _Check("no Monday is old enough to know who left", None)
    days, codes = np.unique(points.day, return_inverse=True)
    size = (len(days), TENTHS)
    cell = codes * TENTHS + points.tenth
    rows = np.bincount(cell, minlength=size[0] * size[1]).reshape(size)
    gone = np.bincount(cell, weights=leaves, minlength=size[0] * size[1]).reshape(size).astype(np.float64)
    newest = days[-1]
    base_rate = _base_rate(days, gone, rows, newest, horizon)
    expected, actual, total = np.zeros(2), np.zeros(2), np.zeros(2)
    errors, base_errors = np.zeros(2), np.zeros(2)
    for place, day in enumerate(days):
        # 1: the last completed period, 0: the one before it.
        period = 1 - (newest - day) // horizon
        if period < 0:
            continue
        seen = days + horizon + points.settled_days <= day
        if not seen.any() or gone[seen].sum() == 0:
            return _Check(f"fewer than two completed periods of {horizon} days follow days to learn from", base_rate)
        chance = falling(share(gone[seen].sum(axis=0), rows[seen].sum(axis=0)), rows[seen].sum(axis=0))
        base = _base_rate(days[seen], gone[seen], rows[seen], days[seen][-1], horizon)
        expected[period] += rows[place] @ chance
        actual[period] += gone[place].sum()
        total[period] += rows[place].sum()
        errors[period] += _squared_errors(chance, gone[place], rows[place])
        base_errors[period] += _squared_errors(np.full(TENTHS, base), gone[place], rows[place])
    if not total.all() or newest - days[0] < 2 * horizon - 7:
        return _Check(f"fewer than two completed periods of {horizon} days follow days to learn from", base_rate)
    ratios = [float(ratio) if np.isfinite(ratio) else None for ratio in share(expected, actual)]
    brier, base_brier = float(errors[1] / total[1]), float(base_errors[1] / total[1])
    reasons = []
    low, high = EXPECTED_OVER_ACTUAL
    for name, ratio in zip(("the period before the last", "the last period"), ratios, strict=True):
        if ratio is None or not low <= ratio <= high:
            told = "nobody left" if ratio is None else f"{ratio:.2f} times as many were expected to leave as did"
            reasons.append(f"in {name} {told}; {low} to {high} is allowed")
    if brier >= base_brier:
        reasons.append(f"its Brier score {brier:.4f} does not beat that of the base rate, {base_brier:.4f}")
    return _Check("; ".join(reasons), base_rate, brier, base_brier, (ratios[0], ratios[1]))


def _base_rate(days: Ints, gone: Floats, rows: Ints, newest: int, horizon: int) -> float:
    """Share that left within the last completed horizon before `newest`, which it includes."""
    last = (days > newest - horizon) & (days <= newest)
    return float(gone[last].sum() / rows[last].sum())


def _squared_errors(chance: Floats, gone: Floats, rows: Ints) -> float:
    return float((gone * (1 - chance) ** 2 + (rows - gone) * chance**2).sum())
