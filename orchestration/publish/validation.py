"""The validation tables in a generation: carried over by every publishing, replaced by `publish_validation`.

A finished generation never changes, so a validation is published as the next one: it shares all files of the current generation but
`health.duckdb`, the board, and the tables themselves.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.integrity import copy_hashed, hash_file
from orchestration.publish.descriptions import Described, describe
from orchestration.publish.generations import (
    DATABASE,
    PARQUET,
    DamagedGeneration,
    Manifest,
    generation_path,
)
from orchestration.settings import Settings
from orchestration.validate.tables import TABLES, ValidationTable
from orchestration.warehouse import identifier, literal

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

_log = logging.getLogger(__name__)


def carry_over(settings: Settings, connection: duckdb.DuckDBPyConnection, base: Manifest | None) -> dict[str, int]:
    """Bring the validation tables of the current generation into the attached `health`, where it does not have them already.

    Returns:
        Their rows.
    """
    held = {name for (name,) in connection.execute("select table_name from duckdb_tables() where database_name = 'health'").fetchall()}
    missing = [table for table in TABLES if table.name not in held]
    for table in missing:
        _create(connection, table)
    if missing and base is not None and DATABASE in base.files:
        path = generation_path(settings, base.generation) / DATABASE
        try:
            if hash_file(path) != base.files[DATABASE]:
                raise DamagedGeneration("it is not what was published")
            _copy(connection, path, missing)
        except (DamagedGeneration, OSError, duckdb.Error) as error:
            _log.warning("%s: the validation in it is left out until the next one (%s)", path, error)
    return {table.name: connection.execute(f"select count(*) from health.main.{table.name}").fetchall()[0][0] for table in TABLES}


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[ValidationTable]) -> None:
    """Copy the tables that have the same columns there."""
    connection.execute(f"attach {literal(path)} as base (read_only)")
    try:
        for table in tables:
            found = connection.execute(
                "select column_name, data_type from duckdb_columns() where database_name = 'base' and schema_name = 'main' "
                "and table_name = ? order by column_index",
                [table.name],
            ).fetchall()
            if found == [(name, kind) for name, (kind, _) in table.columns.items()]:
                connection.execute(f"insert into health.main.{table.name} select * from base.main.{table.name}")
    finally:
        connection.execute("detach base")


def _create(connection: duckdb.DuckDBPyConnection, table: ValidationTable) -> None:
    columns = ", ".join(f"{identifier(name)} {kind}" for name, (kind, _) in table.columns.items())
    key = "" if table.is_key_partial else f", primary key ({', '.join(table.key)})"
    connection.execute(f"create or replace table health.main.{table.name} ({columns}{key})")


def descriptions() -> dict[Described, str]:
    """Of all validation tables."""
    wanted: dict[Described, str] = {("main", table.name, None): table.description for table in TABLES}
    return wanted | {("main", table.name, name): text for table in TABLES for name, (_, text) in table.columns.items()}


def replace_tables(connection: duckdb.DuckDBPyConnection, building: Path, rows: Rows) -> dict[str, int]:
    """Write the rows into the attached `health` and as Parquet; return how many each table has."""
    # Takes a while, and a daily run has no need of it.
    import pyarrow as pa

    counts = {}
    for table in TABLES:
        _create(connection, table)
        found = rows.get(table.name, [])
        columns = {name: [row.get(name) for row in found] for name in table.columns}
        if found:
            connection.register("given", pa.table({name: pa.array(values) for name, values in columns.items()}))
            casts = ", ".join(f"cast({identifier(name)} as {kind})" for name, (kind, _) in table.columns.items())
            order = ", ".join(map(identifier, table.key))
            connection.execute(f"insert into health.main.{table.name} select {casts} from given order by {order}")
            connection.unregister("given")
        counts[table.name] = len(found)
        write_parquet(connection, building, table.name)
    describe(connection, descriptions())
    return counts


def write_parquet(connection: duckdb.DuckDBPyConnection, building: Path, name: str) -> str:
    """Write one table of the attached `health` as Parquet; return the name of its file in the generation."""
    target = parquet_name(name)
    (building / PARQUET).mkdir(parents=True, exist_ok=True)
    connection.execute(f"copy (from health.main.{name}) to {literal(building / target)} (format parquet, compression zstd)")
    return target


def parquet_name(name: str) -> str:
    return f"{PARQUET}/{name}.parquet"


def copy_database(settings: Settings, manifest: Manifest, building: Path) -> None:
    """Copy the generation's `health.duckdb` into the building.

    Raises:
        DamagedGeneration: it is not what was published.
    """
    source = generation_path(settings, manifest.generation) / DATABASE
    if copy_hashed(source, building / DATABASE) != manifest.files.get(DATABASE):
        raise DamagedGeneration(f"{source}: is not what was published. Run the pipeline, or roll back")
