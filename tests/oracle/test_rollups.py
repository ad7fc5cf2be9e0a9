"""Segment and parent roll-ups by hand (docs/scoring.md, "Published tables")."""

from datetime import date
from fractions import Fraction

from tests.oracle.cards import Version
from tests.oracle.rollups import Member, ParentHealth, SegmentHealth, members, parent_health, segment_health
from tests.oracle.score import History
from tests.oracle.test_score import card, metric, subscriptions, world
from tests.oracle.trend import history_trends

D = date(2024, 3, 31)


def member(
    account_id: str,
    score: str,
    arr: str | None,
    tier: str = "poor",
    parent: str | None = "p",
    segment: str | None = "s",
) -> Member:
    money = None if arr is None else Fraction(arr)
    return Member(account_id, D, parent, segment, "mature", tier, Fraction(score), money)


def test_segments() -> None:
    everyone = [
        member("a", "10", "100"),
        member("b", "25", None),
        member("c", "80", None, "healthy"),
        member("d", "5", "7", segment=None),
    ]
    assert segment_health(everyone) == {
        (D, "s", "mature", "poor"): SegmentHealth(2, Fraction(100), Fraction("17.5")),
        (D, "s", "mature", "healthy"): SegmentHealth(1, None, Fraction(80)),
        (D, None, "mature", "poor"): SegmentHealth(1, Fraction(7), Fraction(5)),
    }


def test_a_parent_weighs_its_children_by_arr() -> None:
    everyone = [
        member("d", "20", "100"),
        member("a", "80", "300", "healthy"),
        member("c", "20", None, "unknown"),
        member("b", "50", "0", "at_risk", parent="q"),
        member("e", "70", None, "at_risk", parent="q"),
        member("f", "0", "9", parent=None),
    ]
    assert parent_health(everyone) == {
        # (100 x 20 + 300 x 80) / 400, c left out; c and d are worst, c is the smaller id.
        (D, "p"): ParentHealth(3, Fraction(400), Fraction(65), "c", 1, 0, 1, 1),
        (D, "q"): ParentHealth(2, Fraction(0), Fraction(60), "b", 0, 2, 0, 0),
    }


def test_arr_that_sums_to_nothing_or_less_does_not_weigh() -> None:
    less = parent_health([member("a", "10", "-50"), member("b", "30", "20")])[D, "p"]
    assert (less.mean_score, less.arr) == (20, -30)
    none = parent_health([member("a", "10", None), member("b", "30", None)])[D, "p"]
    assert (none.mean_score, none.arr) == (20, None)


def test_members_of_a_history() -> None:
    raw = world(subscriptions=subscriptions("a,1,10.125,-,2024-01-01,-,-", "b,1,-,-,2024-01-01,2024-03-31,-"))
    given = Version("v1", date(2000, 1, 1), "active", (card(metric(), dimensions={"adoption": "1"}),))
    history = History(raw, [given], date(2024, 3, 30), D)
    found = members(history, history_trends(history))
    # b's last day in force is 03-30; no metric is measured, so all is unknown.
    assert [(one.account_id, one.as_of_date.day, one.arr, one.tier) for one in found] == [
        ("a", 30, Fraction("121.5"), "unknown"),
        ("b", 30, None, "unknown"),
        ("a", 31, Fraction("121.5"), "unknown"),
    ]
