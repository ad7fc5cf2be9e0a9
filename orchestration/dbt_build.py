"""dbt in the process of the run: a process of its own costs seconds of imports, and hands each event over as JSON text."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from dagster import AssetExecutionContext, AssetKey, Output
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg
from dbt_common.events.functions import msg_to_dict

from orchestration.engines import Engine, engine_of
from orchestration.event_log import forget_plans
from orchestration.progress import now_at
from orchestration.settings import DBT_PROJECT, Settings
from orchestration.stopping import reporting
from orchestration.transform import DAILY, STATIC, Plan, accounts_landed, is_static

# What dbt writes when it parses: the manifest, and the same for its own use.
PARSED = ("manifest.json", "partial_parse.msgpack")
# Two of the widest queries together run out of a memory limit in which each alone has room (dbt_project/profiles.yml): however few the rows
# are, they take some hundred megabytes. For few days of few accounts they are small, and a second model uses the core that one leaves idle
# while it is planned and written. 5,000 accounts and 10 days have room in 2 GB; 50,000 have none.
_FEW_DAYS, _BYTES_OF_TWO, _BYTES_OF_ROW = 10, 800 * 10**6, 12_000
_COLUMNS_KNOWN = "HEALTH_COLUMNS_KNOWN"
_CANCEL_EVERY_SECONDS, _LOOK_EVERY_SECONDS = 0.05, 0.25
# The types of all columns are stated, also of those that a folder of seeds may lack.
warnings.filterwarnings("ignore", ".* does not match the name of any column in this table", RuntimeWarning)
_STOP_SECONDS = 3


class DbtFailed(RuntimeError):
    """dbt ended with an error; the message holds what it said of it."""


def dbt_options(settings: Settings, target: Path | None = None) -> list[str]:
    """The project, its connection, and the folder for what dbt writes. Its console is off: what it says comes as events, and it would look
    through the environment for secrets for each of them. So is its debug log, which nobody reads and which takes a second to write."""
    folder = str(target or settings.dbt_target)
    return [
        "--project-dir", str(DBT_PROJECT), *engine_of(settings).profile(settings), "--target-path", folder, "--log-path", folder,
        "--log-level", "none", "--log-level-file", "none",
    ]  # fmt: skip


def parse(settings: Settings, target: Path) -> None:
    """Have dbt parse the project and write `PARSED` into a folder.

    Raises:
        DbtFailed: it cannot be parsed.
    """
    result = dbtRunner().invoke(["parse", "--no-partial-parse", *dbt_options(settings, target)])
    if not result.success:
        raise DbtFailed(f"dbt cannot parse the project: {result.exception}")


def build(settings: Settings, context: AssetExecutionContext, plan: Plan) -> Iterator[Any]:
    """`dbt build` of what the run selected. A whole build leaves out seeds and views that are in the warehouse and unchanged.

    Yields:
        Dagster's events, each as soon as dbt has it.

    Raises:
        DbtFailed: a model or a check failed.
    """
    wanted = get_updated_cli_invocation_params_for_context(context, {}, None)  # type: ignore[arg-type]
    selection, waiting = wanted.selection_args, {}
    if plan.dbt_options and not context.is_subset:
        selection, waiting = plan.dbt_options, _static_nodes(wanted.manifest)
    engine = engine_of(settings)
    begun_with = engine.begin(settings, plan.is_new, run_dbt)
    command = ["build", *DAILY, *begun_with, "--no-write-json", *dbt_options(settings), *selection]
    os.environ[_COLUMNS_KNOWN] = "yes" if plan.dbt_options else ""
    if _has_room_for_two(settings, plan):
        command += ["--threads", "2"]
    if wanted.indirect_selection:
        command += ["--indirect-selection", wanted.indirect_selection]
    translator, project = wanted.dagster_dbt_translator, wanted.dbt_project

    def reused(done: str | None = None) -> Iterator[Output[None]]:
        for node in _now_ready(waiting, done):
            key = translator.get_asset_spec(wanted.manifest, node, project).key
            # In the words of dagster-dbt.
            yield Output(None, output_name=key.to_python_identifier(), metadata={"unique_id": node, "status": "reused"})

    yield from reused()
    errors: list[str] = []
    tried: set[AssetKey] = set()
    for event in _Dbt(engine, command, parsed_manifest(settings)).events():
        info: Any = event.info
        if info.name == "LogStartLine":
            begun: Any = event.data
            starts = wanted.manifest["nodes"][begun.node_info.unique_id]
            layer = {"seed": "seeds", "model": starts["fqn"][1]}.get(starts["resource_type"], "checks")
            now_at("dbt", layer, begun.total, starts["name"])
        if info.level == "error":
            errors.append(info.msg)
        print(info.msg, flush=True)
        if info.name in ("LogSeedResult", "LogModelResult", "LogTestResult"):
            message = DbtCoreCliEventMessage(raw_event=msg_to_dict(event), event_history_metadata={})
            node = message.raw_event["data"]["node_info"]["unique_id"]
            if info.name != "LogTestResult":
                tried.add(translator.get_asset_spec(wanted.manifest, node, project).key)
            for found in message.to_default_asset_events(wanted.manifest, translator, context, project=project):
                yield found
                if isinstance(found, Output):
                    yield from reused(done=node)
    if errors:
        forget_plans(context.instance, context.run_id, context.selected_asset_keys - tried)
        raise DbtFailed("\n".join(errors))
    engine.take_back(settings, wanted.manifest, bool(plan.dbt_options), run_dbt)


def _has_room_for_two(settings: Settings, plan: Plan) -> bool:
    if settings.engine.engine != "duckdb" or max(len(plan.as_of_days), len(plan.changed_event_days)) > _FEW_DAYS:
        # On Spark the profile says how many.
        return False
    rows = accounts_landed(settings) * len(plan.as_of_days)
    return _BYTES_OF_TWO + rows * _BYTES_OF_ROW <= settings.pipeline.memory_bytes


def run_dbt(
    settings: Settings,
    command: Sequence[str],
    look: Callable[[], None] = lambda: None,
    hear: Callable[[EventMsg], None] = lambda event: None,
) -> None:
    """A command of dbt on the project as it was parsed for these settings, without Dagster. `look` as of `build_models`.

    Args:
        hear: is given what dbt says, event by event.

    Raises:
        DbtFailed: it failed.
    """
    command = [*command, *dbt_options(settings)]
    errors: list[str] = []
    for event in _Dbt(engine_of(settings), command, parsed_manifest(settings)).events(look):
        hear(event)
        info: Any = event.info
        if info.level == "error":
            errors.append(info.msg)
    if errors:
        raise DbtFailed("\n".join(errors))


def build_part(settings: Settings, plan: Plan) -> None:
    """`dbt build` of a part of a run that is not the last one: as `build` of all models, but Dagster hears nothing of it.

    Raises:
        DbtFailed: a model or a check failed.
    """

    def hear(event: EventMsg) -> None:
        info: Any = event.info
        if info.name == "LogStartLine":
            begun: Any = event.data
            now_at("dbt", f"{plan.as_of_days[0]} to {plan.as_of_days[-1]}", begun.total)
        print(info.msg, flush=True)

    os.environ[_COLUMNS_KNOWN] = "yes" if plan.dbt_options else ""
    run_dbt(settings, ["build", *DAILY, "--no-write-json", *plan.dbt_options], hear=hear)


def build_models(settings: Settings, *selection: str, is_built: bool = False, look: Callable[[], None] = lambda: None) -> None:
    """`dbt build` of some models and what it takes to read them, without Dagster and without checks.

    Args:
        is_built: whether their seeds and views are in the warehouse and unchanged, so that they are left out.
        look: is called while dbt works, some times a second. What it raises stops dbt and comes through.

    Raises:
        DbtFailed: a model failed.
    """
    without = [name for kind in ("test", "unit_test") for name in ("--exclude-resource-type", kind)]
    if is_built:
        without += ["--exclude", *STATIC]
    run_dbt(settings, ["build", *without, "--no-write-json", "--select", *selection], look)


def _static_nodes(manifest: Mapping[str, Any]) -> dict[str, set[str]]:
    """Seeds and views, each with the seeds and models that it reads."""
    nodes = manifest["nodes"]
    return {name: nodes.keys() & manifest["parent_map"][name] for name, node in nodes.items() if is_static(node)}


def _now_ready(waiting: dict[str, set[str]], done: str | None) -> list[str]:
    """Take out those that wait for nothing else: Dagster hears of a view after it has heard of what the view reads."""
    for reads in waiting.values():
        reads -= {done}
    ready = [name for name, reads in waiting.items() if not reads]
    for name in ready:
        del waiting[name]
    return ready + [later for name in ready for later in _now_ready(waiting, name)]


def seed_path(settings: Settings, seed: str) -> str:
    """As dbt looks for it, from its project."""
    return os.path.relpath(settings.seeds_dir / f"{seed}.csv", DBT_PROJECT)


def parsed_manifest(settings: Settings) -> Manifest:
    """The project as it was parsed. dbt would parse all of it again where a path of the configuration differs."""
    manifest = Manifest.from_msgpack((settings.dbt_target / PARSED[1]).read_bytes())
    for node in manifest.nodes.values():
        if node.resource_type == "seed":
            node.original_file_path = seed_path(settings, node.name)
    return manifest


class _Dbt:
    """One invocation of dbt, in a thread of its own: dbt hands out its events by a callback, Dagster takes them from an iterator."""

    def __init__(self, engine: Engine, command: list[str], manifest: Manifest | None = None) -> None:
        self._engine = engine
        self._said: SimpleQueue[EventMsg | None] = SimpleQueue()
        self._ended = Event()
        self._result: dbtRunnerResult | None = None
        self._thread = Thread(target=self._run, args=(command, manifest), daemon=True)

    def events(self, look: Callable[[], None] = lambda: None) -> Iterator[EventMsg]:
        """What dbt says for people. When the last event is out, dbt has closed the warehouse. `look` as of `build_models`."""
        self._thread.start()
        try:
            # A process that ends with the warehouse open leaves a log beside it, for which the next run would rebuild it from the lake.
            with reporting(lambda _: self._stop()):
                while True:
                    look()
                    try:
                        event = self._said.get(timeout=_LOOK_EVERY_SECONDS)
                    except Empty:
                        continue
                    if event is None:
                        break
                    yield event
        finally:
            self._stop()
        assert self._result is not None
        if self._result.exception is not None:
            raise DbtFailed(str(self._result.exception)) from self._result.exception

    def _run(self, command: list[str], manifest: Manifest | None) -> None:
        def keep(event: EventMsg) -> None:
            if event.info.level not in ("debug", "test"):
                self._said.put(event)

        try:
            self._result = dbtRunner(manifest, callbacks=[keep]).invoke(command)
        finally:
            self._engine.close()
            self._ended.set()
            self._said.put(None)

    def _stop(self) -> None:
        """If dbt is at work: cancel its queries and let it start no other, so that it ends and closes the warehouse."""
        if self._ended.is_set():
            return
        for _ in range(int(_STOP_SECONDS / _CANCEL_EVERY_SECONDS)):
            with suppress(Exception):
                self._engine.cancel()
            if self._ended.wait(_CANCEL_EVERY_SECONDS):
                break
