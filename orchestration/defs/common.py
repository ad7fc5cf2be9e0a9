"""What all assets share: the settings, the partitions, who owns them, and the one writer at a time."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import dagster as dg

from orchestration.dead_runs import report_dead_runs, report_failed, show_alive
from orchestration.disk_space import ending_when_full
from orchestration.event_log import prune_history, report_at_fault
from orchestration.home import RETRIES_TAG
from orchestration.locking import WriterBusy, writer_lock
from orchestration.progress import warnings
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.scorecard import ConfigurationError
from orchestration.settings import SettingsError, load_settings

SETTINGS = load_settings()
OWNERS = ["team:data-platform"]
_RETRIES_WHEN_BUSY = 3

PARTITIONS = dg.DailyPartitionsDefinition(
    start_date=SETTINGS.pipeline.start_date.isoformat(),
    # Exclusive here, inclusive in health.toml.
    end_date=(SETTINGS.pipeline.end_date + timedelta(days=1)).isoformat() if SETTINGS.pipeline.end_date else None,
)


class RunGuard(dg.ConfigurableResource):
    """Holds the writer lock for the whole run, and checks the configuration before anything is written.

    Execution is in process, so one run has one guard; with another executor each step has its own.
    """

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["RunGuard"]:
        run, instance = context.run, context.instance
        if run is None or instance is None:
            raise dg.DagsterInvariantViolationError("run_guard guards runs only")
        latest = instance.get_run_by_id(run.run_id)
        if latest is not None and latest.is_finished:
            # `dg launch` sets resources up once more when the run is over, to show its result.
            yield self
            return
        name = f"{run.job_name} run {run.run_id}"
        show_alive(SETTINGS, run.run_id)
        warn = dg.get_dagster_logger().warning if context.log is None else context.log.warning
        with _retried_when_busy(instance, run.run_id), writer_lock(SETTINGS, name, warn):
            for dead in report_dead_runs(SETTINGS, instance, run.job_name):
                warn(f"run {dead} was left by a process that is gone: now shown as failed")
            prune_history(instance)
            remove_leftovers(SETTINGS)
            try:
                doubts = check_configuration(SETTINGS)
            except (ConfigurationError, SettingsError) as error:
                report_at_fault(instance, run, _at_fault(error), error)
                raise
            for doubt in doubts:
                warn(doubt)
            with ending_when_full(SETTINGS, lambda why: report_failed(instance, run.run_id, why)):
                yield self


@contextmanager
def _retried_when_busy(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """A run of the UI or a schedule that waited for another writer in vain is started again by Dagster's daemon."""
    try:
        yield
    except WriterBusy:
        instance.add_run_tags(run_id, {RETRIES_TAG: str(_RETRIES_WHEN_BUSY)})
        raise


def _at_fault(error: ConfigurationError | SettingsError) -> set[dg.AssetKey]:
    """The assets behind the files and sections that a refusal names: seeds and raw tables."""
    if isinstance(error, ConfigurationError):
        return {dg.AssetKey(["seeds", fault.seed]) for fault in error.faults}
    return {dg.AssetKey(["raw", table]) for table in re.findall(r": sources\.(\w+)", str(error))}


@dg.logger({}, description="Keeps warnings for the last lines of a command, which reports failures itself.")
def command(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("command")
    logger.addHandler(warnings())
    logger.addFilter(lambda record: not _is_of_failure(record))
    return logger


def _is_of_failure(record: logging.LogRecord) -> bool:
    """Whether a record holds the traceback of a failure, or names a step that waited for what failed."""
    said = getattr(record, "dagster_meta", {})
    event = said.get("dagster_event")
    return (event is not None and event.is_failure) or (said.get("orig_message") or "").startswith("Dependencies for step ")


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last as-of day of the run."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


def add_to_last_day(context: dg.AssetExecutionContext, metadata: Mapping[str, Any], asset_key: dg.AssetKey | None = None) -> None:
    """Add what is of the whole run to the materialization of its last day alone: Dagster would store it once for each day.

    The Overview of the asset shows that day's.
    """
    context.add_asset_metadata(metadata, asset_key=asset_key, partition_key=context.partition_key_range.end)


@dg.definitions
def common() -> dg.Definitions:
    return dg.Definitions(resources={"run_guard": RunGuard()}, executor=dg.in_process_executor, loggers={"command": command})
