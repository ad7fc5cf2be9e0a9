"""The change ledger by numbers, by hand from docs/scoring.md, "Change ledger". Days are 2024-03-31 and, with k = 7, 2024-03-24."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

from tests.oracle.cards import Cap, CardMetric, Scorecard, Version
from tests.oracle.compare import oracle_history
from tests.oracle.ledger import NOTHING, Change, changes_of, exact_score, peers_on, score_changes
from tests.oracle.raw import Raw, clean
from tests.oracle.score import History
from tests.oracle.test_score import card, events, goals, metric, surveys, texts, world
from tests.oracle.worlds import build_world

BEFORE, D = date(2024, 3, 24), date(2024, 3, 31)

PULSE = metric("csm_pulse", "voice", worst=Fraction(1), best=Fraction(5))
CSAT = metric("csat_180d", "support", worst=Fraction(1), best=Fraction(5))
GOALS = metric("goal_attainment", "outcomes", worst=Fraction(0), best=Fraction(1))


def pulses(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `account,day,rating`."""
    return texts("pulse_id account_id rated_at rating", *(f"p{i},{line}" for i, line in enumerate(lines)))


def versions(*cards_of_each: tuple[Scorecard, ...]) -> list[Version]:
    """v1 from long ago and v2 from a day between the two."""
    starts = (date(2000, 1, 1), date(2024, 3, 28))
    return [
        Version(f"v{n}", starts[n - 1], "active", tuple(replace(one, config_version=f"v{n}") for one in cards))
        for n, cards in enumerate(cards_of_each, 1)
    ]


def change(raw: Raw, given: list[Version], account_id: str = "a") -> dict[str, Fraction]:
    """The 7-day change of an account: component, or the metric of a behaviour, -> points."""
    history = History(raw, given, BEFORE, D)
    rows = changes_of(history, history.scores[account_id, D], 7)
    assert all((row.account_id, row.as_of_date, row.k) == (account_id, D, 7) for row in rows)
    assert all((row.metric_key is not None) == (row.component == "behaviour") for row in rows)
    exact = exact_score(history.scores[account_id, D]) - exact_score(history.scores[account_id, BEFORE])
    assert sum(row.points for row in rows) == exact
    return {row.metric_key or row.component: row.points for row in rows}


def test_configuration_availability_behaviour_and_cap() -> None:
    raw = world(
        csm_pulses=pulses("a,2024-03-01,5", "a,2024-03-30,2"),  # 100, then 25
        survey_responses=surveys("-,csat,2,2024-03-01", "-,csat,4,2024-03-30"),  # 2: 25, then 3: 50
        account_goals=goals("g,2024-03-29,10,10,-"),  # nothing, then 100
    )
    first = card(PULSE, CSAT, GOALS, dimensions={"voice": "1", "support": "1", "outcomes": "2"})
    cap = Cap("sad", "csm_pulse", "<=", Fraction(2), Fraction(40))
    second = card(PULSE, CSAT, GOALS, dimensions={"voice": "3", "support": "1", "outcomes": "4"}, caps=(cap,))
    # S0 = 50 + 1/2 x 50 - 1/2 x 25 = 62.5; S1 = S2 = 50 + 3/4 x 50 - 1/4 x 25 = 81.25;
    # S3 = 50 - 3/8 x 25 + 1/8 x 0 + 1/2 x 50 = 65.625, capped at 40. M = pulse and csat, 3 to 1.
    assert change(raw, versions((first,), (second,))) == {
        "configuration": Fraction("18.75"),
        "csm_pulse": Fraction("-56.25"),  # 3/4 x (25 - 100)
        "csat_180d": Fraction("6.25"),  # 1/4 x (50 - 25)
        "availability": Fraction("34.375"),  # 65.625 - 81.25 + 50
        "cap": Fraction("-25.625"),
    }


# -- an account that moves to another scorecard

ON_RANK = card(replace(PULSE, method="percentile"), dimensions={"voice": "1"})
BY_LINE = replace(card(PULSE, dimensions={"voice": "1"}), scorecard_key="onboarding", priority=Fraction(2), stage="onboarding")


def three_accounts() -> Raw:
    """a leaves onboarding between the days; b's pulse rises from 2 to 4, a's is 4, c's 5."""
    return clean(
        {
            "accounts": texts("account_id account_name created_at", "a,A,2023-12-31", "b,B,2022-01-01", "c,C,2022-01-01"),
            "csm_pulses": pulses("a,2024-03-01,4", "b,2024-03-01,2", "c,2024-03-01,5", "b,2024-03-30,4"),
        }
    )


def test_a_newcomer_is_ranked_among_those_that_were_there() -> None:
    given = versions((ON_RANK, BY_LINE))
    # S0 = S1 = 75 by the line. S2: 4 among 2, 4, 5 = 50. S3: 4 among 4, 4, 5 = 100 x (0 + 1/2) / 2 = 25.
    assert change(three_accounts(), given, "a") == {"scorecard": -25, "csm_pulse": -25}
    # b was ranked without a: 2 among 2, 5 = 0; then 25.
    assert change(three_accounts(), given, "b") == {"csm_pulse": 25}
    assert change(three_accounts(), given, "c") == {}


def test_peers_go_by_the_key_of_the_earlier_day() -> None:
    history = History(three_accounts(), versions((ON_RANK, BY_LINE), (ON_RANK,)), BEFORE, D)
    facts = history.facts[BEFORE]
    assert peers_on(history, facts, "standard", "b") == ["b", "c"]
    assert peers_on(history, facts, "standard", "a") == ["a", "b", "c"]
    assert peers_on(history, facts, "onboarding", "a") == ["a"]


def test_a_scorecard_key_that_is_gone_makes_it_configuration() -> None:
    given = versions((ON_RANK, BY_LINE), (ON_RANK,))
    assert change(three_accounts(), given, "a") == {"configuration": -25, "csm_pulse": -25}


def test_the_earlier_key_under_the_new_version() -> None:
    """A rank instead of a line for onboarding: of a's like there is one, so 50."""
    ranked = replace(BY_LINE, metrics=ON_RANK.metrics)
    by_line = replace(ON_RANK, metrics=BY_LINE.metrics)
    # S0 = 75 by the line; S1 = 50, alone; S2 = 75 and S3 = 75 by standard's line.
    assert change(three_accounts(), versions((ON_RANK, BY_LINE), (by_line, ranked)), "a") == {
        "configuration": -25,
        "scorecard": 25,
    }


# -- what counts for M


def two_metrics(second: CardMetric, **tables: list[dict[str, str | None]]) -> dict[str, Fraction]:
    """The change of a pulse from 3 to 5 beside a second metric of the same weight."""
    raw = world(csm_pulses=pulses("a,2024-03-01,3", "a,2024-03-30,5"), **tables)
    return change(raw, versions((card(PULSE, second, dimensions={"voice": "1", "support": "1"}),)))


def test_metrics_without_weight_have_no_rows() -> None:
    answers = surveys("-,csat,1,2024-03-01", "-,csat,5,2024-03-30")
    assert two_metrics(replace(CSAT, weight=Fraction(0)), survey_responses=answers) == {"csm_pulse": 50}
    raw = world(csm_pulses=pulses("a,2024-03-01,3", "a,2024-03-30,5"), survey_responses=answers)
    given = card(PULSE, CSAT, dimensions={"voice": "1", "support": "0"})
    assert change(raw, versions((given,))) == {"csm_pulse": 50}


def test_a_score_by_policy_is_a_score() -> None:
    answers = surveys("-,csat,5,2024-03-30")
    # Excluded: S2 = 50, S3 = 100, all of M is the pulse: 50. Nothing is left for availability.
    assert two_metrics(CSAT, survey_responses=answers) == {"csm_pulse": 50}
    # Worst: 0, then 100; each metric has half.
    assert two_metrics(replace(CSAT, missing_policy="worst"), survey_responses=answers) == {
        "csm_pulse": 25,
        "csat_180d": 50,
    }
    assert two_metrics(replace(CSAT, missing_policy="neutral"), survey_responses=answers) == {
        "csm_pulse": 25,
        "csat_180d": 25,
    }


def test_nothing_in_common() -> None:
    """The pulse goes stale, a goal comes: all of it is availability."""
    raw = world(csm_pulses=pulses("a,2023-12-28,5"), account_goals=goals("g,2024-03-29,10,0,-"))
    given = card(PULSE, GOALS, dimensions={"voice": "1", "outcomes": "1"})
    assert change(raw, versions((given,))) == {"availability": -100}


def test_what_becomes_known_takes_weight_from_everything() -> None:
    """Pulse 100, csat 0 and, in the end, nps 100; voice weighs 2, support 1: base weights of 1 each."""
    nps = metric("nps_180d", "voice", worst=Fraction(-100), best=Fraction(100))
    given = versions((card(PULSE, nps, CSAT, dimensions={"voice": "2", "support": "1"}),))
    raw = world(
        csm_pulses=pulses("a,2024-03-01,5"),
        survey_responses=surveys("-,csat,1,2024-03-01", "-,nps,10,2024-03-30"),
    )
    # From 50 + 1/2 x 50 - 1/2 x 50 to 50 + 1/3 x 50 + 1/3 x 50 - 1/3 x 50.
    assert change(raw, given) == {"availability": Fraction(50, 3)}


def test_a_late_feed_is_availability_alone() -> None:
    """Used on 03-24 and, by b, up to 03-28, three days before d: 100 by use, 50 by the pulse; then it alone."""
    usage = metric(worst=Fraction(0), best=Fraction(1))
    given = versions((card(usage, PULSE, dimensions={"adoption": "3", "voice": "1"}),))
    raw = world(csm_pulses=pulses("a,2024-03-01,3", "a,2024-03-30,4"), usage_events=events("a,u,2024-03-24", "b,u,2024-03-28"))
    # S2 = 50 + 3/4 x 50; S3 = 75, of which 25 are the pulse's, alone on both days.
    assert change(raw, given) == {"csm_pulse": 25, "availability": Fraction("-37.5")}


def test_a_change_needs_the_very_day() -> None:
    raw = world(csm_pulses=pulses("a,2024-03-01,3", "a,2024-03-30,5"))
    given = versions((card(PULSE, dimensions={"voice": "1"}),))
    assert score_changes(History(raw, given, date(2024, 3, 25), D)) == []
    assert score_changes(History(raw, given, date(2024, 3, 3), D)) == [
        Change("a", date(2024, 3, 30), 7, "behaviour", "csm_pulse", Fraction(50)),
        Change("a", D, 7, "behaviour", "csm_pulse", Fraction(50)),
        Change("a", D, 28, "behaviour", "csm_pulse", Fraction(50)),
    ]


def test_rows_sum_to_the_change_in_a_world(tmp_path: Path) -> None:
    made = build_world(tmp_path, 4)
    history = oracle_history(made.config_file, made.first_day, made.first_day.replace(day=1, month=4))
    total: dict[tuple[str, date, int], Fraction] = {}
    for row in score_changes(history):
        key = (row.account_id, row.as_of_date, row.k)
        total[key] = total.get(key, Fraction(0)) + row.points
        assert abs(row.points) >= NOTHING
        now = history.scores[row.account_id, row.as_of_date]
        then = history.scores[row.account_id, date.fromordinal(row.as_of_date.toordinal() - row.k)]
        if now.config_version == then.config_version:
            assert row.component != "configuration"
            assert row.component != "scorecard" or now.scorecard_key != then.scorecard_key
    assert {k for _, _, k in total} == {7, 28}
    for (account_id, d, k), points in total.items():
        earlier = history.scores[account_id, date.fromordinal(d.toordinal() - k)]
        exact = exact_score(history.scores[account_id, d]) - exact_score(earlier)
        assert abs(points - exact) < Fraction(1, 10**8)
