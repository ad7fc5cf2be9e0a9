"""The copy in Postgres: the same rows, one transaction, the rights of readers, and what happens when it cannot be made."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestration.cli import main
from orchestration.publish.postgres import COPIED_TABLES, CopyFailed, copy_to_postgres, preflight_postgres
from orchestration.publish.publishing import publish
from orchestration.settings import Settings, SettingsError, load_settings
from tests.forked import run as run_module
from tests.pages import blocks

from .conftest import DAY_1, PUBLISHED_AT, change_warehouse, days_from, make_settings, read_current, score_days

SCORES = "select account_id, health_score from health.account_health order by 1"
UNREACHABLE = "postgresql://writer:geheim@127.0.0.1:1/mart"


@pytest.fixture
def address(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of an own database."""
    root = postgres_url.replace("+psycopg", "")
    with psycopg.connect(root, autocommit=True) as connection:
        connection.execute("drop database if exists mart")
        connection.execute("create database mart")
    own = postgres_url.replace("/postgres?", "/mart?")
    assert own != postgres_url
    monkeypatch.setenv("MART_URL", own)
    yield own
    with psycopg.connect(root, autocommit=True) as connection:
        connection.execute("drop database mart with (force)")


@pytest.fixture
def target(tmp_path: Path) -> Settings:
    return with_postgres(tmp_path)


def with_postgres(folder: Path, more: str = "") -> Settings:
    settings = make_settings(folder)
    (folder / "accounts.csv").write_text("account_id,account_name,created_at\n")
    with open(settings.config_file, "a", encoding="utf-8") as file:
        file.write(f'[exports.postgres]\nurl = {{ env = "MART_URL" }}\n{more}')
    return load_settings(settings.config_file)


def ask(address: str, query: str | sql.Composed) -> list[tuple]:
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def run(settings: Settings, run_id: str, days: list = [DAY_1], **how: object) -> None:  # noqa: B006
    score_days(settings, run_id, days, **how)
    publish(settings, run_id, PUBLISHED_AT)


def assert_equal_to_mart(settings: Settings, address: str) -> None:
    for name in COPIED_TABLES:
        columns = [column for (column,) in read_current(settings, f"select column_name from (describe {name})")]
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        copied = ask(address, sql.SQL("select {} from health.{}").format(listed, sql.Identifier(name)))
        assert sorted(copied, key=repr) == sorted(read_current(settings, f"from {name}"), key=repr), name


def test_every_table_has_the_same_rows_and_types(target, address):
    run(target, "run-1", days_from(DAY_1, 3))
    copied = copy_to_postgres(target)
    assert_equal_to_mart(target, address)
    # 3 accounts, 3 days, 2 metrics.
    assert (copied.generation, copied.rows["account_health"], copied.rows["metric_scores_history"]) == (1, 3, 18)
    assert copied.rows.keys() == set(COPIED_TABLES)
    types = dict(ask(address, "select column_name, data_type from information_schema.columns where table_name = 'account_health'"))
    assert {name: types[name] for name in ("account_id", "as_of_date", "health_score", "seats", "days_in_tier")} == {
        "account_id": "text",
        "as_of_date": "date",
        "health_score": "double precision",
        "seats": "bigint",
        "days_in_tier": "integer",
    }
    assert ask(address, "select generation, run_id, published_at::text, last_as_of_date::text from health.published_generation") == [
        (1, "run-1", "2026-03-01 06:00:00", "2026-02-01")
    ]
    assert ask(address, "select obj_description('health.account_health_history'::regclass)") == [("One row per account and day.",)]
    assert ask(address, "select col_description('health.account_health_history'::regclass, 3)") == [
        ("Health of the account's use, 0 to 100.",)
    ]
    indexes = ask(address, "select indexdef from pg_indexes where tablename = 'metric_scores_history'")
    assert len(indexes) == 1 and indexes[0][0].endswith("(account_id, as_of_date)")


def test_a_rollback_brings_the_copy_along(target, address, monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_CONFIG", str(target.config_file))
    run(target, "run-1")
    run(target, "run-2", shift=-5.0)
    copy_to_postgres(target)
    assert main(["rollback"]) == 0
    assert_equal_to_mart(target, address)
    assert ask(address, "select generation from health.published_generation") == [(1,)]
    # The mart goes back whether or not the copy can.
    monkeypatch.setenv("MART_URL", UNREACHABLE)
    assert main(["rollback", "--to", "2"]) == 0
    said = capsys.readouterr()
    assert "generation 2 is current" in said.out and "exports.postgres: the database says" in said.err and "geheim" not in said.err


def test_only_days_that_changed_are_written_again(target, address):
    first, second, third = days_from(DAY_1, 3)
    run(target, "run-1", [first, second, third])
    copy_to_postgres(target)
    query = "select distinct as_of_date, xmin::text from health.metric_scores_history order by 1"
    before = dict(ask(address, query))
    run(target, "run-2", [second], shift=1.0)
    copy_to_postgres(target)
    after = dict(ask(address, query))
    assert [day for day in before if before[day] != after[day]] == [second]
    assert_equal_to_mart(target, address)

    # A day that is no longer published goes.
    change_warehouse(target, f"delete from marts.account_health_history where as_of_date = date '{first}'")
    change_warehouse(target, f"delete from intermediate.int_scoring__account_scores where as_of_date = date '{first}'")
    run(target, "run-3", [third])
    copy_to_postgres(target)
    assert ask(address, "select min(as_of_date) from health.account_health_history") == [(second,)]
    assert_equal_to_mart(target, address)


def test_a_copy_that_fails_half_way_leaves_the_old_one(target, address):
    run(target, "run-1")
    copy_to_postgres(target)
    # data_freshness comes late; 7 rows are loaded.
    ask(address, "alter table health.data_freshness add constraint refused check (row_count > 7) not valid")
    run(target, "run-2", shift=1.0)
    with pytest.raises(CopyFailed, match='violates check constraint "refused".*The copy is as it was before'):
        copy_to_postgres(target)
    assert ask(address, SCORES) == [("a1", 65.0), ("a2", 45.0), ("a3", 15.0)]
    assert ask(address, "select generation from health.published_generation") == [(1,)]
    ask(address, "alter table health.data_freshness drop constraint refused")
    copy_to_postgres(target)
    assert_equal_to_mart(target, address)


def test_a_reader_keeps_what_it_began_to_read(target, address):
    run(target, "run-1")
    copy_to_postgres(target)
    run(target, "run-2", shift=1.0)
    with psycopg.connect(address.replace("+psycopg", "")) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # Holds a lock on one table, and has yet to look at another.
        assert reader.execute("select generation from health.published_generation").fetchall() == [(1,)]
        copy_to_postgres(target)
        assert reader.execute(SCORES).fetchall() == [("a1", 65.0), ("a2", 45.0), ("a3", 15.0)]
        reader.commit()
        assert reader.execute(SCORES).fetchall() == [("a1", 66.0), ("a2", 46.0), ("a3", 16.0)]


def test_columns_change_and_grants_and_views_stay(target, address):
    run(target, "run-1", days_from(DAY_1, 2))
    copy_to_postgres(target)
    ask(address, "drop role if exists bi")
    ask(address, "create role bi login")
    ask(address, "grant usage on schema health to bi")
    ask(address, "grant select on health.scorecard, health.dimension_scores_history to bi")
    ask(address, "create view public.cards as select scorecard_key from health.scorecard")
    change_warehouse(target, "alter table marts.scorecard alter weight type integer using 85")
    change_warehouse(target, "alter table marts.scorecard add column is_new boolean default true")
    score_days(target, "run-2", [DAY_1], shift=1.0)
    change_warehouse(target, "alter table intermediate.int_scoring__account_dimensions add column label varchar default 'Use'")
    change_warehouse(
        target,
        "create or replace view marts.dimension_scores_history as "
        "select account_id, as_of_date, adoption as points, label from warehouse.intermediate.int_scoring__account_dimensions",
    )
    publish(target, "run-2", PUBLISHED_AT)
    copy_to_postgres(target)
    assert_equal_to_mart(target, address)
    reader = address.replace("postgres:@", "bi:@")
    assert ask(reader, "select scorecard_key, weight, is_new from health.scorecard") == [("standard", 85, True)]
    assert ask(reader, "select count(*), min(label) from health.dimension_scores_history") == [(6, "Use")]
    assert ask(address, "select * from public.cards") == [("standard",)]
    ask(address, "drop owned by bi")
    ask(address, "drop role bi")


def test_hostile_text_arrives_as_text(target, address):
    change = "'; drop schema health cascade; --"
    run(target, "run-1")
    quoted = change.replace("'", "''")
    change_warehouse(target, f"update marts.scorecard set scorecard_key = 'NUL' || chr(0) || '\\ =1+1 {quoted}'")
    change_warehouse(target, f"comment on column marts.scorecard.weight is '\\{quoted}'")
    run(target, "run-2")
    copy_to_postgres(target)
    # Postgres holds no NUL; all else stays.
    assert ask(address, "select scorecard_key from health.scorecard") == [("NUL\\ =1+1 " + change,)]
    assert ask(address, "select col_description('health.scorecard'::regclass, 4)") == [("\\" + change,)]


def test_a_user_that_owns_the_schema_and_nothing_else(target, address, monkeypatch):
    """The grants of the documentation."""
    [grants] = blocks("sql", "docs/data-engineer.md")
    for statement in grants.rstrip().rstrip(";").split(";"):
        ask(address, statement)
    monkeypatch.setenv("MART_URL", address.replace("postgres:@", "health_writer:...@"))
    run(target, "run-1")
    copy_to_postgres(target)
    reader = address.replace("postgres:@", "bi_reader:...@")
    assert ask(reader, SCORES) == [("a1", 65.0), ("a2", 45.0), ("a3", 15.0)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(reader, "delete from health.account_health")


def test_tables_of_somebody_else_are_left_alone(target, address):
    ask(address, "create schema health")
    ask(address, "create table health.scorecard (mine text)")
    ask(address, "insert into health.scorecard values ('precious')")
    run(target, "run-1")
    with pytest.raises(CopyFailed, match="the schema health has a table scorecard that was not copied by this product"):
        copy_to_postgres(target)
    assert ask(address, "select mine from health.scorecard") == [("precious",)]
    assert ask(address, "select tablename from pg_tables where schemaname = 'health'") == [("scorecard",)]


def test_chosen_tables_into_a_schema_of_another_name(tmp_path, address):
    settings = with_postgres(tmp_path, 'schema = "customer_health"\ntables = ["account_health", "tier_changes"]\n')
    run(settings, "run-1")
    assert copy_to_postgres(settings).rows == {"account_health": 3, "tier_changes": 0}
    found = ask(address, "select tablename from pg_tables where schemaname = 'customer_health' order by 1")
    assert found == [("account_health",), ("copied_days",), ("published_generation",), ("tier_changes",)]


def test_a_table_that_is_no_longer_chosen_keeps_no_old_rows(tmp_path, address):
    def publish_and_copy(run_id: str, more: str = "") -> None:
        settings = with_postgres(tmp_path, more)
        run(settings, run_id)
        copy_to_postgres(settings)

    fewer = 'tables = ["account_health"]\n'
    publish_and_copy("run-1")
    # A view holds the table, and a table in the schema is somebody else's.
    ask(address, "create view health.mine as select * from health.account_health_history")
    ask(address, "create table health.notes as select 1 as note")
    assert ask(address, "select count(*) from health.mine") == [(3,)]
    publish_and_copy("run-2", fewer)
    assert ask(address, "select count(*) from health.mine") == [(0,)]
    assert "No longer copied" in ask(address, "select obj_description('health.account_health_history'::regclass)")[0][0]
    assert ask(address, "select note from health.notes") == [(1,)]
    assert ask(address, "select tables from health.published_generation") == [("account_health",)]
    assert ask(address, "select distinct table_name from health.copied_days") == [("account_health",)]
    # Chosen again, it is whole again.
    publish_and_copy("run-3")
    assert ask(address, "select count(*) from health.mine") == [(3,)]
    # What somebody puts into a table that is not copied is theirs.
    publish_and_copy("run-4", fewer)
    ask(address, "insert into health.tier_changes (account_id) values ('mine')")
    publish_and_copy("run-5", fewer)
    assert ask(address, "select account_id from health.tier_changes") == [("mine",)]


def test_a_database_that_is_down(target, monkeypatch):
    monkeypatch.setenv("MART_URL", UNREACHABLE)
    run(target, "run-1")
    with pytest.raises(CopyFailed) as caught:
        copy_to_postgres(target)
    said = str(caught.value)
    assert said.startswith("exports.postgres: the database says: ") and "Check the address and the network" in said
    assert "\n" not in said
    for secret in ("geheim", "writer", "127.0.0.1", UNREACHABLE):
        assert secret not in said
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("more", "url", "message"),
    [
        ("", None, r"exports\.postgres\.url: the environment variable MART_URL is not set"),
        ("", "mysql://u:geheim@h/d", r"exports\.postgres\.url: what MART_URL holds is not a Postgres address"),
        ("", "geheim", r"exports\.postgres\.url: what MART_URL holds is not a database address"),
        ("", "postgresql://u:p@geheim@h/d", r"exports\.postgres\.url: what MART_URL holds has an @ that could"),
        ('tables = ["account_helth"]\n', UNREACHABLE, r"exports\.postgres\.tables: account_helth is not a published table"),
    ],
)
def test_a_wrong_configuration_is_refused_before_a_run(tmp_path, monkeypatch, more, url, message):
    monkeypatch.delenv("MART_URL", raising=False)
    if url:
        monkeypatch.setenv("MART_URL", url)
    with pytest.raises(SettingsError, match=message) as caught:
        preflight_postgres(with_postgres(tmp_path, more))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('url = "postgresql://u:geheim@h/d"', "a secret must not be in the file"),
        ('url = { env = "MART_URL" }\nschema = "Health; drop"', r"exports\.postgres\.schema"),
        ('url = { env = "MART_URL" }\ntable = "x"', r"exports\.postgres\.table: unknown key"),
    ],
)
def test_the_file_holds_no_secret_and_no_unknown_key(tmp_path, lines, message):
    settings = make_settings(tmp_path)
    with open(settings.config_file, "a", encoding="utf-8") as file:
        file.write(f"[exports.postgres]\n{lines}\n")
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(settings.config_file)
    assert "geheim" not in str(caught.value)


_MATERIALIZE = f"""
import json, os, sys
import dagster as dg
from orchestration.definitions import defs
job = defs().resolve_job_def("daily_health")
days = {{"dagster/asset_partition_range_start": "{DAY_1}", "dagster/asset_partition_range_end": "{DAY_1}"}}
found = []
with dg.DagsterInstance.ephemeral() as instance:
    for url in ("{UNREACHABLE}", os.environ["REACHABLE"]):
        os.environ["MART_URL"] = url
        done = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("postgres_mart")], tags=days, raise_on_error=False)
        [check] = done.get_asset_check_evaluations()
        found.append([done.success, check.passed, check.severity.value, check.description, len(done.get_asset_materialization_events())])
print("FOUND", json.dumps(found))
"""


def test_the_asset_warns_when_the_database_is_down_and_copies_when_it_is_back(target, address):
    run(target, "run-1")
    done = run_module("-c", _MATERIALIZE, config=target.config_file, variables={"REACHABLE": address})
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FOUND")] or [done.stderr]
    down, up = json.loads(line.removeprefix("FOUND"))
    assert down[:3] == [True, False, "WARN"] and "Check the address and the network" in down[3] and down[4] == 0
    assert up == [True, True, "WARN", "Postgres holds generation 1, the current one.", 1]
    assert "geheim" not in done.stdout + done.stderr
    assert_equal_to_mart(target, address)
