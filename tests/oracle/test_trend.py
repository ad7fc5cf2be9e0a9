"""Confirmed tiers, overrides and trend, by numbers worked out by hand from sections 6 and 7."""

from datetime import date, timedelta
from fractions import Fraction

import pytest

from tests.oracle.raw import Row
from tests.oracle.trend import ScoredDay, Trend, model_tiers, override_on, slope_per_week, trend_of, trends

FIRST = date(2024, 3, 1)
TIERS = {"h": "healthy", "a": "at_risk", "p": "poor", "u": "unknown"}


def after(days: int) -> date:
    return FIRST + timedelta(days=days)


def raw_tiers(letters: str, confirm: str = "") -> list[ScoredDay]:
    """Days from the first on; `confirm` has one digit for each of them, 3 without."""
    needed = confirm or "3" * len(letters)
    return [
        ScoredDay(after(n), Fraction(50), TIERS[letter], int(digit))
        for n, (letter, digit) in enumerate(zip(letters, needed, strict=True))
    ]


def scores(*texts: str, first: int = 0) -> list[ScoredDay]:
    """One day after the other; `-` is a day that is not scored."""
    return [ScoredDay(after(first + n), Fraction(text), "healthy") for n, text in enumerate(texts) if text != "-"]


def override(key: str, tier: str, starts: int, expires: int) -> Row:
    return {"override_id": key, "tier": tier, "starts_on": after(starts), "expires_on": after(expires)}


@pytest.mark.parametrize(
    ("raw", "confirm", "confirmed"),
    [
        ("hhpppahh", "", "hhhhpppp"),  # two days confirm nothing; the third does
        ("ahah", "", "aaaa"),  # nothing confirmed yet: the first raw tier
        ("hhppphhuhhh", "", "hhhhpppupph"),  # an unknown day stands for itself and breaks the run
        ("uuuappp", "", "uuuaaap"),  # unknown days confirm nothing; the first tier is the first that is known
        ("pppuuup", "", "pppuuup"),  # the confirmed tier comes back after them
        ("hpuh", "1111", "hpuh"),
        ("hhhpph", "333553", "hhhhhh"),
        ("hhhpppa", "3335535", "hhhhhpp"),  # the confirming day's own number counts, and what it confirmed stays
        ("hhhph", "33313", "hhhpp"),
        ("aaaaahhhhh", "5" * 10, "aaaaaaaaah"),
        ("hhaaaaa", "5" * 7, "hhhhhha"),
    ],
)
def test_confirmed_tier(raw: str, confirm: str, confirmed: str) -> None:
    assert model_tiers(raw_tiers(raw, confirm)) == [TIERS[letter] for letter in confirmed]


def test_days_of_an_account_that_left_stand_side_by_side() -> None:
    days = [
        ScoredDay(after(n), Fraction(50), tier) for n, tier in ((0, "healthy"), (1, "poor"), (2, "poor"), (9, "poor"))
    ]
    assert model_tiers(days) == ["healthy", "healthy", "healthy", "poor"]
    assert trends(days)[3].tier_since == after(9)
    assert trends(days[1:])[2] == Trend(
        "poor", "poor", Fraction(0), None, None, None, "new", None, after(1), 9
    )  # in tier since before the gap: 9 calendar days


def test_override_in_force() -> None:
    rows = [
        override("w3", "poor", 2, 6),
        override("w1", "healthy", 4, 5),
        override("w2", "at_risk", 4, 5),
        override("w9", "unknown", 7, 7),
        override("w8", "unknown", 8, 3),
    ]
    found = [override_on(rows, after(n)) for n in range(9)]
    # The first day is in, the last is out; the latest start wins, then the greater id; empty ones never hold.
    assert [row and row["override_id"] for row in found] == [None, None, "w3", "w3", "w2", "w3", None, None, None]


def test_runs_of_the_published_tier() -> None:
    days = raw_tiers("hhhhhhpppp")
    rows = trends(days, [override("w1", "poor", 2, 4), override("w2", "at_risk", 3, 4), override("w3", "poor", 7, 9)])
    # Model: h to day 7, p on days 8 and 9. Published: h h p a h h h p p p.
    assert [TIERS[letter] for letter in "hhhhhhhhpp"] == [row.model_tier for row in rows]
    assert [TIERS[letter] for letter in "hhpahhhppp"] == [row.tier for row in rows]
    since = [(row.tier_since - FIRST).days for row in rows]
    assert since == [0, 0, 2, 3, 4, 4, 4, 7, 7, 7]
    assert [row.days_in_tier for row in rows] == [1, 2, 1, 1, 1, 2, 3, 1, 2, 3]
    before = [row.previous_tier for row in rows]
    assert before == [None, None, *(TIERS[letter] for letter in "hpaaahhh")]


def test_deltas_need_the_very_day() -> None:
    days = [
        *scores("10"),
        *scores("20.5", first=62),
        *scores("31", first=83),
        *scores("40.1", first=84),
        *scores("44", first=90),
    ]
    *_, last = trends(days)
    assert (last.delta_7d, last.delta_28d, last.delta_90d) == (13, Fraction("23.5"), 34)
    assert last.trend == "improving"
    missing = trends([day for day in days if day.day != after(62)])[-1]
    assert (missing.delta_28d, missing.trend) == (None, "new")


def test_trend_by_its_limits() -> None:
    cases = {"4.9": "stable", "5": "improving", "-4.9": "stable", "-5": "declining", "0": "stable"}
    assert {text: trend_of(Fraction(text)) for text in cases} == cases
    days = [*scores("44.9"), *scores("49.9", first=28)]
    assert trends(days)[1].trend == "improving"  # 5 to the digit, which binary fractions would miss


def test_slope() -> None:
    d = after(6)
    assert slope_per_week(scores("10", "11", "12", "13", "14", "15", "16"), d) == 7
    assert slope_per_week(scores("0", "0", "0", "0", "0", "0", "7"), d) == Fraction("5.25")  # 7 x 21 / 28
    assert slope_per_week(scores("10", "11", "12", "-", "14", "15", "16"), d) is None
    assert slope_per_week(scores("3", "3", "3", "3", "3", "3", "3"), d) == 0


def test_slope_counts_28_days() -> None:
    six = scores("50", "50", "50", "50", "50", "50", first=22)  # days 22 to 27
    first = scores("23")
    # On day 27 day 0 is in: with x from it, mean x = 147 / 7 = 21, mean y = 323 / 7. Sxy = sum of (x - 21)(y - 50)
    # = -21 x -27 = 567, Sxx = 441 + 1 + 4 + 9 + 16 + 25 + 36 = 532; a week has 7 days.
    assert slope_per_week([*first, *six], after(27)) == Fraction(7 * 567, 532)
    assert slope_per_week([*first, *six], after(28)) is None
