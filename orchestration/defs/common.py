"""What all assets share: the settings, the partitions, who owns them, and the one writer at a time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import dagster as dg

from orchestration.dead_runs import report_dead_runs, report_failed, show_alive
from orchestration.disk_space import ending_when_full
from orchestration.event_log import prune_history
from orchestration.locking import writer_lock
from orchestration.run_guard import check_configuration, remove_leftovers
from orchestration.settings import load_settings

SETTINGS = load_settings()
OWNERS = ["team:data-platform"]

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
        with writer_lock(SETTINGS, name, warn):
            for dead in report_dead_runs(SETTINGS, instance, run.job_name):
                warn(f"run {dead} was left by a process that is gone: now shown as failed")
            prune_history(instance)
            remove_leftovers(SETTINGS)
            for warning in check_configuration(SETTINGS):
                warn(warning)
            with ending_when_full(SETTINGS, lambda why: report_failed(instance, run.run_id, why)):
                yield self


@dg.logger(
    config_schema={
        "name": dg.Field(str, default_value="dagster"),
        "log_level": dg.Field(str, default_value="INFO"),
        "tracebacks": dg.Field(bool, default_value=True),
    },
    description="Dagster's own console log; without `tracebacks` the command that runs the job reports failures.",
)
def console(context: dg.InitLoggerContext) -> logging.Logger:
    logger = dg.colored_console_logger.logger_fn(context)
    if not context.logger_config["tracebacks"]:
        logger.addFilter(lambda record: not _is_of_failure(record))
    return logger


def _is_of_failure(record: logging.LogRecord) -> bool:
    """Whether a record holds the traceback of a failure, or names a step that waited for what failed."""
    said = getattr(record, "dagster_meta", {})
    event = said.get("dagster_event")
    return (event is not None and event.is_failure) or (said.get("orig_message") or "").startswith("Dependencies for step ")


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last as-of day of the run; the last day that is over if only assets without days were selected."""
    if not (context.has_partition_key or context.has_partition_key_range):
        key = PARTITIONS.get_last_partition_key()
        assert key is not None, "the first day is over, or the run would have been refused"
        last = date.fromisoformat(key)
        return last, last
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


@dg.definitions
def common() -> dg.Definitions:
    return dg.Definitions(resources={"run_guard": RunGuard()}, executor=dg.in_process_executor, loggers={"console": console})
