"""segment_health and parent_health: what the accounts of a day come to together (docs/scoring.md, "Published tables").

To note: `tier` is the published one, overrides included; an account's arr is 12 times its mrr
in force, to cents, half away from zero; a sum of arr leaves out those that are not known and is none where none is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tests.oracle.metrics import AccountDay
from tests.oracle.score import History, round_half_away
from tests.oracle.trend import Trend

TIERS = ("healthy", "at_risk", "poor", "unknown")


@dataclass(frozen=True)
class Member:
    """An account on a scored day, as the roll-ups see it."""

    account_id: str
    as_of_date: date
    parent_account_id: str | None
    segment: str | None
    stage: str
    tier: str
    health_score: Fraction
    arr: Fraction | None


@dataclass(frozen=True)
class SegmentHealth:
    accounts: int
    arr: Fraction | None
    mean_score: Fraction


@dataclass(frozen=True)
class ParentHealth:
    children: int
    arr: Fraction | None
    mean_score: Fraction
    worst_child_id: str
    healthy: int
    at_risk: int
    poor: int
    unknown: int


def members(history: History, trends: dict[tuple[str, date], Trend]) -> list[Member]:
    """Every account of every scored day."""
    found = []
    for d, facts in history.facts.items():
        for account in facts.accounts:
            account_id = account["account_id"]
            score = history.scores[account_id, d]
            mrr = AccountDay(history.raw, account, d).mrr
            found.append(
                Member(
                    account_id,
                    d,
                    account["parent_account_id"],
                    account["segment"],
                    score.stage,
                    trends[account_id, d].tier,
                    score.health_score,
                    None if mrr is None else round_half_away(12 * mrr, 2),
                )
            )
    return found


def sum_known(values: Iterable[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction(0)) if known else None


def mean_score(group: list[Member], weighted: bool) -> Fraction:
    """The mean of the published scores; weighted by arr where asked for and the known arr sums to more than 0."""
    known = [member for member in group if member.arr is not None]
    total = sum((member.arr for member in known), Fraction(0))
    if weighted and total > 0:
        return sum((member.arr * member.health_score for member in known), Fraction(0)) / total
    return sum((member.health_score for member in group), Fraction(0)) / len(group)


def segment_health(everyone: list[Member]) -> dict[tuple[date, str | None, str, str], SegmentHealth]:
    """By day, segment, stage and tier."""
    groups: dict[tuple[date, str | None, str, str], list[Member]] = {}
    for member in everyone:
        groups.setdefault((member.as_of_date, member.segment, member.stage, member.tier), []).append(member)
    return {
        key: SegmentHealth(len(group), sum_known(member.arr for member in group), mean_score(group, weighted=False))
        for key, group in groups.items()
    }


def parent_health(everyone: list[Member]) -> dict[tuple[date, str], ParentHealth]:
    """By day and parent, over the children that are scored on the day."""
    groups: dict[tuple[date, str], list[Member]] = {}
    for member in everyone:
        if member.parent_account_id is not None:
            groups.setdefault((member.as_of_date, member.parent_account_id), []).append(member)
    return {
        key: ParentHealth(
            len(group),
            sum_known(member.arr for member in group),
            mean_score(group, weighted=True),
            min(group, key=lambda member: (member.health_score, member.account_id)).account_id,
            *(sum(member.tier == tier for member in group) for tier in TIERS),
        )
        for key, group in groups.items()
    }
