"""What can be wrong with a source."""

import duckdb

from orchestration.contract import RawTable
from orchestration.plain_text import as_said


class SourceError(ValueError):
    """A source cannot be used as it is; the message names the file or key, what was found and what to do."""


class SourceUnavailable(SourceError):
    """A remote source did not answer, or not with what it should; the same configuration may work in the next run.

    Attributes:
        may_pass: whether it may work some minutes later.
    """

    may_pass = True


class SuddenLoss(SourceError):
    """A table came with far fewer rows than it has; the message says how to accept that."""


# About the query itself, which a person wrote, and not about a value that it met.
_OF_THE_QUERY = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)


def as_said_of(table: RawTable, error: Exception) -> str:
    """What DuckDB says of a query for a table, in one line; of a table of people no value, which a failed conversion quotes."""
    return type(error).__name__ if table.is_personal and not isinstance(error, _OF_THE_QUERY) else as_said(error)
