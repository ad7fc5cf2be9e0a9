"""dbt started by hand: plain in a fresh clone, and by `make dbt` on a company's warehouse, without a trace in what is published later."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

from orchestration.locking import writer_lock
from orchestration.settings import DBT_PROJECT
from tests.company import NEXT_DAY, Company, Rows, differences, read_mart
from tests.forked import health


def make_dbt(company: Company, *arguments: str) -> subprocess.CompletedProcess[str]:
    return health(company.config_file, "dbt", *arguments)


def test_dbt_compiles_the_project_without_variables(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HEALTH_", "DBT_"))}
    command = [Path(sys.executable).with_name("dbt"), "compile", "--target-path", str(tmp_path), "--log-path", str(tmp_path)]
    run = subprocess.run(command, cwd=DBT_PROJECT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    compiled = {path.stem for path in (tmp_path / "compiled").rglob("*.sql")}
    assert {path.stem for path in (DBT_PROJECT / "models").rglob("*.sql")} <= compiled


def test_what_is_built_by_hand_is_built_anew_by_the_next_run(next_mart: dict[str, Rows], company: Company) -> None:
    shown = make_dbt(company, "show", "--inline", "select count(*) as n from {{ ref('account_health') }}", "--output", "json")
    assert '"n": ' in shown.stdout, shown.stdout + shown.stderr
    built = make_dbt(company, "build", "-s", "int_usage__user_days", "int_usage__windows")
    assert built.returncode == 0, built.stdout + built.stderr
    # As edited models would have left them.
    with duckdb.connect(str(company.settings.warehouse)) as warehouse:
        warehouse.execute("delete from intermediate.int_usage__user_days")
        warehouse.execute("update intermediate.int_scoring__account_scores set health_score = 1")
    company.run(NEXT_DAY, run_id="next")
    assert differences(next_mart, read_mart(company.published)) == []


def test_building_by_hand_needs_a_warehouse_that_nobody_else_writes(company: Company) -> None:
    config = company.config_file.read_text(encoding="utf-8")
    company.config_file.write_text(config.replace("threads = 1\n", "threads = 1\nlock_timeout_seconds = 0.5\n"), encoding="utf-8")
    with writer_lock(company.settings, "a run"):
        busy = make_dbt(company, "build", "-s", "int_usage__windows")
    assert busy.returncode == 2
    assert "'a run' (process " in busy.stderr
    company.settings.warehouse.unlink()
    missing = make_dbt(company, "build", "-s", "int_usage__windows")
    said = f"{company.settings.warehouse}: no such file. Let `make run` build the warehouse first\n"
    assert (missing.returncode, missing.stderr) == (2, said)
