"""The benchmark's reference against the oracle, on random worlds of edge cases: a yardstick must be right itself."""

import csv
import tomllib
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from orchestration.contract import TABLES
from tests.benchmarks.reference import EVENT_TABLE, run_reference
from tests.oracle.cards import read_versions
from tests.oracle.raw import _read, clean, read_fx_rates
from tests.oracle.score import score_range
from tests.oracle.worlds import World, build_world

NUMBERS = ("health_score", "uncapped_score", "coverage")
TEXTS = ("raw_tier", "stage", "scorecard_key", "config_version")


def plain_world(world: World, folder: Path) -> dict[str, list[dict[str, str | None]]]:
    """Rewrite a world's tables, all as text, as the files that the reference reads; return their rows."""
    config = tomllib.loads(world.config_file.read_text(encoding="utf-8"))
    tables = {
        name: list(_read(world.config_file.parent, source, world.last_day))
        for name, source in config["sources"].items()
    }
    (folder / "events").mkdir(parents=True)
    for name, table in TABLES.items():
        columns = [column.name for column in table.columns]
        rows = [[row.get(column) for column in columns] for row in tables.get(name, [])]
        if name == EVENT_TABLE:
            values = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(columns))]
            pyarrow.parquet.write_table(pa.table(values, columns), folder / "events" / f"{world.first_day}.parquet")
        else:
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([columns, *rows])
    return tables


@pytest.mark.parametrize("seed", [3, 21])
def test_the_reference_scores_as_the_oracle_does(tmp_path: Path, seed: int) -> None:
    (tmp_path / "world").mkdir()
    world = build_world(tmp_path / "world", seed)
    tables = plain_world(world, tmp_path / "plain")
    config = tomllib.loads(world.config_file.read_text(encoding="utf-8"))["pipeline"]
    seeds, currency = world.config_file.parent / config["seeds_dir"], config.get("reporting_currency", "USD")
    raw = clean(tables, read_fx_rates(seeds), currency)
    expected = {
        (score.account_id, score.as_of_date): score
        for score in score_range(raw, read_versions(seeds), world.first_day, world.last_day)
    }

    output = tmp_path / "scores.parquet"
    run_reference(tmp_path / "plain", seeds, world.first_day, world.last_day, output, reporting_currency=currency)

    found = read_scores(output)
    assert found.keys() == expected.keys()
    for key, score in expected.items():
        for column in NUMBERS:
            assert found[key][column] == pytest.approx(float(getattr(score, column)), abs=1e-8), (key, column)
        for column in TEXTS:
            assert found[key][column] == getattr(score, column), (key, column)


def read_scores(path: Path) -> dict[tuple[str, date], dict[str, object]]:
    with duckdb.connect() as connection:
        names = ("account_id", "as_of_date", *NUMBERS, *TEXTS)
        rows = connection.execute(f"select {', '.join(names)} from read_parquet(?)", [str(path)]).fetchall()
    return {(row[0], row[1]): dict(zip(names, row, strict=True)) for row in rows}
