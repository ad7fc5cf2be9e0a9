"""What every writing run does first, under the writer lock: refuse a wrong configuration, sweep up after a killed run."""

import shutil

from orchestration.alert_rules import read_alert_rules
from orchestration.extract import preflight_sources
from orchestration.publish.postgres import preflight_postgres
from orchestration.scorecard import validate_seeds
from orchestration.settings import Settings, SettingsError
from orchestration.warehouse import free_megabytes

_NEEDED_MEGABYTES = 100


def check_configuration(settings: Settings) -> None:
    """Refuse wrong seeds, sources or exports before anything is written.

    Raises:
        ConfigurationError: the seeds are wrong; one line per fault with file, line and remedy.
        SettingsError: a source's path, columns or query, or an export's address or table is wrong, one line per fault; or the disk is full.
    """
    check_space(settings)
    validate_seeds(settings.seeds_dir)
    read_alert_rules(settings.seeds_dir)
    preflight_sources(settings)
    preflight_postgres(settings)


def check_space(settings: Settings) -> None:
    """Refuse to begin on a disk that is nearly full: what ran out of space half-way has a hundred faces, and none says so.

    Raises:
        SettingsError: less than 100 MB are free where the data folder is.
    """
    free = free_megabytes(settings)
    if free is not None and free < _NEEDED_MEGABYTES:
        raise SettingsError(
            f"{settings.data_dir}: {free} MB are free on its disk, and a run needs at least {_NEEDED_MEGABYTES}. "
            "Nothing was written: free space, or name another folder as pipeline.data_dir"
        )


def remove_leftovers(settings: Settings) -> None:
    """Empty the folder of half-written files and spilled blocks. Only the holder of the writer lock has any."""
    shutil.rmtree(settings.temp_dir, ignore_errors=True)
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
