"""Confirmed tiers, why they change, overrides and trend, by numbers worked out by hand from sections 6 and 7."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.oracle.cards import Scorecard, Tier, Version
from tests.oracle.compare import oracle_history
from tests.oracle.raw import Row, clean
from tests.oracle.score import History, threshold_tier
from tests.oracle.test_score import card, events, metric, texts
from tests.oracle.trend import (
    ScoredDay,
    Trend,
    history_tier_changes,
    history_trends,
    model_tiers,
    override_on,
    scored_days,
    slope_per_week,
    tier_changes,
    trend_of,
    trends,
)
from tests.oracle.worlds import build_world

FIRST = date(2024, 3, 1)
TIERS = {"h": "healthy", "a": "at_risk", "p": "poor", "u": "unknown", "l": "unknown"}


def after(days: int) -> date:
    return FIRST + timedelta(days=days)


def rules(healthy: str = "70", at_risk: str = "40", confirm: int = 3, margin: str = "3", **more) -> Scorecard:
    """A card that only tells tiers: min_coverage a half, by threshold."""
    limits = {"healthy": (healthy, "0.75"), "at_risk": (at_risk, "0.25"), "poor": ("0", "0")}
    tiers = tuple(Tier(tier, Fraction(score), Fraction(share)) for tier, (score, share) in limits.items())
    return card(metric(), dimensions={"adoption": "1"}, tiers=tiers, confirm_days=confirm, tier_margin=Fraction(margin), **more)


USUAL = rules()


def raw_tiers(letters: str, confirm: str = "") -> list[ScoredDay]:
    """Days from the first on, by raw tiers alone (a quantile has no margin). `confirm`: one digit for each, 3 without.

    `u` is a day of too little coverage, `l` one that only a late feed makes so.
    """
    needed = confirm or "3" * len(letters)
    return [
        ScoredDay(
            after(n),
            Fraction(50),
            TIERS[letter],
            rules(confirm=int(digit), tier_mode="quantile"),
            Fraction(letter not in "ul"),
            Fraction(letter != "u"),
            None if letter in "ul" else {"h": Fraction(1), "a": Fraction(1, 2), "p": Fraction(1, 5)}[letter],
        )
        for n, (letter, digit) in enumerate(zip(letters, needed, strict=True))
    ]


def scores(*texts: str, first: int = 0, under: Scorecard = USUAL) -> list[ScoredDay]:
    """One day after the other, all of it measured; `-` is a day that is not scored."""
    full = Fraction(1)
    return [
        ScoredDay(after(first + n), Fraction(text), threshold_tier(under, Fraction(text)), under, full, full, full)
        for n, text in enumerate(texts)
        if text != "-"
    ]


def tier_letters(days: list[ScoredDay]) -> str:
    """The confirmed tiers, `H`, `A`, `P` where they are held."""
    found = ((tier[0] if tier != "unknown" else "u", held) for tier, held in model_tiers(days))
    return "".join(letter.upper() if held else letter for letter, held in found)


def override(key: str, tier: str, starts: int, expires: int) -> Row:
    return {"override_id": key, "tier": tier, "starts_on": after(starts), "expires_on": after(expires)}


@pytest.mark.parametrize(
    ("raw", "confirm", "confirmed"),
    [
        ("hhpppaaa", "", "hhhhpppa"),  # two days confirm nothing; the third does
        ("hhpppahh", "", "hhhhpppa"),  # a, h, h: three days above the limit of at_risk, two above that of healthy
        ("hhapa", "", "hhhha"),  # a, p, a: three days below that of healthy
        ("ahah", "", "aaaa"),  # nothing crossed yet: as on the first day
        ("hhppphhuhhh", "", "hhhhpppupph"),  # an unknown day is unknown at once and breaks the run
        ("uuuappp", "", "uuuaaap"),  # the first day that is known
        ("pppuuup", "", "pppuuup"),  # the confirmed tier comes back after unknown days
        ("hpuh", "1111", "hpuh"),
        ("hhhpph", "333553", "hhhhhh"),
        ("hhhpppa", "3335535", "hhhhhpp"),  # the crossing day's own number counts, and what it confirmed stays
        ("hhhph", "33313", "hhhpp"),
        ("aaaaahhhhh", "5" * 10, "aaaaaaaaah"),
        ("hhaaaaa", "5" * 7, "hhhhhha"),
    ],
)
def test_confirmed_tier(raw: str, confirm: str, confirmed: str) -> None:
    assert tier_letters(raw_tiers(raw, confirm)) == confirmed


def test_a_score_that_swings_around_a_limit() -> None:
    assert tier_letters(scores("71", "69", "71", "68")) == "hhhh"
    days = scores("71", "66", "66", "66.9", *["70.5"] * 10, "73")
    assert tier_letters(days) == "hhh" + "a" * 11 + "h"


@pytest.mark.parametrize("confirm", [1, 2, 3])
def test_a_score_that_swings_by_two_around_a_limit_never_moves(confirm: int) -> None:
    under = rules(confirm=confirm)
    for limit in (70, 40):
        swing = [str(limit + by) for by in (2, -2, -2, -2, 0, 2, 2, 2, 1, -1, -2)]
        for first in (2, -2):
            found = tier_letters(scores(str(limit + first), *swing, under=under))
            assert len(set(found)) == 1
            assert found[0] == {(70, 2): "h", (70, -2): "a", (40, 2): "a", (40, -2): "p"}[limit, first]


def test_a_fall_through_two_limits() -> None:
    assert tier_letters(scores("90", "10", "10", "10")) == "hhhp"
    assert tier_letters(scores("10", "90", "90", "90")) == "ppph"
    # Below 70 for three days, of which the last is below 67; below 40 for one, then for three.
    assert tier_letters(scores("90", "68", "68", "30", "30", "30")) == "hhhaap"
    # Below 40 for three days, but at 37 or above on the last of them.
    assert tier_letters(scores("90", "10", "10", "37", "36.9")) == "hhhap"


def test_crossing_exactly_at_limit_and_margin() -> None:
    assert tier_letters(scores("60", "73", "73", "72.9", "73")) == "aaaah"
    assert tier_letters(scores("80", "66", "66", "67", "66.9")) == "hhhha"
    assert tier_letters(scores("60", "70", "70", "70", under=rules(margin="0"))) == "aaah"
    assert tier_letters(scores("80", "69.9", "69.9", "70", "69.9", under=rules(margin="0"))) == "hhhhh"


def test_each_day_has_its_own_limits_days_and_margin() -> None:
    # The limit moves from 70 to 60: from then on the same score is above it, on the third day it crosses.
    assert tier_letters([*scores("66", "66"), *scores("66", "66", "66", first=2, under=rules("60"))]) == "aaaah"
    # 66 is not 65 + 3: no crossing.
    assert tier_letters([*scores("66", "66"), *scores(*["66"] * 4, first=2, under=rules("65"))]) == "aaaaaa"
    # A smaller margin counts the days before it.
    assert tier_letters([*scores("60", "71", "71"), *scores("71", first=3, under=rules(margin="1"))]) == "aaah"
    # So do fewer days to confirm.
    assert tier_letters([*scores("60", "80"), *scores("80", first=2, under=rules(confirm=2))]) == "aah"


def test_a_tier_is_held_for_seven_days() -> None:
    # Days 3 to 9 are one to seven days after day 2; day 10 is the eighth.
    assert tier_letters(raw_tiers("hhh" + "l" * 9 + "h")) == "hhh" + "H" * 7 + "uu" + "h"
    assert tier_letters(raw_tiers("ppplluhh")) == "pppPPupp"  # too little even without the feed: unknown at once
    assert tier_letters(raw_tiers("llhl")) == "uuhH"  # nothing to hold on the first days
    assert tier_letters(raw_tiers("hhhullh")) == "hhhuHHh"  # day 3 is unknown, days 4 and 5 are still near day 2
    assert tier_letters(raw_tiers("hpplpp")) == "hhhHhh"  # a held day breaks the run
    assert tier_letters(raw_tiers("hpplppp")) == "hhhHhhp"
    # Seven days of the calendar, scored or not.
    days = raw_tiers("h" + "l" * 9)
    assert tier_letters([days[0], days[7], days[8]]) == "hHu"


def test_a_held_tier_from_raw_rows() -> None:
    """A pulse a day and a feed of usage that stops on 03-08 and is late from 03-11 on, by more than two days."""
    days = [f"2024-03-{n:02d}" for n in range(1, 32)]
    raw = clean(
        {
            "accounts": texts("account_id account_name created_at", "a,A,2022-01-01"),
            "usage_events": events(*(f"a,u,{day}" for day in [*days[:8], *days[27:]])),
            "csm_pulses": texts("pulse_id account_id rated_at rating", *(f"p{n},a,{day},5" for n, day in enumerate(days))),
        }
    )
    given = card(
        metric(worst=Fraction(0), best=Fraction(1)),
        metric("csm_pulse", "voice", worst=Fraction(1), best=Fraction(5)),
        dimensions={"adoption": "1", "voice": "1"},
        min_coverage=Fraction("0.6"),
    )
    history = History(raw, [Version("v1", date(2000, 1, 1), "active", (given,))], date(2024, 3, 1), date(2024, 3, 28))
    rows = [row for _, row in sorted(history_trends(history).items())]
    # Known up to 03-10, held from 03-11 to 03-17, unknown until the feed is back on 03-28.
    assert [row.is_tier_held for row in rows] == [False] * 10 + [True] * 7 + [False] * 11
    assert [row.tier for row in rows] == ["healthy"] * 17 + ["unknown"] * 10 + ["healthy"]
    assert [(row.previous_tier, row.days_in_tier) for row in rows[16::11]] == [(None, 17), ("unknown", 1)]


# -- why a tier changed


def causes(days: list[ScoredDay], *overrides: Row) -> list[tuple[int, str, str, str]]:
    """Changes as day, from, to, cause."""
    return [
        ((change.as_of_date - FIRST).days, change.from_tier[0], change.to_tier[0], change.cause) for change in tier_changes(days, overrides)
    ]


def test_a_score_that_crosses_is_the_cause() -> None:
    assert causes(scores("80", *["10"] * 4, *["90"] * 4)) == [(3, "h", "p", "score"), (7, "p", "h", "score")]
    assert causes(raw_tiers("hpppaaa")) == [(3, "h", "p", "score"), (6, "p", "a", "score")]


@pytest.mark.parametrize(
    ("score", "before", "since", "moves"),
    [
        ("66", USUAL, rules("60"), ("a", "h")),  # the limit moves down
        ("66", rules("60"), USUAL, ("h", "a")),  # and up
        ("45", USUAL, rules("80", "60"), ("a", "p")),
        ("65", rules("30", "20"), rules("90", "80"), ("h", "p")),  # both limits pass the score
        ("71", rules("71.1", margin="0"), USUAL, None),  # 71 is not 70 + 3
        ("80", rules("90"), rules(tier_mode="quantile"), ("a", "h")),  # its percentile is 1
    ],
)
def test_rules_that_move_a_limit_are_the_cause(score: str, before: Scorecard, since: Scorecard, moves: tuple[str, str] | None) -> None:
    days = [*scores(*[score] * 5, under=before), *scores(*[score] * 5, first=5, under=since)]
    assert causes(days) == ([(7, *moves, "rules")] if moves else [])


def test_rules_of_margin_and_days_are_the_cause() -> None:
    # On the upper side for five days, but short of 70 + 3, until the margin is 1.
    assert causes([*scores("60", *["72"] * 5), *scores("72", first=6, under=rules(margin="1"))]) == [(6, "a", "h", "rules")]
    # On the second day of three, until two are enough.
    assert causes([*scores("60", "80"), *scores("80", first=2, under=rules(confirm=2))]) == [(2, "a", "h", "rules")]
    # A day too late: the score has crossed by the old rules, too.
    assert causes([*scores("60", "80", "80"), *scores("80", first=3, under=rules(confirm=2))]) == [(3, "a", "h", "score")]


def test_a_change_that_the_old_rules_had_made_too_is_by_score() -> None:
    # The limit moves to 75 and the score from 80 to 50: both rules say at_risk.
    assert causes([*scores("80", "80"), *scores("50", "50", "50", first=2, under=rules("75"))]) == [(4, "h", "a", "score")]
    # To 20 while the limit of at_risk moves to 10: by the old rules poor, not healthy still.
    days = [*scores("80", "80"), *scores("20", "20", "20", first=2, under=rules("70", "10"))]
    assert causes(days) == [(4, "h", "a", "score")]


def test_the_run_reaches_back_to_the_day_before_the_new_side() -> None:
    """The limit moves from 60 to 70: 68 is not below it by 3, 25 days later 66 is. The old rules had moved nothing."""
    days = [*scores(*["68"] * 3, under=rules("60")), *scores(*["68"] * 25, "66", first=3)]
    assert causes(days) == [(28, "h", "a", "rules")]
    # Once above the new limit, the next fall is under no other rules.
    days = [*scores("71", under=rules("60")), *scores("68", "71", "66", "66", "66", first=1)]
    assert causes(days) == [(5, "h", "a", "score")]


def test_too_little_by_the_old_minimum_is_not_the_old_tier() -> None:
    """Half is known from day 2 on, which is enough from then on only; by the old rules the account would be unknown."""
    half = Fraction(1, 2)
    low = [replace(day, coverage=half, coverage_but_for_late=half) for day in scores(*["66"] * 3, first=2, under=rules("60"))]
    before = scores("66", "66", under=rules(min_coverage=Fraction(1)))
    assert causes([*before, *low]) == [(4, "a", "h", "score")]


def test_coverage_and_overrides_are_causes() -> None:
    assert causes(raw_tiers("hhulllh")) == [(2, "h", "u", "coverage"), (3, "u", "h", "coverage")]
    assert causes(raw_tiers("hhhpppp"), override("w1", "at_risk", 1, 2), override("w2", "poor", 4, 6)) == [
        (1, "h", "a", "override"),
        (2, "a", "h", "override_ended"),
        (4, "h", "p", "override"),  # and when it ends the model says so, too
    ]
    assert causes(raw_tiers("hhh"), override("w1", "unknown", 1, 2), override("w2", "poor", 2, 3)) == [
        (1, "h", "u", "override"),
        (2, "u", "p", "override"),
    ]


def test_a_version_that_moves_a_limit_is_the_cause_of_all_that_follows() -> None:
    """Scores of 50, 66 and 90 every day; from 03-10 on healthy begins at 60, not 70, at_risk at 55, not 40."""
    raw = clean(
        {
            "accounts": texts("account_id account_name created_at", *(f"{name},{name},2022-01-01" for name in "abcd")),
            "csm_pulses": texts(
                "pulse_id account_id rated_at rating",
                "p1,a,2024-02-28,3",
                "p2,b,2024-02-28,3.64",
                "p3,c,2024-02-28,4.6",
                "p4,d,2024-02-28,4.6",
                "p5,d,2024-03-10,1",  # d falls to 0 on the very day
            ),
        }
    )
    pulse = metric("csm_pulse", "voice", worst=Fraction(1), best=Fraction(5))
    first = replace(USUAL, metrics=(pulse,), dimensions={"voice": Fraction(1)})
    second = replace(first, config_version="v2", tiers=rules("60", "55").tiers)
    starts = (date(2000, 1, 1), date(2024, 3, 10))
    versions = [Version(card.config_version, start, "active", (card,)) for card, start in zip((first, second), starts, strict=True)]
    history = History(raw, versions, date(2024, 3, 1), date(2024, 3, 20))
    assert [
        (account_id, d.day, change.from_tier, change.to_tier, change.cause)
        for (account_id, d), change in history_tier_changes(history).items()
    ] == [
        ("a", 12, "at_risk", "poor", "rules"),
        ("b", 12, "at_risk", "healthy", "rules"),
        ("d", 12, "healthy", "poor", "score"),
    ]


# -- days, overrides, trend


def test_days_of_an_account_that_left_are_side_by_side() -> None:
    days = [replace(day, day=after(n)) for day, n in zip(raw_tiers("hppp"), (0, 1, 2, 9), strict=True)]
    assert tier_letters(days) == "hhhp"
    assert trends(days)[3].tier_since == after(9)
    assert trends(days[1:])[2] == Trend(
        "poor", False, "poor", Fraction(0), None, None, None, "new", None, after(1), 9
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


# -- the generator


def test_worlds_hold_what_tiers_need(tmp_path: Path) -> None:
    """Of two worlds: every cause, tiers held and then let go, many days whose raw tier changes nothing."""
    causes_found, held_then, near = set(), set(), 0
    for seed in (16, 18):
        (tmp_path / str(seed)).mkdir()
        made = build_world(tmp_path / str(seed), seed)
        history = oracle_history(made.config_file, made.first_day, made.last_day)
        causes_found |= {change.cause for change in history_tier_changes(history).values()}
        for account_id in {account_id for account_id, _ in history.scores}:
            days = scored_days(history, account_id)
            confirmed = model_tiers(days)
            held_then |= {(*before, *now) for before, now in pairwise(confirmed) if before[1]}
            near += sum(day.raw_tier not in ("unknown", tier) for day, (tier, _) in zip(days, confirmed, strict=True))
    assert causes_found == {"override", "override_ended", "coverage", "rules", "score"}
    assert {now for *_, now, _ in held_then} > {"unknown"}
    assert near > 50
