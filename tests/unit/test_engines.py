"""`[warehouse]`: what is refused before anything is written, and when a warehouse on Spark is built anew."""

import importlib.util
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.run_guard import check_configuration
from orchestration.settings import Settings, SettingsError, load_settings
from orchestration.transform import mark_passed, prepare

DAY = date(2026, 3, 1)


def configured(folder: Path, section: str) -> Settings:
    (folder / "accounts.csv").write_text("account_id\na1\n")
    config = folder / "health.toml"
    config.write_text(
        f'[pipeline]\nstart_date = {DAY}\nend_date = {DAY}\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n{section}\n'
    )
    return load_settings(config)


def test_keys_for_spark_are_refused_where_duckdb_is_the_engine(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='warehouse: table_format: only Spark has use for it. Set engine = "spark"'):
        configured(tmp_path, '[warehouse]\ntable_format = "delta"')


def test_what_is_not_installed_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = configured(tmp_path, '[warehouse]\nengine = "spark"')
    find = importlib.util.find_spec

    def without(missing: str) -> Any:
        return lambda name, *rest: None if name == missing else object() if name in ("pyspark", "dbt.adapters.spark") else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without("pyspark"))
    with pytest.raises(SettingsError, match=r"warehouse.engine: pyspark is not installed. Run `.*-r requirements-spark.lock`"):
        check_configuration(settings)
    monkeypatch.setattr(importlib.util, "find_spec", without(""))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SettingsError, match="Spark needs Java 17 or later, and there is none. Install it .*openjdk-17-jre-headless"):
        check_configuration(settings)


@pytest.mark.parametrize("table_format", ["parquet", "delta"])
def test_tables_without_transactions_are_built_anew_after_a_run_that_did_not_pass(tmp_path: Path, table_format: str) -> None:
    pytest.importorskip("dbt.adapters.spark", reason="`make test-spark` installs it")
    settings = configured(tmp_path, f'[warehouse]\nengine = "spark"\ntable_format = "{table_format}"')
    assert prepare(settings, "first", DAY, DAY).is_new
    after_failure = prepare(settings, "second", DAY, DAY)
    assert after_failure.is_new == (table_format == "parquet")
    mark_passed(settings, "second")
    assert not prepare(settings, "third", DAY, DAY).is_new


def test_another_engine_builds_all_days_anew(tmp_path: Path) -> None:
    pytest.importorskip("dbt.adapters.spark", reason="`make test-spark` installs it")
    settings = configured(tmp_path, '[warehouse]\nengine = "spark"')
    prepare(settings.on_duckdb(), "on DuckDB", DAY, DAY)
    mark_passed(settings.on_duckdb(), "on DuckDB")
    assert "another engine" in (prepare(settings, "on Spark", DAY, DAY).rebuilt or "")
