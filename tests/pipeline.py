"""The pipeline without Dagster, for tests that run it many times: the same functions in the same order."""

import gc
import multiprocessing
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from dbt.cli.main import dbtRunner

from orchestration.contract import TABLES
from orchestration.extract import land_table
from orchestration.locking import writer_lock
from orchestration.publish.publishing import PublishedGeneration, publish
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import dbt_environment, mark_passed, prepare

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.pipeline", "dbt.adapters.duckdb"])
PUBLISHED_AT = datetime(2026, 11, 1, tzinfo=UTC)


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message is its output."""


def run_pipeline(config_file: Path, start: date, end: date, run_id: str = "run", dbt_log: str = "none") -> PublishedGeneration:
    """`dbt_log`: level of the file `dbt.log`; writing it at level debug costs a sixth of dbt's time."""
    settings = load_settings(config_file)
    with writer_lock(settings, run_id):
        remove_leftovers(settings)
        check_configuration(settings)
        for table in TABLES.values():
            land_table(settings, table, start, end)
        prepare(settings, run_id, start, end)
        dbt_build(settings, "--log-level-file", dbt_log)
        mark_passed(settings, run_id)
        return publish(settings, run_id, PUBLISHED_AT)


def dbt_build(settings: Settings, *arguments: str) -> str:
    """`dbt build` in a process of its own, which is forked from one that has imported dbt already: a third of the time of a new one."""
    command = [
        "build", "--exclude-resource-type", "unit_test", "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(settings.dbt_target), "--log-path", str(settings.dbt_target), *arguments,
    ]  # fmt: skip
    said = settings.dbt_target / "said.txt"
    said.parent.mkdir(parents=True, exist_ok=True)
    child = _FORKS.Process(target=_run_dbt, args=(command, dbt_environment(settings), str(said)))
    child.start()
    child.join()
    output = said.read_text(encoding="utf-8")
    if child.exitcode != 0:
        raise DbtFailed(output[-8000:])
    return output


def _run_dbt(command: list[str], environment: dict[str, str], said: str) -> None:
    gc.disable()
    os.chdir(DBT_PROJECT)
    os.environ.update(environment)
    with open(said, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        result = dbtRunner().invoke(command)
    sys.stdout.flush()
    sys.exit(0 if result.success else 1)
