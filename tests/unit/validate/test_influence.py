"""What a metric does to the score, worked out by hand: forty accounts, ten of each of four kinds, on one day."""

import numpy as np
import pytest

from orchestration.validate.influence import measure_influence
from orchestration.validate.points import RESTATED, Version, prepare, read_points
from orchestration.validate.proposals import read_metric_scores
from orchestration.validate.statistics import draw_accounts
from tests.unit.validate.mart import add_outcomes, add_scores, day, empty_mart

# Points of two metrics that weigh a half each: the scores are 65, 45, 55 and 35, their variance 125.
USE = (70, 30, 70, 30)
CARE = (60, 60, 40, 40)


@pytest.fixture(scope="module")
def influence() -> dict[str, dict]:
    mart = empty_mart()
    mart.execute(
        """
        insert into scorecard values
            ('all', 'adoption', 'use', 1, 2), ('all', 'adoption', 'care', 1, 2),
            ('all', 'voice', 'idle', 0, 1), ('all', 'voice', 'mirror', 0, 1);
        insert into scorecard_tiers values ('v1', 'all', 'threshold', 'poor', 0), ('v1', 'all', 'threshold', 'at_risk', 35.5);
        """
    )
    names = [f"a{number:02d}" for number in range(40)]
    add_scores(mart, [(name, 0, 50, "at_risk", 100) for name in names])
    rows = []
    for number, name in enumerate(names):
        kind = number % 4
        for metric, dimension, score, weight in (
            ("use", "adoption", USE[kind], 0.5),
            ("care", "adoption", CARE[kind], 0.5),
            # Three of four at the upper end; no account has points of it.
            ("idle", "voice", 100 if kind else 20, 0),
            ("mirror", "voice", 100 - USE[kind], 0),
        ):
            points = weight * (score - 50)
            rows.append((name, day(0), metric, dimension, score, "measured", score, weight, weight, points, "all", "v1"))
    mart.executemany(f"insert into metric_scores_history values ({', '.join('?' * 12)})", rows)
    mart.executemany("insert into account_health values (?, 'at_risk', 'v1')", [(name,) for name in names])
    prepare(mart)
    points = read_points(mart, Version("v1", True, RESTATED))
    found = measure_influence(mart, points, np.zeros(len(points.day), dtype=bool), draw_accounts(40), None, "v1")
    return {row["metric_key"]: row for row in found}


def test_shares_of_the_variance_sum_to_one(influence):
    # cov(use) = 10 x 10 = 100 of 125, cov(care) = 25 of 125.
    assert influence["use"]["variance_share"] == pytest.approx(0.8)
    assert influence["care"]["variance_share"] == pytest.approx(0.2)
    assert influence["idle"]["variance_share"] == pytest.approx(0)
    assert (influence["use"]["nominal_weight"], influence["use"]["effective_weight"]) == (0.5, 0.5)


def test_an_anchor_at_which_most_accounts_are_does_not_separate(influence):
    assert (influence["idle"]["share_at_100"], influence["idle"]["share_at_0"], influence["idle"]["separates"]) == (0.75, 0, False)
    assert influence["use"]["separates"] is True


def test_twins_go_up_or_down_together(influence):
    assert influence["use"]["twins"] == "mirror (-1.00)" and influence["mirror"]["twins"] == "use (-1.00)"
    assert influence["care"]["twins"] is None


def test_jittered_weights_move_accounts_near_a_limit(influence):
    # Ten accounts at 40 - 10 e, where e is the share of use: 35.5 is reached at e <= 5/11, so at w(use) <= 5/6 w(care).
    # Both are even between 0.8 and 1.2: that has the probability 0.15.
    assert influence["all"]["tier_changes"] == pytest.approx(1.5, abs=0.35)
    assert (influence["all"]["tier_changes_low"], influence["all"]["tier_changes_high"]) == (0, 10)


def test_a_metric_has_a_skill_of_its_own(tmp_path):
    mart = empty_mart()
    names = [f"a{number:02d}" for number in range(20)]
    add_scores(mart, [(name, number, 50, "at_risk", 100) for name in names for number in (0, 45)])
    add_outcomes(mart, [(name, -50, "started_paying") for name in names] + [(name, 9, "ended") for name in names[:5]])
    # The fifth leaver ties with one of the fifteen others; the rest are in order: 74.5 of 75 pairs.
    scores = [1, 2, 3, 4, 10, 10, *range(11, 25)]
    for number in (0, 45):
        rows = [(name, day(number), "use", "measured", score, "v1") for name, score in zip(names, scores, strict=True)]
        mart.executemany(
            "insert into metric_scores_history (account_id, as_of_date, metric_key, state, normalized_score, config_version) "
            "values (?, ?, ?, ?, ?, ?)",
            rows,
        )
    mart.execute(f"copy metric_scores_history to '{tmp_path / 'part.parquet'}' (format parquet)")
    mart.execute("create macro metric_scores_history_in(folder) as table from read_parquet(folder || '/part.parquet')")
    prepare(mart)
    points, leaves = read_points(mart, Version("v1", True, RESTATED)).labelled(30)
    scores = read_metric_scores(mart, tmp_path, points, "v1")
    [row] = measure_influence(mart, points, leaves, draw_accounts(20), scores, "v1")
    assert row["skill"] == pytest.approx(74.5 / 75)
