"""The pipeline on Spark: `make test-spark` installs what it needs but Java."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.settings import DBT_PROJECT

pytest.importorskip("pyspark", reason="`make test-spark` installs it")


def test_dbt_reaches_a_spark_session(tmp_path: Path) -> None:
    environment = os.environ | {"DBT_TARGET": "spark", "HEALTH_SPARK_DIR": str(tmp_path), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "debug", "--log-path", tmp_path],
        cwd=DBT_PROJECT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
