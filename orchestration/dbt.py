"""The dbt project as Dagster and the command line see it: one way of calling dbt, one place of its artifacts."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from orchestration.dbt_build import PARSED, parse, seed_path
from orchestration.engines import engine_of
from orchestration.fingerprint import dbt_files, fingerprint
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT, Settings, load_settings
from orchestration.shared import DIMENSIONS
from orchestration.transform import dbt_environment
from orchestration.warehouse import connect

# `schema.table` -> its columns as [name, type], in order.
Columns = dict[str, list[list[str]]]

# Where `make setup` leaves what it has parsed.
SETUP = DBT_PROJECT / "target" / "setup"
_NOTE = "parsed_from"


def load_project(settings: Settings, parsed_before: Path = SETUP) -> dict[str, Any]:
    """dbt's manifest of the project: that of this data folder, or the one that `make setup` has left, or parsed now.

    It depends on a configuration only by the folder of the seeds, which is filled in, so all data folders share one.

    Raises:
        DbtFailed: the project cannot be parsed.
    """
    os.environ.update(dbt_environment(settings))
    target, wanted = settings.dbt_target, _fingerprint(settings)
    if _parsed_from(target) != wanted:
        if _parsed_from(parsed_before) == wanted:
            target.mkdir(parents=True, exist_ok=True)
            for part in PARSED:
                shutil.copyfile(parsed_before / part, target / part)
        else:
            parse(settings, target)
        _note_parsed(target, wanted)
    manifest: dict[str, Any] = orjson.loads((target / PARSED[0]).read_bytes())
    for node in manifest["nodes"].values():
        if node["resource_type"] == "seed":
            node["original_file_path"] = seed_path(settings, node["name"])
    return manifest


def is_parsed(settings: Settings, folder: Path = SETUP) -> bool:
    """Whether what was parsed into the folder is the project as it is now, and whole."""
    return _parsed_from(folder) == _fingerprint(settings)


def _fingerprint(settings: Settings) -> str:
    seeds = sorted(path.name for path in (PROJECT_ROOT / "seeds").glob("*.csv"))
    versions = (version(name) for name in ("dbt-core", *engine_of(settings).packages))
    return fingerprint(dbt_files(), settings.engine.model_dump_json(), *versions, *seeds)


def _note_parsed(folder: Path, fingerprint: str) -> None:
    (folder / _NOTE).write_text(f"{fingerprint} {_content(folder)}", encoding="utf-8")


def _parsed_from(folder: Path) -> str | None:
    """The fingerprint of what was parsed into the folder; None where that is not whole, for example cut short by a kill."""
    try:
        fingerprint, content = (folder / _NOTE).read_text(encoding="utf-8").split()
        return fingerprint if content == _content(folder) else None
    except (OSError, ValueError):
        return None


def _content(folder: Path) -> str:
    return hashlib.sha256(b"".join((folder / part).read_bytes() for part in PARSED)).hexdigest()


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


def column_description(stated: Mapping[str, Any], column: str) -> str | None:
    """What the project says of a column of a model; None if it says nothing.

    A wide model has columns for each metric or dimension, which are described once: `nps_180d__state` as `<metric>__state`,
    `voice__score` as `<dimension>__score`, `field_2` as `field_<n>`.

    Args:
        stated: the columns of the model's node in the manifest.
    """
    numbered = re.sub(r"_\d+$", "_<n>", column)
    head, separator, rest = numbered.partition("__")
    general = ("<dimension>" if head in DIMENSIONS else "<metric>") + separator + rest
    return next((stated[name]["description"] for name in (column, numbered, general) if name in stated), None)


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
            return f"No {column} is duplicated in {model}."
        case "not_null":
            return f"Every row of {model} has its {column}."
        case "accepted_values":
            return f"Every {column} of {model} is one of {', '.join(map(str, arguments['values']))}."
        case "relationships":
            return f"Every {column} of {model} is found in the column {arguments['field']} of {arguments['to']}."
    return test["name"]


if __name__ == "__main__":
    # `make setup`: the first run of any data folder finds the project parsed.
    configured = load_settings().on_duckdb()
    os.environ.update(dbt_environment(configured))
    parse(configured, SETUP)
    _note_parsed(SETUP, _fingerprint(configured))
