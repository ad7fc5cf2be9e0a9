"""Dagster's own folder: history of runs in `<data_dir>/dagster`, telemetry off."""

import os
from pathlib import Path

from filelock import FileLock

from orchestration.settings import Settings

# Tag of a run: how often Dagster starts it again when it fails. With none, a run also waits for no source that is down.
RETRIES_TAG, NO_RETRIES = "dagster/max_retries", "0"

_DAGSTER_YAML = """\
# Written by orchestration/home.py at every start: a change here is lost.
telemetry:
  enabled: false
nux:
  enabled: false
# The daemon gives up runs that do not start or cannot be canceled; of those whose process is gone the next run does it.
run_monitoring:
  enabled: true
# A failed run is started again only if it says so by a tag: a wrong configuration would fail again.
run_retries:
  enabled: true
  max_retries: 0
event_log_storage:
  module: orchestration.event_log
  class: BatchedSqliteEventLogStorage
"""


def prepare_home(settings: Settings) -> Path:
    """Create Dagster's folder once, and make it this process's and its children's DAGSTER_HOME.

    Two processes that start on a fresh folder at once can leave it broken, so its creation is locked.

    Raises:
        SettingsError: the data folder cannot be written.
    """
    settings.make_data_dir()
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".creating.lock"):
        config = home / "dagster.yaml"
        # Also a version before this one may have written it.
        if not config.exists() or config.read_text(encoding="utf-8", errors="replace") != _DAGSTER_YAML:
            temporary = config.with_suffix(".tmp")
            temporary.write_text(_DAGSTER_YAML, encoding="utf-8")
            os.replace(temporary, config)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "1000"
    return home
