"""When a warehouse on Spark is built anew, and what is refused before."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from orchestration.settings import DBT_PROJECT
from orchestration.transform import mark_passed, prepare
from tests.unit.test_engines import configured

pytest.importorskip("pyspark", reason="`make test-spark` installs it")

DAY = date(2026, 3, 1)


@pytest.mark.parametrize("table_format", ["parquet", "delta"])
def test_tables_without_transactions_are_built_anew_after_a_run_that_did_not_pass(tmp_path: Path, table_format: str) -> None:
    settings = configured(tmp_path, f'[warehouse]\nengine = "spark"\ntable_format = "{table_format}"')
    assert prepare(settings, "first", DAY, DAY).is_new
    after_failure = prepare(settings, "second", DAY, DAY)
    assert after_failure.is_new == (table_format == "parquet")
    mark_passed(settings, "second")
    assert not prepare(settings, "third", DAY, DAY).is_new


def test_another_engine_builds_all_days_anew(tmp_path: Path) -> None:
    settings = configured(tmp_path, '[warehouse]\nengine = "spark"')
    prepare(settings.on_duckdb(), "on DuckDB", DAY, DAY)
    mark_passed(settings.on_duckdb(), "on DuckDB")
    assert "another engine" in (prepare(settings, "on Spark", DAY, DAY).rebuilt or "")


def test_a_session_in_another_time_zone_is_refused(tmp_path: Path) -> None:
    profile = (DBT_PROJECT / "profiles.yml").read_text()
    (tmp_path / "profiles.yml").write_text(profile.replace("timeZone: UTC", "timeZone: America/New_York"))
    settings = configured(tmp_path, '[warehouse]\nengine = "spark"\nprofiles_dir = "."\ntarget = "spark"')
    (tmp_path / "accounts.csv").write_text("account_id,account_name,created_at\na1,Acme,2025-01-01\n")
    environment = os.environ | {"HEALTH_CONFIG": str(settings.config_file)}
    done = subprocess.run([sys.executable, "-m", "orchestration", "run", str(DAY)], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the session of Spark is in America/New_York. Set spark.sql.session.timeZone to UTC in the profile" in done.stdout + done.stderr
