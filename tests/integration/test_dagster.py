"""The whole graph through Dagster, as `make run` runs it, and what a data engineer then sees in the UI."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.contract import TABLES
from orchestration.dbt import known_columns
from orchestration.locking import writer_lock
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import connect
from tests.company import (
    FIRST_DAY,
    HISTORY_STARTS,
    LAST_DAY,
    MIDDLE_DAY,
    NEXT_DAY,
    NOT_DATA,
    Company,
    Rows,
    content,
    differences,
    read_mart,
    revision_faults,
)
from tests.forked import health
from tests.forked import run as run_module

RANGE = f"{FIRST_DAY}...{LAST_DAY}"


@dataclass(frozen=True)
class Ran:
    """What a run through Dagster left: what it said, what Dagster recorded, and the data folder."""

    company: Company
    stdout: str
    stderr: str
    record: dict[str, Any]


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def run_dagster(tmp_path_factory: pytest.TempPathFactory) -> Run:
    def run(company: Company, days: str, *options: str) -> Ran:
        result = tmp_path_factory.mktemp("dagster") / "result.json"
        done = in_dagster(company, "dagster_run", result, days, *options)
        return Ran(company, done.stdout, done.stderr, json.loads(result.read_text()))

    return run


def in_dagster(company: Company, program: str, result: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have a program of the tests run the company's jobs in a process of its own, and write what it saw to `result`."""
    done = run_module(f"tests.{program}", result, *arguments, config=company.config_file)
    assert result.exists(), done.stderr
    return done


def double_a_score(company: Company) -> None:
    """Damage the working file: an account is scored twice on a day that the next run does not touch."""
    with connect(company.settings, company.settings.warehouse) as warehouse:
        warehouse.execute(
            "insert into intermediate.int_scoring__account_scores "
            "select * from intermediate.int_scoring__account_scores order by as_of_date, account_id limit 1"
        )


def undouble_the_score(company: Company) -> None:
    with connect(company.settings, company.settings.warehouse) as warehouse:
        warehouse.execute(
            "delete from intermediate.int_scoring__account_scores where rowid in (select max(rowid) "
            "from intermediate.int_scoring__account_scores group by account_id, as_of_date having count(*) > 1)"
        )


def test_a_range_through_dagster(company: Company, first_mart: dict[str, Rows], run_dagster: Run) -> None:
    company.forget()
    ran = run_dagster(company, RANGE)
    assert ran.record["exit_code"] == 0, ran.stderr
    assert ran.record["status"] == "SUCCESS"
    assert not differences(first_mart, read_mart(company.published))
    check_output(ran)
    check_materializations(ran, first_mart)
    check_checks(ran)
    check_assets(ran)


def check_materializations(ran: Ran, mart: dict[str, Rows]) -> None:
    """Every step has left metadata that a person reads."""
    materialized = ran.record["materialized"]
    for table in TABLES:
        assert {"dagster/row_count", "delivered", "quarantined", "newest_fact"} <= materialized[f"raw/{table}"].keys()
    assert materialized["raw/accounts"]["dagster/row_count"] == len(ran.company.read("accounts"))

    published = materialized["published_mart"]
    accounts = len(mart["account_health"])
    assert published["accounts_scored"] == accounts
    assert sum(published[tier] for tier in ("healthy", "at_risk", "poor", "unknown")) == accounts
    assert published["as_of_range"] == f"{FIRST_DAY} to {LAST_DAY}"
    assert published["generation"] == 1
    assert 0 < published["mean_score"] < 100 and 0 < published["mean_coverage"] <= 1
    # What the Overview shows, the materialization of the last day; the large ones are stored there alone. None is folded away.
    assert "](data:image/svg+xml," in published["tiers_over_time"]
    assert re.search(r"\| Healthy \| \d+ \| [▁▂▃▄▅▆▇█]+ \|", published["tiers_by_week"])
    assert {"newest_day", "degraded", "warnings", "fell_most", "rose_most"} <= published.keys()
    assert re.search(r"\| usage_events \| 2\d{3}-\d\d-\d\d \| up to date \|", published["freshness"])
    assert not [name for name, shown in published.items() if isinstance(shown, str) and len(shown) >= 1000]
    by_day = ran.record["published_days"]
    assert [day for day, shown in by_day.items() if "tiers_over_time" in shown] == [str(LAST_DAY)]
    # Every day has its own few figures.
    with duckdb.connect(str(ran.company.published / "current" / "health.duckdb"), read_only=True) as published_mart:
        scored = published_mart.execute("select cast(as_of_date as varchar), count(*) from account_health_history group by 1").fetchall()
    assert {day: shown["accounts_scored"] for day, shown in by_day.items()} == dict(scored)
    assert "marts/account_health_history" in materialized


def check_checks(ran: Ran) -> None:
    """The dbt tests are asset checks, and all of them have been evaluated."""
    checks = {check["name"]: check["passed"] for check in ran.record["checks"]}
    expected = {path.stem for path in (PROJECT_ROOT / "dbt_project" / "tests").glob("assert_*.sql")}
    expected |= {"no_metric_drift", "board_and_exports_are_complete"}
    assert len(expected) >= 5
    assert expected <= checks.keys()
    assert all(checks.values())


def check_assets(ran: Ran) -> None:
    """Groups from source to mart; on every asset a sentence, owner, kind, columns and where its code is; on every check a sentence."""
    assets = ran.record["assets"]
    groups = {asset["group"] for asset in assets.values()}
    assert {name for name in groups if "/" not in name} == {"extract", "scorecard", "marts", "publish", "validate"}
    assert {"transform/staging", "transform/metrics", "transform/scoring"} <= groups
    assert all(key.startswith("marts/") == (asset["group"] == "marts") for key, asset in assets.items())
    # One run for any selection and range, also of the UI: Dagster makes several of one backfill where these differ.
    assert len({asset["backfill"] for asset in assets.values() if asset["group"] != "validate"}) == 1
    assert assets["raw/accounts"]["kinds"] == ["csv", "parquet"]
    assert {f"raw/{table}" for table in TABLES} == {key for key, asset in assets.items() if asset["group"] == "extract"}
    assert [key for key, asset in assets.items() if asset["group"] == "publish"] == ["published_mart"]
    # Dagster would say "dbt model int_..." of a model that nobody described.
    assert not [key for key, asset in assets.items() if not re.match(r"(?!dbt )[A-Z].*\w[^.]*[.?]", asset["description"])]
    assert not [key for key, asset in assets.items() if not (asset["owners"] and asset["kinds"] and asset["layer"])]
    assert all(len(asset["source_files"]) == 1 for asset in assets.values())
    assert assets["seeds/tiers"]["source_files"] == ["tiers.csv"]
    assert assets["marts/account_health"]["source_files"] == ["account_health.sql"]

    tables = {key: asset for key, asset in assets.items() if asset["group"] not in ("publish", "validate")}
    assert all(asset["table"].endswith(key.replace("/", ".")) for key, asset in tables.items())
    # The project states no types for the columns in between; the run has written them down for the next start of the UI.
    built = known_columns(ran.company.settings)
    for key, asset in tables.items():
        if asset["layer"] in ("staging", "intermediate"):
            assert built[key.replace("/", ".")], key
        else:
            assert asset["columns"], key
    assert ["account_id", "varchar"] in built["intermediate.int_scoring__account_scores"]

    sentences = ran.record["check_sentences"]
    assert len(sentences) >= len(TABLES) + 12
    assert not {name: text for name, text in sentences.items() if not re.fullmatch(r"[A-Z].*\.", text)}


def check_output(ran: Ran) -> None:
    """A line for each step with its time, what came of it, the total at the end; what dbt says is in the log."""
    lines, log = ran.stdout.splitlines(), ran.company.settings.dbt_target / "run.log"
    assert lines[0] == f"daily_health {RANGE}" and len(lines) < 30 and ran.stderr == ""
    steps = [found for line in lines if (found := re.match(r"(\w+) +[\d.]+ s(?:  (.*))?$", line))]
    assert [step[1] for step in steps] == ["start", "extract", "prepare", "dbt", "publish"]
    assert {part.rpartition(" ")[0].rpartition(" ")[0] for part in steps[3][2].split(", ")} == {
        "seeds", "staging", "intermediate", "marts", "checks",
    }  # fmt: skip
    assert f"published: {ran.company.published / 'current' / 'health.duckdb'}" in lines
    assert re.match(r"total: +[\d.]+ s; .*/data takes \d+ MB, \d+ MB are free; log: ", lines[-1]) and lines[-1].endswith(str(log))
    assert "START" not in ran.stdout and "START sql table model marts.account_health" in log.read_text()


def test_a_failing_check_stops_the_run_before_publishing_and_the_next_run_repeats_what_it_did(
    first_mart: dict[str, Rows], company: Company, run_dagster: Run
) -> None:
    double_a_score(company)
    # Of two days that were rolled up before, one delivery is damaged and the other is gone.
    whole = {day: company.read_events(day) for day in (MIDDLE_DAY, LAST_DAY)}
    company.write_events(LAST_DAY, whole[LAST_DAY].slice(0, whole[LAST_DAY].num_rows // 2))
    company.events_file(MIDDLE_DAY).unlink()
    before = content(company.published)
    ran = run_dagster(company, str(LAST_DAY), "publish")
    assert ran.record["exit_code"] == 1
    assert ran.record["status"] == "FAILURE"
    assert "published_mart" not in ran.record["materialized"]
    failed = {check["name"] for check in ran.record["checks"] if not check["passed"]}
    # The company's files repeat keys, which is a warning.
    assert failed == {"assert_one_row_per_account_and_day", "files_are_in_order"}
    assert "assert_one_row_per_account_and_day" in ran.stderr
    # The check is what failed: its model was made, and what the run did not come to is as it was.
    assert ran.record["failed"] == []
    [last] = [line for line in ran.stderr.splitlines() if line.startswith("the run failed")]
    assert re.match(r"the run failed after [\d.]+ s; .* MB are free; what was published before is unchanged. Log: ", last)
    # The gate is in the publishing code, not only in Dagster's graph.
    assert ran.record["published_alone"] is False
    assert content(company.published) == before
    assert not differences(first_mart, read_mart(company.published))

    # No log is left beside the warehouse, so nothing makes the next run start from the lake.
    undouble_the_score(company)
    for day, events in whole.items():
        company.write_events(day, events)
    repaired = run_dagster(company, str(LAST_DAY))
    assert repaired.record["exit_code"] == 0, repaired.stderr
    assert not differences(first_mart, read_mart(company.published))
    # Seeds and views are as the first run left them: dbt did not make them again, and no check was left out.
    statuses = {key: ran.get("status") for key, ran in repaired.record["materialized"].items() if not key.startswith("raw/")}
    assert {statuses[key] for key in ("seeds/tiers", "staging/stg_crm__accounts", "marts/calendar")} == {"reused"}
    assert statuses["marts/account_health"] == "success"
    # The validation of the scores is a job of its own.
    assert statuses.keys() == {key for key in repaired.record["assets"] if not key.startswith(("raw/", "validation/"))}
    check_checks(repaired)


def test_lost_and_damaged_state_comes_back_with_every_published_day(next_mart: dict[str, Rows], company: Company, run_dagster: Run) -> None:
    lake = company.settings.lake
    (lake / "raw" / "usage_events" / "_manifest.json").unlink()
    (lake / "raw" / "subscriptions" / "_manifest.json").write_bytes(b"")
    # The source keeps some days only: the others are in the lake alone.
    company.events_file(HISTORY_STARTS).unlink()
    (lake / "scored_days.json").write_bytes(b"")
    company.settings.warehouse.unlink()
    (company.settings.dbt_target / "columns.json").write_text("[]")
    ran = run_dagster(company, str(NEXT_DAY))
    assert ran.record["exit_code"] == 0, ran.stderr
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
    for said in (
        "usage_events/_manifest.json: was lost or damaged, restored from",
        "subscriptions/_manifest.json: was lost or damaged, restored from",
        f"scored_days.json: damaged, written anew from the days that were published: 3 days, {FIRST_DAY} to {LAST_DAY}",
    ):
        assert ran.stdout.count(said) == 1, ran.stdout


def launched(company: Company, *steps: str) -> list[dict[str, Any]]:
    """What Dagster shows of runs that it launches itself, see `tests.dagster_launch`."""
    result = company.folder / "launched.json"
    in_dagster(company, "dagster_launch", result, str(NEXT_DAY), *steps)
    return json.loads(result.read_text())


def test_a_wrong_configuration_marks_what_is_wrong_and_is_not_run_again(company: Company) -> None:
    company.config_file.write_text(company.config_file.read_text().replace("raw/tickets.csv", "raw/tikets.csv"))
    [refused] = launched(company, "all")
    assert (refused["status"], refused["failed"], refused["retries"]) == ("FAILURE", ["raw/tickets"], None)
    [step] = refused["failed_steps"].items()
    assert step[0] == "raw__tickets" and "sources.tickets.path" in step[1] and "tikets.csv" in step[1]


def test_dagster_tries_again_what_may_pass(company: Company) -> None:
    """A writer that holds the lock, and a source that is down; a person who runs the command hears of it at once."""
    text = company.config_file.read_text().replace("threads = 1\n", "threads = 1\nlock_timeout_seconds = 0.2\n")
    files = re.search(r"\[sources\.tickets\]\n[^\[]*", text)
    assert files is not None
    rest = (
        "[sources.tickets]\nconnector = 'rest'\nbase_url = 'http://127.0.0.1:9'\npath = '/tickets'\nrecords = '$'\nmax_attempts = 1\n"
        "paginator = { type = 'single_page' }\n"
    )
    company.config_file.write_text(text.replace(files[0], rest))
    busy, down, at_once = launched(company, "locked", "raw/tickets", "raw/tickets without retries")
    assert (busy["status"], busy["failed"], busy["retries"]) == ("FAILURE", [], "3")
    assert (down["status"], down["attempts"], down["failed"]) == ("SUCCESS", 3, [])
    assert (at_once["status"], at_once["attempts"]) == ("SUCCESS", 1)


def test_a_second_writer_is_refused_in_one_line(company: Company) -> None:
    text = company.config_file.read_text()
    company.config_file.write_text(text.replace("threads = 1\n", "threads = 1\nlock_timeout_seconds = 0.5\n"))
    before = content(company.settings.data_dir, NOT_DATA)
    with writer_lock(company.settings, "a backfill by hand"):
        refused = health(company.config_file, "run", NEXT_DAY)
    assert refused.returncode == 2
    assert f"'a backfill by hand' (process {os.getpid()}," in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert content(company.settings.data_dir, NOT_DATA) == before


def test_dg_accepts_the_definitions(company: Company) -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "defs"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"HEALTH_CONFIG": str(company.config_file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
