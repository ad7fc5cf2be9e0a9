"""The benchmark's yardstick: all of docs/scoring.md from raw files by plain DuckDB statements, without dbt or Dagster.

`reference.sql` holds the statements, with Jinja for what is the same for each metric and scorecard. This module loads a world for them
(usage events as `events/<day of delivery>*.parquet`, the other raw tables as `<table>.csv`, absent ones empty;
cleaned as docs/scoring.md, "Raw tables" says) and the seeds, runs them step by step, and leaves a DuckDB file with the rows that
the pipeline publishes: `account_health_history`, `metric_scores_history` and `score_changes` (views over wide rows) and
`candidate_scores_history`. It shares nothing with the pipeline but the raw tables' contract, so equal results are a second opinion.

    python -m tests.benchmarks.reference WORLD --seeds seeds --first-day 2026-01-01 --last-day 2026-06-29 \\
        --output scores.duckdb
"""

import argparse
import json
import tempfile
import time
from datetime import date
from fractions import Fraction
from pathlib import Path

import duckdb
import jinja2

from orchestration.contract import TABLES, Column, NotBefore, RangeBy, RawTable
from tests.oracle.cards import CardMetric, Scorecard, Version, read_versions
from tests.oracle.metrics import METRICS

STATEMENTS = Path(__file__).with_name("reference.sql")
STEP_MARK = "-- step: "
EVENT_TABLE = "usage_events"
MONEY = {"subscriptions": ("mrr",), "invoices": ("amount", "open_amount")}
WHITE_SPACE = (9, 10, 13, 32)
# Midnight, or the last minute, of a day in a local time.
LOCAL_DAY = r"\d{4}-\d\d-\d\d[T ](00:00(:00(\.0+)?)?|23:59(:59(\.\d+)?)?)\s?[+-]\d.*"
# A fraction, a number in scientific notation.
NO_IDENTIFIER = r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|[+-]?\d+[eE][+-]\d+"


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
    """Score every account on every day from `first_day` to `last_day` and write the rows to `output`, a new DuckDB file.

    Returns:
        Seconds by step, in the order in which the steps ran.
    """
    seconds: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(dir=output.parent) as scratch,
        duckdb.connect(
            str(output),
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
        _load_rates(connection, seeds, reporting_currency)
        _load_tables(connection, world)
        _view_events(connection, world, last_day)
        for name, value in (
            ("first_day", first_day),
            ("last_day", last_day),
            ("late_after_days", TABLES[EVENT_TABLE].late_after_days),
        ):
            connection.execute(f"set variable {name} = ?", [value])
        # Only the raw tables' rows have an order that means something.
        connection.execute("set preserve_insertion_order = false")
        steps = _steps(read_versions(seeds))
        seconds["raw tables and seeds"] = time.perf_counter() - started

        for step, statements in steps:
            started = time.perf_counter()
            connection.execute(statements)
            seconds[step] = time.perf_counter() - started

        started = time.perf_counter()
        connection.execute("checkpoint")
        seconds["checkpoint"] = time.perf_counter() - started
    return seconds


def _steps(versions: list[Version]) -> list[tuple[str, str]]:
    """The parts of reference.sql between its step marks, with their names."""
    cards = [card for version in versions for card in version.cards]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    statements = environment.from_string(STATEMENTS.read_text(encoding="utf-8")).render(
        metrics={key: dimension for key, (dimension, _, _) in METRICS.items()},
        cards=cards,
        active=[version for version in versions if version.status == "active"],
        candidates=[version for version in versions if version.status == "candidate"],
        number=_number,
        text=_literal,
        number_of=cards.index,
        limit=_limit,
        nominal_weight=_nominal_weight,
    )
    parts = statements.split(f"\n{STEP_MARK}")[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def _number(value: Fraction) -> str:
    return f"cast({float(value)!r} as double)"


def _limit(card: Scorecard, tier: str) -> str:
    """The score from which on an account is in the tier; null where the card has no such tier."""
    return next((_number(limits.min_score) for limits in card.tiers if limits.tier == tier), "null")


def _nominal_weight(card: Scorecard, metric: CardMetric) -> Fraction:
    in_dimension = sum(other.weight for other in card.metrics if other.dimension_key == metric.dimension_key)
    in_all = sum(card.dimensions.values())
    return card.dimensions[metric.dimension_key] / in_all * metric.weight / in_dimension if metric.weight and in_all else Fraction(0)


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _load_rates(connection: duckdb.DuckDBPyConnection, seeds: Path, reporting_currency: str) -> None:
    connection.execute("set variable reporting_currency = ?", [reporting_currency.upper()])
    connection.execute(
        "create temp table rates as "
        "select upper(currency) as currency, cast(valid_from as date) as valid_from, cast(rate as double) as rate "
        "from read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"') "
        "where upper(currency) <> getvariable('reporting_currency') "
        "union all select getvariable('reporting_currency'), date '0001-01-01', 1",
        [str(seeds / "fx_rates.csv")],
    )


def _load_tables(connection: duckdb.DuckDBPyConnection, world: Path) -> None:
    """Load every raw table but the events: clean rows, the last one of each key."""
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
            f"create temp table raw_{table.name} as "
            f"with delivered as (select *, row_number() over () as position from {delivered}), "
            f"clean as ({_clean(table, types, 'delivered', 'position')}) "
            "select * exclude (position) from clean "
            f"qualify row_number() over (partition by {', '.join(table.key)} order by position desc) = 1"
        )


def _view_events(connection: duckdb.DuckDBPyConnection, world: Path, last_day: date) -> None:
    """Name the event files `event_files`, and their clean rows `delivered_events`, with file and position, still with doubled keys.

    The files' names begin with the day of delivery; what arrives after `last_day` is not known yet.
    """
    files = [str(path) for path in sorted((world / "events").glob("*.parquet")) if path.name[:10] <= last_day.isoformat()]
    if files:
        source = f"read_parquet([{', '.join(map(_literal, files))}], filename = true, file_row_number = true)"
        types = _types(connection, source)
    else:
        source, types = "(select '' as filename, 0 as file_row_number, '' as event_id where false)", {}
    connection.execute(f"create temp view event_files as select event_id from {source}")
    connection.execute("create temp view delivered_events as " + _clean(TABLES[EVENT_TABLE], types, source, "filename", "file_row_number"))


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
    for rule in table.rules:
        if isinstance(rule, NotBefore):
            conditions.append(f"coalesce({rule.column} >= {rule.earlier} - interval '{rule.years} years', true)")
        elif isinstance(rule, RangeBy):
            ranges = " ".join(f"when {_literal(choice)} then {rule.column} between {low} and {high}" for choice, low, high in rule.ranges)
            conditions.append(f"case {rule.by} {ranges} else true end")
    # A user_id that is a mail address is compared in lower case.
    columns = [
        f"case when contains({column.name}, '@') then lower({column.name}) else {column.name} end as {column.name}"
        if column.name == "user_id"
        else column.name
        for column in table.columns
    ]
    clean = (
        f"select {', '.join(columns + kept)} "
        f"from (select {', '.join(values + kept)} from {source} as source) as parsed "
        f"where {' and '.join(conditions)}"
    )
    return _convert(table, clean) if table.currency_date else clean


def _trimmed(name: str) -> str:
    return f"trim({name}, {' || '.join(f'chr({code})' for code in WHITE_SPACE)})"


def _is_identifier(name: str) -> str:
    """Neither null nor blank nor padded, no number but a whole one, no list and no object.

    Comparing prefix and suffixes costs a third of trimming, and few ids begin as a number or a list does.
    """
    padded = " or ".join(f"{name} like '%' || chr({code})" for code in WHITE_SPACE)
    return (
        f"case when {name} is null or {name} < '!' or {padded} then false "
        f"when {name} < ':' then not regexp_full_match({name}, {_literal(NO_IDENTIFIER)}) "
        f"when {name}[1] in ('[', '{{') then not json_valid({name}) else true end"
    )


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
        local_day = ""
        if source_type == "VARCHAR":
            if column.kind == "date":
                # The first and the last moment of a local day are that day.
                local_day = f"when regexp_full_match({name}, {_literal(LOCAL_DAY)}) then try_cast({name}[:10] as date) "
            instant = f"case when {name} like '____-__-__%' then try_cast({name} as timestamptz) end"
        if source_type in ("VARCHAR", "TIMESTAMP WITH TIME ZONE"):
            # A plain cast to timestamp would drop the zone without applying it.
            instant = f"make_timestamp(epoch_us({instant}))"
        value = f"cast({instant} as {column.duckdb_type})"
        return f"case {local_day}else {value} end" if local_day else value
    if column.kind == "integer":
        number = f"try_cast({name} as double)"
        return f"case when isfinite({number}) and {number} = floor({number}) then try_cast({number} as bigint) end"
    if column.kind == "number":
        # Infinities and NaN, which DuckDB sorts last, are outside every number's range.
        return f"try_cast({name} as double)"
    return f"try_cast({name} as boolean)"


def _convert(table: RawTable, clean: str) -> str:
    """Add the money columns in the reporting currency; a row whose currency has no rate on its date is left out."""
    converted = "".join(f", cast({money} * rate as decimal(38, 9)) as {money}_reporting" for money in MONEY[table.name])
    return (
        f"select clean.*{converted} from ("
        "select * replace (coalesce(upper(currency), getvariable('reporting_currency')) as currency) "
        f"from ({clean})"
        ") as clean "
        f"asof inner join rates on clean.currency = rates.currency and clean.{table.currency_date} >= rates.valid_from"
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
