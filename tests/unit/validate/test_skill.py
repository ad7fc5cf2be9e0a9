"""Labels, skill and verdicts, worked out by hand, and four planted worlds."""

import numpy as np
import pytest

from orchestration.validate.judge import NO_SKILL, SKILL, TOO_FEW, calibrate, judge, judge_tiers
from orchestration.validate.points import NEVER, RESTATED, Version, prepare, read_departures, read_points
from orchestration.validate.statistics import auc, draw_accounts, estimate, falling
from tests.unit.validate.mart import add_outcomes, add_scores, day, deal_scores_anew, empty_mart, world

V1 = Version("v1", True, RESTATED)


def arrays(*rows):
    """(score, stratum, account, leaves) each, as columns."""
    score, stratum, account, leaves = zip(*rows, strict=True)
    return np.array(score, dtype=float), np.array(stratum), np.array(account), np.array(leaves)


def labelled(connection, horizon):
    """account, day number, leaves of each labelled point."""
    prepare(connection)
    points, leaves = read_points(connection, V1).labelled(horizon)
    names = [name for (name,) in connection.execute("select account_id from coded_accounts order by account").fetchall()]
    first = day(0).toordinal() - day(0).fromisoformat("1970-01-01").toordinal()
    return [(names[account], number - first, bool(gone)) for account, number, gone in zip(points.account, points.day, leaves, strict=True)]


def test_auc_counts_pairs_within_a_stratum_and_ties_half():
    # Stratum 0: 50 against 60, 50, 40 is 1 + 0.5 + 0 of 3. Stratum 1: 1 of 1. Stratum 2 has no stay, stratum 3 no leaver.
    rows = arrays(
        (50, 0, 0, True),
        (60, 0, 1, False),
        (50, 0, 2, False),
        (40, 0, 3, False),
        (10, 1, 0, True),
        (20, 1, 1, False),
        (5, 2, 0, True),
        (1, 3, 3, False),
    )
    assert auc(*rows, np.ones((1, 4), dtype=int)) == [2.5 / 4]


def test_auc_of_a_draw_weighs_both_accounts_of_a_pair():
    # Account 0 drawn twice, 1 three times, 2 not at all: 2 x 3 pairs won, account 3 once: 2 x 1 lost.
    rows = arrays((50, 0, 0, True), (60, 0, 1, False), (50, 0, 2, False), (40, 0, 3, False))
    assert auc(*rows, np.array([[2, 3, 0, 1]])) == [6 / 8]


def test_auc_equals_the_sum_over_all_pairs():
    random = np.random.default_rng(5)
    accounts, days = 40, 6
    account, stratum = np.tile(np.arange(accounts), days), np.repeat(np.arange(days), accounts)
    score, leaves = random.integers(0, 12, accounts * days).astype(float), random.random(accounts * days) < 0.2
    weights = draw_accounts(accounts, 7)
    for draw, found in zip(weights, auc(score, stratum, account, leaves, weights), strict=True):
        won = pairs = 0
        for i in np.flatnonzero(leaves):
            for j in np.flatnonzero(~leaves & (stratum == stratum[i])):
                weight = draw[account[i]] * draw[account[j]]
                won += weight * ((score[i] < score[j]) + 0.5 * (score[i] == score[j]))
                pairs += weight
        assert found == pytest.approx(won / pairs, abs=1e-12)


def test_an_interval_needs_nearly_all_draws():
    assert estimate(np.array([0.5, *[0.4] * 95, *[np.nan] * 5])).low == 0.4
    assert estimate(np.array([0.5, *[0.4] * 94, *[np.nan] * 6])).low is None


def test_rates_that_fall_with_the_score_are_pooled():
    # 0.1 after 0.3 falls, 0.2 does not: 0.1 of 10 and 0.2 of 30 become 7 of 40. A tenth without rows lies between its neighbours.
    rates, sizes = np.array([0.3, 0.1, 0.2, np.nan, 0.075]), np.array([10, 10, 30, 0, 40])
    assert falling(rates, sizes) == pytest.approx([0.3, 0.175, 0.175, 0.125, 0.075])


def test_a_monday_counts_once_its_horizon_and_fifteen_days_have_passed():
    mart = empty_mart()
    add_scores(mart, [(account, number, 50, "at_risk", 100) for account in "ab" for number in (0, 7, 8, 52)])
    add_outcomes(mart, [("a", -50, "started_paying"), ("b", -50, "started_paying"), ("b", 30, "ended")])
    # Day 52 is the newest: Monday 7 is known until day 52 = 7 + 30 + 15. Day 8 is no Monday. Day 30 is within (0, 30] and (7, 37].
    assert labelled(mart, 30) == [("a", 0, False), ("b", 0, True), ("a", 7, False), ("b", 7, True)]
    add_scores(mart, [("a", 51, 50, "at_risk", 100)])
    mart.execute("delete from account_health_history where as_of_date = ?", [day(52)])
    assert labelled(mart, 30) == [("a", 0, False), ("b", 0, True)]


def test_the_last_day_of_the_horizon_counts_and_the_scored_day_does_not():
    mart = empty_mart()
    add_scores(mart, [(account, number, 50, "at_risk", 100) for account in "abc" for number in (0, 45)])
    add_outcomes(mart, [(account, -50, "started_paying") for account in "abc"])
    add_outcomes(mart, [("a", 0, "ended"), ("b", 30, "ended"), ("c", 31, "ended")])
    assert labelled(mart, 30) == [("a", 0, False), ("b", 0, True), ("c", 0, False)]


def test_without_subscriptions_a_churned_outcome_says_who_left_and_nothing_is_waited_for():
    mart = empty_mart()
    add_scores(mart, [(account, number, 50, "at_risk", 100) for account in "ab" for number in (0, 7, 30)])
    add_outcomes(mart, [("b", 12, "churned"), ("a", 31, "churned")])
    # The outcome of day 31 is after the newest scored day: nothing looks past it.
    assert labelled(mart, 30) == [("a", 0, False), ("b", 0, True)]


def test_who_disappears_from_the_source_within_the_horizon_is_censored_and_trials_are_in_no_label():
    mart = empty_mart()
    add_scores(mart, [(account, number, 50, "at_risk", 100) for account in ("gone", "later", "left", "trial") for number in (0, 45)])
    add_outcomes(mart, [(account, -50, "started_paying") for account in ("gone", "later", "left")])
    add_outcomes(mart, [("gone", 30, "removed"), ("later", 31, "removed"), ("left", 10, "churned"), ("left", 12, "removed")])
    assert labelled(mart, 30) == [("later", 0, False), ("left", 0, True)]


def test_a_score_of_a_day_on_which_the_account_had_left_has_no_label():
    mart = empty_mart()
    add_scores(mart, [("a", number, 50, "at_risk", 100) for number in (0, 7, 91)])
    add_outcomes(mart, [("a", -50, "started_paying"), ("a", 5, "ended")])
    # Its leaving was recorded late: day 7 was published, and withdrawn since.
    mart.execute("delete from account_health_history where as_of_date = ?", [day(7)])
    prepare(mart)
    points = read_points(mart, Version("v1", True, "as_first_published"))
    assert [(number - points.day[0], left - points.day[0]) for number, left in zip(points.day, points.left, strict=True)] == [
        (0, 5),
        (91, NEVER - points.day[0]),
    ]


def test_tenths_hold_equal_scores_together():
    mart = empty_mart()
    scores = [10, 20, 20, 20, 30, 40, 50, 60, 70, 80]
    add_scores(mart, [(f"a{place}", 0, score, "at_risk", 10) for place, score in enumerate(scores)])
    prepare(mart)
    # Of ten, the lowest is tenth 0; the three at places 1 to 3 share the middle one's.
    assert read_points(mart, V1).tenth.tolist() == [0, 2, 2, 2, 4, 5, 6, 7, 8, 9]


def test_bands_of_tenure_begin_at_90_and_365_days():
    mart = empty_mart()
    add_scores(mart, [(f"a{tenure:03d}", 0, 50, "at_risk", tenure) for tenure in (0, 89, 90, 364, 365)])
    prepare(mart)
    assert read_points(mart, V1).band.tolist() == [0, 0, 1, 1, 2]


def judged(mart, horizon):
    prepare(mart)
    points = read_points(mart, V1)
    weights = draw_accounts(points.accounts)
    rows, leaves = points.labelled(horizon)
    found = judge(rows, leaves, read_departures(mart, V1), weights)
    return found, calibrate(rows, leaves, weights, horizon, found.verdict), judge_tiers(rows, leaves, weights)


def test_one_leaver_is_too_few_and_has_no_interval():
    mart = empty_mart()
    add_scores(
        mart, [(f"a{place}", number, 50 + place, "healthy" if place > 4 else "poor", 100) for place in range(10) for number in (0, 10, 45)]
    )
    add_outcomes(mart, [(f"a{place}", -50, "started_paying") for place in range(10)])
    add_outcomes(mart, [("a2", 30, "ended")])
    found, calibration, tiers = judged(mart, 30)
    # a2 scores lower than seven of the nine others. A third of the draws lack it.
    assert (found.leavers, found.account_days, found.skill.value, found.skill.low) == (1, 10, pytest.approx(7 / 9), None)
    assert (found.verdict, found.reason) == (TOO_FEW, "1 account left; 100 are needed to judge")
    assert found.lift.value == 0 and (found.below_green[30].value, found.below_green[60].value) == (1, None)
    assert [tier.leavers for tier in tiers] == [0, 0, 1]
    # Nobody healthy left, so no ratio can be told.
    assert tiers[2].ratio.value is None and tiers[2].is_separable is False
    assert {tenth.probability.value for tenth in calibration.tenths} == {None}


def test_lead_time_is_the_tier_so_many_days_before_leaving():
    mart = empty_mart()
    add_scores(
        mart, [("a", 0, 80, "healthy", 100), ("b", 0, 50, "at_risk", 100), ("c", 0, 50, "unknown", 100), ("a", 200, 80, "healthy", 300)]
    )
    add_outcomes(mart, [(account, -50, "started_paying") for account in "abcd"])
    add_outcomes(mart, [("a", 30, "ended"), ("b", 30, "ended"), ("c", 30, "ended"), ("d", 30, "ended")])
    prepare(mart)
    departures = read_departures(mart, V1)
    # c was unknown, d never scored.
    assert departures.below_green.tolist() == [[0, 1, -1], [-1, -1, -1], [-1, -1, -1]]


def test_red_must_leave_more_often_than_yellow():
    mart = empty_mart()
    # Of 100 yellow accounts 40 leave, of 100 red ones 44.
    rows = [(f"{tier}{place:03d}", number, 50, tier, 100) for tier in ("at_risk", "poor") for place in range(100) for number in (0, 45)]
    add_scores(mart, rows)
    add_outcomes(mart, [(account, -50, "started_paying") for account in {row[0] for row in rows}])
    add_outcomes(
        mart, [(f"at_risk{place:03d}", 20, "ended") for place in range(40)] + [(f"poor{place:03d}", 20, "ended") for place in range(44)]
    )
    _, _, tiers = judged(mart, 30)
    healthy, at_risk, poor = tiers
    assert healthy.rate.value is None and at_risk.is_separable is None
    assert poor.ratio.value == pytest.approx(1.1) and poor.ratio.low < 1
    assert (poor.is_separable, poor.reason) == (
        False,
        "poor accounts leave 1.10 times as often as at_risk ones; the interval does not exclude 1",
    )


@pytest.fixture(scope="module")
def company():
    return {"accounts": 500, "weeks": 60, "hazards": (0.014, 0.014)}


def test_a_signal_is_skill_and_its_probability_may_be_claimed(company):
    found, calibration, tiers = judged(world(signal=0.9, **company), 30)
    assert found.verdict == SKILL and 0.6 < found.skill.low < found.skill.value < found.skill.high < 0.85
    assert calibration.reason == "" and all(0.8 <= ratio <= 1.25 for ratio in calibration.expected_over_actual)
    chances = [tenth.probability.value for tenth in calibration.tenths]
    assert chances == sorted(chances, reverse=True) and chances[0] > 2 * calibration.base_rate
    assert tiers[1].is_separable and tiers[2].is_separable


def test_scores_dealt_anew_are_not_skill(company):
    mart = world(signal=0.9, **company)
    deal_scores_anew(mart)
    found, calibration, _ = judged(mart, 30)
    assert found.verdict == NO_SKILL and found.skill.low < 0.5 < found.skill.high
    assert (
        calibration.reason == "the score has not shown that it tells who leaves within 30 days (verdict no_skill)"
        and calibration.tenths[0].probability.value is None
    )


def test_tenure_alone_is_not_skill_though_the_pooled_figure_would_call_it_one(company):
    found, _, _ = judged(world(tenure=1.0, **company), 30)
    assert found.pooled.low > 0.6 and found.within_day.low > 0.6
    assert found.verdict == NO_SKILL


def test_a_base_rate_that_halves_refuses_the_probability(company):
    found, calibration, _ = judged(world(signal=0.9, **(company | {"accounts": 900, "hazards": (0.016, 0.008)})), 90)
    assert found.verdict == SKILL
    assert calibration.expected_over_actual[1] > 1.25 and "as many were expected to leave as did" in calibration.reason
    assert {tenth.probability.value for tenth in calibration.tenths} == {None}
