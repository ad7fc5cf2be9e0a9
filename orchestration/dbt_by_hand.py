"""`make dbt ARGS="build -s int_usage__windows"`: any command of dbt on the warehouse of the configured company, as a run would call it.

It holds the writer lock. What builds a model leaves the days of the last run unfinished: the next run builds them anew, so nothing that
was tried by hand is ever published. Before the first run, commands that only read the project work on an empty warehouse in memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.stopping import until_signal

if TYPE_CHECKING:
    from orchestration.settings import Settings

# The commands that write no table. Every other one may.
_READING = ("parse", "ls", "list", "compile", "docs", "show", "test", "debug")


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments:
        print('name a command of dbt: make dbt ARGS="build -s int_usage__windows"', file=sys.stderr)
        return 2
    return until_signal(f"dbt {' '.join(arguments)}", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    # Imports that take seconds: a signal may come meanwhile.
    from orchestration.locking import WriterBusy, writer_lock
    from orchestration.settings import SettingsError, load_settings
    from orchestration.warehouse import has_log

    try:
        settings = load_settings()
        with writer_lock(settings, f"dbt {' '.join(arguments)}"):
            if has_log(settings.warehouse):
                raise SettingsError(f"{settings.warehouse}: the last writer did not finish. Let `make run` rebuild it first")
            if not settings.warehouse.exists() and arguments[0] not in _READING:
                raise SettingsError(f"{settings.warehouse}: no such file. Let `make run` build the warehouse first")
            return _dbt(settings, arguments)
    except (SettingsError, WriterBusy) as error:
        print(error, file=sys.stderr)
        return 2


def _dbt(settings: Settings, arguments: Sequence[str]) -> int:
    from dbt.cli.main import dbtRunner

    from orchestration.dbt import load_project
    from orchestration.dbt_build import parsed_manifest
    from orchestration.settings import DBT_PROJECT
    from orchestration.transform import leave_to_next_run

    load_project(settings)
    if not settings.warehouse.exists():
        del os.environ["HEALTH_WAREHOUSE"]
    elif arguments[0] not in _READING:
        leave_to_next_run(settings)
    places = ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT), "--target-path", str(DBT_PROJECT / "target")]
    result = dbtRunner(parsed_manifest(settings)).invoke([*arguments, *places, "--log-level-file", "none"])
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
