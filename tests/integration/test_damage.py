"""One flipped bit in what a run reads: the real command repairs it, or ends with one line that names the file."""

import os
import random
import subprocess
import sys
from pathlib import Path

from orchestration.settings import PROJECT_ROOT
from tests.company import LAST_DAY, NEXT_DAY, Company, Rows, differences, read_mart, revision_faults
from tests.damage import flip_bit


def command(company: Company, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"orchestration.{module}", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "HEALTH_CONFIG": str(company.config_file)},
        capture_output=True,
        text=True,
        check=False,
    )


def one(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def test_flipped_bits_are_repaired_by_the_next_run(next_mart: dict[str, Rows], company: Company) -> None:
    chosen, lake = random.Random(12), company.settings.lake
    damaged = [
        one(lake, "raw/accounts/*.parquet"),
        # The next delivery brings a late event of this day, which is then rolled up with the damaged file.
        one(lake, f"raw/usage_events/event_day={LAST_DAY}/{LAST_DAY}-*.parquet"),
    ]
    for path in damaged:
        flip_bit(path, chosen)
    ran = command(company, "run", str(NEXT_DAY))
    assert ran.returncode == 0, ran.stderr[-3000:]
    for path in damaged:
        assert f"{path}: was damaged and is landed again" in ran.stderr
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
