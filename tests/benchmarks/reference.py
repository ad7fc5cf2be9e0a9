"""The benchmark's yardstick: health scores from raw files by plain DuckDB statements, without dbt or Dagster.

`reference.sql` holds the statements. This module loads a world for them (usage events as
`events/<day of delivery>.parquet`, the other raw tables as `<table>.csv`, absent ones empty; cleaned as section 2 of
the scoring specification says) and the seeds, runs them step by step, and writes `account_health_history` as Parquet.
It shares nothing with the pipeline but the raw tables' contract, so equal results are a second opinion on its scores.

    python -m tests.benchmarks.reference WORLD --seeds seeds --first-day 2026-01-01 --last-day 2026-06-29 \\
        --output scores.parquet
"""

import argparse
import json
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from orchestration.contract import TABLES, Column, RawTable

STATEMENTS = Path(__file__).with_name("reference.sql")
STEP_MARK = "-- step: "
EVENT_TABLE = "usage_events"
SEEDS = {
    "config_versions": ("config_version", "valid_from", "status"),
    "metrics": ("metric_key", "dimension_key", "higher_is_better"),
    "scorecards": ("config_version", "scorecard_key", "priority", "segment", "stage", "min_coverage", "tier_mode"),
    "scorecard_dimensions": ("config_version", "scorecard_key", "dimension_key", "weight"),
    "scorecard_metrics": (
        "config_version",
        "scorecard_key",
        "metric_key",
        "weight",
        "method",
        "worst",
        "best",
        "missing_policy",
    ),
    "metric_bands": ("config_version", "scorecard_key", "metric_key", "lower_bound", "score"),
    "score_caps": ("config_version", "scorecard_key", "metric_key", "operator", "threshold", "max_score"),
    "tiers": ("config_version", "scorecard_key", "tier", "min_score", "min_percentile"),
    "fx_rates": ("currency", "valid_from", "rate"),
}
WHITE_SPACE = (9, 10, 13, 32)


def run_reference(
    world: Path,
    seeds: Path,
    first_day: date,
    last_day: date,
    output: Path,
    reporting_currency: str = "USD",
    memory_limit: str = "3GB",
    threads: int = 2,
) -> dict[str, float]:
    """Score every account on every day from `first_day` to `last_day` and write the history to `output` (Parquet).

    The columns are account_id, as_of_date, health_score, uncapped_score, raw_tier, coverage, stage, scorecard_key,
    config_version.

    Returns:
        Seconds by step, in the order in which the steps ran.
    """
    seconds: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(dir=output.parent) as scratch,
        duckdb.connect(
            str(Path(scratch) / "reference.duckdb"),
            config={
                "memory_limit": memory_limit,
                "threads": threads,
                "temp_directory": scratch,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        ) as connection,
    ):
        connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")

        started = time.perf_counter()
        _load_seeds(connection, seeds)
        _load_tables(connection, world, reporting_currency)
        _view_events(connection, world, last_day)
        for name, value in (
            ("first_day", first_day),
            ("last_day", last_day),
            ("late_after_days", TABLES[EVENT_TABLE].late_after_days),
        ):
            connection.execute(f"set variable {name} = ?", [value])
        # Only the raw tables' rows have an order that means something.
        connection.execute("set preserve_insertion_order = false")
        seconds["raw tables and seeds"] = time.perf_counter() - started

        for step, statements in _steps():
            started = time.perf_counter()
            connection.execute(statements)
            seconds[step] = time.perf_counter() - started

        started = time.perf_counter()
        connection.execute(
            f"copy (from account_health_history order by account_id, as_of_date) to {_literal(output)} (format parquet)"
        )
        seconds["write"] = time.perf_counter() - started
    return seconds


def _steps() -> list[tuple[str, str]]:
    """The parts of reference.sql between its step marks, with their names."""
    parts = STATEMENTS.read_text(encoding="utf-8").split(f"\n{STEP_MARK}")[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _load_seeds(connection: duckdb.DuckDBPyConnection, seeds: Path) -> None:
    for name, columns in SEEDS.items():
        connection.execute(
            f"create table seed_{name} as select {', '.join(columns)} "
            "from read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"')",
            [str(seeds / f"{name}.csv")],
        )


def _load_tables(connection: duckdb.DuckDBPyConnection, world: Path, reporting_currency: str) -> None:
    """Load every raw table but the events: clean rows, the last one of each key."""
    connection.execute("set variable reporting_currency = ?", [reporting_currency])
    for table in TABLES.values():
        if table.name == EVENT_TABLE:
            continue
        path = world / f"{table.name}.csv"
        if path.exists():
            delivered = "read_csv(getvariable('path'), all_varchar = true, header = true, delim = ',', quote = '\"')"
            connection.execute("set variable path = ?", [str(path)])
            types = _types(connection, delivered)
        else:
            delivered, types = "(select 1 where false)", {}
        connection.execute(
            f"create table raw_{table.name} as "
            f"with delivered as (select *, row_number() over () as position from {delivered}), "
            f"clean as ({_clean(table, types, 'delivered', 'position')}) "
            "select * exclude (position) from clean "
            f"qualify row_number() over (partition by {', '.join(table.key)} order by position desc) = 1"
        )


def _view_events(connection: duckdb.DuckDBPyConnection, world: Path, last_day: date) -> None:
    """Name the clean rows of the event files `delivered_events`, with file and position, still with doubled keys.

    The files are named for the day of delivery; what arrives after `last_day` is not known yet.
    """
    files = [str(path) for path in sorted((world / "events").glob("*.parquet")) if path.stem <= last_day.isoformat()]
    if files:
        source = "read_parquet(getvariable('events'), filename = true, file_row_number = true)"
        connection.execute("set variable events = ?", [files])
        types = _types(connection, source)
    else:
        source, types = "(select '' as filename, 0 as file_row_number where false)", {}
    connection.execute(
        "create view delivered_events as " + _clean(TABLES[EVENT_TABLE], types, source, "filename", "file_row_number")
    )


def _types(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe from {source}").fetchall()}


def _clean(table: RawTable, types: dict[str, str], source: str, *others: str) -> str:
    """A select of the rows of `source` that meet the contract, typed; `types` are its columns' DuckDB types."""
    values = [f"{_parse(column, types.get(column.name))} as {column.name}" for column in table.columns]
    kept = [f'"{name}"' for name in others]
    conditions = []
    for column in table.columns:
        name = column.name
        if column.required and column.kind == "id" and name in types:
            # Tested before it is read: an expression over 20 million events should run once.
            values[table.columns.index(column)] = f"source.{name}"
            conditions.append(_is_identifier(name))
        elif column.required:
            conditions.append(f"{name} is not null")
        elif types.get(name) == "VARCHAR" and column.kind != "text":
            values.append(f"source.{name} as delivered_{name}")
            conditions.append(f"({name} is not null or coalesce({_trimmed(f'delivered_{name}')}, '') = '')")
        if column.minimum is not None:
            conditions.append(f"({name} is null or {name} between {column.minimum} and {column.maximum})")
    if table.name == "survey_responses":
        conditions.append("(survey <> 'nps' or score between 0 and 10)")
    clean = (
        f"select {', '.join([column.name for column in table.columns] + kept)} "
        f"from (select {', '.join(values + kept)} from {source} as source) as parsed "
        f"where {' and '.join(conditions)}"
    )
    return _convert(table, clean, kept) if table.currency_date else clean


def _trimmed(name: str) -> str:
    return f"trim({name}, {' || '.join(f'chr({code})' for code in WHITE_SPACE)})"


def _is_identifier(name: str) -> str:
    """Neither null nor blank nor padded; comparing prefix and suffixes costs a third of trimming."""
    padded = " or ".join(f"{name} like '%' || chr({code})" for code in WHITE_SPACE)
    return f"{name} >= '!' and not ({padded})"


def _parse(column: Column, source_type: str | None) -> str:
    """The expression that reads a column as its type; null where it is blank or cannot be read."""
    name = f"source.{column.name}"
    if source_type is None:
        return f"cast(null as {column.duckdb_type})"
    if column.kind == "id":
        return f"case when {_is_identifier(name)} then {name} end"
    if column.kind == "text":
        return f"case when {_trimmed(name)} <> '' then {name} end"
    if column.kind == "choice":
        return f"case when {name} in ({', '.join(_literal(choice) for choice in column.choices)}) then {name} end"
    if column.kind in ("timestamp", "date"):
        instant = name
        if source_type == "VARCHAR":
            instant = f"case when {name} like '____-__-__%' then try_cast({name} as timestamptz) end"
        if source_type in ("VARCHAR", "TIMESTAMP WITH TIME ZONE"):
            # A plain cast to timestamp would drop the zone without applying it.
            instant = f"make_timestamp(epoch_us({instant}))"
        return f"cast({instant} as {column.duckdb_type})"
    if column.kind == "integer":
        number = f"try_cast({name} as double)"
        return f"case when isfinite({number}) and {number} = floor({number}) then try_cast({number} as bigint) end"
    if column.kind == "number":
        # Infinities and NaN, which DuckDB sorts last, are outside every number's range.
        return f"try_cast({name} as double)"
    return f"try_cast({name} as boolean)"


def _convert(table: RawTable, clean: str, kept: list[str]) -> str:
    """Add the money column in the reporting currency; a row whose currency has no rate on its date is left out."""
    money = "mrr" if table.name == "subscriptions" else "amount"
    return (
        f"select clean.*, cast({money} * rate as decimal(38, 9)) as {money}_reporting from ("
        "select * replace (coalesce(upper(currency), reporting_currency) as currency) "
        f"from ({clean}), (select upper(getvariable('reporting_currency')) as reporting_currency)"
        ") as clean "
        "asof inner join ("
        "select upper(currency) as currency, cast(valid_from as date) as valid_from, cast(rate as double) as rate "
        "from seed_fx_rates where upper(currency) <> upper(getvariable('reporting_currency')) "
        "union all select upper(getvariable('reporting_currency')), date '0001-01-01', 1"
        f") as rates on clean.currency = rates.currency and clean.{table.currency_date} >= rates.valid_from"
    )


def main() -> None:
    """Run from the command line; the seconds by step go to standard output as JSON."""
    parser = argparse.ArgumentParser(description="Score a world of raw files by plain DuckDB statements.")
    parser.add_argument("world", type=Path)
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--first-day", type=date.fromisoformat, required=True)
    parser.add_argument("--last-day", type=date.fromisoformat, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--memory-limit", default="3GB")
    parser.add_argument("--threads", type=int, default=2)
    arguments = vars(parser.parse_args())
    print(json.dumps(run_reference(**arguments)))


if __name__ == "__main__":
    main()
