"""What the benchmark reports must be true: memory of the whole process tree, failures, and every kind of difference."""

import shutil
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.scorecard import load_seeds
from orchestration.settings import PROJECT_ROOT
from tests.benchmarks.bench import CANDIDATE, BenchError, add_candidate, differences, measure, split_file
from tests.oracle.cards import read_versions

MEGABYTE = 10**6


def test_peak_memory_includes_processes_that_the_program_starts() -> None:
    hold = "import time; held = bytearray(200_000_000); time.sleep(0.5)"
    start_child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); print('done')"
    run = measure([sys.executable, "-c", start_child])
    assert 200 * MEGABYTE < run.peak_bytes < 400 * MEGABYTE
    assert run.seconds >= 0.5
    assert run.output == "done\n"


def test_a_program_that_fails_is_not_a_figure() -> None:
    with pytest.raises(BenchError, match="ended with 3:(.|\n)*out of luck"):
        measure([sys.executable, "-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


ACCOUNTS = (
    "account_id, as_of_date, health_score, uncapped_score, raw_tier, coverage, stage, scorecard_key, config_version, "
    "delta_7d, delta_28d, delta_90d, slope_28d, model_tier, is_tier_held, tier, trend, previous_tier, tier_since, days_in_tier"
)
METRICS = "account_id, as_of_date, metric_key, dimension_key, value, state, normalized_score, nominal_weight, effective_weight, points"
REST = "1.0, 'mature', 'standard', '1', null, null, null, null, 'at_risk', false, 'at_risk', 'new', null, date '2026-01-01', 1"


def test_every_kind_of_difference_is_counted(tmp_path: Path) -> None:
    accounts = {
        "reference": f"""
            ('same', date '2026-01-01', 50.1, 50.12, 'at_risk', {REST}),
            ('gone', date '2026-01-01', 50.1, 50.12, 'at_risk', {REST}),
            ('score', date '2026-01-02', 50.1, 50.12, 'at_risk', {REST}),
            ('tier', date '2026-01-02', 50.1, 50.12, 'at_risk', {REST})""",
        "mart": f"""
            ('same', date '2026-01-01', 50.1, 50.12, 'at_risk', {REST}),
            ('score', date '2026-01-02', 50.2, 50.12, 'at_risk', {REST}),
            ('tier', date '2026-01-02', 50.1, 50.12, null, {REST}),
            ('more', date '2026-01-01', 50.1, 50.12, 'at_risk', {REST}),
            ('another day', date '2026-01-03', 50.1, 50.12, 'at_risk', {REST})""",
    }
    # The mart holds metrics from the second day on only.
    metrics = {
        "reference": """
            ('same', date '2026-01-01', 'nps_180d', 'voice', 10.0, 'measured', 50.0, 0.1, 0.1, 0.0),
            ('score', date '2026-01-02', 'nps_180d', 'voice', 10.0, 'measured', 50.0, 0.1, 0.1, 0.0),
            ('tier', date '2026-01-02', 'nps_180d', 'voice', null, 'missing', null, 0.1, 0.0, 0.0),
            ('tier', date '2026-01-02', 'cap:x', 'cap', 10.0, 'measured', null, 0.0, 0.0, -5.0)""",
        "mart": """
            ('score', date '2026-01-02', 'nps_180d', 'voice', 10.0, 'measured', 51.0, 0.1, 0.1, 0.0),
            ('tier', date '2026-01-02', 'nps_180d', 'voice', null, 'stale', null, 0.1, 0.0, 0.0),
            ('same', date '2026-01-02', 'nps_180d', 'voice', 10.0, 'measured', 50.0, 0.1, 0.1, 0.0)""",
    }
    with duckdb.connect() as connection:
        for name in ("reference", "mart"):
            connection.execute(f"attach '{tmp_path / name}.duckdb' as {name}")
            connection.execute(f"create table {name}.account_health_history as from (values {accounts[name]}) as t ({ACCOUNTS})")
            connection.execute(f"create table {name}.metric_scores_history as from (values {metrics[name]}) as t ({METRICS})")
    assert differences(tmp_path / "mart.duckdb", tmp_path / "reference.duckdb") == {
        "account_health_history: missing": 1,
        "account_health_history: not in the reference": 1,
        "account_health_history: health_score": 1,
        "account_health_history: raw_tier": 1,
        "metric_scores_history: missing": 1,
        "metric_scores_history: not in the reference": 1,
        "metric_scores_history: normalized_score": 1,
        "metric_scores_history: state": 1,
    }


def test_a_day_of_many_files_has_the_rows_of_one(tmp_path: Path) -> None:
    events = pa.table({"event_id": [f"e{number}" for number in range(10)]})
    pq.write_table(events, tmp_path / "2026-01-01.parquet")
    split_file(tmp_path / "2026-01-01.parquet", 4)
    parts = sorted(tmp_path.glob("*.parquet"))
    assert [path.name for path in parts] == [f"2026-01-01-0{number}.parquet" for number in range(4)]
    assert pa.concat_tables([pq.read_table(path) for path in parts]) == events


def test_the_candidate_is_a_valid_version_of_its_own(tmp_path: Path) -> None:
    seeds = shutil.copytree(PROJECT_ROOT / "seeds", tmp_path / "seeds")
    add_candidate(seeds)
    load_seeds(seeds)
    candidate = [version for version in read_versions(seeds) if version.status == "candidate"]
    assert [version.config_version for version in candidate] == [CANDIDATE]
    assert len(candidate[0].cards) == len(read_versions(PROJECT_ROOT / "seeds")[0].cards)
