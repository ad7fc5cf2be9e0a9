"""Dagster's event log in SQLite, with a batch of events in one transaction.

A run over a range of days records each asset once for each of its days: 20,000 events for 180 days. Dagster's own SQLite storage opens two
databases and commits twice for each event, which takes longer than the run itself; this stores what Dagster hands over as a
batch (see DAGSTER_EVENT_BATCH_SIZE) with one connection and one commit for each database.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from dagster import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` whose connections stay open while a batch is stored. The files are the same."""

    def __init__(self, *args, **kwargs) -> None:
        self._held: dict[str, Connection] = {}
        self._batch: ExitStack | None = None
        super().__init__(*args, **kwargs)
        # Re-entrant, since a batch holds the connections to two databases; other threads wait for the batch.
        self._db_lock = threading.RLock()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        # The base class builds itself here, whatever class was asked for.
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        with self._db_lock, ExitStack() as batch:
            self._batch = batch
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch = None
                self._held.clear()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if self._batch is None:
            with super()._connect(shard) as connection:
                yield connection
            return
        if shard not in self._held:
            self._held[shard] = self._batch.enter_context(super()._connect(shard))
        yield self._held[shard]
