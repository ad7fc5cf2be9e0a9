"""The pipeline without Dagster, for tests that run it many times: the same functions in the same order."""

import gc
import multiprocessing
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from orchestration.contract import TABLES
from orchestration.extract import land_table
from orchestration.locking import writer_lock
from orchestration.publish.publishing import PublishedGeneration, publish
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import DAILY, dbt_environment, mark_passed, prepare

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.dbt_process"])
PUBLISHED_AT = datetime(2026, 11, 1, tzinfo=UTC)


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message is its output."""


def run_pipeline(
    config_file: Path, start: date, end: date, run_id: str = "run", *, dbt_log: str = "none", artifacts: bool = False
) -> PublishedGeneration:
    """Land, transform and publish the days [start, end].

    Args:
        dbt_log: level of the file `dbt.log`; writing it costs a sixth of dbt's time.
        artifacts: dbt parses the project itself and writes what it found; that costs another sixth, or much more at a new path.
    """
    settings = load_settings(config_file)
    with writer_lock(settings, run_id):
        remove_leftovers(settings)
        check_configuration(settings)
        for table in TABLES.values():
            land_table(settings, table, start, end)
        plan = prepare(settings, run_id, start, end)
        dbt_build(settings, *plan.dbt_options, "--log-level-file", dbt_log, artifacts=artifacts)
        mark_passed(settings, run_id)
        return publish(settings, run_id, PUBLISHED_AT)


def dbt_build(settings: Settings, *arguments: str, artifacts: bool = False) -> str:
    """`dbt build` as a run calls it; see `dbt`."""
    return dbt(settings, "build", *DAILY, *arguments, artifacts=artifacts)


def dbt(settings: Settings, command: str, *arguments: str, artifacts: bool = False) -> str:
    """A command of dbt in a process of its own, which is forked from one that has parsed the project: half the time of a new one.

    Returns:
        What dbt says on its console.
    """
    arguments = (*dbt_options(settings.dbt_target), *arguments)
    if not artifacts:
        arguments = ("--no-write-json", *arguments)
    said = settings.dbt_target / "said.txt"
    said.parent.mkdir(parents=True, exist_ok=True)
    said.write_text("")
    seeds = None if artifacts else settings.seeds_dir
    child = _FORKS.Process(target=_run_dbt, args=([command, *arguments], dbt_environment(settings), seeds, said))
    child.start()
    child.join(timeout=300)
    output = said.read_text(encoding="utf-8")
    if child.is_alive():
        child.kill()
        raise DbtFailed(f"dbt does not end. It said: {output[-2000:]}")
    if child.exitcode != 0:
        raise DbtFailed(output[-8000:])
    return output


def dbt_options(target: Path) -> list[str]:
    """The project, and a folder for what dbt writes. Its console is off: it looks through the environment for secrets for every
    event, also for those that it does not show."""
    places = {"--project-dir": DBT_PROJECT, "--profiles-dir": DBT_PROJECT, "--target-path": target, "--log-path": target}
    return ["--log-level", "none", *(str(part) for place in places.items() for part in place)]


def _run_dbt(command: list[str], environment: dict[str, str], seeds: Path | None, said: Path) -> None:
    """Run dbt, and write what it would say on its console.

    Args:
        seeds: the project as it was parsed before the fork, with these seeds; None lets dbt parse it.
    """
    from dbt.cli.main import dbtRunner

    from tests.dbt_process import manifest

    def say(event: Any) -> None:
        if event.info.level not in ("debug", "test"):
            print(event.info.msg, flush=True)

    gc.disable()
    os.chdir(DBT_PROJECT)
    os.environ.update(environment)
    with open(said, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        result = dbtRunner(manifest=None if seeds is None else manifest(seeds), callbacks=[say]).invoke(command)
        # No event reports an option that dbt does not know.
        if result.exception is not None:
            print(result.exception)
    sys.stdout.flush()
    sys.exit(0 if result.success else 1)
