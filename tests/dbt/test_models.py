"""What a reviewer of the dbt project looks for: keys and codes hold on the warehouse of a small company, and every column is described."""

import csv
import json
import re
from typing import Any

from orchestration.dbt import SETUP, column_description
from orchestration.settings import PROJECT_ROOT
from orchestration.shared import DIMENSIONS
from orchestration.warehouse import connect
from tests.company import Company
from tests.pipeline import dbt


def parsed_nodes() -> dict[str, Any]:
    return json.loads((SETUP / "manifest.json").read_text(encoding="utf-8"))["nodes"]


def test_keys_and_codes_hold_and_a_daily_build_leaves_their_checks_out(company: Company, original: Any) -> None:
    nodes = parsed_nodes()
    checks = {name for name, node in nodes.items() if node["resource_type"] == "test" and "ci" in node["tags"]}
    assert len(checks) > 80
    daily = {result["unique_id"] for result in json.loads((original.artifacts / "run_results.json").read_text())["results"]}
    assert daily
    assert not daily & checks

    said = dbt(company.settings, "test", "--select", "tag:ci")
    assert f"PASS={len(checks)} WARN=0 ERROR=0 SKIP=0" in said


def test_every_column_is_described_and_every_description_has_its_column(company: Company) -> None:
    nodes = parsed_nodes().values()
    stated = {(node["schema"], node["name"]): node["columns"] for node in nodes if node["resource_type"] in ("model", "seed")}
    with (PROJECT_ROOT / "seeds" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        metrics = {row["metric_key"] for row in csv.DictReader(stream)}
    with connect(company.settings, company.settings.warehouse, read_only=True) as warehouse:
        built = warehouse.execute(
            "select table_schema, table_name, list(column_name) from information_schema.columns "
            "where table_schema not in ('raw', 'control') group by all"
        ).fetchall()
    assert built
    assert {(schema, table) for schema, table, _ in built} <= stated.keys()
    for schema, table, columns in built:
        described = stated[schema, table]
        assert [name for name in columns if not column_description(described, name)] == [], f"{schema}.{table}"
        # `<metric>__state` describes columns of metrics only.
        general = {name for name in columns if name not in described and not re.fullmatch(r"field_\d+", name)}
        assert {name.partition("__")[0] for name in general} <= metrics | set(DIMENSIONS), f"{schema}.{table}"
        assert {name for name in described if "<" not in name} <= set(columns), f"{schema}.{table}"
