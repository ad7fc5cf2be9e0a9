"""Publishing: what a generation holds, when it is refused, and what survives."""

import json
import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.publish import PublishError, current_generation, publishing, rollback, verify
from orchestration.publish.build import PublishRefused
from orchestration.publish.generations import FORMAT, list_generations, read_manifest
from orchestration.publish.publishing import publish
from orchestration.publish.tables import part_name
from orchestration.settings import PROJECT_ROOT, Settings, load_settings
from orchestration.validate.tables import TABLES as VALIDATION_TABLES
from orchestration.warehouse import WarehouseBusy

from .conftest import (
    DAY_1,
    HISTORIES,
    PUBLISHED_AT,
    change_warehouse,
    days_from,
    make_settings,
    read_current,
    score_days,
)

THREE_DAYS = days_from(DAY_1, 3)  # 30 and 31 January, 1 February: two months
HISTORY_QUERY = "select account_id, as_of_date, health_score from account_health_history order by 2, 1"


def inode(path: Path) -> int:
    return path.stat().st_ino


def metric_part(generation: Path, day) -> Path:
    return generation / "parquet" / "wide" / "account_scores" / part_name(day)


def leftovers(settings: Settings) -> list[str]:
    folders = [settings.published, settings.published / "generations"]
    return [entry.name for folder in folders if folder.exists() for entry in folder.iterdir() if entry.name[0] == "."]


def in_child(settings: Settings, code: str) -> subprocess.Popen:
    """Run code in a process of its own, with `settings` at hand."""
    config = str(settings.config_file)
    head = f"from orchestration.settings import load_settings\nsettings = load_settings({config!r})\n"
    command = [sys.executable, "-c", head + code]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_generation_holds_the_mart_as_database_and_parquet(settings, publish_days):
    done = publish_days("run-1", THREE_DAYS)

    assert (done.number, done.first_as_of_date, done.last_as_of_date) == (1, THREE_DAYS[0], THREE_DAYS[2])
    # 3 accounts x 3 days; 2 metrics of each.
    without_rows = (
        "wide.changes", "tier_changes", "account_actions", "segment_health", "parent_health",
        "candidate_scores_history", "metric_drift", "account_facts", "account_outcomes", "revenue_retention",
        "account_actions_history", "action_outcomes", "receivables", "account_contacts",
        *(table.name for table in VALIDATION_TABLES),
    )  # fmt: skip
    assert done.rows == dict.fromkeys(without_rows, 0) | {
        "account_health": 3,
        "accounts": 3,
        "calendar": 3,
        "account_health_history": 9,
        "wide.account_dimensions": 9,
        "wide.account_scores": 9,
        "scorecard": 1,
        "scorecard_tiers": 1,
        "metric_catalogue": 1,
        "data_freshness": 1,
        "quarantine_summary": 0,
        "published_revisions": 9,
    }
    assert read_current(settings, HISTORY_QUERY)[:3] == [
        ("a1", DAY_1, 65.0),
        ("a2", DAY_1, 45.0),
        ("a3", DAY_1, 15.0),
    ]
    assert read_current(settings, "select count(*) from health.account_health") == [(3,)]
    parquet = settings.published / "current" / "parquet"
    with duckdb.connect() as connection:
        counts = {
            name: connection.execute(f"select count(*), count(distinct as_of_date) from read_parquet('{parquet}/{name}')").fetchall()
            for name in (
                "account_health.parquet",
                "account_health_history/*/*.parquet",
                "wide/account_dimensions/*/*.parquet",
                "wide/account_scores/*/*.parquet",
            )
        }
    assert counts == {
        "account_health.parquet": [(3, 1)],
        "account_health_history/*/*.parquet": [(9, 3)],
        "wide/account_dimensions/*/*.parquet": [(9, 3)],
        "wide/account_scores/*/*.parquet": [(9, 3)],
    }
    manifest = json.loads((done.path / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["configuration_hash"]) == ("run-1", "c0ffee")
    assert manifest["published_at"] == "2026-03-01T06:00:00+00:00"
    files = {str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert leftovers(settings) == []


def test_an_enum_is_published_as_text(settings, publish_days):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", [DAY_1])
    change_warehouse(settings, "create type kind as enum ('a', 'b')")
    change_warehouse(
        settings, "create or replace table marts.quarantine_summary as select 'tickets' as raw_table, cast('a' as kind) as reason"
    )
    publish(settings, "run-2", PUBLISHED_AT)
    assert read_current(settings, "select distinct typeof(reason) from quarantine_summary") == [("VARCHAR",)]


def test_descriptions_go_along(settings, publish_days):
    publish_days("run-1", [DAY_1])
    query = "select comment from duckdb_{} where comment is not null and table_name = 'account_health_history'"
    assert read_current(settings, query.format("tables()")) == [("One row per account and day.",)]
    assert read_current(settings, query.format("columns()")) == [("Health of the account's use, 0 to 100.",)]


def test_files_are_read_only_and_in_the_oldest_storage_format(settings, publish_days):
    path = publish_days("run-1", [DAY_1]).path
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.rglob("*") if file.is_file()}
    assert modes == {0o444}
    assert [file.name for file in path.glob("health.duckdb*")] == ["health.duckdb"]
    # DuckDB's main header: checksum (8 bytes), "DUCK", version; 64 is what DuckDB 0.10 to 1.1 write and all 1.x read.
    assert (path / "health.duckdb").read_bytes()[8:20] == b"DUCK" + (64).to_bytes(8, "little")


def test_the_board_is_a_part_of_the_generation(settings, publish_days, board_page):
    first, second = publish_days("run-1", [DAY_1]), publish_days("run-2", days_from(DAY_1, 2))
    for done in (first, second):
        assert (done.path / board_page).read_text() == f"published at {PUBLISHED_AT}"
        assert board_page in read_manifest(settings, done.number).files
    rollback(settings)
    assert current_generation(settings) == first.number


def test_every_new_file_and_folder_is_on_disk_before_readers_see_it(settings, publish_days, synced, monkeypatch):
    on_disk = []
    genuine = publishing.flip
    monkeypatch.setattr(publishing, "flip", lambda *arguments: (on_disk.extend(synced), genuine(*arguments)))
    path = publish_days("run-1", [DAY_1]).path
    # What is provisional of today is beside the generations: an empty state before the first one.
    *of_generation, last = (entry for entry in on_disk if "generations" in entry.parts)
    parts = {str(Path(*entry.parts[entry.parts.index("generations") + 2 :])) for entry in of_generation}
    assert parts == {str(entry.relative_to(path)) for entry in path.rglob("*")} | {"."}
    assert last == path.parent


def test_the_link_is_relative_so_that_the_folder_can_move(settings, publish_days):
    publish_days("run-1", [DAY_1])
    assert os.readlink(settings.published / "current") == "generations/1"


def test_metric_history_is_limited_in_the_database_and_whole_in_parquet(tmp_path):
    settings = make_settings(tmp_path, metric_history_days=2)
    score_days(settings, "run-1", THREE_DAYS)
    path = publish(settings, "run-1", PUBLISHED_AT).path
    assert read_current(settings, "select distinct as_of_date from metric_scores_history order by 1") == [
        (THREE_DAYS[1],),
        (THREE_DAYS[2],),
    ]
    assert read_current(settings, "select count(distinct as_of_date) from account_health_history") == [(3,)]
    assert metric_part(path, DAY_1).exists()
    # Of the same shape, and all of it.
    from_parquet = f"metric_scores_history_in('{path}/parquet')"
    assert read_current(settings, f"describe from {from_parquet}") == read_current(settings, "describe metric_scores_history")
    assert read_current(settings, f"select count(*) from (from metric_scores_history except all from {from_parquet})") == [(0,)]
    assert read_current(settings, f"select as_of_date, count(*) from {from_parquet} group by 1 order by 1") == [
        (day, 6) for day in THREE_DAYS
    ]


def test_histories_lie_by_part_account_and_day_whatever_order_the_warehouse_has(settings):
    for day in reversed(THREE_DAYS):
        score_days(settings, "run-1", [day])
    change_warehouse(settings, "insert into control.restated_days select distinct as_of_date from marts.account_health_history")
    path = publish(settings, "run-1", PUBLISHED_AT).path
    parts = (THREE_DAYS[:2], THREE_DAYS[2:])
    rows = [(account, day) for days in parts for account in ("a1", "a2", "a3") for day in days]
    for table, parquet in (("account_health_history", "account_health_history"), ("wide.account_scores", "wide/account_scores")):
        assert read_current(settings, f"select account_id, as_of_date from {table}") == rows
        january = f"read_parquet('{path}/parquet/{parquet}/{part_name(DAY_1)}')"
        assert read_current(settings, f"select account_id, as_of_date from {january}") == rows[:6]


def test_parquet_is_written_long_where_that_is_asked_for(tmp_path):
    settings = make_settings(tmp_path)
    score_days(settings, "run-1", THREE_DAYS)
    publish(settings, "run-1", PUBLISHED_AT)
    with settings.config_file.open("a") as config:
        config.write('\n[exports]\nlong_parquet = ["metric_scores_history"]\n')
    settings = load_settings(settings.config_file)
    score_days(settings, "run-2", [THREE_DAYS[2]], previous_run="run-1")
    publish(settings, "run-2", PUBLISHED_AT)
    score_days(settings, "run-3", [THREE_DAYS[2]], shift=1.0, previous_run="run-2")
    # January of nine histories and of the long one.
    assert publish(settings, "run-3", PUBLISHED_AT).linked_files == 10
    long = f"read_parquet('{settings.published}/current/parquet/metric_scores_history/*/*.parquet', hive_partitioning = false)"
    assert read_current(settings, f"select * from {long} order by all") == read_current(settings, "from metric_scores_history order by all")
    verify(settings, 3)


def test_a_longer_metric_history_is_filled_up(tmp_path):
    settings = make_settings(tmp_path, metric_history_days=1)
    score_days(settings, "run-1", THREE_DAYS)
    publish(settings, "run-1", PUBLISHED_AT)
    settings = make_settings(tmp_path, metric_history_days=3)
    score_days(settings, "run-2", [])
    publish(settings, "run-2", PUBLISHED_AT)
    assert read_current(settings, "select as_of_date, count(*) from metric_scores_history group by 1 order by 1") == [
        (day, 6) for day in THREE_DAYS
    ]


def test_only_days_that_changed_are_written(settings, publish_days):
    first = publish_days("run-1", THREE_DAYS).path
    second = publish_days("run-2", [THREE_DAYS[2]], shift=1.0)

    # January of nine histories.
    assert (second.changed_days, second.linked_files) == (1, 9)
    assert inode(metric_part(first, THREE_DAYS[0])) == inode(metric_part(second.path, THREE_DAYS[0]))
    assert inode(metric_part(first, THREE_DAYS[2])) != inode(metric_part(second.path, THREE_DAYS[2]))
    assert read_current(settings, HISTORY_QUERY)[5:7] == [("a3", THREE_DAYS[1], 15.0), ("a1", THREE_DAYS[2], 66.0)]
    assert read_current(settings, "select sum(points) from metric_scores_history where account_id = 'a1'") == [
        # twice 20 - 5, once 21 - 5
        (46.0,)
    ]
    assert verify(settings, 1).generation == 1
    assert verify(settings, 2).generation == 2


def test_what_a_failed_run_changed_is_published_by_the_next_one(settings, publish_days):
    publish_days("run-1", THREE_DAYS)
    score_days(settings, "run-2", [DAY_1], status="running", shift=3.0)
    with pytest.raises(PublishRefused):
        publish(settings, "run-2", PUBLISHED_AT)
    path = publish_days("run-3", [THREE_DAYS[2]]).path

    assert read_current(settings, HISTORY_QUERY)[0] == ("a1", DAY_1, 68.0)
    # (20 + 0 - 30) + 3 x 3 - 3 x 5
    query = f"select sum(points) from metric_scores_history_in('{path}/parquet') where as_of_date = '{DAY_1}'"
    assert read_current(settings, query) == [(-16.0,)]


@pytest.mark.parametrize(("previous_run", "score"), [("run-1", 65.0), ("never published", 75.0), (None, 75.0)])
def test_what_was_published_is_read_again_only_where_another_run_lies_between(settings, publish_days, previous_run, score):
    publish_days("run-1", THREE_DAYS)
    # What the control tables do not say, as if it were of the run in between.
    score_days(settings, "another", [DAY_1], shift=10.0)
    score_days(settings, "run-2", [THREE_DAYS[2]], shift=1.0, previous_run=previous_run)
    done = publish(settings, "run-2", PUBLISHED_AT)
    assert read_current(settings, HISTORY_QUERY)[::6] == [("a1", DAY_1, score), ("a1", THREE_DAYS[2], 66.0)]
    assert done.changed_days == (1 if score == 65.0 else 2)
    verify(settings, done.number)


def test_a_database_that_lost_a_row_of_an_older_day_is_refused(settings, publish_days, monkeypatch):
    publish_days("run-1", THREE_DAYS)
    score_days(settings, "run-2", [THREE_DAYS[2]], previous_run="run-1")
    genuine = publishing.build_generation

    def lose_a_row(settings, connection, building, *rest):
        built = genuine(settings, connection, building, *rest)
        with duckdb.connect(str(building / "health.duckdb")) as database:
            # As many rows as before.
            database.execute(
                f"update account_health_history set as_of_date = '{THREE_DAYS[1]}' where account_id = 'a1' and as_of_date = '{DAY_1}'"
            )
        return built

    monkeypatch.setattr(publishing, "build_generation", lose_a_row)
    with pytest.raises(PublishRefused, match="account_health_history of 2026-01-30 differs from the warehouse's"):
        publish(settings, "run-2", PUBLISHED_AT)


@pytest.mark.parametrize(
    ("day", "name"), [(1, "from-01"), (8, "from-01"), (9, "from-09"), (16, "from-09"), (24, "from-17"), (25, "from-25"), (31, "from-25")]
)
def test_a_month_is_four_files(day, name):
    assert part_name(date(2026, 1, day)) == f"as_of_month=2026-01/{name}.parquet"


def test_a_day_that_left_the_warehouse_leaves_the_mart(settings, publish_days):
    publish_days("run-1", THREE_DAYS)
    score_days(settings, "run-2", [])
    for table in HISTORIES:
        change_warehouse(settings, f"delete from {table} where as_of_date = date '2026-01-30'")
    path = publish(settings, "run-2", PUBLISHED_AT).path
    query = "select min(as_of_date), count(*) from {}"
    assert read_current(settings, query.format("account_health_history")) == [(THREE_DAYS[1], 6)]
    assert read_current(settings, query.format("metric_scores_history")) == [(THREE_DAYS[1], 12)]
    january = path / "parquet" / "account_health_history" / "as_of_month=2026-01" / "from-25.parquet"
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from read_parquet('{january}')").fetchall() == [(3,)]
        assert connection.execute(f"select count(*) from read_parquet('{metric_part(path, DAY_1)}')").fetchall() == [(3,)]


def test_a_new_column_reaches_every_day(settings, publish_days):
    publish_days("run-1", THREE_DAYS)
    score_days(settings, "run-2", [THREE_DAYS[2]])
    change_warehouse(settings, "alter table intermediate.int_scoring__account_dimensions add column weight double default 0.25")
    change_warehouse(
        settings,
        "create or replace view marts.dimension_scores_history as "
        "select account_id, as_of_date, weight from warehouse.intermediate.int_scoring__account_dimensions",
    )
    done = publish(settings, "run-2", PUBLISHED_AT)
    assert read_current(settings, "select sum(weight) from dimension_scores_history") == [(2.25,)]
    assert read_current(settings, f"select sum(weight) from dimension_scores_history_in('{done.path}/parquet')") == [(2.25,)]


def test_an_empty_mart_can_be_published(settings, publish_days):
    done = publish_days("run-1", [])
    assert (done.first_as_of_date, done.rows["account_health_history"]) == (None, 0)
    assert read_current(settings, "select count(*) from metric_scores_history") == [(0,)]


def test_without_hard_links_files_are_copied(settings, publish_days, monkeypatch):
    publish_days("run-1", THREE_DAYS)

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    publish_days("run-2", [THREE_DAYS[2]])
    verify(settings, 2)
    assert read_current(settings, "select count(*) from metric_scores_history") == [(18,)]


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_run_that_did_not_pass_is_refused(settings, publish_days, status):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", THREE_DAYS, status=status)
    with pytest.raises(PublishRefused, match=f"run-2 is not published: control.run_state says '{status}'"):
        publish(settings, "run-2", PUBLISHED_AT)
    assert (current_generation(settings), list_generations(settings), leftovers(settings)) == (1, [1], [])


def test_another_runs_result_is_refused(settings):
    score_days(settings, "run-1", [DAY_1])
    with pytest.raises(PublishRefused, match="holds the result of run run-1"):
        publish(settings, "run-2", PUBLISHED_AT)


def test_no_warehouse_no_state_no_table(settings):
    with pytest.raises(PublishRefused, match="no such file: run the transform first"):
        publish(settings, "run-1", PUBLISHED_AT)
    score_days(settings, "run-1", [DAY_1])
    change_warehouse(settings, "drop table marts.scorecard")
    with pytest.raises(PublishRefused, match=r"marts\.scorecard is not in the warehouse"):
        publish(settings, "run-1", PUBLISHED_AT)
    change_warehouse(settings, "drop table control.run_state")
    with pytest.raises(PublishRefused, match="control.run_state is not in the warehouse"):
        publish(settings, "run-1", PUBLISHED_AT)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "insert into marts.account_health_history from marts.account_health_history where account_id = 'a2'",
            "2 rows for account 'a2' on 2026-01-30",
        ),
        # 0.06 is more than the rounding to one decimal can explain.
        (
            "update intermediate.int_scoring__account_scores set days_late_180d__score = 45.06 where account_id = 'a1'",
            "points of account 'a1' on 2026-01-30 sum to 65.06",
        ),
        ("delete from intermediate.int_scoring__account_scores", "points of account 'a1' on 2026-01-30 sum to 50"),
        (
            "update intermediate.int_scoring__account_scores set days_late_180d__score = 'nan' where account_id = 'a3'",
            "points of account 'a3'",
        ),
        ("update marts.account_health_history set health_score = null where account_id = 'a2'", "account 'a2'"),
        ("update marts.account_health_history set as_of_date = null where account_id = 'a2'", "without as_of_date"),
        ("insert into marts.metric_catalogue from marts.metric_catalogue", 'metric_catalogue: .*duplicate key "active_days_28d"'),
    ],
)
def test_the_audit_refuses_a_wrong_mart(settings, publish_days, statement, message):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", [DAY_1])
    change_warehouse(settings, statement)
    with pytest.raises(PublishRefused, match=message) as refusal:
        publish(settings, "run-2", PUBLISHED_AT)
    assert "\n" not in str(refusal.value)
    assert (current_generation(settings), list_generations(settings), leftovers(settings)) == (1, [1], [])


def test_rounding_alone_is_not_a_reason_to_refuse(settings):
    score_days(settings, "run-1", [DAY_1])
    change_warehouse(settings, "update intermediate.int_scoring__account_scores set days_late_180d__score = 45.05")
    assert publish(settings, "run-1", PUBLISHED_AT).number == 1


def test_rows_lost_on_the_way_are_noticed(settings, publish_days, monkeypatch):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", [DAY_1])
    genuine = publishing.build_generation

    def lose_a_row(settings, connection, building, *rest):
        built = genuine(settings, connection, building, *rest)
        with duckdb.connect(str(building / "health.duckdb")) as database:
            database.execute("delete from metric_catalogue")
        return built

    monkeypatch.setattr(publishing, "build_generation", lose_a_row)
    with pytest.raises(PublishRefused, match="metric_catalogue has 0 rows instead of 1"):
        publish(settings, "run-2", PUBLISHED_AT)
    assert current_generation(settings) == 1


def test_a_full_disk_leaves_everything_as_it_was(settings, publish_days, monkeypatch):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", [DAY_1])

    def full(*_):
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(PublishError, match="run run-2 is not published: .*No space left.*disk full") as error,
    ):
        patch.setattr(publishing, "seal", full)
        publish(settings, "run-2", PUBLISHED_AT)
    assert "\n" not in str(error.value)
    assert (current_generation(settings), list_generations(settings), leftovers(settings)) == (1, [1], [])
    assert publish(settings, "run-2", PUBLISHED_AT).number == 2


def test_a_damaged_part_of_the_current_generation_is_not_passed_on(settings, publish_days):
    first = publish_days("run-1", THREE_DAYS).path
    damaged = metric_part(first, DAY_1)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    database = first / "health.duckdb"
    database.chmod(0o644)
    with open(database, "r+b") as file:
        file.truncate(database.stat().st_size // 2)

    second = publish_days("run-2", [THREE_DAYS[2]]).path
    assert inode(metric_part(second, DAY_1)) != inode(damaged)
    verify(settings, 2)
    assert read_current(settings, "select count(*) from metric_scores_history") == [(18,)]
    with pytest.raises(PublishError, match="is not what was published"):
        verify(settings, 1)


def test_a_damaged_warehouse_is_never_published(settings, publish_days):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", days_from(DAY_1, 20))
    size = settings.warehouse.stat().st_size
    with open(settings.warehouse, "r+b") as file:
        # Behind the three headers; every block that holds a table is hit.
        for offset in range(3 * 4096 + 512, size, 4096):
            file.seek(offset)
            file.write(b"\xff" * 16)
    with pytest.raises(PublishError, match="run-2 is not published") as error:
        publish(settings, "run-2", PUBLISHED_AT)
    assert "rebuilds it from the lake" in str(error.value) and "\n" not in str(error.value)
    assert not settings.warehouse.exists()
    assert (current_generation(settings), leftovers(settings)) == (1, [])


def test_a_log_beside_the_warehouse_is_never_merged(settings):
    score_days(settings, "run-1", [DAY_1])
    settings.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"from another time")
    with pytest.raises(PublishRefused, match=r"a \.wal is left beside it, and \d+ MB are free"):
        publish(settings, "run-1", PUBLISHED_AT)


def test_a_writer_in_the_warehouse_is_waited_for_and_named(settings):
    score_days(settings, "run-1", [DAY_1])
    code = "import duckdb, sys\nconnection = duckdb.connect(str(settings.warehouse))\nprint('open', flush=True)\nsys.stdin.read()\n"
    child = in_child(settings, code)
    assert child.stdout.readline() == "open\n"
    try:
        with pytest.raises(WarehouseBusy, match=f"process {child.pid} has the file open"):
            publish(settings, "run-1", PUBLISHED_AT)
    finally:
        child.communicate()
    assert publish(settings, "run-1", PUBLISHED_AT).number == 1


READER = """
import duckdb, sys
path = str(settings.published / 'current' / 'health.duckdb')
query = "select max(health_score), count(*) from account_health_history"
reader = duckdb.connect(path, read_only=True)
for _ in sys.stdin:
    print(*reader.execute(query).fetchall()[0], flush=True)
reader.close()
print(*duckdb.connect(path, read_only=True).execute(query).fetchall()[0], flush=True)
"""


def test_a_reader_keeps_its_generation_and_a_reconnect_sees_the_new_one(tmp_path):
    settings = make_settings(tmp_path, keep_generations=1)
    score_days(settings, "run-1", [DAY_1])
    first = publish(settings, "run-1", PUBLISHED_AT)
    reader = in_child(settings, READER)

    def ask() -> str:
        reader.stdin.write("?\n")
        reader.stdin.flush()
        return reader.stdout.readline()

    assert ask() == "65.0 3\n"
    score_days(settings, "run-2", THREE_DAYS, shift=2.0)
    publish(settings, "run-2", PUBLISHED_AT)
    # Even though the reader's generation is removed by now.
    assert not first.path.exists()
    assert ask() == "65.0 3\n"
    answer, _ = reader.communicate()
    assert answer == "67.0 9\n"


KILLED = """
import os, signal
from datetime import UTC, datetime
from orchestration.publish import publishing

def dies(*arguments, genuine=publishing.{step}):
    if {after}:
        genuine(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

publishing.{step} = dies
# The small mart lacks the columns of a board.
publishing.write_board = lambda *arguments: []
publishing.publish(settings, "run-2", datetime(2026, 3, 1, tzinfo=UTC))
"""


@pytest.mark.parametrize(
    ("step", "after", "current"),
    [
        ("build_generation", True, 1),
        ("seal", True, 1),
        ("install", True, 1),
        ("flip", False, 1),
        ("flip", True, 2),
        ("prune", False, 2),
    ],
)
def test_a_kill_leaves_a_complete_generation_and_the_next_run_converges(settings, publish_days, step, after, current):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", THREE_DAYS, shift=2.0)
    child = in_child(settings, KILLED.format(step=step, after=after))
    child.communicate()
    assert child.returncode == -9

    assert current_generation(settings) == current
    verify(settings, current)
    expected = {1: (3, 65.0), 2: (9, 67.0)}[current]
    assert read_current(settings, "select count(*), max(health_score) from account_health_history") == [expected]

    done = publish(settings, "run-2", PUBLISHED_AT)
    assert done.number > current
    # Three scores restated, six new, whoever came to record them: none lost, none doubled.
    revisions = "select revision, count(*), count(distinct (account_id, as_of_date)) from {} group by 1 order by 1"
    assert read_current(settings, revisions.format("published_revisions")) == [(1, 9, 9), (2, 3, 3)]
    assert read_current(settings, revisions.format(f"'{settings.revisions}/*.parquet'")) == [(1, 9, 9), (2, 3, 3)]
    assert read_current(settings, "select count(*), max(health_score) from account_health_history") == [(9, 67.0)]
    verify(settings, done.number)
    assert leftovers(settings) == []


def test_the_last_generations_stay_and_the_current_one_always(tmp_path):
    settings = make_settings(tmp_path, keep_generations=2)
    for number in (1, 2, 3):
        score_days(settings, f"run-{number}", [DAY_1])
        publish(settings, f"run-{number}", PUBLISHED_AT)
    assert list_generations(settings) == [2, 3]
    assert rollback(settings) == 2
    settings = make_settings(tmp_path, keep_generations=1)
    publishing.prune(settings)
    assert (list_generations(settings), current_generation(settings)) == ([2, 3], 2)


def test_numbers_never_return(settings, publish_days):
    publish_days("run-1", [DAY_1])
    publish_days("run-2", [DAY_1])
    rollback(settings)
    assert publish_days("run-3", [DAY_1]).number == 3


def test_a_generation_of_a_newer_version_is_neither_read_nor_replaced(settings, publish_days):
    path = publish_days("run-1", [DAY_1]).path / "manifest.json"
    path.chmod(0o644)
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest | {"format": FORMAT + 1}))
    with pytest.raises(PublishError, match=f"format {FORMAT + 1} was written by a newer version; this one reads up to {FORMAT}"):
        read_manifest(settings, 1)
    score_days(settings, "run-2", [DAY_1])
    with pytest.raises(PublishError, match="Update this installation"):
        publish(settings, "run-2", PUBLISHED_AT)
    assert (current_generation(settings), list_generations(settings)) == (1, [1])


def test_a_lost_manifest_costs_only_the_shared_files(settings, publish_days):
    path = publish_days("run-1", THREE_DAYS).path / "manifest.json"
    path.unlink()
    done = publish_days("run-2", [THREE_DAYS[2]])
    # But for the published revisions, which have a log of their own.
    assert (done.number, done.linked_files) == (2, 1)
    verify(settings, 2)


@pytest.mark.parametrize("error", [ValueError("a script in another shape"), PublishError("a script in another shape")])
def test_what_is_wrong_with_pages_and_spreadsheets_does_not_withhold_the_mart(settings, publish_days, board_page, monkeypatch, error):
    def write_half(settings, building, number):
        (building / "exports").mkdir()
        (building / "exports" / "half.csv").touch()
        raise error

    monkeypatch.setattr(publishing, "write_exports", write_half)
    published = publish_days("run-1", [DAY_1])
    assert published.faults == ("exports/ is left out of this generation: a script in another shape",)
    assert current_generation(settings) == published.number
    assert (published.path / board_page).exists()
    assert not (published.path / "exports").exists()
    verify(settings, published.number)


def test_a_full_disk_under_the_exports_withholds_the_mart(settings, publish_days, monkeypatch):
    def fail(settings, building, number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "write_exports", fail)
    with pytest.raises(PublishError, match="No space left on device"):
        publish_days("run-1", [DAY_1])
    assert current_generation(settings) is None


def test_a_foreign_current_is_refused(settings):
    score_days(settings, "run-1", [DAY_1])
    (settings.published / "current").mkdir(parents=True)
    with pytest.raises(PublishError, match="no link to a generation"):
        publish(settings, "run-1", PUBLISHED_AT)
