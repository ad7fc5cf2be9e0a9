"""Any command of dbt on the warehouse of the configured company, as a run would call it: the command `health dbt`."""

import os
from collections.abc import Sequence

from orchestration.locking import writer_lock
from orchestration.settings import DBT_PROJECT, Settings, SettingsError
from orchestration.warehouse import has_log

# The commands that write no table. Every other one may.
_READING = ("parse", "ls", "list", "compile", "docs", "show", "test", "debug")


def dbt_by_hand(settings: Settings, arguments: Sequence[str]) -> int:
    """Run it under the writer lock. What builds a model leaves the days of the last run to the next one.

    Raises:
        SettingsError: there is no warehouse for what is to be built, or the last writer did not finish.
        WriterBusy: as `writer_lock`.
    """
    with writer_lock(settings, f"dbt {' '.join(arguments)}"):
        if has_log(settings.warehouse):
            raise SettingsError(f"{settings.warehouse}: the last writer did not finish. Let `make run` rebuild it first")
        if not settings.warehouse.exists() and arguments[0] not in _READING:
            raise SettingsError(f"{settings.warehouse}: no such file. Let `make run` build the warehouse first")
        return _dbt(settings, arguments)


def _dbt(settings: Settings, arguments: Sequence[str]) -> int:
    from dbt.cli.main import dbtRunner

    from orchestration.dbt import load_project
    from orchestration.dbt_build import parsed_manifest
    from orchestration.engines import engine_of
    from orchestration.transform import leave_to_next_run

    load_project(settings)
    if not settings.warehouse.exists():
        os.environ.pop("HEALTH_WAREHOUSE", None)
    elif arguments[0] not in _READING:
        leave_to_next_run(settings)
    places = ["--project-dir", str(DBT_PROJECT), *engine_of(settings).profile(settings), "--target-path", str(DBT_PROJECT / "target")]
    result = dbtRunner(parsed_manifest(settings)).invoke([*arguments, *places, "--log-level-file", "none"])
    return 0 if result.success else 1
