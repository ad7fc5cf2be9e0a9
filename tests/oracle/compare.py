"""Every difference between the published mart and the oracle.

`python -m tests.oracle.compare health.toml 2024-03-01 2024-03-14` prints them and exits with 1 if there are any.
"""

import sys
import tomllib
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from tests.oracle.cards import read_versions
from tests.oracle.raw import load
from tests.oracle.score import AccountScore, score_range

SCORE_TOLERANCE = 1e-9
VALUE_TOLERANCE = 1e-7

Key = tuple[Any, ...]
Table = dict[Key, dict[str, Any]]

KEYS = {
    "account_health_history": ("account_id", "as_of_date"),
    "metric_scores_history": ("account_id", "as_of_date", "metric_key"),
    "dimension_scores_history": ("account_id", "as_of_date", "dimension_key"),
}


def oracle_scores(config_file: Path, first_day: date, last_day: date) -> list[AccountScore]:
    """What the specification gives for the files and seeds that a configuration names."""
    with config_file.open("rb") as stream:
        seeds = config_file.parent / tomllib.load(stream)["pipeline"]["seeds_dir"]
    return score_range(load(config_file, last_day), read_versions(seeds), first_day, last_day)


def expected_tables(scores: Iterable[AccountScore]) -> dict[str, Table]:
    """The scores as rows of the published tables, by key."""
    tables: dict[str, Table] = {name: {} for name in KEYS}
    for score in scores:
        key = (score.account_id, score.as_of_date)
        tables["account_health_history"][key] = {
            "health_score": score.health_score,
            "uncapped_score": score.uncapped_score,
            "coverage": score.coverage,
            "raw_tier": score.raw_tier,
            "stage": score.stage,
            "scorecard_key": score.scorecard_key,
            "config_version": score.config_version,
        }
        for metric in score.metrics:
            tables["metric_scores_history"][*key, metric.metric_key] = {
                "dimension_key": metric.dimension_key,
                "state": metric.measure.state,
                "value": metric.measure.value,
                "normalized_score": metric.normalized_score,
                "nominal_weight": metric.nominal_weight,
                "effective_weight": metric.effective_weight,
                "points": metric.points,
            }
        if score.cap:
            tables["metric_scores_history"][*key, f"cap:{score.cap[0]}"] = {
                "dimension_key": "cap",
                "points": score.cap[1],
            }
        for dimension in score.dimensions:
            tables["dimension_scores_history"][*key, dimension.dimension_key] = {
                "dimension_score": dimension.score,
                "nominal_weight": dimension.nominal_weight,
                "effective_weight": dimension.effective_weight,
                "points": dimension.points,
            }
    return tables


def published_tables(mart: Path, first_day: date, last_day: date) -> dict[str, Table]:
    """The rows of `health.duckdb` in a range of days, by key.

    Raises:
        ValueError: a key stands twice.
    """
    tables: dict[str, Table] = {}
    with duckdb.connect(str(mart), read_only=True) as connection:
        for name, keys in KEYS.items():
            result = connection.execute(f"select * from {name} where as_of_date between ? and ?", [first_day, last_day])
            names = [column[0] for column in result.description]
            tables[name] = {}
            for values in result.fetchall():
                row = dict(zip(names, values, strict=True))
                key = tuple(row[column] for column in keys)
                if key in tables[name]:
                    raise ValueError(f"{name}: {key} stands twice")
                tables[name][key] = row
    # A binding cap may stand among the dimensions; the specification asks for it among the metrics only.
    dimensions = tables["dimension_scores_history"]
    tables["dimension_scores_history"] = {key: row for key, row in dimensions.items() if key[-1] != "cap"}
    return tables


def differences(expected: dict[str, Table], found: dict[str, Table]) -> list[str]:
    """One line per missing or surplus row and per value that differs.

    Columns that the mart does not have are skipped in `dimension_scores_history` only: the specification leaves its
    columns open.
    """
    lines = []
    for name, rows in expected.items():
        for key in sorted(rows.keys() - found[name].keys(), key=str):
            lines.append(f"{name} {_say(key)}: missing, the oracle has {_brief(rows[key])}")
        for key in sorted(found[name].keys() - rows.keys(), key=str):
            lines.append(f"{name} {_say(key)}: surplus, the oracle has no such row")
        for key in sorted(rows.keys() & found[name].keys(), key=str):
            for column, want in rows[key].items():
                if name == "dimension_scores_history" and column not in found[name][key]:
                    continue
                have = found[name][key][column]
                if not _same(column, want, have):
                    lines.append(f"{name} {_say(key)} {column}: oracle {_brief(want)}, mart {have!r}")
    return lines


def _same(column: str, want: Any, have: Any) -> bool:
    if want is None or have is None or isinstance(want, str):
        return want == have
    tolerance = max(SCORE_TOLERANCE, VALUE_TOLERANCE * abs(float(want))) if column == "value" else SCORE_TOLERANCE
    return abs(float(want) - float(have)) <= tolerance


def _brief(want: Any) -> str:
    if isinstance(want, dict):
        return ", ".join(f"{name} {_brief(value)}" for name, value in want.items())
    return repr(float(want)) if isinstance(want, Fraction) else repr(want)


def _say(key: Key) -> str:
    return " ".join(str(part) for part in key)


def compare(config_file: Path, first_day: date, last_day: date) -> list[str]:
    """All differences between what a configuration's run has published and the oracle, for a range of days."""
    with config_file.open("rb") as stream:
        data_dir = config_file.parent / tomllib.load(stream)["pipeline"].get("data_dir", "data")
    mart = data_dir / "published" / "current" / "health.duckdb"
    expected = expected_tables(oracle_scores(config_file, first_day, last_day))
    return differences(expected, published_tables(mart, first_day, last_day))


if __name__ == "__main__":
    found_differences = compare(
        Path(sys.argv[1]).resolve(), date.fromisoformat(sys.argv[2]), date.fromisoformat(sys.argv[3])
    )
    print("\n".join(found_differences) or "no difference")
    sys.exit(bool(found_differences))
