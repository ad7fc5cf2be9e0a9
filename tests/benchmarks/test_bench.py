"""What the benchmark reports must be true: memory of the whole process tree, failures, and every kind of difference."""

import sys
from pathlib import Path

import duckdb
import pytest

from tests.benchmarks.bench import BenchError, differences, measure

MEGABYTE = 10**6


def test_peak_memory_includes_processes_that_the_program_starts() -> None:
    hold = "import time; held = bytearray(200_000_000); time.sleep(0.5)"
    start_child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); print('done')"
    run = measure([sys.executable, "-c", start_child])
    assert 200 * MEGABYTE < run.peak_bytes < 400 * MEGABYTE
    assert run.seconds >= 0.5
    assert run.output == "done\n"


def test_a_program_that_fails_is_no_figure() -> None:
    with pytest.raises(BenchError, match="ended with 3:(.|\n)*out of luck"):
        measure([sys.executable, "-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


def test_every_kind_of_difference_is_counted(tmp_path: Path) -> None:
    columns = (
        "account_id, as_of_date, health_score, uncapped_score, raw_tier, coverage, stage, scorecard_key, config_version"
    )
    rows = {
        "reference": """
            ('same', date '2026-01-01', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('gone', date '2026-01-01', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('score', date '2026-01-02', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('tier', date '2026-01-02', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1')""",
        "mart": """
            ('same', date '2026-01-01', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('score', date '2026-01-02', 50.2, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('tier', date '2026-01-02', 50.1, 50.12, null, 1.0, 'mature', 'standard', '1'),
            ('more', date '2026-01-01', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1'),
            ('another day', date '2026-01-03', 50.1, 50.12, 'at_risk', 1.0, 'mature', 'standard', '1')""",
    }
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'health.duckdb'}' as mart")
        for target, statement in (
            ("reference", f"copy (from rows) to '{tmp_path / 'reference.parquet'}' (format parquet)"),
            ("mart", "create table mart.account_health_history as from rows"),
        ):
            connection.execute(f"create or replace temp table rows as from (values {rows[target]}) as t ({columns})")
            connection.execute(statement)
    assert differences(tmp_path / "health.duckdb", tmp_path / "reference.parquet") == {
        "missing": 1,
        "not in the reference": 1,
        "health_score": 1,
        "raw_tier": 1,
    }
