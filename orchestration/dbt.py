"""The dbt project as Dagster and the command line see it: one way of calling dbt, one place of its artifacts."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster_dbt import DbtProject

from orchestration.dbt_build import parse
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import dbt_environment
from orchestration.warehouse import connect

# `schema.table` -> its columns as [name, type], in order.
Columns = dict[str, list[list[str]]]


def load_project(settings: Settings) -> DbtProject:
    """The dbt project with an up-to-date manifest.

    Sets the environment variables that dbt reads: it runs in this process.

    Raises:
        DbtFailed: the project cannot be parsed.
    """
    os.environ.update(dbt_environment(settings))
    settings.dbt_target.mkdir(parents=True, exist_ok=True)
    project = DbtProject(DBT_PROJECT, target_path=settings.dbt_target)
    if _is_stale(project.manifest_path, settings):
        parse(settings)
    return project


def _is_stale(manifest: Path, settings: Settings) -> bool:
    """Whether dbt has to parse the project: the manifest is missing, older than a file of the project, or was cut short by a kill."""
    try:
        json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return True
    sources = [
        path
        for folder in (DBT_PROJECT, settings.seeds_dir)
        for path in folder.rglob("*")
        if path.suffix in (".sql", ".yml", ".csv") and "target" not in path.parts
    ]
    return max(path.stat().st_mtime for path in sources) > manifest.stat().st_mtime


def note_columns(settings: Settings) -> None:
    """Write down the columns of every table that dbt has built, for `known_columns`.

    Nobody but the pipeline opens the warehouse, and columns in the metadata of each run would be stored once for each of its days.
    """
    with connect(settings, settings.warehouse, read_only=True) as warehouse:
        found = warehouse.execute(
            "select schema_name || '.' || table_name, column_name, lower(data_type) from duckdb_columns() where not internal "
            "order by schema_name, table_name, column_index"
        ).fetchall()
    columns: Columns = {}
    for table, name, data_type in found:
        # An enum spells out all its values.
        columns.setdefault(table, []).append([name, "enum" if data_type.startswith("enum(") else data_type])
    path = _columns_file(settings)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(columns), encoding="utf-8")
    os.replace(temporary, path)


def known_columns(settings: Settings) -> Columns:
    """The columns of every table as the last run left it; none before the first run."""
    try:
        found = json.loads(_columns_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    # Where it is damaged: only the UI shows them, and the next run writes them anew.
    return found if isinstance(found, dict) else {}


def _columns_file(settings: Settings) -> Path:
    return settings.dbt_target / "columns.json"


def check_sentence(test: Mapping[str, Any]) -> str:
    """What a dbt test checks, in a sentence: its own description, or what the generic tests that dbt ships mean.

    Of another test that nobody has described it is the name.

    Args:
        test: the test's node in the manifest.
    """
    if test["description"]:
        return test["description"]
    generic = test.get("test_metadata") or {"name": None, "kwargs": {}}
    arguments = generic["kwargs"]
    column, model = arguments.get("column_name"), (test["attached_node"] or "").rsplit(".", 1)[-1]
    match generic["name"]:
        case "unique":
            return f"No {column} stands twice in {model}."
        case "not_null":
            return f"Every row of {model} has its {column}."
        case "accepted_values":
            return f"Every {column} of {model} is one of {', '.join(map(str, arguments['values']))}."
        case "relationships":
            return f"Every {column} of {model} is found in the column {arguments['field']} of {arguments['to']}."
    return test["name"]


if __name__ == "__main__":
    # `make setup`: the first run finds the project parsed.
    load_project(load_settings())
