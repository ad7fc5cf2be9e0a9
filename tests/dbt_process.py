"""What builds with dbt are forked from: the fork server of `tests.pipeline` imports this, and no other process does.

Imports, parsing the project and compiling its macros are the same for every build, and more than a third of a small one.
"""

import multiprocessing.dummy  # noqa: F401
import os
import sys
import tempfile
from pathlib import Path

# What dbt only imports when it begins to build.
import babel.dates  # noqa: F401
import daff  # noqa: F401
import dbt.adapters.duckdb.environments.local
import dbt.task.build  # noqa: F401
import pandas  # noqa: F401
import sqlparse  # noqa: F401
from dbt.cli.main import dbtRunner
from dbt.clients.jinja import MacroGenerator
from dbt.contracts.graph.manifest import Manifest

from orchestration.settings import DBT_PROJECT, PROJECT_ROOT, load_settings
from orchestration.transform import dbt_environment
from tests.pipeline import dbt_options


def _parsed() -> Manifest:
    # Nothing is opened for parsing. Of the warehouse only the name counts, which is in every relation, and all have one name.
    os.environ.update(dbt_environment(load_settings(PROJECT_ROOT / "health.toml")))
    # The static parser leaves threads, whose locks a forked process would wait for in vain.
    with tempfile.TemporaryDirectory() as folder:
        result = dbtRunner().invoke(["parse", "--no-static-parser", "--log-level-file", "none", *dbt_options(Path(folder))])
    if not result.success:
        sys.exit(f"dbt cannot parse the project: {result.exception}")
    for macro in result.result.macros.values():
        MacroGenerator(macro).get_template()
    return result.result


_MANIFEST = _parsed()


def manifest(seeds: Path) -> Manifest:
    """The project, with another folder's seeds."""
    for node in _MANIFEST.nodes.values():
        if node.resource_type == "seed":
            node.original_file_path = os.path.relpath(seeds / Path(node.original_file_path).name, DBT_PROJECT)
    return _MANIFEST
