"""Published revisions: what was shown stays on record, once."""

import shutil
from datetime import timedelta

import pytest

from orchestration.publish import PublishError, rollback
from orchestration.publish.publishing import publish
from orchestration.settings import Settings

from .conftest import DAY_1, PUBLISHED_AT, change_warehouse, days_from, read_current, score_days

DAYS = days_from(DAY_1, 3)
REVISIONS = """
    select account_id, as_of_date, revision, health_score, tier, run_id, reason
    from published_revisions order by as_of_date, account_id, revision
"""


def of(settings: Settings, account: str, day) -> list[tuple]:
    query = "select revision, health_score, reason from published_revisions where account_id = {!r} and as_of_date = '{}' order by 1"
    return read_current(settings, query.format(account, day))


def test_every_score_is_on_record_once(settings, publish_days):
    done = publish_days("run-1", DAYS[:1])
    assert done.revisions == 3
    first = [
        ("a1", DAY_1, 1, 65.0, "at_risk", "run-1", "first published"),
        ("a2", DAY_1, 1, 45.0, "at_risk", "run-1", "first published"),
        ("a3", DAY_1, 1, 15.0, "poor", "run-1", "first published"),
    ]
    assert read_current(settings, REVISIONS) == first
    # The same result again adds nothing, not even by another run.
    assert publish_days("run-2", DAYS[:1]).revisions == 0
    assert read_current(settings, REVISIONS) == first
    [(at,)] = read_current(settings, "select distinct published_at from published_revisions")
    assert at == PUBLISHED_AT.replace(tzinfo=None)


def test_a_restated_score_adds_a_revision_with_its_reason(settings, publish_days):
    publish_days("run-1", DAYS)
    # A run of the third day re-scores the two before it.
    score_days(settings, "late", DAYS, shift=1.0, late_days=2)
    assert publish(settings, "late", PUBLISHED_AT).revisions == 9
    publish_days("again", DAYS[:1], shift=2.0)
    score_days(settings, "rules", DAYS[:1], shift=3.0, rules="others")
    publish(settings, "rules", PUBLISHED_AT)

    assert of(settings, "a1", DAYS[1]) == [(1, 65.0, "first published"), (2, 66.0, "late data")]
    assert of(settings, "a1", DAYS[2]) == [(1, 65.0, "first published"), (2, 66.0, "backfill")]
    assert of(settings, "a1", DAYS[0]) == [
        (1, 65.0, "first published"),
        (2, 66.0, "late data"),
        (3, 67.0, "backfill"),
        (4, 68.0, "configuration changed"),
    ]


def test_tiers_that_follow_earlier_days_and_overrides_are_revisions_too(settings, publish_days):
    publish_days("run-1", DAYS)
    score_days(settings, "run-2", DAYS[:1])
    # The third day was not scored again, but its tier follows from the first.
    change_warehouse(settings, f"insert into control.restated_days select unnest(cast({[str(day) for day in DAYS[1:]]} as date[]))")
    change_warehouse(settings, f"update marts.account_health_history set tier = 'poor' where account_id = 'a1' and as_of_date = '{DAYS[2]}'")
    change_warehouse(
        settings,
        f"update marts.account_health_history set tier = 'healthy', override_id = 'o1' where account_id = 'a2' and as_of_date = '{DAYS[1]}'",
    )
    assert publish(settings, "run-2", PUBLISHED_AT).revisions == 2
    assert of(settings, "a1", DAYS[2])[1:] == [(2, 65.0, "earlier days restated")]
    assert of(settings, "a2", DAYS[1])[1:] == [(2, 45.0, "override")]


def test_a_score_that_is_gone_is_withdrawn_once_and_may_return(settings, publish_days):
    publish_days("run-1", DAYS[:2])
    score_days(settings, "run-2", DAYS[:2], accounts="a1 a2")
    assert publish(settings, "run-2", PUBLISHED_AT).revisions == 2
    assert of(settings, "a3", DAY_1)[1:] == [(2, None, "withdrawn")]
    score_days(settings, "run-3", DAYS[:2], accounts="a1 a2")
    assert publish(settings, "run-3", PUBLISHED_AT).revisions == 0
    assert read_current(settings, "select count(*) from as_restated where account_id = 'a3'") == [(0,)]
    assert read_current(settings, "select count(*) from as_first_published where account_id = 'a3'") == [(2,)]
    publish_days("run-4", DAYS[:1])
    assert [row[:2] for row in of(settings, "a3", DAY_1)] == [(1, 15.0), (2, None), (3, 15.0)]


def test_a_day_that_became_empty_is_withdrawn(settings, publish_days):
    publish_days("run-1", DAYS[:2])
    score_days(settings, "run-2", DAYS[1:2], accounts="")
    assert publish(settings, "run-2", PUBLISHED_AT).revisions == 3
    assert of(settings, "a1", DAYS[1])[1:] == [(2, None, "withdrawn")]


def test_both_histories_can_be_shown(settings, publish_days):
    publish_days("run-1", DAYS)
    publish_days("run-2", DAYS[:1], shift=1.0)
    first = read_current(settings, "select health_score from as_first_published where account_id = 'a1' order by as_of_date")
    assert first == [(65.0,), (65.0,), (65.0,)]
    restated = read_current(settings, "select health_score, revision from as_restated where account_id = 'a1' order by as_of_date")
    assert restated == [(66.0, 2), (65.0, 1), (65.0, 1)]
    # What is restated last is what the mart holds.
    columns = "account_id, as_of_date, health_score, tier"
    assert read_current(settings, f"select {columns} from as_restated except select {columns} from account_health_history") == []


def test_the_log_outlives_warehouse_and_generations(settings, publish_days):
    publish_days("run-1", DAYS)
    kept = read_current(settings, REVISIONS)
    settings.warehouse.unlink()
    manifest = settings.published / "current" / "manifest.json"
    manifest.chmod(0o644)
    manifest.unlink()
    publish_days("rebuilt", DAYS)
    assert read_current(settings, REVISIONS) == kept
    publish_days("rebuilt", DAYS[:1], shift=1.0)
    assert [row for row in read_current(settings, REVISIONS) if row[2] == 1] == kept


def test_what_was_rolled_back_stays_on_record(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    publish_days("wrong", DAYS[:1], shift=-10.0)
    rollback(settings)
    assert len(read_current(settings, REVISIONS)) == 3
    publish_days("right", DAYS[:1])
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 65.0), (2, 55.0), (3, 65.0)]


def test_a_rollback_after_a_kill_records_what_readers_saw(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    publish_days("seen", DAYS[:1], shift=-10.0)
    # Killed between the flip and the log.
    (settings.revisions / "00000002.parquet").unlink()
    rollback(settings)
    publish_days("right", DAYS[:1])
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 65.0), (2, 55.0), (3, 65.0)]


def test_each_generation_has_the_log_as_parquet(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    publish_days("run-2", DAYS[:2], shift=1.0)
    done = publish_days("run-3", DAYS[:2], shift=1.0)
    files = f"'{done.path}/parquet/published_revisions/*/part.parquet'"
    assert read_current(settings, f"select count(*) from {files}") == read_current(settings, "select count(*) from published_revisions")
    shared = done.path / "parquet" / "published_revisions" / "generation=1" / "part.parquet"
    assert shared.stat().st_ino == (settings.revisions / "00000001.parquet").stat().st_ino


def test_a_damaged_log_stops_the_publishing_and_says_where_a_copy_is(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    log = settings.revisions / "00000001.parquet"
    log.unlink()
    log.write_bytes(b"no parquet at all")
    score_days(settings, "run-2", DAYS[:1], shift=1.0)
    with pytest.raises(PublishError, match="log of published revisions cannot be read"):
        publish(settings, "run-2", PUBLISHED_AT + timedelta(days=1))
    assert len(read_current(settings, REVISIONS)) == 3


def test_every_column_is_described(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    undescribed = read_current(
        settings,
        "select table_name, column_name from duckdb_columns() where comment is null "
        "and table_name in ('published_revisions', 'as_first_published', 'as_restated')",
    )
    assert undescribed == []


def test_the_log_goes_on_where_all_generations_are_lost(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    publish_days("run-2", DAYS[:1], shift=1.0)
    shutil.rmtree(settings.published)
    done = publish_days("run-3", DAYS[:2], shift=2.0)
    assert done.number == 3
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 65.0), (2, 66.0), (3, 67.0)]
    publish_days("run-4", DAYS[:2], shift=2.0)
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 65.0), (2, 66.0), (3, 67.0)]
