"""`python -m tests.disturbed_run CONFIG DAY STEP`: run the pipeline for a day, and kill -9 it at a step.

Steps: `land` (a table's files are written, its manifest not yet), `dbt` (a model is being built), `orphan` (the same,
but only the pipeline dies and its dbt lives on), `flip` (the generation stands, `current` does not point to it yet), `never`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from orchestration.extract import lake
from orchestration.publish import publishing
from orchestration.settings import EVENT_TABLE, load_settings
from tests.pipeline import run_pipeline

_LAST_MODEL_TO_SEE = "int_metrics__support"


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_children() -> None:
    """As when the machine goes down; the caller has started this process in a group of its own."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def when_dbt_is_at_work(log: Path, act: Callable[[], None]) -> None:
    """Wait in another thread until dbt writes that it builds the model, then act."""
    size = log.stat().st_size if log.exists() else 0

    def watch() -> None:
        while True:
            if log.exists():
                with open(log, encoding="utf-8", errors="replace") as file:
                    # dbt begins a new file when its log has 10 MB.
                    file.seek(size if log.stat().st_size >= size else 0)
                    if _LAST_MODEL_TO_SEE in "".join(line for line in file if "START" in line):
                        act()
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()


def arrange(step: str, config_file: Path) -> None:
    log = load_settings(config_file).dbt_target / "dbt.log"
    if step == "land":
        write = lake.write_manifest

        def write_or_die(folder: Path, manifest: lake.Manifest) -> None:
            (die if manifest.table == EVENT_TABLE else write)(folder, manifest)

        lake.write_manifest = write_or_die
    elif step == "dbt":
        when_dbt_is_at_work(log, die_with_children)
    elif step == "orphan":
        when_dbt_is_at_work(log, die)
    elif step == "flip":
        publishing.flip = die
    elif step != "never":
        raise ValueError(f"{step}: no such step")


if __name__ == "__main__":
    config, day, at = Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), sys.argv[3]
    arrange(at, config)
    run_pipeline(config, day, day, "disturbed", dbt_log="debug")
