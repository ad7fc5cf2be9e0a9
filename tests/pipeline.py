"""The pipeline without Dagster, for tests that run it many times: the same functions in the same order."""

import gc
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from orchestration.contract import TABLES
from orchestration.extract import land_table
from orchestration.locking import writer_lock
from orchestration.publish.publishing import PublishedGeneration, publish
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import DAILY, dbt_environment, mark_passed, prepare
from tests.forked import Forked

PUBLISHED_AT = datetime(2026, 11, 1, tzinfo=UTC)


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message is its output."""


def run_pipeline(config_file: Path, start: date, end: date, run_id: str = "run", *, artifacts: bool = False) -> PublishedGeneration:
    """Land, transform and publish the days [start, end].

    Args:
        artifacts: dbt writes its results and the compiled models.
    """
    settings = load_settings(config_file)
    with writer_lock(settings, run_id):
        remove_leftovers(settings)
        check_configuration(settings)
        for table in TABLES.values():
            land_table(settings, table, start, end)
        plan = prepare(settings, run_id, start, end)
        dbt_build(settings, *plan.dbt_options, artifacts=artifacts)
        mark_passed(settings, run_id)
        return publish(settings, run_id, PUBLISHED_AT)


def dbt_build(settings: Settings, *arguments: str, artifacts: bool = False) -> str:
    """`dbt build` as a run calls it; see `dbt`."""
    return dbt(settings, "build", *DAILY, *arguments, artifacts=artifacts)


def dbt(settings: Settings, command: str, *arguments: str, artifacts: bool = False) -> str:
    """A command of dbt in a process of its own, which is forked from one that has read the parsed project: half the time of a new one.

    Returns:
        What dbt says on its console.
    """
    if not artifacts:
        arguments = ("--no-write-json", *arguments)
    try:
        done = Forked(_run_dbt, settings, command, arguments, environment=os.environ | dbt_environment(settings)).wait(timeout=300)
    except TimeoutExpired as error:
        raise DbtFailed(f"dbt does not end. It said: {error.stdout[-2000:]}") from error
    if done.returncode != 0:
        raise DbtFailed(done.stdout[-8000:] + done.stderr[-2000:])
    return done.stdout


def _run_dbt(settings: Settings, command: str, arguments: Sequence[str]) -> None:
    """Run dbt, and write what it would say on its console."""
    from dbt.cli.main import dbtRunner

    from orchestration.dbt_build import dbt_options
    from tests.fork_server import manifest

    def say(event: Any) -> None:
        if event.info.level not in ("debug", "test"):
            print(event.info.msg)

    gc.disable()
    os.chdir(DBT_PROJECT)
    result = dbtRunner(manifest=manifest(settings), callbacks=[say]).invoke([command, *dbt_options(settings), *arguments])
    # No event reports an option that dbt does not know.
    if result.exception is not None:
        print(result.exception)
    sys.exit(0 if result.success else 1)
