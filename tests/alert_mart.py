"""Published marts written by hand, for the alerts: the tables have the columns of the contract in _marts.yml, the rows are the test's
own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml

from orchestration.publish.generations import DATABASE, FORMAT, MANIFEST, Manifest, flip, generation_path
from orchestration.settings import DBT_PROJECT, Settings

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]

TABLES = (
    "account_health", "account_health_history", "score_changes", "tier_changes", "account_actions", "account_actions_history",
    "data_freshness", "metric_drift", "metric_catalogue", "scorecard", "scorecard_tiers", "dimension_scores_history",
    "metric_scores_history",
)  # fmt: skip


def account(account_id: str = "a1", **columns: Any) -> Row:
    """A row of account_health: nothing about it is worth an alert."""
    plain = {"account_name": f"Name of {account_id}", "health_score": 80.0, "tier": "healthy", "tier_since": date(2020, 1, 1)}
    plain |= {"availability_7d": 0.0, "availability_28d": 0.0}
    return {"account_id": account_id} | plain | columns


def account_day(day: date, account_id: str = "a1", **columns: Any) -> Row:
    """A row of account_health_history."""
    return {
        "account_id": account_id,
        "as_of_date": day,
        "health_score": 80.0,
        "tier": "healthy",
        "availability_7d": 0.0,
        "availability_28d": 0.0,
    } | columns


def publish_mart(settings: Settings, number: int, day: date, tables: Tables, published_on: date | None = None) -> None:
    """Make a generation whose newest day is `day` current; published the day after, if nothing else is said."""
    folder = generation_path(settings, number)
    folder.mkdir(parents=True)
    history = list(tables.get("account_health_history", []))
    for row in tables.get("account_health", []):
        if not any((old["account_id"], old["as_of_date"]) == (row["account_id"], day) for old in history):
            shared = _types()["account_health_history"].keys() & row.keys()
            history.append(account_day(day) | {column: row[column] for column in shared} | {"as_of_date": day})
    newest = [{"as_of_date": day} | row for row in tables.get("account_health", [])]
    (folder / DATABASE).write_bytes(_empty_mart())
    with duckdb.connect(str(folder / DATABASE)) as connection:
        connection.execute("begin")
        for name, rows in {**tables, "account_health": newest, "account_health_history": history}.items():
            for row in rows:
                connection.execute(f"insert into {name} ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values()))
        connection.execute("commit")
    at = datetime.combine(published_on or day + timedelta(days=1), time(5))
    manifest = Manifest(
        FORMAT, number, number - 1 or None, f"run-{number}", f"{at.isoformat()}+00:00", None, day.isoformat(), "hash", {}, {}, {}, {}
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest)))
    flip(settings, number)


@cache
def _types() -> dict[str, dict[str, str]]:
    models = yaml.safe_load((DBT_PROJECT / "models" / "marts" / "_marts.yml").read_text())["models"]
    return {model["name"]: {column["name"]: column["data_type"] for column in model["columns"]} for model in models}


@cache
def _empty_mart() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / DATABASE
        with duckdb.connect(str(path)) as connection:
            for name in TABLES:
                columns = ", ".join(f"{column} {kind}" for column, kind in _types()[name].items())
                connection.execute(f"create table {name} ({columns})")
        return path.read_bytes()
