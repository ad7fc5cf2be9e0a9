"""examples/github: what runs a pull request's code may write nothing, and what may comment runs none of it."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from orchestration.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "examples" / "github"
GH = """#!/bin/sh
if [ "$2" = list ]; then echo "$*" > list; echo 7; else echo "$*" > comment; cat > body; fi
"""


def steps(name: str) -> list[dict]:
    [job] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["jobs"].values()
    return job["steps"]


def test_the_commands_are_those_of_the_makefile() -> None:
    said = " ".join(step["run"] for step in steps("impact.yml") if "run" in step)
    targets = re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make (?:-s )?([a-z-]+)", said)) == {"run", "impact"} <= set(targets)
    rights = {name: yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["permissions"] for name in os.listdir(FOLDER)}
    assert rights["impact.yml"] == {"contents": "read"}
    assert not [step for step in steps("impact-comment.yml") if "checkout" in step.get("uses", "")]


def test_the_report_is_posted_on_the_pull_request_of_that_commit(tmp_path: Path) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "impact.md").write_text("x" * 70_000)
    [step] = [step for step in steps("impact-comment.yml") if "run" in step]
    # As GitHub runs it.
    command = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HEAD": "abc123"}
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    assert '.headRefOid == "abc123"' in (tmp_path / "list").read_text()
    assert (tmp_path / "comment").read_text() == "pr comment 7 --body-file - --edit-last --create-if-none\n"
    assert len((tmp_path / "body").read_text()) == 60_000
