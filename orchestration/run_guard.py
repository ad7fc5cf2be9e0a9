"""What every writing run does first, under the writer lock: refuse a wrong configuration, sweep up after a killed run."""

import shutil

from orchestration.alert_rules import read_alert_rules
from orchestration.disk_space import check_space
from orchestration.extract import preflight_sources
from orchestration.publish.generations import remove_half_built
from orchestration.publish.postgres import preflight_postgres
from orchestration.scorecard import load_seeds
from orchestration.scorecard.lint import lint
from orchestration.settings import Settings


def check_configuration(settings: Settings) -> list[str]:
    """Refuse wrong seeds, sources or exports before anything is written.

    Returns:
        Rules of the scorecard that cannot be meant: one line for each, with file, line and remedy.

    Raises:
        ConfigurationError: the seeds are wrong; one line per fault with file, line and remedy.
        SettingsError: a source's path, columns or query, or an export's address or table is wrong, one line per fault.
    """
    seeds = load_seeds(settings.seeds_dir)
    alert_rules = read_alert_rules(settings.seeds_dir)
    preflight_sources(settings)
    preflight_postgres(settings)
    return lint(seeds, [(rule.line, rule.tier) for rule in alert_rules])


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
