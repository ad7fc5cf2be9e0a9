"""The pipeline on Spark, by the real command: `make test-spark` installs what it needs but Java."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.publish.tables import TABLES
from tests.oracle.compare import compare
from tests.oracle.worlds import World, build_world

pytest.importorskip("pyspark", reason="`make test-spark` installs it")
# What each run names differently.
_OF_THE_RUN = {"run_id", "finished_at"}
_TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def world(folders: Path) -> World:
    # Every method, bands, quantile tiers, a candidate, three versions, overrides; 43 days.
    return build_world(folders, 7)


@pytest.fixture(scope="module")
def marts(folders: Path, world: World) -> Iterator[tuple[Path, Path]]:
    """`health.duckdb` of DuckDB and of Spark after two runs: all days, then ten days inside them once more."""
    copies = {engine: folders.with_name(f"{folders.name}-{engine}") for engine in ("duckdb", "spark")}
    for copy in copies.values():
        shutil.copytree(folders, copy)
    config = copies["spark"] / "health.toml"
    config.write_text(config.read_text() + '\n[warehouse]\nengine = "spark"\n')
    again = (world.first_day + timedelta(days=20), world.first_day + timedelta(days=29))
    ranges = [f"{first}...{last}" for first, last in ((world.first_day, world.last_day), again)]
    # Beside each other: Spark leaves a core idle most of the time.
    with ThreadPoolExecutor() as together:
        done = [together.submit(run_all, file, ranges) for file in (copies["duckdb"] / "health.toml", config)]
    for run in done:
        run.result()
    yield tuple(copy / "data" / "published" / "current" / "health.duckdb" for copy in copies.values())


def run_all(config: Path, ranges: Sequence[str]) -> None:
    # Spark's session is in UTC wherever the machine is.
    environment = os.environ | {"HEALTH_CONFIG": str(config), "TZ": "America/New_York"}
    for days in ranges:
        done = subprocess.run([sys.executable, "-m", "orchestration", "run", days], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


def test_two_runs_on_spark_publish_what_two_runs_on_duckdb_do(marts: tuple[Path, Path]) -> None:
    found = [line for table in TABLES for line in differences(*marts, table.name)]
    assert not found, f"{len(found)} differences, the first of them:\n" + "\n".join(found[:40])


def test_two_runs_on_spark_publish_what_the_oracle_says(marts: tuple[Path, Path], world: World) -> None:
    config = marts[1].parents[3] / "health.toml"
    found = compare(config, world.first_day, world.last_day)
    assert not found, f"{len(found)} differences, the first of them:\n" + "\n".join(found[:20])


def differences(one: Path, other: Path, table: str) -> list[str]:
    """A line for each column that differs by name or type, each row that only one of them has, and each cell that differs."""
    (columns, rows), (other_columns, other_rows) = read(one, table), read(other, table)
    if columns != other_columns:
        return [f"{table}: columns {sorted(set(columns) ^ set(other_columns))}"]
    if len(rows) != len(other_rows):
        return [f"{table}: {len(rows)} rows on DuckDB, {len(other_rows)} on Spark"]
    return [
        f"{table} {row[:4]}: {name}: {cell!r} on DuckDB, {other_cell!r} on Spark"
        for row, other_row in zip(rows, other_rows, strict=True)
        for (name, _), cell, other_cell in zip(columns, row, other_row, strict=True)
        if not is_same(cell, other_cell)
    ]


def read(mart: Path, table: str) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Columns as (name, type), and rows, both in an order that does not depend on the engine."""
    with duckdb.connect(str(mart), read_only=True) as connection:
        described = connection.execute(f"describe {table}").fetchall()
        columns = sorted((name, kind) for name, kind, *_ in described if name not in _OF_THE_RUN)
        rows = connection.execute(f"select {', '.join(name for name, _ in columns)} from {table}").fetchall()
    return columns, sorted(rows, key=lambda row: ([str(cell) for cell in row if not isinstance(cell, float)], [str(cell) for cell in row]))


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return type(one) is type(other) and one == other
