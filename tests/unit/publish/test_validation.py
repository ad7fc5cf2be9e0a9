"""A validation in the published mart: the next generation, carried over by every run, and what it may stop."""

from datetime import timedelta

import duckdb
import pytest

from orchestration.publish import PublishError, rollback, verify
from orchestration.publish.build import PublishRefused
from orchestration.publish.generations import generation_path, read_manifest
from orchestration.publish.publishing import publish, publish_validation

from .conftest import DAY_1, PUBLISHED_AT, days_from, read_current, score_days

THREE_DAYS = days_from(DAY_1, 3)
VERDICT = (
    "select config_version, skill, skill_low, score_validation.leavers, verdict, tier "
    "from score_validation left join tier_validation using (config_version)"
)
LATER = PUBLISHED_AT + timedelta(hours=1)


def rows(skill: float = 0.61) -> dict[str, list[dict]]:
    version = {"as_of_date": THREE_DAYS[2], "config_version": "v1", "status": "active", "history": "as_first_published", "horizon_days": 90}
    whole = {"scope": "all", "period": "all", "accounts": 500, "leavers": 120, "verdict": "skill", "reason": "for the test"}
    return {
        "score_validation": [version | whole | {"skill": skill, "skill_low": skill - 0.05, "skill_high": skill + 0.05}],
        "tier_validation": [version | {"tier": "poor", "leavers": 3}],
    }


def test_a_validation_is_the_next_generation_and_shares_the_rest(settings, publish_days, board_page):
    publish_days("run-1", THREE_DAYS)
    assert publish_validation(settings, rows(), LATER) == 2
    verify(settings, 2)
    assert read_current(settings, VERDICT) == [("v1", 0.61, pytest.approx(0.56), 120, "skill", "poor")]
    assert read_current(settings, "select count(*) from account_health_history") == [(9,)]
    [(comment,)] = read_current(settings, "select comment from duckdb_tables() where table_name = 'score_validation'")
    assert comment.startswith("How far a version's scores told who leaves")
    before, after = (generation_path(settings, number) for number in (1, 2))
    history = next((before / "parquet" / "account_health_history").rglob("*.parquet")).relative_to(before)
    assert (before / history).stat().st_ino == (after / history).stat().st_ino
    assert (after / board_page).read_text() == f"published at {LATER}"
    with duckdb.connect() as connection:
        file = after / "parquet" / "score_validation.parquet"
        assert connection.execute(f"select skill from '{file}'").fetchall() == [(0.61,)]
    manifest = read_manifest(settings, 2)
    assert (manifest.run_id, manifest.previous, manifest.rows["score_validation"], manifest.rows["calibration"]) == ("run-1", 1, 1, 0)
    # The generation before is as it was, and can be gone back to.
    assert rollback(settings) == 1
    assert read_current(settings, "select count(*) from score_validation") == [(0,)]


@pytest.mark.parametrize("days", [days_from(DAY_1 + timedelta(days=2), 2), THREE_DAYS], ids=["copied", "written anew"])
def test_a_run_carries_the_validation_over(settings, publish_days, days):
    publish_days("run-1", THREE_DAYS)
    publish_validation(settings, rows(), LATER)
    publish_days("run-2", days, shift=1.0)
    verify(settings, 3)
    assert read_current(settings, VERDICT) == [("v1", 0.61, pytest.approx(0.56), 120, "skill", "poor")]
    assert read_manifest(settings, 3).rows["score_validation"] == 1


def test_a_validation_of_another_shape_or_of_a_damaged_file_is_left_out(settings, publish_days, caplog):
    publish_days("run-1", THREE_DAYS)
    publish_validation(settings, rows(), LATER)
    database = generation_path(settings, 2) / "health.duckdb"
    database.chmod(0o644)
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(content)
    with pytest.raises(PublishError, match="is not what was published"):
        publish_validation(settings, rows(), LATER)
    publish_days("run-2", THREE_DAYS)
    assert read_current(settings, "select count(*) from score_validation") == [(0,)]
    assert "the validation in it is left out until the next one" in caplog.text


def test_nothing_published_is_said(settings):
    with pytest.raises(PublishError, match="nothing is published yet. Run the pipeline first"):
        publish_validation(settings, rows(), LATER)


@pytest.mark.parametrize(("on_low_skill", "skill", "refused"), [("stop", 0.59, True), ("stop", 0.6, False), ("error", 0.59, False)])
def test_low_skill_stops_publishing_only_where_asked(settings, publish_days, on_low_skill, skill, refused):
    publish_days("run-1", THREE_DAYS)
    publish_validation(settings, rows(skill), LATER)
    asked = settings.validation.model_copy(update={"min_skill": 0.6, "on_low_skill": on_low_skill})
    settings = settings.model_copy(update={"validation": asked})
    score_days(settings, "run-2", THREE_DAYS)
    if not refused:
        assert publish(settings, "run-2", LATER).number == 3
        return
    with pytest.raises(PublishRefused, match="min_skill asks for 0.6; v1, 90 days: skill 0.59 .*make validate"):
        publish(settings, "run-2", LATER)
