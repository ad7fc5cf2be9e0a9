"""The dbt project as Dagster and the command line see it: one way of calling dbt, one place of its artifacts."""

import os
import sys
from pathlib import Path

from dagster_dbt import DbtProject

from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.transform import dbt_environment


def dbt_executable() -> str:
    """The dbt of this environment, also when it is not activated."""
    return str(Path(sys.executable).with_name("dbt"))


def load_project(settings: Settings) -> DbtProject:
    """The dbt project with an up-to-date manifest.

    Sets the environment variables that profiles.yml reads: dbt runs as a child of this process.
    """
    os.environ.update(dbt_environment(settings))
    # dagster-dbt looks for `dbt` on the path.
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ.get("PATH", "")
    settings.dbt_target.mkdir(parents=True, exist_ok=True)
    project = DbtProject(DBT_PROJECT, target_path=settings.dbt_target)
    if _is_stale(project.manifest_path, settings):
        project.preparer.prepare(project)
    return project


def _is_stale(manifest: Path, settings: Settings) -> bool:
    if not manifest.exists():
        return True
    sources = [
        path
        for folder in (DBT_PROJECT, settings.seeds_dir)
        for path in folder.rglob("*")
        if path.suffix in (".sql", ".yml", ".csv") and "target" not in path.parts
    ]
    return max(path.stat().st_mtime for path in sources) > manifest.stat().st_mtime


if __name__ == "__main__":
    # `make setup`: the first run finds the project parsed.
    load_project(load_settings())
