"""What the project uses of libraries that they do not promise: CONTRIBUTING.md, "Library internals".

Each test shows the upstream reason. When one fails after an update, look whether our code can go.
"""

import copy
import inspect
import re
from importlib.resources import files
from pathlib import Path

import dagster
import dagster_dbt
import psycopg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from dbt.adapters.duckdb.connections import DuckDBConnectionManager

from orchestration.settings import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w/.]+)` \|", PAGE.partition("## Library internals")[2], re.MULTILINE)
# A module, a name or a class's attribute of a library that begins with an underscore.
PRIVATE = re.compile(
    r"^\s*(?:from|import) (?!orchestration|tests)(?:[\w.]*\._|[\w.]+ import [^#\n]*\b_[A-Za-z])|\b(?!self|super)[A-Z]\w+\._[A-Z]",
    re.MULTILINE,
)


def test_every_file_that_reaches_into_a_library_is_listed() -> None:
    found = {
        str(path.relative_to(PROJECT_ROOT))
        for path in (PROJECT_ROOT / "orchestration").rglob("*.py")
        if PRIVATE.search(path.read_text(encoding="utf-8"))
    }
    assert {"orchestration/event_log.py", "orchestration/extract/connectors/sql/database.py"} <= found
    assert found <= set(ROWS)
    assert not [name for name in ROWS if not (PROJECT_ROOT / name).is_file()]


def test_dagsters_sqlite_log_opens_a_database_for_each_event_and_plans_each_day() -> None:
    assert "NullPool" in inspect.getsource(SqliteEventLogStorage._connect)
    is_range_planned_once = inspect.getattr_static(
        SqliteEventLogStorage, "supports_partition_subset_in_asset_materialization_planned_events"
    )
    assert is_range_planned_once.fget(None) is False


@pytest.mark.parametrize("name", ["JobFailureData", "RunFailureReason"])
def test_dagster_exports_no_way_to_say_why_a_run_failed(name: str) -> None:
    assert not hasattr(dagster, name)


@pytest.mark.parametrize("name", ["get_updated_cli_invocation_params_for_context", "DbtCoreCliEventMessage"])
def test_dagster_dbt_exports_no_dbt_in_the_process_of_the_run(name: str) -> None:
    assert not hasattr(dagster_dbt, name)


def test_dbt_duckdb_closes_no_file_when_it_is_done() -> None:
    assert ".close()" not in inspect.getsource(DuckDBConnectionManager.close_all_connections)


def test_psycopg_gives_no_time_limit_to_a_query() -> None:
    assert not [name for name in inspect.signature(psycopg.Cursor.execute).parameters if "timeout" in name]


def test_itables_ships_no_classic_script() -> None:
    scripts = [Path(str(file)).name for file in files("itables").joinpath("html").iterdir() if str(file).endswith(".js")]
    assert scripts == ["dt_bundle.js"]


def test_xdist_cannot_name_groups(request: pytest.FixtureRequest) -> None:
    item = copy.copy(request.node)
    # As `--dist loadgroup` does.
    item._nodeid = "a_test@a_group"
    assert item.nodeid != "a_test@a_group"
