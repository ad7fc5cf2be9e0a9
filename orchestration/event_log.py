"""Dagster's event log in SQLite, without what makes it slow and large there.

The files and their content are Dagster's own; either storage reads the other's. All that leans on Dagster's internals is here
(dagster 1.13.27), because its SQLite storage
* opens a database, looks up its schema and waits for the disk several times for each event: 1,543 commits for the 303 events of a day.
  Here a database stays open, and only its checkpoints wait for the disk: after a loss of power the newest history may be missing;
* stores for a range of days each asset's plan once for each day, though it has a form for a range (used by its cloud service only);
* plans a check once for each day of the run, though a check judges the run: 180 rows that would stay planned for ever;
* stores each asset event twice, in the run's file and in the index, from which all pages of assets, partitions and lineage are read.
  Here the run's file holds one event of each batch, the newest: in a run's log each asset appears once, not once for each of its days;
* repeats for each day of a range where its run and its inputs were. Here the newest day alone has that; the others have their metadata;
* takes all that a failed run was to make for failed, also what it never began. Here that stays as it was before the run.
"""

import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sqlalchemy as db
from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry
from dagster._core.events import ASSET_EVENTS, StepMaterializationData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._record import copy
from dagster._serdes import ConfigurableClassData, deserialize_value
from dagster._utils.error import SerializableErrorInfo
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from orchestration.disk_space import end_if_full

# A run a day for half a year; the alerts and other jobs count as well.
KEPT_RUNS = 200
_TABLE = SqlEventLogStorageTable.c
# So that the first run after an update does not stall.
_DELETED_AT_ONCE = 20


def prune_history(instance: DagsterInstance) -> list[str]:
    """Delete the oldest ended runs beyond `KEPT_RUNS`, a few at each call. Each partition keeps its newest materialization.

    Returns:
        The ids of the deleted runs.
    """
    surplus = instance.get_runs_count() - KEPT_RUNS
    if surplus <= 0:
        return []
    oldest = instance.get_run_records(limit=min(surplus, _DELETED_AT_ONCE), ascending=True)
    gone = [record.dagster_run.run_id for record in oldest if record.dagster_run.is_finished]
    for run_id in gone:
        instance.delete_run(run_id)
        # What its steps wrote to standard output and error.
        shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
    return gone


def forget_plans(instance: DagsterInstance, run_id: str, asset_keys: Collection[AssetKey]) -> None:
    """Have these assets look as before the run, if it fails: it did not come to them, or they are not at fault."""
    storage = instance.event_log_storage
    if isinstance(storage, BatchedSqliteEventLogStorage):
        storage.forget_plans(run_id, asset_keys)


def report_at_fault(instance: DagsterInstance, run: DagsterRun, asset_keys: Collection[AssetKey], error: Exception) -> None:
    """Have Dagster show these assets as failed, and no other, of a run that is refused before its first step.

    Args:
        asset_keys: those that the run was not to make are left out.
        error: its message is shown with their steps.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, BatchedSqliteEventLogStorage):
        return
    plans = storage.plans(run.run_id)
    at_fault = plans.keys() & set(asset_keys)
    storage.forget_plans(run.run_id, plans.keys() - at_fault)
    said = StepFailureData(SerializableErrorInfo(f"{error}\n", [], type(error).__name__), user_failure_data=None)
    for step in sorted({plans[key] for key in at_fault}):
        failure = DagsterEvent(
            DagsterEventType.STEP_FAILURE.value, run.job_name, step_key=step, event_specific_data=said, message=str(error)
        )
        instance.report_dagster_event(failure, run.run_id, logging.ERROR)


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that keeps its databases open and stores what concerns a range of days once for the range."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        # Where Dagster's own storage is by default, so nothing is left to configure.
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(base_dir=str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data=inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        end_if_full()
        super().store_event(event)
        if event.dagster_event_type == DagsterEventType.RUN_FAILURE:
            begun = self._begun_steps(event.run_id)
            self.forget_plans(event.run_id, [key for key, step in self.plans(event.run_id).items() if step not in begun])

    def _begun_steps(self, run_id: str) -> set[str | None]:
        began = [DagsterEventType.STEP_START.value, DagsterEventType.STEP_FAILURE.value]
        with self.run_connection(run_id) as connection:
            return set(connection.execute(db.select(_TABLE.step_key).where(_TABLE.dagster_event_type.in_(began))).scalars())

    def plans(self, run_id: str) -> dict[AssetKey, str]:
        """What a run was to make and has not forgotten: each asset with its step."""
        with self.index_connection() as connection:
            rows: Sequence[Any] = connection.execute(db.select(_TABLE.asset_key, _TABLE.step_key).where(*_is_plan_of(run_id))).fetchall()
        return {key: step for text, step in rows if (key := AssetKey.from_db_string(text)) is not None}

    def forget_plans(self, run_id: str, asset_keys: Collection[AssetKey]) -> None:
        """Forget that a run was to make and check these assets: when it fails, they are not shown as failed."""
        texts = [key.to_string() for key in asset_keys]
        check = AssetCheckExecutionsTable.c
        is_planned = check.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.delete().where(*_is_plan_of(run_id), _TABLE.asset_key.in_(texts)))
            connection.execute(AssetCheckExecutionsTable.delete().where(check.run_id == run_id, is_planned, check.asset_key.in_(texts)))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine, for_index_shard=shard == INDEX_SHARD_NAME)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            # The UI looks at many runs in its life: of their files one stays open.
            for other in [name for name in self._engines if name != INDEX_SHARD_NAME and shard != INDEX_SHARD_NAME]:
                self._engines.pop(other).dispose()
            # Threads take turns under the lock of `_connect`.
            connect_args = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
            engine = create_engine(self.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=connect_args)
            db.event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = normal"))
            self._engines[shard] = engine
        return self._engines[shard]

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._tables:
            if not super().has_table(table_name):
                return False
            self._tables.add(table_name)
        return True

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        batch = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)
        if not batch:
            return
        end_if_full()
        newest = {(event.dagster_event_type, event.get_dagster_event().asset_key): place for place, event in enumerate(batch)}
        in_full = set(newest.values())
        batch = [event if place in in_full else _without_origin(event) for place, event in enumerate(batch)]
        rows = [self._event_to_row(event) for event in batch]
        with self.run_connection(batch[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [rows[place] for place in newest.values()])
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # This transaction is the only writer, so the ids just given are the last ones, in order.
            last_id: int = connection.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            first_id = last_id - len(batch) + 1
            for place in newest.values():
                self._store_asset_event(connection, batch[place], first_id + place)
            self._store_asset_event_tags(connection, batch, range(first_id, last_id + 1))

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        found = event.get_dagster_event()
        plan = copy(found.event_specific_data, partitions_subset=None)
        super()._store_asset_check_evaluation_planned(event._replace(dagster_event=found._replace(event_specific_data=plan)), event_id)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        return True

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """As Dagster's: the partitions whose last plan was not followed by a materialization, with its run and event; plans hold ranges."""
        attempts: dict[Any, tuple[str, int]] = dict(
            super().get_latest_asset_partition_materialization_attempts_without_materializations(asset_key, after_storage_id)
        )
        attempts.pop(None, None)
        planned, done = DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value, DagsterEventType.ASSET_MATERIALIZATION.value
        of_asset = db.and_(_TABLE.asset_key == asset_key.to_string(), _TABLE.id > (after_storage_id or 0))
        newest = (
            db.select(_TABLE.partition, db.func.max(_TABLE.id))
            .where(of_asset, _TABLE.dagster_event_type == done)
            .group_by(_TABLE.partition)
        )
        plans = db.select(_TABLE.id, _TABLE.run_id, _TABLE.event).where(
            of_asset, _TABLE.dagster_event_type == planned, _TABLE.partition.is_(None)
        )
        with self.index_connection() as connection:
            materialized: dict[Any, Any] = dict(connection.execute(newest).tuples().all())
            rows: Sequence[Any] = connection.execute(plans.order_by(_TABLE.id)).fetchall()
        for event_id, run_id, text in rows:
            subset = deserialize_value(text, EventLogEntry).get_dagster_event().asset_materialization_planned_data.partitions_subset
            for partition in subset.get_partition_keys() if subset else ():
                if materialized.get(partition, 0) < event_id and attempts.get(partition, ("", 0))[1] < event_id:
                    attempts[partition] = (run_id, event_id)
        return attempts

    def delete_events(self, run_id: str) -> None:
        """Delete the file of the run, and of the index all but the newest materialization of each asset and partition."""
        with self._db_lock:
            if run_id in self._engines:
                self._engines.pop(run_id).dispose()
            self._initialized_dbs.discard(run_id)
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path_for_shard(run_id) + suffix)
        event, later = SqlEventLogStorageTable.c, SqlEventLogStorageTable.alias()
        is_replaced = db.exists().where(
            later.c.asset_key == event.asset_key,
            later.c.dagster_event_type == event.dagster_event_type,
            later.c.partition.is_not_distinct_from(event.partition),
            later.c.id > event.id,
        )
        is_materialization = event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value
        of_run = db.select(event.id).where(
            event.run_id == run_id, db.or_(event.dagster_event_type.is_(None), ~is_materialization, is_replaced)
        )
        with self.index_connection() as connection:
            connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(of_run)))
            connection.execute(SqlEventLogStorageTable.delete().where(event.id.in_(of_run)))
            connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))
        if self.supports_global_concurrency_limits:
            self.free_concurrency_slots_for_run(run_id)


def _is_plan_of(run_id: str) -> tuple[Any, ...]:
    return _TABLE.run_id == run_id, _TABLE.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value


def _without_origin(event: EventLogEntry) -> EventLogEntry:
    """A materialization with what its day alone has, partition and metadata. Other events stay as they are."""
    found = event.get_dagster_event()
    if not found.is_step_materialization:
        return event
    # Nothing looks out of date: without the versions of its inputs, Dagster compares a partition with none.
    data = StepMaterializationData(found.step_materialization_data.materialization._replace(tags=None), asset_lineage=[])
    return event._replace(
        user_message="", dagster_event=found._replace(event_specific_data=data, logging_tags={}, message=None, step_handle=None)
    )
