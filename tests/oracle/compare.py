"""Every difference between the published mart and the oracle.

`python -m tests.oracle.compare health.toml 2024-03-01 2024-03-14 [TABLE...]` prints them and exits with 1 if there are
any.
"""

import sys
import tomllib
from collections.abc import Collection
from dataclasses import asdict
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from tests.oracle.cards import read_versions
from tests.oracle.ledger import score_changes
from tests.oracle.raw import load
from tests.oracle.rollups import members, parent_health, segment_health
from tests.oracle.score import AccountScore, History, candidate_scores
from tests.oracle.trend import history_tier_changes, history_trends

SCORE_TOLERANCE = 1e-9
VALUE_TOLERANCE = 1e-7

Key = tuple[Any, ...]
Table = dict[Key, dict[str, Any]]

KEYS = {
    "account_health_history": ("account_id", "as_of_date"),
    "metric_scores_history": ("account_id", "as_of_date", "metric_key"),
    "dimension_scores_history": ("account_id", "as_of_date", "dimension_key"),
    "score_changes": ("account_id", "as_of_date", "k", "component", "metric_key"),
    "tier_changes": ("account_id", "as_of_date"),
    "candidate_scores_history": ("account_id", "as_of_date", "config_version"),
    "segment_health": ("as_of_date", "segment", "stage", "tier"),
    "parent_health": ("as_of_date", "parent_account_id"),
}
ALL_TABLES = tuple(KEYS)


def oracle_history(config_file: Path, first_day: date, last_day: date) -> History:
    """What docs/scoring.md gives for the files and seeds that a configuration names."""
    with config_file.open("rb") as stream:
        seeds = config_file.parent / tomllib.load(stream)["pipeline"]["seeds_dir"]
    return History(load(config_file, last_day), read_versions(seeds), first_day, last_day)


def expected_tables(history: History) -> dict[str, Table]:
    """A history as rows of the published tables, by key."""
    tables: dict[str, Table] = {name: {} for name in KEYS}
    trends = history_trends(history)
    for key, score in history.scores.items():
        tables["account_health_history"][key] = {
            **_score_columns(score),
            "stage": score.stage,
            "config_version": score.config_version,
            **asdict(trends[key]),
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
    for change in score_changes(history):
        key = (change.account_id, change.as_of_date, change.k, change.component, change.metric_key)
        tables["score_changes"][key] = {"points": change.points}
    for key, tier_change in history_tier_changes(history).items():
        tables["tier_changes"][key] = {
            "from_tier": tier_change.from_tier,
            "to_tier": tier_change.to_tier,
            "cause": tier_change.cause,
        }
    for score in candidate_scores(history):
        key = (score.account_id, score.as_of_date, score.config_version)
        tables["candidate_scores_history"][key] = _score_columns(score)
    everyone = members(history, trends)
    tables["segment_health"] = {key: asdict(row) for key, row in segment_health(everyone).items()}
    tables["parent_health"] = {key: asdict(row) for key, row in parent_health(everyone).items()}
    return tables


def _score_columns(score: AccountScore) -> dict[str, Any]:
    return {
        "scorecard_key": score.scorecard_key,
        "health_score": score.health_score,
        "uncapped_score": score.uncapped_score,
        "coverage": score.coverage,
        "raw_tier": score.raw_tier,
    }


def in_range(tables: dict[str, Table], first_day: date, last_day: date) -> dict[str, Table]:
    """The rows of a range of days."""
    return {
        name: {key: row for key, row in rows.items() if first_day <= key[KEYS[name].index("as_of_date")] <= last_day}
        for name, rows in tables.items()
    }


def published_tables(mart: Path, first_day: date, last_day: date, names: Collection[str] = ALL_TABLES) -> dict[str, Table]:
    """The rows of `health.duckdb` in a range of days, by key; a table that the mart does not have is left out.

    Raises:
        ValueError: a key is duplicated.
    """
    tables: dict[str, Table] = {}
    with duckdb.connect(str(mart), read_only=True) as connection:
        connection.execute("set python_enable_replacements = false")  # a missing table is not a Python name's value
        for name in names:
            try:
                result = connection.execute(f"select * from {name} where as_of_date between ? and ?", [first_day, last_day])
            except duckdb.CatalogException:
                continue
            columns = [column[0] for column in result.description]
            tables[name] = {}
            for values in result.fetchall():
                row = dict(zip(columns, values, strict=True))
                key = tuple(row[column] for column in KEYS[name])
                if key in tables[name]:
                    raise ValueError(f"{name}: {key} is duplicated")
                tables[name][key] = row
    # A binding cap may be among the dimensions; docs/scoring.md asks for it among the metrics only.
    if "dimension_scores_history" in tables:
        dimensions = tables["dimension_scores_history"]
        tables["dimension_scores_history"] = {key: row for key, row in dimensions.items() if key[-1] != "cap"}
    return tables


def first_published_day(mart: Path) -> date | None:
    """The day with which the published history begins: runs, deltas and changes look back to it."""
    with duckdb.connect(str(mart), read_only=True) as connection:
        return connection.execute("select min(as_of_date) from account_health_history").fetchall()[0][0]


def differences(expected: dict[str, Table], found: dict[str, Table]) -> list[str]:
    """One line per missing table or column, per missing or surplus row and per value that differs.

    Columns that the mart does not have are skipped in `dimension_scores_history` only: the contract leaves its
    columns open.
    """
    lines = []
    for name, rows in expected.items():
        if name not in found:
            lines.append(f"{name}: the mart has no such table")
            continue
        for key in sorted(rows.keys() - found[name].keys(), key=str):
            lines.append(f"{name} {_say(key)}: missing, the oracle has {_brief(rows[key])}")
        for key in sorted(found[name].keys() - rows.keys(), key=str):
            lines.append(f"{name} {_say(key)}: surplus, the oracle has no such row")
        absent: set[str] = set()
        for key in sorted(rows.keys() & found[name].keys(), key=str):
            for column, want in rows[key].items():
                if column not in found[name][key]:
                    absent.add(column)
                elif not _same(column, want, found[name][key][column]):
                    lines.append(f"{name} {_say(key)} {column}: oracle {_brief(want)}, mart {found[name][key][column]!r}")
        if name != "dimension_scores_history":
            lines += [f"{name}: no column {column}" for column in sorted(absent)]
    return lines


def _same(column: str, want: Any, have: Any) -> bool:
    if want is None or have is None or isinstance(want, (str, date)):
        return want == have
    tolerance = max(SCORE_TOLERANCE, VALUE_TOLERANCE * abs(float(want))) if column == "value" else SCORE_TOLERANCE
    return abs(float(want) - float(have)) <= tolerance


def _brief(want: Any) -> str:
    if isinstance(want, dict):
        return ", ".join(f"{name} {_brief(value)}" for name, value in want.items())
    return repr(float(want)) if isinstance(want, Fraction) else repr(want)


def _say(key: Key) -> str:
    return " ".join(str(part) for part in key)


def compare(config_file: Path, first_day: date, last_day: date, tables: Collection[str] = ALL_TABLES) -> list[str]:
    """All differences between what a configuration's run has published and the oracle, for a range of days.

    The oracle's own history begins where the published one does, so that a range may begin later.

    Args:
        tables: the published tables to compare.
    """
    with config_file.open("rb") as stream:
        data_dir = config_file.parent / tomllib.load(stream)["pipeline"].get("data_dir", "data")
    mart = data_dir / "published" / "current" / "health.duckdb"
    begins = min(first_day, first_published_day(mart) or first_day)
    expected = in_range(expected_tables(oracle_history(config_file, begins, last_day)), first_day, last_day)
    return differences({name: expected[name] for name in tables}, published_tables(mart, first_day, last_day, tables))


if __name__ == "__main__":
    found_differences = compare(
        Path(sys.argv[1]).resolve(),
        date.fromisoformat(sys.argv[2]),
        date.fromisoformat(sys.argv[3]),
        sys.argv[4:] or ALL_TABLES,
    )
    print("\n".join(found_differences) or "no difference")
    sys.exit(bool(found_differences))
