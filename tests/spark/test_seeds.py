"""A scorecard is the same on Spark, whatever people write into it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import DBT_PROJECT, PROJECT_ROOT

pytest.importorskip("pyspark", reason="`make test-spark` installs it")

NOTE = """It's 'ours': 100% of C:\\new, "quoted" """.strip()
SEED_AND_READ = """
import json, sys
from dbt.cli.main import dbtRunner
from pyspark.sql import SparkSession

assert dbtRunner().invoke(["seed", "--select", "config_versions", "--log-path", sys.argv[1], "--target-path", sys.argv[1]]).success
query = "select author, note, cast(valid_from as string) from seeds.config_versions order by config_version"
print("found", json.dumps([list(row) for row in SparkSession.builder.getOrCreate().sql(query).collect()]))
"""


def test_text_with_apostrophes_and_blank_cells_are_what_the_seed_says(tmp_path: Path) -> None:
    shutil.copytree(DBT_PROJECT, tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target"))
    shutil.copytree(PROJECT_ROOT / "seeds", tmp_path / "seeds")
    quoted = NOTE.replace('"', '""')
    (tmp_path / "seeds" / "config_versions.csv").write_text(
        f'config_version,valid_from,status,author,note\nv1,2026-01-01,active,,"{quoted}"\nv2,2026-02-01,candidate,O\'Hara,\n',
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", SEED_AND_READ, tmp_path / "log"],
        cwd=tmp_path / "dbt_project",
        env=os.environ | {"DBT_TARGET": "spark", "HEALTH_SPARK_DIR": str(tmp_path / "spark"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = [line.removeprefix("found ") for line in done.stdout.splitlines() if line.startswith("found ")]
    assert json.loads(found) == [[None, NOTE, "2026-01-01"], ["O'Hara", None, "2026-02-01"]]
