"""The descriptions of tables and columns that BI tools show: comments of a database."""

from collections.abc import Mapping

import duckdb

from orchestration.warehouse import identifier, literal

# Schema, table or view, and column; without a column it is the table's own.
Described = tuple[str, str, str | None]


def read_descriptions(connection: duckdb.DuckDBPyConnection, database: str) -> dict[Described, str]:
    """The descriptions in an attached database."""
    found = connection.execute(
        """
        select schema_name, table_name, null, comment from duckdb_tables() where database_name = $1 and comment is not null
        union all
        select schema_name, view_name, null, comment from duckdb_views() where database_name = $1 and comment is not null
        union all
        select schema_name, table_name, column_name, comment from duckdb_columns() where database_name = $1 and comment is not null
        """,
        [database],
    ).fetchall()
    return {(schema, name, column): text for schema, name, column, text in found}


def describe(connection: duckdb.DuckDBPyConnection, wanted: Mapping[Described, str]) -> None:
    """Give tables, views and columns of the attached `health` their descriptions.

    Only those that differ are written: there are hundreds, and each is a statement of its own.
    """
    listed = "select schema_name, view_name from duckdb_views() where database_name = 'health'"
    views = set(connection.execute(listed).fetchall())
    connection.execute("begin")
    for (schema, name, column), text in wanted.items() - read_descriptions(connection, "health").items():
        kind = "column" if column else "view" if (schema, name) in views else "table"
        place = f"health.{schema}.{name}" + (f".{identifier(column)}" if column else "")
        connection.execute(f"comment on {kind} {place} is {literal(text)}")
    connection.execute("commit")
