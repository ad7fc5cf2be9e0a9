"""The `sql` connector: a table, or a query, of any database that SQLAlchemy speaks to."""

import re
from collections.abc import Iterator, Mapping

import pyarrow as pa
from pydantic import Field, model_validator

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import Connector, Preview, Window
from orchestration.settings import Settings
from orchestration.sources import Notation, SecretReference

_PARAMETER = re.compile(r"(?<![:\w\\]):(start|end)\b")


class SqlSource(Connector, Notation):
    """`connector = "sql"`: any database that SQLAlchemy speaks to; the driver for Postgres is installed.

    Attributes:
        url: a SQLAlchemy address with user and password, for example `postgresql+psycopg://reader:...@host/db`.
        table: `table` or `schema.table`; usage is read by day, other tables as a whole in every run.
        query: one select; with `:start` and `:end` (timestamps, UTC, end exclusive) only what is new is read.
        columns: contract column -> column of the table or query, where the names differ.
        timeout_seconds: longest wait for one statement; of a stream, for its next rows.
    """

    url: SecretReference
    table: str | None = None
    query: str | None = None
    columns: dict[str, str] = {}
    timeout_seconds: float = Field(default=600, ge=1, le=86_400)

    @model_validator(mode="after")
    def _table_or_query(self) -> "SqlSource":
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        names = self.parameters
        if len(names) == 1:
            raise ValueError(f"the query names :{min(names)} only; give both :start and :end, or neither")
        return self

    @property
    def parameters(self) -> set[str]:
        """Which of `start` and `end` the query asks for."""
        return set() if self.query is None else set(_PARAMETER.findall(self.query))

    @property
    def system(self) -> str:
        dialect = re.match(r"[a-z0-9]+", self.url.value() or "sql")
        # As people, and the icons of the Dagster UI, call it.
        return "sql" if dialect is None else dialect[0].replace("postgresql", "postgres")

    @property
    def column_names(self) -> Mapping[str, str]:
        return self.columns

    def is_incremental(self, table: RawTable) -> bool:
        """Single days can be asked for by a query with `:start` and `:end`, and of tables of usage always."""
        return bool(self.parameters) or (table.by_day and self.table is not None)

    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        from orchestration.extract.connectors.sql import rows

        return rows.read(table, self, window)

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        from orchestration.extract.connectors.sql import rows

        return rows.preview(table, self)

    def check_settings(self, settings: Settings, table: RawTable) -> None:
        from orchestration.extract.connectors.sql.database import check_address

        check_address(table.name, self)
