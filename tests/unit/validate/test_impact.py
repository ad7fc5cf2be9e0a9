"""What a version changes: four accounts, worked out by hand."""

import pytest

from orchestration.validate.impact import ImpactError, compare
from tests.unit.validate.mart import day, empty_mart

# account, arr, segment, score and tier before, score and tier after, cap after: one moved by each cause, one stays.
ACCOUNTS = [
    ("limit", 400, "smb", 62.0, 62.0, "at_risk", 62.0, 62.0, "healthy"),
    ("capped", 300, "smb", 80.0, 80.0, "healthy", 60.0, 80.0, "at_risk"),
    ("weights", 200, None, 35.0, 35.0, "poor", 45.0, 45.0, "at_risk"),
    ("same", 100, "smb", 50.0, 50.0, "at_risk", 51.0, 51.0, "at_risk"),
]


@pytest.fixture
def mart():
    connection = empty_mart()
    connection.execute(
        """
        alter table account_health_history add column uncapped_score double;
        alter table account_health_history add column raw_tier varchar;
        alter table account_health_history add column cap_key varchar;
        alter table account_health_history add column arr double;
        alter table candidate_scores_history add column uncapped_score double;
        alter table candidate_scores_history add column cap_key varchar;
        alter table account_health add column account_name varchar;
        create table score_validation (
            config_version varchar, history varchar, scope varchar, period varchar, horizon_days integer,
            skill double, skill_low double, skill_high double, verdict varchar
        );
        insert into score_validation values ('v1', 'as_restated', 'all', 'all', 90, 0.61, 0.55, 0.67, 'skill');
        """
    )
    for name, arr, segment, score, uncapped, tier, score_after, uncapped_after, tier_after in ACCOUNTS:
        for number in (0, 30):
            connection.execute(
                "insert into account_health_history "
                "(account_id, as_of_date, health_score, config_version, segment, uncapped_score, raw_tier, arr) "
                "values (?, ?, ?, 'v1', ?, ?, ?, ?)",
                [name, day(number), score, segment, uncapped, tier, arr],
            )
            connection.execute(
                "insert into candidate_scores_history "
                "(account_id, as_of_date, config_version, health_score, raw_tier, uncapped_score) values (?, ?, 'v2', ?, ?, ?)",
                [name, day(number), score_after, tier_after, uncapped_after],
            )
        connection.execute("insert into account_health (account_id, account_name) values (?, ?)", [name, f"<b>{name}|"])
    return connection


def test_who_changes_tier_and_by_what(mart):
    report, changed = compare(mart, "v1", "v2", 90)
    assert [(row["account_id"], row["component"]) for row in changed] == [
        ("limit", "tier limits"), ("capped", "caps"), ("weights", "weights and anchors"),
    ]  # fmt: skip
    assert "3 of 4 accounts change tier, with 900 of 1,000 arr. Over the last 28 days: 3 accounts on 3 account days (days: 1)." in report
    assert "| at_risk | 1 (400) | 1 (100) |  |  |" in report and "| healthy |  | 1 (300) |  |  |" in report
    assert "| `<b>limit¦` | 400 | at_risk to healthy | 62.0 to 62.0 | tier limits |" in report
    # smb: 0, -20 and +1 over three accounts.
    assert "| `smb` | 3 | -6.3 | 2 |" in report and "| no segment | 1 | +10.0 | 1 |" in report
    assert "| before | 0.61 (0.55 to 0.67) | skill |" in report and "| after | not known: run make validate |  |" in report


def test_versions_that_scored_no_day_together(mart):
    with pytest.raises(ImpactError, match="version 'v3' scored no day. Versions that did: v1, v2"):
        compare(mart, "v1", "v3", 90)
    mart.execute("update candidate_scores_history set as_of_date = as_of_date + 1")
    with pytest.raises(ImpactError, match="scored no day together"):
        compare(mart, "v1", "v2", 90)
