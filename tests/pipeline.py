"""The pipeline without Dagster, for tests that run it many times: the same functions in the same order."""

import os
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

from orchestration.contract import TABLES
from orchestration.dbt import dbt_executable
from orchestration.extract import extract_table
from orchestration.locking import writer_lock
from orchestration.publish import PublishedGeneration, publish
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import dbt_environment, mark_passed, prepare

PUBLISHED_AT = datetime(2026, 11, 1, tzinfo=UTC)


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message is its output."""


def run_pipeline(config_file: Path, start: date, end: date, run_id: str = "run") -> PublishedGeneration:
    settings = load_settings(config_file)
    with writer_lock(settings, run_id):
        remove_leftovers(settings)
        check_configuration(settings)
        for table in TABLES.values():
            extract_table(settings, table, start, end)
        prepare(settings, run_id, start, end)
        dbt_build(settings)
        mark_passed(settings, run_id)
        return publish(settings, run_id, PUBLISHED_AT)


def dbt_build(settings: Settings, *arguments: str) -> str:
    result = subprocess.run(
        [
            dbt_executable(), "build", "--exclude-resource-type", "unit_test", "--profiles-dir", str(DBT_PROJECT),
            "--target-path", str(settings.dbt_target), "--log-path", str(settings.dbt_target), *arguments,
        ],
        cwd=DBT_PROJECT,
        env={**os.environ, **dbt_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise DbtFailed(result.stdout[-6000:] + result.stderr[-2000:])
    return result.stdout
