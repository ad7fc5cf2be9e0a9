"""Weights from outcomes: found where they hold on later days, refused where they do not."""

import shutil

import numpy as np
import pytest

from orchestration.scorecard import load_seeds
from orchestration.settings import PROJECT_ROOT
from orchestration.validate.points import NEVER, Points
from orchestration.validate.proposals import MetricScores, fit, propose, weighed
from orchestration.validate.propose import describe, write_candidate
from orchestration.validate.statistics import draw_accounts

HORIZON = 30
ACCOUNTS, WEEKS = 400, 40


def company(turns_at: int = WEEKS) -> tuple[Points, np.ndarray, MetricScores]:
    """Who leaves depends on `told` until a week, then on `other`; now they weigh one to nine, and `noise` nothing."""
    random = np.random.default_rng(4)
    day = np.repeat(7 * np.arange(WEEKS), ACCOUNTS)
    account = np.tile(np.arange(ACCOUNTS), WEEKS)
    scores = random.uniform(0, 100, (len(day), 3))
    deciding = np.where(day < 7 * turns_at, scores[:, 0], scores[:, 1])
    leaves = random.random(len(day)) < 0.25 * np.exp(-deciding / 25)
    nominal = np.tile([0.1, 0.9, 0.0], (len(day), 1))
    same = np.zeros(len(day), dtype=np.int64)
    points = Points(
        as_of=7 * WEEKS + HORIZON + 15, settled_days=15, accounts=ACCOUNTS, account=account, day=day, band=same, score=scores[:, 0],
        tier=same,
        tenth=same, segment=same - 1, segments=(), left=np.where(leaves, day + 1, NEVER), removed=np.full(len(day), NEVER),
    )  # fmt: skip
    return points, leaves, MetricScores(("told", "other", "noise"), scores, np.isfinite(scores), nominal)


def test_weights_share_what_has_a_score():
    # (80 - 50) x 2 and (20 - 50) x 1 of 3: 60. Without the first one 20, without any 50.
    scores = np.array([[80, 20], [np.nan, 20], [np.nan, np.nan]])
    assert weighed(scores, np.array([2.0, 1.0])).tolist() == [60, 20, 50]


def test_learned_weights_are_never_negative():
    random = np.random.default_rng(1)
    scores = random.uniform(0, 100, (4000, 2))
    # Low scores of the first metric leave, low scores of the second stay.
    found = fit(scores, random.random(4000) < 1 / (1 + np.exp((scores[:, 0] - scores[:, 1]) / 25)))
    assert found[0] > 0.5 and found[1] == 0


def test_weights_that_hold_on_later_days_are_proposed():
    points, leaves, found = company()
    rows = propose(points, leaves, found, draw_accounts(ACCOUNTS), HORIZON)
    later = [row for row in rows if row["metric_key"] == "all"]
    assert [row["period"] for row in later] == ["first later", "second later"]
    assert all(row["holds"] and row["reason"] is None for row in rows)
    assert all(row["gain_over_present_low"] > 0 and row["gain_over_equal_low"] > 0 for row in later)
    weights = {row["metric_key"]: (row["present_weight"], row["learned_weight"]) for row in rows if row["metric_key"] != "all"}
    assert weights["told"] == (pytest.approx(0.1), pytest.approx(1, abs=0.1)) and "noise" not in weights
    # The fit ends a horizon before the first later day.
    room = int(points.day.max()) - HORIZON
    assert later[0]["first_day"] > room // 2 + HORIZON


def test_weights_that_do_not_hold_out_of_time_are_refused():
    points, leaves, found = company(turns_at=WEEKS // 2)
    rows = propose(points, leaves, found, draw_accounts(ACCOUNTS), HORIZON)
    assert not any(row["holds"] for row in rows)
    assert rows[0]["reason"].startswith("the learned weights are not shown to beat present weights in the first later period")
    first, *_, last = describe(rows)
    assert first.startswith("first later period (") and "skill of present weights 0." in first and "learned weights 0." in first
    assert last.startswith("no proposal: the learned weights are not shown to beat")


def test_too_little_history_is_refused():
    points, leaves, found = company()
    early = points.day < 100
    few = MetricScores(found.metrics, found.scores[early], found.measured[early], found.nominal[early])
    [row] = propose(points.chosen(early), leaves[early], few, draw_accounts(ACCOUNTS), HORIZON)
    assert (row["holds"], row["reason"]) == (
        False,
        "98 days of complete Mondays are too few: 114 are needed to fit, wait 30 days and compare twice",
    )


def test_a_candidate_is_the_present_version_with_other_weights(tmp_path):
    folder = tmp_path / "seeds"
    shutil.copytree(PROJECT_ROOT / "seeds", folder)
    before = (folder / "scorecard_metrics.csv").read_bytes()
    learned = {"active_days_28d": 0.5, "license_utilization_28d": 0.3, "csat_180d": 0.2}
    assert write_candidate(folder, "2026.1", "2026.1-learned", "2026-06-29", learned)
    seeds = load_seeds(folder)
    [version] = [row for row in seeds["config_versions"] if row["config_version"] == "2026.1-learned"]
    assert (version["status"], str(version["valid_from"])) == ("candidate", "2026-06-29")
    card = ("2026.1-learned", "standard")
    weights = {
        row["metric_key"]: row["weight"] for row in seeds["scorecard_metrics"] if row.take(("config_version", "scorecard_key")) == card
    }
    assert (weights["active_days_28d"], weights["csat_180d"], weights["nps_180d"]) == (50, 20, 0)
    dimensions = {row["dimension_key"]: row["weight"] for row in seeds["scorecard_dimensions"] if row["config_version"] == "2026.1-learned"}
    assert dimensions == {"adoption": 80, "commercial": 0, "support": 20, "voice": 0, "outcomes": 0}
    assert (folder / "scorecard_metrics.csv").read_bytes().startswith(before)
    assert not write_candidate(folder, "2026.1", "2026.1-learned", "2026-06-29", learned)


def test_anchors_go_to_the_percentiles_of_the_population(tmp_path):
    folder = tmp_path / "seeds"
    shutil.copytree(PROJECT_ROOT / "seeds", folder)
    spread = {
        ("standard", "active_days_28d"): (4.0, 24.0),
        # Lower is better here, so the greater value stays the worst. All alike says nothing; bands have no anchors.
        ("standard", "days_since_last_activity"): (1.0, 12.5),
        ("standard", "overdue_ratio"): (0.0, 0.0),
        ("standard", "tickets_per_10_users_28d"): (0.0, 3.0),
    }
    assert write_candidate(folder, "2026.1", "wide", "2026-06-29", spread=spread)
    seeds = load_seeds(folder)

    def anchors(version, metric):
        key = (version, "standard", metric)
        [row] = [row for row in seeds["scorecard_metrics"] if row.take(("config_version", "scorecard_key", "metric_key")) == key]
        return row.take(("weight", "worst", "best"))

    assert anchors("wide", "active_days_28d") == (3.5, 4, 24)
    assert anchors("wide", "days_since_last_activity")[1:] == (12.5, 1)
    for metric in ("overdue_ratio", "tickets_per_10_users_28d", "csat_180d"):
        assert anchors("wide", metric) == anchors("2026.1", metric)
