"""The query of a `files` source: one select, prepared without running it."""

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import check_columns
from orchestration.plain_text import as_said
from orchestration.sources import FilesSource


def check_query(
    connection: duckdb.DuckDBPyConnection, table: RawTable, source: FilesSource, is_foreign: bool = False
) -> None:
    """Prepare a source's query without running it.

    Args:
        connection: with the view `file`, where the query reads one.
        table: the contract.
        source: with the query.
        is_foreign: as `SourceFile`, of the file that the query reads.

    Raises:
        SourceError: as `stage_query`.
    """
    label = f"sources.{table.name}.query"
    selected = single_select(connection, label, source.query)
    try:
        described = connection.execute(f"describe {selected}").fetchall()
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said(error)}") from error
    check_columns(label, [row[0] for row in described], table, source.columns, is_foreign)


def single_select(connection: duckdb.DuckDBPyConnection, label: str, query: str) -> str:
    """A source's query as a select without comments that could swallow what follows.

    Raises:
        SourceError: it is no single select.
    """
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError(f"{label}: give one select statement")
    # The line break ends a comment at the end of the query.
    return f"select * from (\n{statements[0].query.strip().rstrip(';')}\n) as delivered"
