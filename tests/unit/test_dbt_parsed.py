"""What dbt has parsed holds for all data folders, until the project changes or a file of it is damaged."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration import dbt, fingerprint
from orchestration.dbt import load_project
from orchestration.dbt_build import PARSED, parsed_manifest
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT, Settings, load_settings


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make setup` leaves it; taken from there if this project was set up."""
    found = configured(tmp_path_factory.mktemp("setup"))
    load_project(found)
    return found.dbt_target


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return configured(tmp_path)


def configured(folder: Path) -> Settings:
    config = folder / "health.toml"
    config.write_text(
        '[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "rules"\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
    )
    shutil.copytree(PROJECT_ROOT / "seeds", folder / "rules")
    return load_settings(config)


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch, parsed: Path) -> Iterator[list[Path]]:
    """The folders that dbt has parsed into."""
    found: list[Path] = []

    def parse(_: Settings, target: Path) -> None:
        found.append(target)
        target.mkdir(parents=True, exist_ok=True)
        for part in PARSED:
            shutil.copyfile(parsed / part, target / part)

    monkeypatch.setattr(dbt, "parse", parse)
    return found


def test_a_new_data_folder_takes_over_what_setup_has_parsed(settings: Settings, parsed: Path, parses: list[Path]) -> None:
    manifest = load_project(settings, parsed)
    assert not parses
    seeds = {node["original_file_path"] for node in manifest["nodes"].values() if node["resource_type"] == "seed"}
    assert {(DBT_PROJECT / path).resolve().parent for path in seeds} == {settings.seeds_dir}
    assert {node.original_file_path for node in parsed_manifest(settings).nodes.values() if node.resource_type == "seed"} == seeds
    # Afterwards the folder needs no other.
    load_project(settings, settings.data_dir / "nothing")
    assert not parses


def test_a_changed_project_is_parsed_again(settings: Settings, parsed: Path, parses: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    load_project(settings, parsed)
    project = shutil.copytree(DBT_PROJECT, settings.data_dir / "project" / "dbt_project", ignore=shutil.ignore_patterns("target"))
    shutil.copytree(PROJECT_ROOT / "seeds", project.parent / "seeds")
    monkeypatch.setattr(fingerprint, "DBT_PROJECT", project)
    monkeypatch.setattr(fingerprint, "PROJECT_ROOT", project.parent)
    load_project(settings, parsed)
    assert not parses
    model = project / "models" / "marts" / "calendar.sql"
    model.write_text(model.read_text().replace("date", "DATE"))
    load_project(settings, parsed)
    assert parses == [settings.dbt_target]
    # Its folder names a model's layer and domain.
    model.rename(project / "models" / "intermediate" / model.name)
    load_project(settings, parsed)
    assert parses == [settings.dbt_target] * 2


@pytest.mark.parametrize("part", PARSED)
def test_what_a_kill_cut_short_is_parsed_again(settings: Settings, parses: list[Path], part: str) -> None:
    nothing = settings.data_dir / "nothing"
    load_project(settings, nothing)
    assert len(parses) == 1
    path = settings.dbt_target / part
    path.write_bytes(path.read_bytes()[:-100])
    load_project(settings, nothing)
    assert len(parses) == 2
