"""dbt in the process of a run: stopped in the middle of a query it closes the warehouse, and the next invocation finds all in order."""

import shutil
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from orchestration import dbt_build
from orchestration.dbt_build import DbtFailed, _Dbt
from orchestration.engines.duckdb import DuckDB
from orchestration.settings import DBT_PROJECT, Engine, Pipeline
from orchestration.warehouse import has_log

DAY = date(2026, 3, 1)
PROJECT = """
name: small
profile: small
flags: {send_anonymous_usage_stats: false}
models: {+materialized: table}
"""
PROFILE = """
small:
  target: duckdb
  outputs:
    duckdb: {type: duckdb, path: WAREHOUSE, threads: 2}
"""
MODELS = {
    "first": "select 1 as number",
    "second": "select number from {{ ref('first') }}",
    "minutes": "select sum(a.range * b.range) as number from range(10000000) as a, range(10000000) as b",
    "broken": "select cast('one' as integer) as number",
}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILE.replace("WAREHOUSE", str(tmp_path / "warehouse.duckdb")))
    for name, sql in MODELS.items():
        (tmp_path / "models" / f"{name}.sql").write_text(sql)
    (tmp_path / "macros").mkdir()
    shutil.copy(DBT_PROJECT / "macros" / "materializations.sql", tmp_path / "macros")
    return ["build", "--project-dir", str(tmp_path), "--profiles-dir", str(tmp_path), "--log-level", "none", "--log-level-file", "none"]


def tables(folder: Path) -> set[str]:
    assert not has_log(folder / "warehouse.duckdb")
    # Another configuration than dbt's: DuckDB would refuse it while this process has the file open.
    with duckdb.connect(str(folder / "warehouse.duckdb"), config={"threads": 1}) as warehouse:
        return {name for (name,) in warehouse.execute("select table_name from duckdb_tables()").fetchall()}


def test_stopped_in_a_query_of_minutes_it_ends_within_seconds_and_closes_the_warehouse(command: list[str], tmp_path: Path) -> None:
    stopped = _Dbt(DuckDB(), [*command, "--select", "first", "minutes"])
    events = stopped.events()
    # Both models run at once; the other one is through.
    assert any("OK created sql table model main.first" in event.info.msg for event in events)
    begun = time.monotonic()
    events.close()
    assert time.monotonic() - begun < 3
    assert not stopped._thread.is_alive()
    assert tables(tmp_path) == {"first"}

    list(_Dbt(DuckDB(), [*command, "--select", "second"]).events())
    assert tables(tmp_path) == {"first", "second"}


def test_after_a_failure_the_warehouse_is_closed_and_the_next_invocation_passes(command: list[str], tmp_path: Path) -> None:
    said = [event.info.msg for event in _Dbt(DuckDB(), [*command, "--select", "first", "broken"]).events() if event.info.level == "error"]
    assert "Could not convert string 'one'" in "".join(said)
    assert tables(tmp_path) == {"first"}
    list(_Dbt(DuckDB(), [*command, "--select", "second"]).events())
    assert tables(tmp_path) == {"first", "second"}


def test_a_table_is_replaced_and_one_whose_model_fails_keeps_its_rows(command: list[str], tmp_path: Path) -> None:
    def rows_after(sql: str) -> list[tuple[int]]:
        (tmp_path / "models" / "first.sql").write_text(sql)
        list(_Dbt(DuckDB(), [*command, "--select", "first"]).events())
        assert tables(tmp_path) <= {"first"}
        with duckdb.connect(str(tmp_path / "warehouse.duckdb"), config={"threads": 1}) as warehouse:
            return warehouse.execute("select number from first").fetchall()

    assert rows_after("{{ config(materialized='view') }} select 1 as number") == [(1,)]
    assert rows_after("select 2 as number") == [(2,)]
    assert rows_after("select 3 as number") == [(3,)]
    assert rows_after("select cast('one' as integer) as number") == [(3,)]


def test_new_rows_of_a_history_go_into_its_table_by_the_names_of_their_columns(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def history_after(options: str, sql: str) -> list[tuple[object, ...]]:
        head = f"{{{{ config(materialized='incremental'{options}) }}}} "
        (tmp_path / "models" / "first.sql").write_text(head + sql)
        list(_Dbt(DuckDB(), [*command, "--select", "first"]).events())
        with duckdb.connect(str(tmp_path / "warehouse.duckdb"), config={"threads": 1}) as warehouse:
            return warehouse.execute("from first").fetchall()

    append = ", on_schema_change='append_new_columns'"
    replace = append + ", pre_hook='{% if is_incremental() %}delete from {{ this }} where day = 2{% endif %}'"
    assert history_after(append, "select 1 as day, 'a' as was") == [(1, "a")]
    assert history_after(append, "with days as (select 'b' as was, 2 as day) select * from days") == [(1, "a"), (2, "b")]
    assert history_after(replace, "select 2 as day, 'c' as was") == [(1, "a"), (2, "c")]
    assert history_after(replace, "select 3 as day, 'new' as more") == [(1, "a", None), (3, None, "new")]
    # As an error, not in silence.
    assert len(history_after("", "select 4 as day, 5 as unknown")) == 2
    monkeypatch.setenv("HEALTH_COLUMNS_KNOWN", "yes")
    assert len(history_after(append, "select 4 as day, 5 as unknown")) == 2
    assert history_after(append, "select 4 as day") == [(1, "a", None), (3, None, "new"), (4, None, None)]


def test_what_dbt_does_not_understand_is_an_error(command: list[str]) -> None:
    with pytest.raises(DbtFailed, match="--no-such-option"):
        list(_Dbt(DuckDB(), [*command, "--no-such-option"]).events())


@pytest.mark.parametrize(
    ("accounts", "days", "memory_limit", "expected"),
    [
        (5_000, 10, "2000MB", True),
        (50_000, 10, "2000MB", False),
        (50_000, 10, "8GB", True),
        (30, 4, "512MB", False),
        (30, 11, "8GB", False),
    ],
)
def test_two_models_are_built_at_a_time_where_both_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, accounts: int, days: int, memory_limit: str, expected: bool
) -> None:
    monkeypatch.setattr(dbt_build, "accounts_landed", lambda _: accounts)
    pipeline = Pipeline(start_date=DAY, memory_limit=memory_limit)
    plan = SimpleNamespace(as_of_days=(DAY,) * days, changed_event_days=())
    assert dbt_build._has_room_for_two(SimpleNamespace(engine=Engine(), pipeline=pipeline), plan) is expected
