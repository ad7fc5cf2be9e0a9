"""Runs whose process is gone: Dagster would show them as running for ever, and count them.

Each run holds a lock of its own as long as its process lives, `<data_dir>/dagster/running/<run id>`; the kernel frees it however the
process ends. So a free one is that of a dead run, unlike a process number, which may be another process's by now.
"""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.settings import Settings

if TYPE_CHECKING:
    # Takes a second, which a refused run need not wait for.
    from dagster import DagsterInstance

_WHY = "The process of this run is gone: killed, or the machine went down. Readers see a complete mart; a later run does the rest."
# A run takes its lock some seconds after its process has started, and the UI takes some more to start one.
_STARTING = timedelta(minutes=10)
_held: dict[str, int] = {}


def show_alive(settings: Settings, run_id: str) -> None:
    """Let other runs see, from now until this process ends, that this run is alive."""
    if run_id in _held:
        return
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    # Locked before it has its name: nobody ever sees it free.
    temporary = folder / f".{run_id}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.replace(temporary, folder / run_id)
    _held[run_id] = descriptor


def report_dead_runs(settings: Settings, instance: "DagsterInstance", job: str) -> list[str]:
    """Have Dagster show as failed what it takes for running though its process is gone. Call it under the writer lock.

    Args:
        job: runs of this job are also dead if they show no sign of life at all, for ten minutes.

    Returns:
        The ids of these runs.
    """
    dead = []
    for lock_file in _lock_files(settings):
        if _is_free(lock_file):
            dead += _report(instance, lock_file.name)
            lock_file.unlink()
    for run_id in _without_a_sign(settings, instance, job):
        dead += _report(instance, run_id)
    return dead


def report_canceled(instance: "DagsterInstance", run_id: str, by: str) -> None:
    """Have Dagster show that a signal ended the run; nothing happens if it has ended or was never begun."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceled(run, f"Stopped by {by}. Readers see a complete mart; a later run does the rest.")


def report_failed(instance: "DagsterInstance", run_id: str, why: str) -> None:
    """Have Dagster show that the process of the run ended itself; nothing happens if the run has ended or was never begun."""
    from dagster._core.events import JobFailureData, RunFailureReason

    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        # No asset of ours is in a pool, but one of yours may be.
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        instance.report_run_failed(run, why, JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION))


def _folder(settings: Settings) -> Path:
    return settings.dagster_home / "running"


def _lock_files(settings: Settings) -> list[Path]:
    folder = _folder(settings)
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _is_free(lock_file: Path) -> bool:
    with open(lock_file, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _report(instance: "DagsterInstance", run_id: str) -> list[str]:
    from dagster import DagsterRunStatus

    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return []
    if run.status == DagsterRunStatus.CANCELING:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        instance.report_run_canceled(run, _WHY)
    else:
        report_failed(instance, run_id, _WHY)
    return [run_id]


def _without_a_sign(settings: Settings, instance: "DagsterInstance", job: str) -> list[str]:
    """Runs that were killed before they held their lock, or by a version that knew none."""
    from dagster import DagsterRunStatus, RunsFilter

    begun = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    old = RunsFilter(job_name=job, statuses=begun, updated_before=datetime.now(UTC) - _STARTING)
    ids = [record.dagster_run.run_id for record in instance.get_run_records(old)]
    alive = {path.name for path in _lock_files(settings)}
    return [run_id for run_id in ids if run_id not in alive]
