"""The benchmark's reference against the oracle, on random worlds of edge cases: a yardstick must be right itself."""

import csv
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from orchestration.contract import TABLES
from tests.benchmarks.reference import EVENT_TABLE, run_reference
from tests.oracle.cards import read_versions
from tests.oracle.compare import differences, expected_tables, published_tables
from tests.oracle.raw import _read, clean, read_fx_rates
from tests.oracle.score import History
from tests.oracle.worlds import World, build_world


def plain_world(world: World, folder: Path) -> dict[str, list[dict[str, str | None]]]:
    """Rewrite a world's tables, all as text, as the files that the reference reads; return their rows."""
    config = tomllib.loads(world.config_file.read_text(encoding="utf-8"))
    tables = {name: list(_read(world.config_file.parent, source, world.last_day)) for name, source in config["sources"].items()}
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
def test_the_reference_writes_the_rows_of_the_oracle(tmp_path: Path, seed: int) -> None:
    (tmp_path / "world").mkdir()
    world = build_world(tmp_path / "world", seed)
    tables = plain_world(world, tmp_path / "plain")
    config = tomllib.loads(world.config_file.read_text(encoding="utf-8"))["pipeline"]
    seeds, currency = world.config_file.parent / config["seeds_dir"], config.get("reporting_currency", "USD")
    raw = clean(tables, read_fx_rates(seeds), currency)
    expected = expected_tables(History(raw, read_versions(seeds), world.first_day, world.last_day))

    output = tmp_path / "reference.duckdb"
    run_reference(tmp_path / "plain", seeds, world.first_day, world.last_day, output, reporting_currency=currency)

    written = published_tables(output, world.first_day, world.last_day)
    assert set(written) >= {"account_health_history", "metric_scores_history", "candidate_scores_history", "score_changes"}
    found = differences({name: expected[name] for name in written}, written)
    assert not found, f"{len(found)} differences, the first of them:\n" + "\n".join(found[:20])
