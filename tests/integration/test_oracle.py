"""The pipeline against the independent oracle, on random worlds full of edge cases: not one number differs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT
from tests.oracle.compare import compare
from tests.oracle.worlds import build_world


@pytest.mark.parametrize("seed", [4, 9, 15])
def test_the_mart_is_what_the_specification_says(tmp_path: Path, seed: int) -> None:
    world = build_world(tmp_path, seed)
    run = subprocess.run(
        [sys.executable, "-m", "orchestration.run", f"{world.first_day}...{world.last_day}"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "HEALTH_CONFIG": str(world.config_file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = compare(world.config_file, world.first_day, world.last_day)
    assert not found, f"{len(found)} differences, the first of them:\n" + "\n".join(found[:20])
