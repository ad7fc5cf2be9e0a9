"""`[warehouse]`: what is refused before anything is written."""

import importlib.util
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.run_guard import check_configuration
from orchestration.settings import Settings, SettingsError, load_settings

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


def test_a_profile_that_no_folder_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark would else run in the process of the run, and nobody would see that the cluster was not asked."""
    with pytest.raises(SettingsError, match="warehouse: profile, target: of your own profiles.yml. Set profiles_dir to its folder"):
        configured(tmp_path, '[warehouse]\nengine = "spark"\nprofile = "acme"\ntarget = "prod"')
    settings = configured(tmp_path, '[warehouse]\nengine = "spark"\nprofiles_dir = "dbt"\nprofile = "acme"')
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    with pytest.raises(SettingsError, match=r"warehouse.profiles_dir: .*/dbt/profiles.yml: no such file"):
        check_configuration(settings)


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
