"""What a killed run leaves: it is shown as failed. Others are left alone."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration import dead_runs
from orchestration.dead_runs import report_canceled, report_dead_runs, show_alive
from orchestration.home import prepare_home
from orchestration.settings import PROJECT_ROOT, Settings, load_settings

ALIVE = """
import sys
from orchestration.dead_runs import show_alive
from orchestration.settings import load_settings
show_alive(load_settings(sys.argv[1]), sys.argv[2])
print("alive", flush=True)
sys.stdin.read()
"""
JOB = "daily_health"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "health.toml"
    config.write_text('[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n')
    return load_settings(config)


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_home(settings)
    with dg.DagsterInstance.get() as found:
        yield found


@pytest.fixture
def process(settings: Settings) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that executes the run of this id."""
    started = []

    def start(run_id: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", ALIVE, str(settings.config_file), run_id],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout.readline() == "alive\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def begin(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    return instance.add_run(dg.DagsterRun(job_name=job, status=status)).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    return instance.get_run_by_id(run_id).status.value


def test_a_killed_run_is_shown_as_failed_and_its_slot_is_free(settings, instance, process) -> None:
    killed, working = begin(instance, JOB), begin(instance, JOB)
    instance.event_log_storage.set_concurrency_slots("somebody's pool", 1)
    assert instance.event_log_storage.claim_concurrency_slot("somebody's pool", killed, "step").is_claimed
    dead = process(killed)
    process(working)
    assert report_dead_runs(settings, instance, JOB) == []
    dead.kill()
    dead.wait()
    assert report_dead_runs(settings, instance, JOB) == [killed]
    assert (status(instance, killed), status(instance, working)) == ("FAILURE", "STARTED")
    [message] = [entry.dagster_event.message for entry in instance.all_logs(killed)]
    assert "The process of this run is gone" in message
    assert not instance.event_log_storage.get_concurrency_info("somebody's pool").claimed_slots
    assert report_dead_runs(settings, instance, JOB) == []


def test_a_run_that_was_killed_while_the_ui_cancels_it_is_shown_as_canceled(settings, instance, process) -> None:
    run_id = begin(instance, JOB, dg.DagsterRunStatus.CANCELING)
    dead = process(run_id)
    dead.kill()
    dead.wait()
    report_dead_runs(settings, instance, JOB)
    assert status(instance, run_id) == "CANCELED"


def test_a_run_that_ended_keeps_its_status(settings, instance, process) -> None:
    run_id = begin(instance, JOB, dg.DagsterRunStatus.SUCCESS)
    ended = process(run_id)
    ended.communicate("")
    assert report_dead_runs(settings, instance, JOB) == []
    assert status(instance, run_id) == "SUCCESS"
    assert not list((settings.dagster_home / "running").iterdir())


def test_a_run_without_any_sign_of_life_is_dead_after_ten_minutes(settings, instance, monkeypatch) -> None:
    # As a version without these locks has left it. Jobs of your own, which show no sign, are left alone.
    lost, other = begin(instance, JOB), begin(instance, "a_job_of_yours")
    assert report_dead_runs(settings, instance, JOB) == []

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(UTC) + timedelta(minutes=11)

    monkeypatch.setattr(dead_runs, "datetime", Later)
    assert report_dead_runs(settings, instance, JOB) == [lost]
    assert (status(instance, lost), status(instance, other)) == ("FAILURE", "STARTED")


def test_this_process_is_alive(settings, instance) -> None:
    run_id = begin(instance, JOB)
    show_alive(settings, run_id)
    show_alive(settings, run_id)
    assert report_dead_runs(settings, instance, JOB) == []


def test_a_signal_before_the_run_is_created_reports_nothing(instance) -> None:
    report_canceled(instance, "no such run", "SIGTERM")
    run_id = begin(instance, JOB)
    report_canceled(instance, run_id, "SIGTERM")
    assert status(instance, run_id) == "CANCELED"


def test_the_configuration_of_an_earlier_version_is_brought_up_to_date(settings, monkeypatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings.dagster_home.mkdir(parents=True)
    config = settings.dagster_home / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: false\nconcurrency:\n  pools:\n    default_limit: 1\n")
    prepare_home(settings)
    assert "pools" not in config.read_text() and "run_monitoring" in config.read_text()
    written = config.stat().st_mtime_ns
    prepare_home(settings)
    assert config.stat().st_mtime_ns == written
