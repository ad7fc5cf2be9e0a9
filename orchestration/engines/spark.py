"""dbt on Spark: what the run prepared goes there as Parquet, and what others read of the result comes back as Parquet.

The schemas `raw` and `control` are views of Spark over files in the folder of exchange. Back come the tables of `marts` and those that its
views read; the views themselves are made in `warehouse.duckdb`, by dbt, from the same models. Of a history only the days of the run travel.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from orchestration.engines import RunDbt
from orchestration.progress import now_at
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT, Settings, SettingsError
from orchestration.warehouse import connect, identifier, literal

_OUT, _IN = "to_spark", "from_spark"
# What is read beside the marts: whose events of which days are known (orchestration/transform.py).
_ALSO_READ = ("int_usage__account_days",)
# The scored days of which any row may have changed.
_TOUCHED = "select as_of_date from {0}as_of_days union select as_of_date from {0}restated_days union select as_of_date from {0}ledger_days"
# Spark notes whose tables it holds: incremental models would take those of another warehouse for their own past, or none for all of it.
_CHECK = "select assert_true(max(warehouse_id) <=> '{known}', '{message}') from control.built_for"
_OTHER = "Spark does not hold the tables of {}. Remove that file: the next run builds all days anew, here and there"
# Times go over without a zone.
_IN_UTC = (
    "select assert_true(current_timezone() in ('UTC', 'Etc/UTC', 'GMT', 'Z', '+00:00'), concat('the session of Spark is in ', "
    "current_timezone(), '. Set spark.sql.session.timeZone to UTC in the profile, as docs/spark.md shows'))"
)
_INSTALL = "Run `.venv/bin/python -m pip install --no-deps --require-hashes -r requirements-spark.lock` in {root}"


class Spark:
    packages: tuple[str, ...] = ("dbt-spark", "dbt-duckdb")

    def rebuilds_after_failure(self, settings: Settings) -> bool:
        """Plain Parquet has no `delete`: see `delete_rows` in dbt_project/macros/cross_db/."""
        return settings.engine.table_format == "parquet"

    def check(self, settings: Settings) -> None:
        at = f"{settings.config_file}: warehouse.engine"
        modules = ("dbt.adapters.spark", "pyspark") if settings.engine.profiles_dir is None else ("dbt.adapters.spark",)
        for module in modules:
            if importlib.util.find_spec(module) is None:
                raise SettingsError(f"{at}: {module} is not installed. {_INSTALL.format(root=PROJECT_ROOT)}")
        if settings.engine.profiles_dir is not None:
            profiles = settings.resolve(settings.engine.profiles_dir) / "profiles.yml"
            if not profiles.is_file():
                raise SettingsError(f"{settings.config_file}: warehouse.profiles_dir: {profiles}: no such file")
        elif not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise SettingsError(
                f"{at}: Spark needs Java 17 or later, and there is none. Install it (Debian: apt-get install openjdk-17-jre-headless), "
                "or set JAVA_HOME"
            )

    def environment(self, settings: Settings) -> dict[str, str]:
        return {
            "DBT_TARGET": "spark",
            "HEALTH_SPARK_DIR": str(settings.data_dir.resolve() / "spark"),
            "HEALTH_SPARK_MEMORY": f"{settings.pipeline.memory_bytes // 10**6}m",
            "HEALTH_THREADS": str(settings.pipeline.threads),
            "HEALTH_TABLE_FORMAT": settings.engine.table_format,
        }

    def profile(self, settings: Settings) -> list[str]:
        own = settings.engine
        if own.profiles_dir is None:
            return ["--profiles-dir", str(DBT_PROJECT), "--target", "spark"]
        named = [("--profile", own.profile), ("--target", own.target)]
        return ["--profiles-dir", str(settings.resolve(own.profiles_dir)), *(part for key, name in named if name for part in (key, name))]

    def hand_over(self, settings: Settings, warehouse: duckdb.DuckDBPyConnection) -> None:
        now_at("prepare", "to Spark")
        folder = settings.exchange / _OUT
        shutil.rmtree(folder, ignore_errors=True)
        for schema, name in _handed_over(warehouse):
            path = folder / schema / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            warehouse.execute(f"copy {schema}.{identifier(name)} to {literal(path)} (format parquet, compression zstd)")

    def begin(self, settings: Settings, is_new: bool, run_dbt: RunDbt) -> list[str]:
        now_at("dbt", "to Spark")
        statements = [_IN_UTC, *(f"create schema if not exists {schema}" for schema in ("raw", "control"))]
        with connect(settings, settings.warehouse, read_only=True) as warehouse:
            [(known,)] = warehouse.execute("select warehouse_id from control.warehouse").fetchall()
            statements += _noted(known) if is_new else [_CHECK.format(known=known, message=_OTHER.format(settings.warehouse))]
            for schema, name in _handed_over(warehouse):
                described = warehouse.execute(f"describe {schema}.{identifier(name)}").fetchall()
                columns = ", ".join(_spark_column(column, kind) for column, kind, *_ in described)
                file = f"{settings.exchange_uri}/{_OUT}/{schema}/{name}.parquet"
                statements.append(f"create or replace view {schema}.{name} as select {columns} from parquet.`{file}`")
        self._run(settings, run_dbt, statements)
        return ["--full-refresh"] if is_new else []

    def take_back(self, settings: Settings, manifest: Mapping[str, Any], has_views: bool, run_dbt: RunDbt) -> None:
        now_at("dbt", "from Spark")
        views, tables = _read_after_dbt(manifest)
        shutil.rmtree(settings.exchange / _IN, ignore_errors=True)
        with connect(settings, settings.warehouse, read_only=True) as warehouse:
            histories = _histories(warehouse, tables)
        statements = []
        for name, node in tables.items():
            days = f" where as_of_date in ({_TOUCHED.format('control.')})" if name in histories else ""
            target = f"{settings.exchange_uri}/{_IN}/{name}"
            statements.append(f"insert overwrite directory '{target}' using parquet select * from {node['schema']}.{name}{days}")
        self._run(settings, run_dbt, statements)
        with connect(settings, settings.warehouse) as warehouse:
            for name, node in tables.items():
                _load(warehouse, node, settings.exchange / _IN / name, name in histories)
        if settings.engine.profiles_dir is None:
            from pyspark.sql import SparkSession

            # Publishing needs its memory.
            SparkSession.builder.getOrCreate().stop()
        if not has_views:
            # It imports dbt.
            from orchestration.dbt import load_project

            on_duckdb = settings.on_duckdb()
            load_project(on_duckdb)
            run_dbt(on_duckdb, ["run", "--select", *views])

    def cancel(self) -> None:
        from dbt.adapters.factory import get_adapter_by_type

        get_adapter_by_type("spark").cancel_open_connections()
        if "pyspark" in sys.modules:
            from pyspark.sql import SparkSession

            SparkSession.active().sparkContext.cancelAllJobs()

    def close(self) -> None:
        """A session stays for the next command of dbt: it takes long to begin."""

    def _run(self, settings: Settings, run_dbt: RunDbt, statements: list[str]) -> None:
        run_dbt(settings, ["run-operation", "run_statements", "--args", json.dumps({"statements": statements})])


def _noted(warehouse_id: str) -> list[str]:
    return ["drop table if exists control.built_for", f"create table control.built_for as select '{warehouse_id}' as warehouse_id"]


def _spark_column(column: str, kind: str) -> str:
    """Times without a zone are UTC, as the session is: both are then of Spark's usual type."""
    return f"cast({column} as timestamp) as {column}" if kind == "TIMESTAMP" else column


def _handed_over(warehouse: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Schema and name of all that the models read."""
    return warehouse.execute(
        "select table_schema, table_name from information_schema.tables where table_schema in ('raw', 'control') order by all"
    ).fetchall()


def _read_after_dbt(manifest: Mapping[str, Any]) -> tuple[list[str], dict[str, Mapping[str, Any]]]:
    """The views of `marts` with all views that they read; by name the tables of `marts` and those that these views read."""
    nodes = manifest["nodes"]
    models = {name: node for name, node in nodes.items() if node["resource_type"] == "model"}
    waiting = [name for name, node in models.items() if node["schema"] == "marts" or node["name"] in _ALSO_READ]
    views: list[str] = []
    tables: dict[str, Mapping[str, Any]] = {}
    while waiting:
        node = nodes[waiting.pop()]
        if node["config"]["materialized"] != "view":
            tables[node["name"]] = node
        elif node["name"] not in views:
            views.append(node["name"])
            waiting += [name for name in node["depends_on"]["nodes"] if name in nodes]
    return views, tables


def _histories(warehouse: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Those of the tables that are in the warehouse already and grow by days."""
    found = warehouse.execute(
        "select table_name from duckdb_columns() inner join duckdb_tables() using (schema_name, table_name) "
        "where schema_name = 'intermediate' and column_name = 'as_of_date'"
    ).fetchall()
    return {name for (name,) in found if name in tables and tables[name]["config"]["materialized"] == "incremental"}


def _load(warehouse: duckdb.DuckDBPyConnection, node: Mapping[str, Any], folder: Path, is_history: bool) -> None:
    """Bring one table into the warehouse; of a history the touched days are replaced."""
    table = f"{identifier(node['schema'])}.{identifier(node['name'])}"
    files = literal(folder / "*.parquet")
    described = warehouse.execute(f"describe from read_parquet({files})").fetchall()
    stated = node["columns"]
    columns = {column: _duckdb_type(kind, stated.get(column, {}).get("data_type")) for column, kind, *_ in described}
    values = ", ".join(f"cast({identifier(column)} as {kind}) as {identifier(column)}" for column, kind in columns.items())
    select = f"select {values} from read_parquet({files})"
    warehouse.execute(f"create schema if not exists {identifier(node['schema'])}")
    warehouse.execute("begin")
    if is_history:
        held = {column for column, *_ in warehouse.execute(f"describe {table}").fetchall()}
        for column in columns.keys() - held:
            warehouse.execute(f"alter table {table} add column {identifier(column)} {columns[column]}")
        warehouse.execute(f"delete from {table} where as_of_date in ({_TOUCHED.format('control.')})")
        warehouse.execute(f"insert into {table} by name {select}")
    else:
        warehouse.execute(f"create or replace table {table} as {select}")
        for comment in _comments(node, table, columns):
            warehouse.execute(comment)
    warehouse.execute("commit")
    shutil.rmtree(folder)


def _duckdb_type(kind: str, stated: str | None) -> str:
    """The type of a column in the warehouse: the one that the contract of a mart states, else that of the file. All times are UTC."""
    if stated is not None:
        return stated
    return "TIMESTAMP" if kind.startswith("TIMESTAMP") else kind


def _comments(node: Mapping[str, Any], table: str, columns: Mapping[str, str]) -> Iterator[str]:
    """What dbt says of a mart, which publishing carries over."""
    if node["schema"] != "marts":
        return
    yield f"comment on table {table} is {literal(node['description'])}"
    for column, stated in node["columns"].items():
        if column in columns and stated["description"]:
            yield f"comment on column {table}.{identifier(column)} is {literal(stated['description'])}"
