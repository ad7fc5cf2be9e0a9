"""Published revisions: what was shown stays on record, once."""

import json
import os
import random
import shutil
from datetime import timedelta

import pytest

from orchestration.publish import PublishError, revision_log, revisions, rollback
from orchestration.publish.publishing import publish
from orchestration.publish.revision_log import FOLDER, settle
from orchestration.settings import Settings
from tests.damage import flip_bit

from .conftest import DAY_1, PUBLISHED_AT, change_warehouse, days_from, read_current, score_days

DAYS = days_from(DAY_1, 3)
REVISIONS = """
    select account_id, as_of_date, revision, health_score, tier, run_id, reason
    from published_revisions order by as_of_date, account_id, revision
"""


def of(settings: Settings, account: str, day) -> list[tuple]:
    query = "select revision, health_score, reason from published_revisions where account_id = {!r} and as_of_date = '{}' order by 1"
    return read_current(settings, query.format(account, day))


def log_files(settings: Settings) -> list:
    return sorted(settings.revisions.iterdir())


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
    change_warehouse(
        settings, f"update marts.account_health_history set tier = 'poor' where account_id = 'a1' and as_of_date = '{DAYS[2]}'"
    )
    change_warehouse(
        settings,
        f"update marts.account_health_history set tier = 'healthy', override_id = 'o1' where account_id = 'a2' and as_of_date = "
        f"'{DAYS[1]}'",
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
    shutil.rmtree(settings.revisions)
    rollback(settings)
    publish_days("right", DAYS[:1])
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 65.0), (2, 55.0), (3, 65.0)]


def test_each_generation_has_a_copy_of_the_log_in_files_of_its_own(settings, publish_days):
    publish_days("run-1", DAYS[:1])
    publish_days("run-2", DAYS[:2], shift=1.0)
    done = publish_days("run-3", DAYS[:2], shift=1.0)
    copies = done.path / FOLDER
    assert read_current(settings, f"select count(*) from '{copies}/*.parquet'") == [(9,)]
    [logged], [copy] = list(settings.revisions.iterdir()), list(copies.iterdir())
    assert (logged.name, logged.read_bytes()) == (copy.name, copy.read_bytes())
    assert logged.stat().st_ino != copy.stat().st_ino


def test_the_log_is_one_file_until_that_is_large(settings, publish_days, monkeypatch):
    monkeypatch.setattr(revisions, "PART_ROWS", 5)
    for number in range(1, 5):
        publish_days(f"run-{number}", DAYS[:1], shift=float(number))
    # Three rows a run.
    assert [path.name[:17] for path in log_files(settings)] == ["00000001-00000002", "00000003-00000004"]
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 66.0), (2, 67.0), (3, 68.0), (4, 69.0)]
    assert read_current(settings, f"select count(*) from '{settings.published}/current/{FOLDER}/*.parquet'") == [(12,)]


def test_whatever_bit_of_the_log_flips_it_is_restored(settings, publish_days, caplog):
    publish_days("run-1", DAYS)
    kept, chosen = read_current(settings, REVISIONS), random.Random(7)
    [path] = log_files(settings)
    whole = path.read_bytes()
    for _ in range(40):
        flip_bit(path, chosen)
        caplog.clear()
        assert [settings.revisions / part.name for part in settle(settings)] == [path]
        assert path.read_bytes() == whole
        assert f"{path}: was lost, damaged" in caplog.text
    flip_bit(path, chosen)
    assert publish_days("run-2", DAYS).revisions == 0
    assert read_current(settings, REVISIONS) == kept


def test_a_lost_log_comes_back_from_the_generations(settings, publish_days, caplog):
    publish_days("run-1", DAYS[:1])
    publish_days("run-2", DAYS[:2], shift=1.0)
    kept = read_current(settings, REVISIONS)
    shutil.rmtree(settings.revisions)
    assert publish_days("run-3", DAYS[:2], shift=1.0).revisions == 0
    assert read_current(settings, REVISIONS) == kept
    assert "is restored from" in caplog.text


def test_a_copy_that_is_damaged_is_not_passed_on(settings, publish_days):
    first = publish_days("run-1", DAYS[:1]).path / FOLDER
    [copy] = first.iterdir()
    flip_bit(copy, random.Random(1))
    second = publish_days("run-2", DAYS[:1]).path / FOLDER
    assert (second / copy.name).read_bytes() == (settings.revisions / copy.name).read_bytes() != copy.read_bytes()


def test_without_a_whole_copy_nothing_is_published(settings, publish_days):
    done = publish_days("run-1", DAYS[:1])
    [log] = log_files(settings)
    for path in (log, done.path / FOLDER / log.name):
        flip_bit(path, random.Random(1))
    for remains in (True, False):
        if not remains:
            log.unlink()
            (done.path / FOLDER / log.name).unlink()
        score_days(settings, "run-2", DAYS[:1], shift=1.0)
        with pytest.raises(PublishError, match="no generation has a whole copy. Restore it from a backup") as error:
            publish(settings, "run-2", PUBLISHED_AT + timedelta(days=1))
        assert str(log) in str(error.value) and "\n" not in str(error.value)
    assert len(read_current(settings, REVISIONS)) == 3


def test_a_part_that_is_missing_in_between_is_noticed_without_any_generation(settings, publish_days, monkeypatch):
    monkeypatch.setattr(revisions, "PART_ROWS", 1)
    for number in range(1, 4):
        publish_days(f"run-{number}", DAYS[:1], shift=float(number))
    log_files(settings)[1].unlink()
    shutil.rmtree(settings.published)
    with pytest.raises(PublishError, match=r"00000002-00000002-.*lost or damaged"):
        publish_days("run-4", DAYS[:1])


def test_a_file_that_is_not_of_the_log_is_ignored_with_a_warning(settings, publish_days, caplog):
    publish_days("run-1", DAYS[:1])
    [log] = log_files(settings)
    strays = [settings.revisions / f"{log.stem} (copy).parquet", settings.revisions / "00000001 (copy).parquet"]
    for stray in strays:
        shutil.copy(log, stray)
    assert publish_days("run-2", DAYS[:1]).revisions == 0
    assert len(read_current(settings, REVISIONS)) == 3
    for stray in strays:
        assert f"{stray}: is not a file of the log" in caplog.text


def as_an_older_version(settings: Settings) -> None:
    """Lay the log and the current generation out as before: a file for each generation, the same in both."""
    current = (settings.published / "current").resolve()
    manifest = json.loads((current / "manifest.json").read_text())
    for part in log_files(settings):
        number = int(part.name[9:17])
        old = settings.revisions / f"{number:08d}.parquet"
        part.rename(old)
        entry = manifest["files"].pop(f"{FOLDER}/{part.name}")
        (current / FOLDER / part.name).unlink()
        copy = f"{FOLDER}/generation={number}/part.parquet"
        (current / copy).parent.mkdir()
        os.link(old, current / copy)
        manifest["files"][copy] = entry
    del manifest["sha256"]
    (current / "manifest.json").chmod(0o644)
    (current / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", ["none", "lost", "killed", "flipped"])
def test_the_log_of_an_older_version_is_taken_over(settings, publish_days, monkeypatch, damage):
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "PART_ROWS", 1)
        for number in range(1, 4):
            publish_days(f"run-{number}", DAYS[:1], shift=float(number))
    kept = read_current(settings, REVISIONS)
    as_an_older_version(settings)
    if damage == "lost":
        shutil.rmtree(settings.revisions)
    elif damage == "killed":
        monkeypatch.setattr(revision_log, "PART_ROWS", 1)
        with monkeypatch.context() as patch, pytest.raises(PublishError):
            places, genuine = iter(range(2)), revision_log._enter
            patch.setattr(revision_log, "_enter", lambda *given: (genuine(*given), next(places)))
            try:
                settle(settings)
            except StopIteration:
                raise PublishError("killed") from None
    elif damage == "flipped":
        flip_bit(settings.revisions / "00000002.parquet", random.Random(1))
        with pytest.raises(PublishError, match="00000002.parquet: this part of the log .* is lost or damaged"):
            publish_days("run-4", DAYS[:1], shift=3.0)
        return
    assert publish_days("run-4", DAYS[:1], shift=3.0).revisions == 0
    assert read_current(settings, REVISIONS) == kept
    assert not [path.name for path in log_files(settings) if len(path.stem) == 8]
    publish_days("run-5", DAYS[:1], shift=4.0)
    assert [row[:2] for row in of(settings, "a1", DAY_1)] == [(1, 66.0), (2, 67.0), (3, 68.0), (4, 69.0)]


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
