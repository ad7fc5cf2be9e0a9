"""Scores of days, active and candidate: docs/scoring.md, "Scored population", "Scorecards" and "Raw tier"."""

import math
import operator
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.cards import CardMetric, Scorecard, Version, version_on
from tests.oracle.metrics import AccountDay, Measure, measure_all
from tests.oracle.raw import Raw, Row

OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
NEUTRAL = Fraction(50)


@dataclass(frozen=True)
class MetricScore:
    """A metric of an account's day on its card.

    Attributes:
        weight: the card's, within the dimension.
        base_weight: share of the dimension's weight, once what is not applicable has left it.
    """

    metric_key: str
    dimension_key: str
    measure: Measure
    normalized_score: Fraction | None
    weight: Fraction
    nominal_weight: Fraction
    base_weight: Fraction
    effective_weight: Fraction
    points: Fraction


@dataclass(frozen=True)
class DimensionScore:
    """Sums over the metrics of a dimension; `score` is None where none of them has a score and a weight."""

    dimension_key: str
    score: Fraction | None
    nominal_weight: Fraction
    effective_weight: Fraction
    points: Fraction


@dataclass(frozen=True)
class AccountScore:
    """One row of account_health_history with the rows beneath it.

    Attributes:
        cap: (cap_key, points) where a cap binds.
        percentile: share of the day's accounts on the scorecard, those with enough coverage, that score at most this;
            None where this one has not enough.
    """

    account_id: str
    as_of_date: date
    config_version: str
    scorecard_key: str
    stage: str
    metrics: tuple[MetricScore, ...]
    cap: tuple[str, Fraction] | None
    coverage: Fraction
    uncapped_score: Fraction
    health_score: Fraction
    raw_tier: str
    percentile: Fraction | None

    @property
    def coverage_but_for_late(self) -> Fraction:
        """The coverage if the late metrics counted as measured."""
        return covered(self.metrics, ("measured", "late"))

    @property
    def dimensions(self) -> list[DimensionScore]:
        found = []
        for key in sorted({metric.dimension_key for metric in self.metrics}):
            mine = [metric for metric in self.metrics if metric.dimension_key == key]
            effective = sum((metric.effective_weight for metric in mine), Fraction(0))
            points = sum((metric.points for metric in mine), Fraction(0))
            nominal = sum((metric.nominal_weight for metric in mine), Fraction(0))
            scored = [metric for metric in mine if metric.normalized_score is not None]
            weight = sum((metric.weight for metric in scored), Fraction(0))
            weighted = sum((metric.weight * metric.normalized_score for metric in scored), Fraction(0))
            found.append(DimensionScore(key, weighted / weight if weight else None, nominal, effective, points))
        return found


def covered(metrics: Iterable[MetricScore], states: Collection[str]) -> Fraction:
    """The share of the base weights whose metrics have one of the states; 0 without any."""
    metrics = list(metrics)
    total = sum((metric.base_weight for metric in metrics), Fraction(0))
    known = sum((metric.base_weight for metric in metrics if metric.measure.state in states), Fraction(0))
    return known / total if total else Fraction(0)


def population(raw: Raw, d: date) -> list[Row]:
    """The accounts that are scored on d."""
    created = [account for account in raw.all("accounts") if account["day"] <= d]
    if raw.all("subscriptions"):
        return [account for account in created if AccountDay(raw, account, d).in_force(d)]
    return [
        account
        for account in created
        if not any(row["kind"] == "churned" and row["day"] <= d for row in raw.of("account_outcomes", account["account_id"]))
    ]


def stage_of(tenure: int, renewal: Measure) -> str:
    if tenure < 90:
        return "onboarding"
    return "renewing" if renewal.value is not None and 0 <= renewal.value <= 90 else "mature"


def round_half_away(value: Fraction, digits: int) -> Fraction:
    scaled = math.floor(abs(value) * 10**digits + Fraction(1, 2))
    return Fraction(scaled if value >= 0 else -scaled, 10**digits)


def published(value: Fraction) -> Fraction:
    """The published score: first to 9 decimals, then to one."""
    return round_half_away(round_half_away(value, 9), 1)


def normalize(metric: CardMetric, value: Fraction, peers: list[Fraction]) -> Fraction:
    """Score 0 to 100 of a measured value; `peers`: the measured values on the scorecard and day, this one included."""
    if metric.method == "linear":
        return clip(100 * (value - metric.worst) / (metric.best - metric.worst), 0, 100)
    if metric.method == "bands":
        below = [band for band in metric.bands if band[0] <= value]
        return max(below)[1] if below else Fraction(0)
    n = len(peers)
    if metric.method == "percentile":
        if n == 1:
            return NEUTRAL
        less, equal = sum(peer < value for peer in peers), sum(peer == value for peer in peers)
        rank = 100 * (less + Fraction(equal - 1, 2)) / (n - 1)
        return rank if metric.higher_is_better else 100 - rank
    if metric.method == "zscore":
        mean = sum(peers, Fraction(0)) / n
        variance = sum(((peer - mean) ** 2 for peer in peers), Fraction(0)) / n
        if variance == 0:
            return NEUTRAL
        z = float(value - mean) / math.sqrt(variance)
        return Fraction(100 / (1 + math.exp(-1.702 * (z if metric.higher_is_better else -z))))
    raise ValueError(f"unknown method {metric.method}")


def clip(value: Fraction, low: int, high: int) -> Fraction:
    return min(max(value, Fraction(low)), Fraction(high))


def weigh(
    card: Scorecard, measures: dict[str, Measure], normalized: dict[str, Fraction]
) -> tuple[tuple[MetricScore, ...], Fraction, Fraction]:
    """Weights, points, coverage and uncapped score of one account.

    Args:
        measures: by metric of the card.
        normalized: of the measured metrics.

    Returns:
        The metric rows, the coverage, the score before caps.
    """
    scores = dict(normalized)
    for metric in card.metrics:
        if measures[metric.metric_key].state not in ("measured", "not_applicable"):
            if metric.missing_policy == "neutral":
                scores[metric.metric_key] = NEUTRAL
            elif metric.missing_policy == "worst":
                scores[metric.metric_key] = Fraction(0)

    all_dimensions = sum(card.dimensions.values(), Fraction(0))
    listed: dict[str, Fraction] = {}  # dimension -> sum of w over its metrics
    applicable: dict[str, Fraction] = {}  # dimension -> sum of w over its applicable metrics
    for metric in card.metrics:
        dimension = metric.dimension_key
        listed[dimension] = listed.get(dimension, Fraction(0)) + metric.weight
        if measures[metric.metric_key].state != "not_applicable":
            applicable[dimension] = applicable.get(dimension, Fraction(0)) + metric.weight

    base: dict[str, Fraction] = {
        metric.metric_key: card.dimensions[metric.dimension_key] * metric.weight / applicable[metric.dimension_key]
        for metric in card.metrics
        if metric.weight > 0 and measures[metric.metric_key].state != "not_applicable"
    }
    scored = sum((weight for key, weight in base.items() if key in scores), Fraction(0))

    rows = []
    for metric in card.metrics:
        key, dimension = metric.metric_key, metric.dimension_key
        nominal = effective = points = Fraction(0)
        if metric.weight > 0 and all_dimensions > 0:
            nominal = card.dimensions[dimension] / all_dimensions * metric.weight / listed[dimension]
        if key in base and key in scores and scored > 0:
            effective = base[key] / scored
            points = effective * (scores[key] - NEUTRAL)
        base_weight = base.get(key, Fraction(0))
        rows.append(MetricScore(key, dimension, measures[key], scores.get(key), metric.weight, nominal, base_weight, effective, points))
    return tuple(rows), covered(rows, ("measured",)), NEUTRAL + sum((row.points for row in rows), Fraction(0))


def binding_cap(card: Scorecard, measures: dict[str, Measure], uncapped: Fraction) -> tuple[str, Fraction] | None:
    """The lowest cap that binds and its points; ties of max_score: the smallest key."""
    binding = [
        (cap.max_score, cap.cap_key)
        for cap in card.caps
        if measures[cap.metric_key].state == "measured"
        and OPERATORS[cap.operator](measures[cap.metric_key].value, cap.threshold)
        and uncapped > cap.max_score
    ]
    if not binding:
        return None
    max_score, cap_key = min(binding)
    return cap_key, max_score - uncapped


def threshold_tier(card: Scorecard, health_score: Fraction) -> str:
    return max((tier for tier in card.tiers if tier.min_score <= health_score), key=lambda tier: tier.min_score).tier


def percentile_of(health_score: Fraction, peers: list[Fraction]) -> Fraction:
    """Share of the peers, this one included, that score at most this."""
    return Fraction(sum(peer <= health_score for peer in peers), len(peers))


def quantile_tier(card: Scorecard, percentile: Fraction) -> str:
    below = (tier for tier in card.tiers if tier.min_percentile < percentile)
    return max(below, key=lambda tier: tier.min_percentile).tier


def raw_tier(card: Scorecard, health_score: Fraction, coverage: Fraction, percentile: Fraction | None) -> str:
    """The tier of a day under a card's rules; `percentile` is needed in quantile mode only."""
    if coverage < card.min_coverage:
        return "unknown"
    return threshold_tier(card, health_score) if card.tier_mode == "threshold" else quantile_tier(card, percentile)


@dataclass(frozen=True)
class DayFacts:
    """What is known at the end of a day: the scored accounts and every metric of each."""

    d: date
    accounts: tuple[Row, ...]
    measures: dict[str, dict[str, Measure]]

    def stage(self, account: Row) -> str:
        return stage_of((self.d - account["day"]).days, self.measures[account["account_id"]]["days_to_renewal"])

    def values(self, account_ids: Iterable[str], metric_key: str) -> list[Fraction]:
        """The measured values of a metric among some of the accounts."""
        found = (self.measures[account_id][metric_key] for account_id in account_ids)
        return [measure.value for measure in found if measure.state == "measured"]


def day_facts(raw: Raw, d: date) -> DayFacts:
    accounts = population(raw, d)
    return DayFacts(d, tuple(accounts), measure_all(raw, accounts, d))


def normalize_all(card: Scorecard, facts: DayFacts, account_id: str, peers: Iterable[str]) -> dict[str, Fraction]:
    """The normalized scores of an account's measured metrics on a card, ranked among peers (itself one of them)."""
    mine, peers = facts.measures[account_id], list(peers)
    return {
        metric.metric_key: normalize(metric, mine[metric.metric_key].value, facts.values(peers, metric.metric_key))
        for metric in card.metrics
        if mine[metric.metric_key].state == "measured"
    }


def score_facts(facts: DayFacts, version: Version) -> list[AccountScore]:
    """The scores of a day under one config version, whether it is active or not."""
    placed: list[tuple[str, str, Scorecard]] = []
    for account in facts.accounts:
        stage = facts.stage(account)
        placed.append((account["account_id"], stage, version.card_for(account["segment"], stage)))

    drafts = []
    for account_id, stage, card in placed:
        mine = facts.measures[account_id]
        peers = [other_id for other_id, _, other_card in placed if other_card is card]
        rows, coverage, uncapped = weigh(card, mine, normalize_all(card, facts, account_id, peers))
        cap = binding_cap(card, mine, uncapped)
        health_score = published(uncapped + (cap[1] if cap else 0))
        drafts.append((account_id, stage, card, rows, cap, coverage, uncapped, health_score))

    found = []
    for account_id, stage, card, rows, cap, coverage, uncapped, health_score in drafts:
        peers = [draft[7] for draft in drafts if draft[2] is card and draft[5] >= card.min_coverage]
        percentile = percentile_of(health_score, peers) if coverage >= card.min_coverage else None
        found.append(
            AccountScore(
                account_id,
                facts.d,
                version.config_version,
                card.scorecard_key,
                stage,
                rows,
                cap,
                coverage,
                uncapped,
                health_score,
                raw_tier(card, health_score, coverage, percentile),
                percentile,
            )
        )
    return found


def score_day(raw: Raw, versions: list[Version], d: date) -> list[AccountScore]:
    """All scores of one day."""
    return score_facts(day_facts(raw, d), version_on(versions, d))


def days_between(first_day: date, last_day: date) -> list[date]:
    """The days of a range, both ends included."""
    return [first_day + timedelta(days=offset) for offset in range((last_day - first_day).days + 1)]


def score_range(raw: Raw, versions: list[Version], first_day: date, last_day: date) -> list[AccountScore]:
    """All scores of a range of days, both ends included."""
    return [score for d in days_between(first_day, last_day) for score in score_day(raw, versions, d)]


class History:
    """Everything of a range of days: what is known on each of them, and the published scores.

    Attributes:
        facts: by day.
        scores: by account and day; of an account in the order of days.
    """

    def __init__(self, raw: Raw, versions: list[Version], first_day: date, last_day: date) -> None:
        self.raw = raw
        self.versions = versions
        self.facts = {d: day_facts(raw, d) for d in days_between(first_day, last_day)}
        self.scores: dict[tuple[str, date], AccountScore] = {
            (score.account_id, d): score for d, facts in self.facts.items() for score in score_facts(facts, version_on(versions, d))
        }
        self._cards = {(version.config_version, card.scorecard_key): card for version in versions for card in version.cards}

    def of(self, account_id: str) -> list[AccountScore]:
        """The scored days of an account, in their order."""
        return [score for (scored_id, _), score in self.scores.items() if scored_id == account_id]

    def card(self, config_version: str, scorecard_key: str) -> Scorecard | None:
        return self._cards.get((config_version, scorecard_key))

    def card_of(self, score: AccountScore) -> Scorecard:
        return self._cards[score.config_version, score.scorecard_key]


def candidate_scores(history: History) -> list[AccountScore]:
    """What-if: the scores of every day under every candidate version whose valid_from has come."""
    return [
        score
        for d, facts in history.facts.items()
        for version in history.versions
        if version.status == "candidate" and version.valid_from <= d
        for score in score_facts(facts, version)
    ]
