"""The comparison finds every kind of difference, and none where the mart is what the oracle says."""

from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.oracle.compare import (
    ALL_TABLES,
    KEYS,
    Table,
    compare,
    differences,
    expected_tables,
    in_range,
    oracle_history,
    published_tables,
)
from tests.oracle.worlds import World, build_world

Tables = dict[str, Table]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"), 5)


@pytest.fixture(scope="module")
def last_day(made: World) -> date:
    return made.first_day + timedelta(days=29)


@pytest.fixture(scope="module")
def tables(made: World, last_day: date) -> Tables:
    return expected_tables(oracle_history(made.config_file, made.first_day, last_day))


def copy_of(tables: Tables) -> Tables:
    return {name: {key: dict(row) for key, row in rows.items()} for name, rows in tables.items()}


def write_mart(file: Path, tables: Tables) -> None:
    """The tables as a published mart would hold them."""

    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, Fraction) else value

    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as connection:
        for name, rows in tables.items():
            found = [dict(zip(KEYS[name], key, strict=True)) | row for key, row in rows.items()]
            columns = {column: [plain(row.get(column)) for row in found] for column in {c: 0 for r in found for c in r}}
            arrow = pa.table(columns)
            connection.register("arrow_rows", arrow)
            connection.execute(f"create table {name} as select * from arrow_rows")
            connection.unregister("arrow_rows")


def test_the_world_fills_every_table(tables: Tables) -> None:
    assert set(tables) == set(ALL_TABLES)
    assert all(tables.values())


def test_no_difference_to_itself(tables: Tables) -> None:
    assert differences(tables, copy_of(tables)) == []


def test_a_mart_is_read_and_compared(made: World, last_day: date, tables: Tables) -> None:
    mart = made.config_file.parent / "data" / "published" / "current" / "health.duckdb"
    write_mart(mart, tables)
    assert differences(tables, published_tables(mart, made.first_day, last_day)) == []
    # A range that begins later looks back to the first published day: to deltas, runs and changes of 28 days.
    assert compare(made.config_file, last_day, last_day) == []

    spoilt = {name: rows for name, rows in copy_of(tables).items() if name != "score_changes"}
    for row in spoilt["account_health_history"].values():
        del row["tier_since"]
    write_mart(mart, spoilt)
    assert differences(tables, published_tables(mart, made.first_day, last_day)) == [
        "account_health_history: no column tier_since",
        "score_changes: the mart has no such table",
    ]


def test_every_kind_of_difference_is_found(made: World, tables: Tables) -> None:
    expected = in_range(tables, made.first_day, made.first_day + timedelta(days=1))
    found = copy_of(expected)
    health = found["account_health_history"]
    (gone, *_), (*_, last) = health, health
    del health[gone]
    health["ghost", made.first_day] = health[last]
    health[last] |= {
        "raw_tier": "green",
        "coverage": health[last]["coverage"] + Fraction(1, 10**8),
        "tier_since": date(2024, 1, 1),
        "delta_7d": Fraction(1),
    }
    metrics = found["metric_scores_history"]
    key = next(key for key, row in metrics.items() if row["value"] is not None)
    metrics[key]["value"] += 1
    lines = differences(expected, found)
    assert len(lines) == 7
    for part in ("missing", "surplus", " raw_tier: ", " coverage: ", " value: ", " tier_since: ", " delta_7d: "):
        assert sum(part in line for line in lines) == 1


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("score_changes", "points"),
        ("candidate_scores_history", "uncapped_score"),
        ("segment_health", "mean_score"),
        ("parent_health", "mean_score"),
    ],
)
def test_a_number_that_is_off_in_any_table_is_found(tables: Tables, table: str, column: str) -> None:
    found = copy_of(tables)
    next(iter(found[table].values()))[column] += Fraction(1, 10**8)
    (line,) = differences(tables, found)
    assert line.startswith(f"{table} ") and f" {column}: oracle " in line
