"""Dagster's event log in SQLite, with a batch of events stored as a batch.

A run over a range of days records each asset twice for each of its days: 25,000 events for 180 days. Dagster's own SQLite storage opens
databases, looks up the schema and commits several times for each event, which takes longer than the run itself. This one
stores the asset events that Dagster hands over together (DAGSTER_EVENT_BATCH_SIZE) with one statement and one commit for each
database. The files are the same; either storage reads the other's.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy
from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData

from orchestration.disk_space import end_if_full


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that stores a batch of asset events of one run with one insert."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        # Where Dagster's own storage stands by default, so nothing is left to configure.
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(base_dir=str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data=inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        end_if_full()
        super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        batch = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)
        if not batch:
            return
        end_if_full()
        rows = [self._event_to_row(event) for event in batch]
        with self.run_connection(batch[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # This transaction is the only writer, so the ids just given are the last ones, in order.
            last_id = connection.execute(sqlalchemy.select(sqlalchemy.func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            ids = range(last_id - len(batch) + 1, last_id + 1)
            newest = {event.get_dagster_event().asset_key: (event, event_id) for event, event_id in zip(batch, ids, strict=True)}
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)
        # Opens a connection of its own, to look the table up.
        self.store_asset_event_tags(batch, list(ids))
