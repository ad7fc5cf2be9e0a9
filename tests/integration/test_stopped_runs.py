"""The real command is killed at every kind of moment, or stopped by a signal: the same command again goes through, and the mart is
whole."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import dagster as dg
import pytest

from orchestration.locking import writer_lock
from orchestration.publish import current_generation, verify
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import _is_free, has_log
from tests.company import FIRST_DAY, LAST_DAY, MIDDLE_DAY, NEXT_DAY, Company, Rows, differences, read_mart, revision_faults
from tests.forked import health
from tests.forked import run as run_module

# In this order on one data folder, so that each run also goes through what the one before has left.
MOMENTS = (
    ("SIGKILL", "before orchestration.home:prepare_home"),
    # Dagster knows nothing of the run yet; then it is created; then it waits for the lock, which it has.
    ("SIGKILL", "before orchestration.definitions:defs"),
    ("SIGKILL", "before orchestration.dead_runs:report_dead_runs"),
    # Extract: before the first table, with its files but without its manifest, after it.
    ("SIGTERM", "before orchestration.extract:land_table"),
    ("SIGKILL", "before orchestration.extract:land_table"),
    ("SIGKILL", "before orchestration.extract.lake.manifest:write_manifest"),
    ("SIGKILL", "after orchestration.extract:land_table"),
    # Prepare: before it, and in its transaction.
    ("SIGKILL", "before orchestration.transform:prepare"),
    ("SIGKILL", "before orchestration.transform:_lay_views"),
    # dbt: a model, a model behind it, a check.
    ("SIGKILL", "START sql incremental model intermediate.int_usage__user_days"),
    ("SIGINT", "START sql incremental model intermediate.int_metrics__support"),
    ("SIGKILL", "START test"),
    # The generation is complete but not current; it is current but its revisions are not in the log.
    ("SIGKILL", "before orchestration.publish.publishing:flip"),
    ("SIGKILL", "after orchestration.publish.publishing:flip"),
)


def run_stopped(company: Company, signal_name: str, place: str, note: Path, days: str = str(NEXT_DAY)) -> CompletedProcess[str]:
    """`health run`, which sends itself a signal at a place: see `tests.stopped_run`."""
    return run_module("tests.stopped_run", signal_name, place, note, days, config=company.config_file)


@contextmanager
def dagster_of(company: Company) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(company.settings.dagster_home))
        with dg.DagsterInstance.get() as instance:
            yield instance


def test_a_run_that_is_killed_anywhere_blocks_no_other(
    next_mart: dict[str, Rows], first_mart: dict[str, Rows], company: Company, tmp_path: Path
) -> None:
    expected = []
    for signal_name, place in MOMENTS:
        sent_at = tmp_path / "sent_at"
        stopped = run_stopped(company, signal_name, place, sent_at)
        while not _is_free(company.settings.warehouse):
            time.sleep(0.1)
        stderr = stopped.stderr
        assert time.time() - float(sent_at.read_text()) < 10, (place, stderr)
        if signal_name == "SIGKILL":
            assert stopped.returncode == -signal.SIGKILL, (place, stderr)
            # Two of them died before Dagster had a run.
            expected += [] if "prepare_home" in place or "definitions" in place else ["FAILURE"]
        else:
            assert stopped.returncode == 128 + signal.Signals[signal_name], (place, stderr)
            expected.append("CANCELED")
            # dbt has closed it: the next run need not rebuild it.
            assert not has_log(company.settings.warehouse), place
            assert stderr.splitlines()[-1].startswith(f"health run {NEXT_DAY}: stopped by {signal_name}"), stderr
            assert "Traceback" not in stderr, stderr
        number = current_generation(company.settings)
        assert number is not None
        verify(company.settings, number)
        if number == 1:
            assert not differences(first_mart, read_mart(company.published)), place

    undisturbed = health(company.config_file, "run", NEXT_DAY)
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
    assert all(path.name.isdigit() for path in (company.published / "generations").iterdir())
    assert not [path for path in company.settings.lake.rglob("*") if ".tmp" in path.name]

    with dagster_of(company) as instance:
        runs = [record.dagster_run for record in reversed(instance.get_run_records())]
        assert [run.status.value for run in runs] == [*expected, "SUCCESS"]
        for run in runs:
            last = [entry.dagster_event.message for entry in instance.all_logs(run.run_id) if entry.dagster_event][-1]
            if run.status.value == "FAILURE":
                assert "The process of this run is gone" in last


def test_a_run_in_parts_that_is_killed_goes_on_where_it_was(company: Company, first_mart: dict[str, Rows], tmp_path: Path) -> None:
    company.forget()
    company.config_file.write_text(company.config_file.read_text().replace("[pipeline]\n", "[pipeline]\npart_days = 1\n"))
    days, sent_at = f"{FIRST_DAY}...{LAST_DAY}", tmp_path / "sent_at"
    # Two parts are done; DuckDB leaves a log where the process is killed while a model writes.
    stopped = run_stopped(company, "SIGKILL", "before orchestration.defs.transform:build", sent_at, days)
    assert stopped.returncode == -signal.SIGKILL, stopped.stderr
    assert current_generation(company.settings) is None
    company.settings.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"what a killed writer left")

    again = health(company.config_file, "run", days)
    assert again.returncode == 0, again.stderr
    assert f"2 days up to {MIDDLE_DAY} are scored, 1 are left" in again.stdout
    assert not differences(first_mart, read_mart(company.published))
    assert not revision_faults(company)
    assert current_generation(company.settings) == 1
    assert not company.settings.warehouse.with_name("warehouse.part.duckdb").exists()


@pytest.fixture
def small_disk(company: Company) -> Iterator[Path]:
    """The company's data folder on a small disk of its own, at the same path."""
    data = company.settings.data_dir
    aside = shutil.copytree(data, data.with_name("aside"), symlinks=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(data)], capture_output=True, check=False)
    try:
        if mounted.returncode != 0:
            pytest.skip("only root may mount the small disk of this test")
        shutil.copytree(aside, data, symlinks=True, dirs_exist_ok=True)
        yield data
    finally:
        shutil.rmtree(aside)
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(data)], check=True)


def test_a_disk_that_fills_up_during_a_run_ends_it_in_one_line(
    next_mart: dict[str, Rows], first_mart: dict[str, Rows], company: Company, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    generations = company.published / "generations"
    for place in ("before orchestration.extract:land_table", "before orchestration.publish.publishing:audit_database"):
        filled = run_stopped(company, "FULL", place, filler)
        stderr = filled.stderr
        assert filled.returncode == 1, (place, stderr)
        *others, said = stderr.splitlines()
        # Dagster could not note how the first one ended.
        assert all(line.endswith("was left by a process that is gone: now shown as failed") for line in others), (place, stderr)
        # What is left when it is measured depends on what the run frees in that moment: a journal of SQLite, a part of a Parquet file.
        found = re.search(re.escape(f"{small_disk}: its disk is full: ") + r"(\d+) MB are free, and a run ends below 20\. ", said)
        assert found and int(found[1]) < 20, (place, stderr)
        assert said.endswith("free 100 MB or more, and the same command does the rest"), (place, stderr)
        assert filler.stat().st_size > 100 << 20, place
        assert not differences(first_mart, read_mart(company.published)), place
        verify(company.settings, 1)
        if place.endswith("audit_database"):
            break
        filler.unlink()

    # Half a generation is left. It may be what fills the disk, so it goes before the space is measured.
    assert [path.name for path in generations.iterdir()] != ["1"]
    (company.settings.temp_dir / "spilled").write_bytes(b"")
    os.truncate(filler, filler.stat().st_size - (50 << 20))
    refused = health(company.config_file, "run", NEXT_DAY)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "MB are free on its disk, and a run needs at least 100" in refused.stderr
    assert [path.name for path in generations.iterdir()] == ["1"]
    assert not company.settings.temp_dir.exists()

    filler.unlink()
    undisturbed = health(company.config_file, "run", NEXT_DAY)
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
    assert sorted(path.name for path in generations.iterdir()) == ["1", "2"]
    assert not [path for path in company.settings.lake.rglob("*") if ".tmp" in path.name]
    with dagster_of(company) as instance:
        assert sorted(record.dagster_run.status.value for record in instance.get_run_records()) == ["FAILURE", "FAILURE", "SUCCESS"]


def test_who_waits_says_for_whom_and_ends_on_a_signal(company: Company) -> None:
    with writer_lock(company.settings, "a backfill by hand"):
        waiting = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "run", str(NEXT_DAY)],
            cwd=PROJECT_ROOT,
            env=os.environ | {"HEALTH_CONFIG": str(company.config_file)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = waiting.stdout.readline()
        assert said.startswith(f"'a backfill by hand' (process {os.getpid()}, since ") and "at most 60 s" in said
        waiting.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        _, stderr = waiting.communicate(timeout=60)
        assert time.monotonic() - begun < 10
    assert waiting.returncode == 128 + signal.SIGTERM
    assert stderr.count("\n") == 1 and stderr.startswith(f"health run {NEXT_DAY}: stopped by SIGTERM")
