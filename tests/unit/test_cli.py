"""One entry point: `health`. Its help is there at once, and `make` passes on only what a command takes."""

import os
import subprocess
import sys
import tomllib

import click
import pytest

from orchestration.cli import health
from orchestration.settings import PROJECT_ROOT


def names(group: click.Group, before: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += [f"{before}{name}", *(names(command, f"{before}{name} ") if isinstance(command, click.Group) else [])]
    return found


@pytest.mark.parametrize("command", ["", *names(health)])
def test_each_command_explains_itself_without_loading_what_it_needs(command: str) -> None:
    code = "import sys; from orchestration.cli import main; status = main(sys.argv[1:]); print(*sys.modules); sys.exit(status)"
    shown = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"Usage: health {command}".rstrip() + " ")
    # These take from a third of a second to seconds.
    assert not {"pydantic", "duckdb", "dagster", "dbt", "pandas", "rich"} & set(shown.stdout.splitlines()[-1].split())


def test_the_script_and_the_module_are_the_same_command() -> None:
    scripts = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"health": "orchestration.cli:main"}
    wrong = subprocess.run([sys.executable, "-m", "orchestration", "rum"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "No such command 'rum'" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run range=2026-06-29", "make run takes RANGE= ARGS="),
        ("run RANGES=2026-06-29", "not RANGES="),
        ("verify RANGE=2026-06-29", "make verify takes ARGS="),
        ("ui port=3001", "make ui takes PORT= ARGS="),
    ],
)
def test_make_refuses_a_variable_that_it_would_ignore(words: str, said: str) -> None:
    refused = make(*words.split())
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and said in refused.stderr, refused.stderr


def test_make_passes_on_what_a_command_takes() -> None:
    given = make("run", "RANGE=2026-06-01 2026-06-29", "ARGS=-v", "HEALTH_CONFIG=acme/health.toml")
    assert given.stdout.endswith('-m orchestration run "2026-06-01 2026-06-29" -v\n'), given.stderr


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """What `make` would do; an environment that is set up is taken for granted."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", "--assume-old=setup", *words]
    return subprocess.run(command, cwd=PROJECT_ROOT, env=clean, capture_output=True, text=True, check=False)
