"""What every writing run does first, under the writer lock: refuse a wrong configuration, sweep up after a killed run."""

import shutil
from pathlib import Path

from orchestration.alert_rules import ALERT_RULES, read_alert_rules
from orchestration.disk_space import check_space
from orchestration.engines import engine_of
from orchestration.extract import preflight_sources
from orchestration.publish.alerts import alert_destinations
from orchestration.publish.generations import remove_half_built
from orchestration.publish.postgres import preflight_postgres
from orchestration.scorecard import ConfigurationError, load_seeds
from orchestration.scorecard.faults import message, one_fault
from orchestration.scorecard.lint import lint
from orchestration.settings import Settings


def check_configuration(settings: Settings) -> list[str]:
    """Refuse wrong seeds, sources or exports before anything is written.

    Returns:
        As of `check_seeds`.

    Raises:
        ConfigurationError: as of `check_seeds`.
        SettingsError: a source's path, columns or query, or an export's address or table is wrong, one line per fault.
    """
    engine_of(settings).check(settings)
    warnings = check_seeds(settings, settings.seeds_dir)
    preflight_sources(settings)
    preflight_postgres(settings)
    return warnings


def check_seeds(settings: Settings, seeds_dir: Path) -> list[str]:
    """Refuse seeds that are wrong, or hold what certainly is a mistake, for the days that are still to be scored.

    Args:
        seeds_dir: the folder of the seeds, that of the settings or another one.

    Returns:
        Rules of the scorecard that make no sense but stop no run: one line for each, with file, line and remedy.

    Raises:
        ConfigurationError: the seeds are wrong; one line per fault with file, line and remedy.
    """
    seeds = load_seeds(seeds_dir)
    rules = read_alert_rules(seeds_dir)
    # A folder without the file has the shipped rules, which nobody there can change.
    own_rules = rules if (seeds_dir / ALERT_RULES).exists() else []
    channels = {to.channel for to in alert_destinations(settings)}
    faults = lint(seeds, settings.last_day, own_rules, settings.sources, channels)
    if errors := [fault for fault in faults if fault.is_error]:
        raise ConfigurationError(message(seeds, errors), errors)
    return [one_fault(seeds, fault) for fault in faults]


def remove_leftovers(settings: Settings) -> None:
    """Remove half-written files, spilled blocks and half-built generations, then see whether there is space for a run.

    Only the holder of the writer lock has any of them. In this order: what a run left that filled the disk must not refuse the next one.

    Raises:
        SettingsError: the disk is nearly full.
    """
    shutil.rmtree(settings.temp_dir, ignore_errors=True)
    remove_half_built(settings)
    check_space(settings)
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
