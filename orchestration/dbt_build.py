"""dbt in the process of the run: a process of its own costs seconds of imports, and hands each event over as JSON text."""

from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from dagster import AssetExecutionContext
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import get_adapter_by_type
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt_common.events.base_types import EventMsg
from dbt_common.events.functions import msg_to_dict

from orchestration.settings import DBT_PROJECT, Settings
from orchestration.stopping import reporting

_CANCEL_EVERY_SECONDS = 0.05
_STOP_SECONDS = 3


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message holds what it said of it."""


def dbt_options(settings: Settings) -> list[str]:
    """The project, and the folder for what dbt writes. Its console is off: what it says comes as events, and it would look through the
    environment for secrets for each of them. So is its debug log, which nobody reads and which takes a second to write."""
    target = str(settings.dbt_target)
    return [
        "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT), "--target-path", target, "--log-path", target,
        "--log-level", "none", "--log-level-file", "none",
    ]  # fmt: skip


def parse(settings: Settings) -> None:
    """Have dbt parse the project and write the manifest.

    Raises:
        DbtFailed: it cannot be parsed.
    """
    result = dbtRunner().invoke(["parse", *dbt_options(settings)])
    if not result.success:
        raise DbtFailed(f"dbt cannot parse the project: {result.exception}")


def build(settings: Settings, context: AssetExecutionContext) -> Iterator[Any]:
    """`dbt build` of what the run has selected.

    Yields:
        Dagster's events, each as soon as dbt has it.

    Raises:
        DbtFailed: a model or a check failed.
    """
    wanted = get_updated_cli_invocation_params_for_context(context, {}, None)  # type: ignore[arg-type]
    command = ["build", "--exclude-resource-type", "unit_test", "--no-write-json", *dbt_options(settings), *wanted.selection_args]
    if wanted.indirect_selection:
        command += ["--indirect-selection", wanted.indirect_selection]
    errors: list[str] = []
    for event in _Dbt(command).events():
        if event.info.level == "error":
            errors.append(event.info.msg)
        print(event.info.msg, flush=True)
        if event.info.name in ("LogSeedResult", "LogModelResult", "LogTestResult"):
            message = DbtCoreCliEventMessage(raw_event=msg_to_dict(event), event_history_metadata={})
            yield from message.to_default_asset_events(wanted.manifest, wanted.dagster_dbt_translator, context, project=wanted.dbt_project)
    if errors:
        raise DbtFailed("\n".join(errors))


class _Dbt:
    """One invocation of dbt, in a thread of its own: dbt hands out its events by a callback, Dagster takes them from an iterator."""

    def __init__(self, command: list[str]) -> None:
        self._said: SimpleQueue[EventMsg | None] = SimpleQueue()
        self._ended = Event()
        self._result: dbtRunnerResult | None = None
        self._thread = Thread(target=self._run, args=(command,), daemon=True)

    def events(self) -> Iterator[EventMsg]:
        """What dbt says for people. When the last event is out, dbt has closed the warehouse."""
        self._thread.start()
        try:
            # A process that ends with the warehouse open leaves a log beside it, for which the next run would rebuild it from the lake.
            with reporting(lambda _: self._stop()):
                while (event := self._said.get()) is not None:
                    yield event
        finally:
            self._stop()
        assert self._result is not None
        if self._result.exception is not None:
            raise DbtFailed(str(self._result.exception)) from self._result.exception

    def _run(self, command: list[str]) -> None:
        def keep(event: EventMsg) -> None:
            if event.info.level not in ("debug", "test"):
                self._said.put(event)

        try:
            self._result = dbtRunner(callbacks=[keep]).invoke(command)
        finally:
            _close_warehouse()
            self._ended.set()
            self._said.put(None)

    def _stop(self) -> None:
        """If dbt is at work: cancel its queries and let it start no other, so that it ends and closes the warehouse."""
        if self._ended.is_set():
            return
        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.handle = _refuse
        for _ in range(int(_STOP_SECONDS / _CANCEL_EVERY_SECONDS)):
            with suppress(Exception):
                get_adapter_by_type("duckdb").cancel_open_connections()
            if self._ended.wait(_CANCEL_EVERY_SECONDS):
                break


def _refuse() -> None:
    raise RuntimeError("the run was stopped")


def _close_warehouse() -> None:
    """dbt keeps the file open for its next invocation in this process."""
    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
        DuckDBConnectionManager.close_all_connections()
