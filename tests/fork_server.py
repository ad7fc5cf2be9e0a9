"""What `tests.forked` forks from: the fork server imports this, and no other process does.

Imports, the parsed dbt project and its compiled macros are the same for every run, and a third of a small one.
"""

import multiprocessing.dummy  # noqa: F401
import os
import subprocess
import sys

# What a run or dbt only imports when it begins.
import babel.dates  # noqa: F401
import daff  # noqa: F401
import dagster as dg
import dagster_dbt  # noqa: F401
import dbt.adapters.duckdb.environments.local
import dbt.task.build
import dbt.task.show  # noqa: F401
import pandas  # noqa: F401
import pyarrow.dataset  # noqa: F401
import sqlglot  # noqa: F401
import sqlparse  # noqa: F401
import xlsxwriter  # noqa: F401
from dbt.clients.jinja import MacroGenerator
from dbt.contracts.graph.manifest import Manifest
from filelock import FileLock

from orchestration.dbt import SETUP, is_parsed
from orchestration.dbt_build import PARSED, seed_path
from orchestration.settings import PROJECT_ROOT, Settings, load_settings


def _parsed() -> Manifest:
    settings = load_settings(PROJECT_ROOT / "health.toml")
    SETUP.parent.mkdir(exist_ok=True)
    with FileLock(SETUP.with_suffix(".lock")):
        if not is_parsed(settings):
            # Parsing leaves threads, whose locks a forked process would wait for in vain: so it has a process of its own.
            clean = {name: value for name, value in os.environ.items() if name != "HEALTH_CONFIG"}
            subprocess.run([sys.executable, "-m", "orchestration.dbt"], cwd=PROJECT_ROOT, env=clean, check=True)
        parsed = Manifest.from_msgpack((SETUP / PARSED[1]).read_bytes())
    for macro in parsed.macros.values():
        MacroGenerator(macro).get_template()
    return parsed


_MANIFEST = _parsed()
# Dagster imports a third of itself for its first instance.
with dg.DagsterInstance.ephemeral():
    pass


def manifest(settings: Settings) -> Manifest:
    """The project, with the seeds of a configuration."""
    for node in _MANIFEST.nodes.values():
        if node.resource_type == "seed":
            node.original_file_path = seed_path(settings, node.name)
    return _MANIFEST
