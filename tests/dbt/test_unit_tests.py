"""The dbt unit tests beside the models, run by dbt. A production run leaves them out."""

import json
from datetime import date
from pathlib import Path

from orchestration.contract import TABLES
from orchestration.dbt import SETUP
from orchestration.extract import extract_table
from orchestration.settings import Settings, load_settings
from orchestration.transform import prepare
from tests.pipeline import dbt

DAY = date(2026, 1, 5)


def prepared(folder: Path) -> Settings:
    """A company of one account, landed: dbt takes the column types of a unit test's inputs from the warehouse."""
    (folder / "accounts.csv").write_text("account_id,account_name,created_at\na1,Acme,2025-01-01\n")
    config_file = folder / "health.toml"
    config_file.write_text(
        f"""
        [pipeline]
        start_date = {DAY}
        memory_limit = "512MB"

        [sources.accounts]
        connector = "files"
        path = "accounts.csv"
        """
    )
    settings = load_settings(config_file)
    for table in TABLES.values():
        extract_table(settings, table, DAY, DAY)
    prepare(settings, "run", DAY, DAY)
    return settings


def test_every_unit_test_passes(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    # The unit tests and what they rest on, in one go.
    dbt(settings, "build", "--select", "+test_type:unit", "--indirect-selection", "cautious", artifacts=True)
    written = json.loads((SETUP / "manifest.json").read_text())["unit_tests"]
    results = json.loads((settings.dbt_target / "run_results.json").read_text())["results"]
    passed = {result["unique_id"] for result in results if result["status"] == "pass"}
    assert written
    assert written.keys() <= passed
