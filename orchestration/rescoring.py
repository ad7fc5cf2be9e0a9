"""Days of the published mart scored anew by other rules, in a folder that is thrown away: what `make impact` compares.

The models and the lake are those of a run, so there is no second way to score. Nothing that is stored changes.
"""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import UserError
from orchestration.publish.generations import link
from orchestration.scorecard import SEEDS, ConfigurationError, Seeds, load_seeds
from orchestration.scorecard.revisions import RevisionError, write_revision
from orchestration.scored_days import write_scored_days
from orchestration.settings import Settings
from orchestration.warehouse import attach_warehouse

_VERSIONS = "config_versions"
_MODEL = "int_scoring__raw_tiers"
# As a mart has them; the tier is the one by one day's score, since only a few days are scored.
_SCORES = f"""
select
    scores.account_id,
    scores.as_of_date,
    $name as config_version,
    scores.health_score,
    scores.uncapped_score,
    scores.cap_key,
    tiers.raw_tier,
    tiers.raw_tier as tier,
    days.tenure as tenure_days,
    days.segment,
    round(days.mrr * 12, 2) as arr
from warehouse.intermediate.int_scoring__account_scores as scores
inner join warehouse.intermediate.int_scoring__account_days as days
    on scores.account_id = days.account_id
    and scores.as_of_date = days.as_of_date
inner join warehouse.intermediate.{_MODEL} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
    and not tiers.is_candidate
"""


class RescoringError(UserError):
    """The days could not be scored; the message says why."""


@dataclass(frozen=True)
class Rules:
    """One version of one state of the seeds.

    Attributes:
        name: what a report calls it.
    """

    name: str
    seeds: Seeds
    config_version: str


def find_rules(settings: Settings, name: str, folder: Path) -> Rules:
    """The rules that a name means: a version of the seeds as they are, else the newest active version of a git revision.

    Args:
        name: blank for the newest active version of the seeds as they are.
        folder: where the seeds of a revision may be written.

    Raises:
        ConfigurationError: there is neither such a version nor such a revision, or its seeds are not valid.
    """
    seeds = load_seeds(settings.seeds_dir)
    versions = [row["config_version"] for row in seeds[_VERSIONS]]
    if name in versions:
        return Rules(name, seeds, name)
    if name:
        try:
            seeds = load_seeds(write_revision(settings.seeds_dir, name, folder))
        except RevisionError as error:
            text = f"{name!r} is neither a version in {seeds.file(_VERSIONS)} ({', '.join(versions)}) nor a git revision ({error})"
            raise ConfigurationError(text) from None
        except ConfigurationError as error:
            raise ConfigurationError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from error
    newest = max((row for row in seeds[_VERSIONS] if row["status"] == "active"), key=lambda row: row["valid_from"])["config_version"]
    return Rules(f"{name or 'working tree'}: {newest}", seeds, newest)


def rescore(
    settings: Settings, folder: Path, rules: Rules, days: Sequence[date], connection: duckdb.DuckDBPyConnection, table: str
) -> None:
    """Score some days by one version of the rules, whenever it is valid. Call it under the writer lock.

    Args:
        folder: new, in the data folder, so that the lake's files need no copy; it is to be removed afterwards.
        days: ascending.
        table: is made in the connection: a row for each account and day, with columns as in `account_health_history`.

    Raises:
        RescoringError: a model failed, or a file of the lake is lost or damaged.
    """
    # Imports that take seconds.
    from orchestration.dbt import load_project
    from orchestration.dbt_build import DbtFailed, build_models
    from orchestration.extract.lake.manifest import LakeError
    from orchestration.transform import prepare

    # A few days: DuckDB has them sooner than another engine has begun, and all engines give the same scores.
    scratch = settings.on_duckdb().moved_to(folder, _only(rules, folder / "rules", days[0]))
    shutil.copytree(settings.lake, scratch.lake, copy_function=lambda file, other: link(Path(file), Path(other)))
    # A warehouse that is new scores all days that were scored before.
    write_scored_days(scratch, days)
    try:
        prepare(scratch, "impact", days[-1], days[-1])
        load_project(scratch)
        build_models(scratch, f"+{_MODEL}")
    except (LakeError, DbtFailed) as error:
        raise RescoringError(f"the days cannot be scored by {rules.name}: {error}") from error
    attach_warehouse(scratch, connection)
    connection.execute(f"create table {table} as {_SCORES}", {"name": rules.name})
    connection.execute("detach warehouse")


def _only(rules: Rules, folder: Path, first_day: date) -> Path:
    """The seeds with this version in force from the first day on, and no other ever."""
    seeds = folder / rules.seeds.folder.absolute().name
    seeds.mkdir(parents=True)
    for file in rules.seeds.folder.glob("*.csv"):
        shutil.copyfile(file, seeds / file.name)
    with open(seeds / f"{_VERSIONS}.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(SEEDS[_VERSIONS].columns), lineterminator="\n")
        writer.writeheader()
        for row in rules.seeds[_VERSIONS]:
            is_it = row["config_version"] == rules.config_version
            dates = {"status": "active", "valid_from": first_day} if is_it else {"status": "candidate", "valid_from": date.max}
            writer.writerow(dict(row.values) | dates)
    return seeds
