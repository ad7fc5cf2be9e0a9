"""What BI tools rest on: exposures, metrics, descriptions in the mart, and the snippets of the documentation."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from dbt.contracts.graph.semantic_manifest import SemanticManifest

from orchestration.dbt import load_project
from orchestration.dbt_build import parsed_manifest
from orchestration.publish.tables import TABLES
from orchestration.settings import PROJECT_ROOT
from tests.company import FIRST_DAY, LAST_DAY, Company
from tests.pages import DOCS, blocks

# Two days, the newer one with a healthy, an at-risk and a poor account, and one whose price nobody knows.
_ACCOUNT_DAYS = """
create table account_health_history (
    account_id varchar, as_of_date date, tier varchar, health_score double, coverage double, arr double
);
insert into account_health_history values
    ('a1', '2026-01-30', 'healthy', 90, 1.0, 500),
    ('a1', '2026-01-31', 'healthy', 80, 1.0, 600),
    ('a2', '2026-01-31', 'at_risk', 50, 0.8, 300),
    ('a3', '2026-01-31', 'poor', 20, 0.9, 100),
    ('a4', '2026-01-31', 'poor', 30, 0.5, null);
create table account_contacts (account_id varchar, as_of_date date, role varchar, is_in_force boolean);
insert into account_contacts values
    ('a1', '2026-01-31', 'champion', true), ('a1', '2026-01-31', 'champion', false), ('a2', '2026-01-31', 'user', true);
"""
# By hand from the rows of 31 January; (80 x 600 + 50 x 300 + 20 x 100) / 1000 = 65.
_EXPECTED_METRICS = {
    "accounts": 4,
    "contacts": 2,
    "arr": 1000.0,
    "arr_at_risk": 400.0,
    "share_of_arr_at_risk": 0.4,
    "mean_score": 45.0,
    "mean_coverage": 0.8,
    "score_times_arr": 65000.0,
    "arr_weighted_score": 65.0,
}
_EXPECTED_ARR_BY_TIER = {"healthy": 600.0, "at_risk": 300.0, "poor": 100.0}
_AGGREGATES = {"count": "count", "sum": "sum", "average": "avg"}


@pytest.fixture
def project(company: Company) -> dict[str, Any]:
    return load_project(company.settings)


@pytest.fixture
def semantic_manifest(company: Company, project: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """What dbt hands to a semantic layer."""
    path = tmp_path / "semantic_manifest.json"
    SemanticManifest(parsed_manifest(company.settings)).write_json_to_file(str(path))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measures(semantic_manifest: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Measure -> (table, select expression), as a semantic layer renders it; on the newest day, as all of ours ask for."""
    found = {}
    for model in semantic_manifest["semantic_models"]:
        for measure in model["measures"]:
            assert measure["non_additive_dimension"]["name"] == "as_of_date", f"{measure['name']} would add up over days"
            assert measure["non_additive_dimension"]["window_choice"] == "max"
            found[measure["name"]] = (model["node_relation"]["alias"], f"{_AGGREGATES[measure['agg']]}({measure['expr']})")
    return found


def compute(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], metric: dict[str, Any]) -> float:
    """A metric on the newest day: a measure, or one by another."""
    inputs = metric["type_params"]
    if metric["type"] == "ratio":
        by_name = {other["name"]: other for other in manifest["metrics"]}
        above, below = (compute(connection, manifest, by_name[inputs[part]["name"]]) for part in ("numerator", "denominator"))
        return above / below
    table, expression = measures(manifest)[inputs["measure"]["name"]]
    query = f"select {expression} from {table} where as_of_date = (select max(as_of_date) from {table})"
    return connection.execute(query).fetchall()[0][0]


def test_metrics_are_what_they_say(semantic_manifest: dict[str, Any]) -> None:
    with duckdb.connect() as connection:
        connection.execute(_ACCOUNT_DAYS)
        found = {metric["name"]: compute(connection, semantic_manifest, metric) for metric in semantic_manifest["metrics"]}
        table, expression = measures(semantic_manifest)["arr"]
        by_tier = connection.execute(f"select tier, {expression} from {table} where as_of_date = '2026-01-31' group by tier").fetchall()
    assert found == pytest.approx(_EXPECTED_METRICS)
    assert dict(by_tier) == _EXPECTED_ARR_BY_TIER


def test_metrics_and_their_dimensions_work_on_the_mart(company: Company, semantic_manifest: dict[str, Any]) -> None:
    """Every expression of the semantic models is one that the published tables answer."""
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        for model in semantic_manifest["semantic_models"]:
            parts = [*model["dimensions"], *model["entities"], *model["measures"]]
            columns = ", ".join(part["expr"] or part["name"] for part in parts)
            rows = mart.execute(f"select {columns} from {model['node_relation']['alias']}").fetchall()
            assert rows
        found = {metric["name"]: compute(mart, semantic_manifest, metric) for metric in semantic_manifest["metrics"]}
        ((accounts, at_risk),) = mart.execute(
            "select count(*), sum(arr) filter (tier <> 'healthy' and tier <> 'unknown') from account_health"
        ).fetchall()
    assert found["accounts"] == accounts
    assert found["arr_at_risk"] == pytest.approx(at_risk or 0)


def test_the_time_spine_has_every_day(company: Company, semantic_manifest: dict[str, Any]) -> None:
    [spine] = semantic_manifest["project_configuration"]["time_spines"]
    assert spine["primary_column"]["name"] == "calendar_date"
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        days = mart.execute(f"select calendar_date from {spine['node_relation']['alias']} order by all").fetchall()
    assert [day for (day,) in days] == [date.fromordinal(n) for n in range(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1)]


def test_exposures_name_what_they_read(project: dict[str, Any]) -> None:
    exposures = {each["name"]: each for each in project["exposures"].values()}
    reads = {name: {node.rsplit(".", 1)[-1] for node in each["depends_on"]["nodes"]} for name, each in exposures.items()}
    published = {table.name for table in TABLES}
    assert reads["bi_tools"] == published
    assert reads["health_board"] < published
    for each in exposures.values():
        assert each["owner"]["name"] and each["maturity"] and each["description"].endswith(".")
        assert each["url"].startswith("published/current/")


def test_every_published_column_is_described(company: Company) -> None:
    """BI tools show the comments of tables and columns."""
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        bare = mart.execute(
            "select table_name, column_name from duckdb_columns() where comment is null and not internal "
            "union all select table_name, null from duckdb_tables() where comment is null"
        ).fetchall()
        described = mart.execute("select count(distinct table_name) from duckdb_columns() where comment is not null").fetchall()
    assert not bare
    assert described[0][0] >= len(TABLES)


PAGE = "docs/bi-analyst.md"


def test_the_page_says_which_keys_are_declared_and_how_to_join(company: Company) -> None:
    said = {}
    text = (DOCS / "bi-analyst.md").read_text(encoding="utf-8").partition("### Keys and joins")[2].partition("## ")[0]
    for line in re.findall(r"^\| `.*\|$", text, re.MULTILINE):
        table, primary, foreign = (cell.strip() for cell in line.strip("|").split("|"))
        for name in re.findall(r"`(\w+)`", table):
            said[name] = (primary, sorted(re.findall(r"(\w+) to `(\w+)`", foreign)))
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        keys: dict[str, Any] = defaultdict(list)
        foreign_keys: dict[str, Any] = defaultdict(list)
        for table, kind, columns, other in mart.execute(
            "select table_name, constraint_type, constraint_column_names, referenced_table from duckdb_constraints() "
            "where constraint_type in ('PRIMARY KEY', 'FOREIGN KEY') order by all"
        ).fetchall():
            if kind == "PRIMARY KEY":
                keys[table] = columns
            else:
                foreign_keys[table] += [(columns[0], other)]
        assert said.keys() == keys.keys()
        for table, (primary, foreign) in said.items():
            assert primary in (", ".join(keys[table]), "see their first columns"), table
            assert foreign == sorted(foreign_keys[table]), table
        for table, *_ in mart.execute(
            "select table_name from duckdb_columns() where schema_name = 'main' and column_name in ('account_id', 'as_of_date') "
            "and table_name <> 'receivables' group by 1 having count(*) = 2"
        ).fetchall():
            without = f"select count(*) from {table} left join accounts using (account_id) left join calendar on calendar_date = as_of_date"
            assert mart.execute(f"{without} where accounts.account_name is null or calendar.year is null").fetchall() == [(0,)], table


def test_amounts_have_their_currency_and_technical_columns_come_last(company: Company) -> None:
    columns: dict[str, list[str]] = defaultdict(list)
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        for table, column in mart.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'main' and not internal "
            "order by table_name, column_index"
        ).fetchall():
            columns[table].append(column)
        with_money = {table for table, names in columns.items() if any(re.search("(^|_)(arr|mrr|amount)(_|$)", name) for name in names)}
        assert with_money >= {"account_health", "account_health_history", "segment_health", "revenue_retention", "renewal_forecast"}
        for table in with_money:
            assert mart.execute(f"select distinct currency from {table}").fetchall() in ([("USD",)], []), table
    for table, names in columns.items():
        technical = [name for name in names if name in ("rules_hash", "run_id", "configuration_hash")]
        assert names[len(names) - len(technical) :] == technical, table


def test_a_reader_of_many_files_keeps_its_generation(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page shows for Arrow: a run publishes after the files were listed and before they are read."""
    [snippet] = [snippet for snippet in blocks("python", PAGE) if "pyarrow.dataset" in snippet]
    opened, _, read = snippet.partition("print(")
    monkeypatch.chdir(company.folder)
    names: dict[str, Any] = {}
    exec(opened, names)
    current = company.published / "current"
    current.unlink()
    current.symlink_to("generations/2", target_is_directory=True)
    exec(f"print({read}", names)


def test_the_snippets_for_analysts_run(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on its own, from the folder that holds `data`, as a reader would; SQL on the published mart."""
    snippets = blocks("python", PAGE)
    assert len(snippets) >= 5
    # Too large for everybody who runs the pipeline: requirements-dev.lock has them, and CI installs it.
    missing = [name for name in ("ibis", "polars") if find_spec(name) is None]
    snippets = [snippet for snippet in snippets if not any(f"import {name}" in snippet for name in missing)]
    each_alone = "import sys, json\nfor snippet in json.load(sys.stdin):\n    print(snippet)\n    exec(snippet, {'__name__': '__main__'})\n"
    ran = subprocess.run(
        [sys.executable, "-c", each_alone], input=json.dumps(snippets), cwd=company.folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    statements = blocks("sql", PAGE)
    assert statements
    monkeypatch.chdir(company.folder)
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        for statement in statements:
            mart.execute(statement).fetchall()
    if missing:
        pytest.skip(f"the others ran; {' and '.join(missing)} not installed: `make lint` does it")


def test_the_superset_dashboard_reads_what_is_published(company: Company) -> None:
    folder = PROJECT_ROOT / "examples" / "superset"
    parts = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob("*/**/*.yaml")}
    datasets = {part["uuid"]: part for part in parts.values() if "table_name" in part}
    charts = {part["uuid"]: part for part in parts.values() if "viz_type" in part}
    [dashboard] = [part for part in parts.values() if "dashboard_title" in part]
    shown = {part["meta"]["uuid"] for part in dashboard["position"].values() if isinstance(part, dict) and part["type"] == "CHART"}
    assert shown == charts.keys() and len(datasets) == 3
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        for dataset in datasets.values():
            rows = f"({dataset['sql']})" if dataset["sql"] else dataset["table_name"]
            mart.execute(f"select {', '.join(column['column_name'] for column in dataset['columns'])} from {rows}").fetchall()
            mart.execute(f"select {', '.join(metric['expression'] for metric in dataset['metrics'])} from {rows}").fetchall()
    for chart in charts.values():
        dataset, params = datasets[chart["dataset_uuid"]], chart["params"]
        columns = {column["column_name"] for column in dataset["columns"]}
        assert {*params.get("all_columns", []), *params.get("groupby", []), params.get("x_axis", "as_of_date")} <= columns
        used = {params["metric"]} if "metric" in params else {*params.get("metrics", [])}
        assert used <= {each["metric_name"] for each in dataset["metrics"]}


def test_the_query_of_the_readme_runs(company: Company) -> None:
    [command] = [block for block in blocks("", "README.md") if block.startswith(".venv/bin/python")]
    ran = subprocess.run(
        command.replace(".venv/bin/python", sys.executable, 1), shell=True, cwd=company.folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "what_to_do" in ran.stdout
