"""What a name means to `make impact`: a version of the seeds as they are, a git revision, or neither."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestration.rescoring import Rules, find_rules
from orchestration.scorecard import ConfigurationError
from orchestration.settings import PROJECT_ROOT, Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(PROJECT_ROOT / "seeds", tmp_path / "acme" / "seeds")
    config = tmp_path / "acme" / "health.toml"
    config.write_text('[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "seeds"\n[sources.accounts]\nconnector = "demo"\n')
    return load_settings(config)


def git(settings: Settings, *arguments: str) -> None:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.com"]
    subprocess.run(["git", "-C", str(settings.config_file.parent), *who, *arguments], check=True, capture_output=True)


def edit(settings: Settings, seed: str, old: str, new: str) -> None:
    path = settings.seeds_dir / f"{seed}.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def limit(rules: Rules) -> float:
    [row] = [row for row in rules.seeds["tiers"] if row["scorecard_key"] == "standard" and row["tier"] == "healthy"]
    return row["min_score"]


def test_a_version_wins_then_a_revision_and_blank_is_the_seeds_as_they_are(settings: Settings, tmp_path: Path) -> None:
    # The repository begins above the seeds, as in a project that keeps more than them.
    git(settings, "init", "-q", "-b", "main", "..")
    git(settings, "add", ".")
    git(settings, "commit", "-qm", "as shipped")
    git(settings, "branch", "2026.1")
    edit(settings, "tiers", "standard,healthy,green,70", "standard,healthy,green,71")
    for seed, row in (
        ("config_versions", "2026-06-30,active,,"),
        ("scorecards", "standard,Standard,10,*,*,,,,"),
        ("scorecard_dimensions", "standard,adoption,1"),
        ("scorecard_metrics", "standard,active_days_28d,1,linear,0,12,"),
    ):
        with open(settings.seeds_dir / f"{seed}.csv", "a", encoding="utf-8") as file:
            file.write(f"2026.2,{row}\n")
    found = {name: find_rules(settings, name, tmp_path / f"of-{name}") for name in ("2026.1", "main", "HEAD", "")}
    assert [(rules.name, rules.config_version, limit(rules)) for rules in found.values() if rules.config_version == "2026.1"] == [
        ("2026.1", "2026.1", 71), ("main: 2026.1", "2026.1", 70), ("HEAD: 2026.1", "2026.1", 70),
    ]  # fmt: skip
    assert (found[""].name, found[""].config_version) == ("working tree: 2026.2", "2026.2")


def test_a_name_that_is_neither_gets_both_lists(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("nor a git revision (not a git repository")):
        find_rules(settings, "main", tmp_path / "one")
    git(settings, "init", "-q", "-b", "main")
    git(settings, "commit", "-q", "--allow-empty", "-m", "nothing yet")
    git(settings, "tag", "v1")
    expected = "'man' is neither a version in seeds/config_versions.csv (2026.1) nor a git revision (branches and tags: main, v1)"
    with pytest.raises(ConfigurationError, match=f"^{re.escape(expected)}$"):
        find_rules(settings, "man", tmp_path / "two")
    with pytest.raises(ConfigurationError, match="nor a git revision \\(it has no folder seeds: "):
        find_rules(settings, "main", tmp_path / "three")
    git(settings, "add", ".")
    git(settings, "commit", "-qm", "all")
    edit(settings, "tiers", "standard,healthy,green,70", "standard,healthy,green,seventy")
    git(settings, "commit", "-qam", "a word")
    edit(settings, "tiers", "standard,healthy,green,seventy", "standard,healthy,green,70")
    with pytest.raises(ConfigurationError, match="^main: seeds/tiers.csv line 5: min_score 'seventy' is not a finite number"):
        find_rules(settings, "main", tmp_path / "four")
