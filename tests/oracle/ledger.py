"""docs/scoring.md, "Change ledger": why a score is not what it was k days before, split exactly.

To note: the config version of d is the one in force on d; in S1 and S2 the peers of a
percentile or zscore are the accounts that were on a scorecard of the same key on d-k, and an account that was not one
of them is ranked among them and itself; a metric counts for M with a positive weight and a normalized score on both
days, those of the policies `neutral` and `worst` included.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.cards import Scorecard
from tests.oracle.score import AccountScore, DayFacts, History, MetricScore, normalize_all, weigh

LOOK_BACKS = (7, 28)
NOTHING = Fraction(1, 10**11)  # a component of fewer points has no row


@dataclass(frozen=True)
class Change:
    """One row of score_changes; only a behaviour has a `metric_key`."""

    account_id: str
    as_of_date: date
    k: int
    component: str
    metric_key: str | None
    points: Fraction


@dataclass(frozen=True)
class Rescored:
    """An account's values of a day under a card that need not have been its own."""

    uncapped_score: Fraction
    metrics: tuple[MetricScore, ...]


def peers_on(history: History, facts: DayFacts, scorecard_key: str, account_id: str) -> list[str]:
    """The accounts whose own scorecard of that day has this key, and the account itself."""
    scored = [account["account_id"] for account in facts.accounts]
    return [other_id for other_id in scored if other_id == account_id or history.scores[other_id, facts.d].scorecard_key == scorecard_key]


def rescore(history: History, facts: DayFacts, account_id: str, card: Scorecard) -> Rescored:
    """S1 or S2: an account's values of a day under a card."""
    peers = peers_on(history, facts, card.scorecard_key, account_id)
    rows, _, uncapped = weigh(card, facts.measures[account_id], normalize_all(card, facts, account_id, peers))
    return Rescored(uncapped, rows)


def points_over(card: Scorecard, metric_keys: set[str], rows: tuple[MetricScore, ...]) -> dict[str, Fraction]:
    """The points of some metrics as if the card had no others; each of them has a score."""
    alone = replace(card, metrics=tuple(metric for metric in card.metrics if metric.metric_key in metric_keys))
    by_key = {row.metric_key: row for row in rows if row.metric_key in metric_keys}
    measures = {key: row.measure for key, row in by_key.items()}
    normalized = {key: row.normalized_score for key, row in by_key.items()}
    return {row.metric_key: row.points for row in weigh(alone, measures, normalized)[0]}


def exact_score(score: AccountScore) -> Fraction:
    """The score after caps, before rounding."""
    return score.uncapped_score + cap_points(score)


def cap_points(score: AccountScore) -> Fraction:
    return score.cap[1] if score.cap else Fraction(0)


def changes_of(history: History, score: AccountScore, k: int) -> list[Change]:
    """The components of the change from k days before; none where the account was not scored then."""
    d, account_id = score.as_of_date, score.account_id
    earlier = history.scores.get((account_id, d - timedelta(days=k)))
    if earlier is None:
        return []
    facts = history.facts[earlier.as_of_date]
    card = history.card_of(score)
    same_key = history.card(score.config_version, earlier.scorecard_key) or card

    s0 = earlier.uncapped_score
    s1 = rescore(history, facts, account_id, same_key).uncapped_score
    then = rescore(history, facts, account_id, card)
    s2, s3 = then.uncapped_score, score.uncapped_score

    scored_then = {row.metric_key for row in then.metrics if row.normalized_score is not None}
    scored_now = {row.metric_key for row in score.metrics if row.normalized_score is not None}
    on_both = {
        metric.metric_key
        for metric in card.metrics
        if metric.weight > 0 and card.dimensions[metric.dimension_key] > 0 and metric.metric_key in scored_then & scored_now
    }
    before, after = points_over(card, on_both, then.metrics), points_over(card, on_both, score.metrics)
    behaviour = {key: after[key] - before[key] for key in sorted(on_both)}

    components = [
        ("configuration", None, s1 - s0),
        ("scorecard", None, s2 - s1),
        ("availability", None, s3 - s2 - sum(behaviour.values())),
        ("cap", None, cap_points(score) - cap_points(earlier)),
        *(("behaviour", key, points) for key, points in behaviour.items()),
    ]
    return [
        Change(account_id, d, k, component, metric_key, points) for component, metric_key, points in components if abs(points) >= NOTHING
    ]


def score_changes(history: History) -> list[Change]:
    """All rows of the ledger of a history."""
    return [change for score in history.scores.values() for k in LOOK_BACKS for change in changes_of(history, score, k)]
