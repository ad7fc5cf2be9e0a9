"""`python -m tests.dagster_launch RESULT DAY STEP...`: the job `daily_health` as the UI and schedules launch it, once for each step.

Steps: `all`; `locked`, all while another writer holds the lock; an asset, such as `raw/tickets`; the same `without retries`, as
`python -m orchestration.run` runs it. Writes to RESULT, as JSON, what Dagster recorded of each. No step pauses before it tries again.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from orchestration.home import NO_RETRIES, RETRIES_TAG, prepare_home
from orchestration.locking import LOCK_NAME
from orchestration.run import JOB
from orchestration.settings import load_settings


def main(result_file: Path, day: str, steps: list[str]) -> None:
    settings = load_settings()
    prepare_home(settings)
    import dagster as dg

    from orchestration.definitions import defs
    from tests.dagster_run import shown_as_failed

    job = defs().resolve_job_def(JOB)
    set_pause(0)
    results = []
    with dg.DagsterInstance.get() as instance:
        for step in steps:
            asset, _, without = step.partition(" ")
            tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
            with FileLock(settings.data_dir / LOCK_NAME) if step == "locked" else nullcontext():
                ran = job.execute_in_process(
                    instance=instance,
                    raise_on_error=False,
                    asset_selection=[dg.AssetKey(asset.split("/"))] if "/" in asset else None,
                    tags=tags | ({RETRIES_TAG: NO_RETRIES} if without else {}),
                )
            run = instance.get_run_by_id(ran.run_id)
            events = [entry.dagster_event for entry in instance.all_logs(ran.run_id) if entry.dagster_event is not None]
            results.append(
                {
                    "status": run.status.value,
                    "failed": shown_as_failed(instance, ran.run_id),
                    "failed_steps": {
                        event.step_key: str(event.step_failure_data.error.message) for event in events if event.is_step_failure
                    },
                    "attempts": sum(event.event_type_value in ("STEP_START", "STEP_RESTARTED") for event in events),
                    "retries": run.tags.get(RETRIES_TAG),
                }
            )
    result_file.write_text(json.dumps(results), encoding="utf-8")


def set_pause(seconds: float) -> None:
    """Of the module as Dagster has loaded it, under a name of its own."""
    for module in list(sys.modules.values()):
        names: Any = getattr(module, "__dict__", {})
        if "_PAUSE_SECONDS" in names and str(names.get("__file__", "")).endswith("orchestration/defs/extract.py"):
            module._PAUSE_SECONDS = seconds


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
