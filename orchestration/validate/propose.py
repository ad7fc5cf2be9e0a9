"""Candidate versions of the scorecard: weights that outcomes suggest, or anchors from what the accounts measure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.locking import writer_lock
from orchestration.publish.generations import PublishError, open_published, require_current
from orchestration.scorecard import SEEDS, Seeds, load_seeds
from orchestration.settings import Settings
from orchestration.warehouse import first_line, rows_of

Row = Mapping[str, Any]
_VERSIONS = "config_versions"


def describe(rows: Sequence[Row]) -> list[str]:
    """The three figures of each later period, and what follows, for people."""
    lines = []
    for row in rows:
        if row.get("present_skill") is not None:
            figures = ", ".join(f"{which} weights {row[f'{which}_skill']:.3f}" for which in ("present", "equal", "learned"))
            lines.append(f"{row['period']} period ({row['leavers']} accounts left): skill of {figures}")
    if rows and not rows[0]["holds"]:
        lines.append(f"no proposal: {rows[0]['reason']}")
    return lines


# (scorecard, metric) -> 10th and 90th percentile of the measured values.
Spread = Mapping[tuple[str, str], tuple[float, float]]

_SPREAD = """
select scorecard_key, metric_key, quantile_cont(value, 0.1), quantile_cont(value, 0.9)
from metric_scores_history
where as_of_date = (select max(as_of_date) from account_health_history) and state = 'measured' and not starts_with(metric_key, 'cap:')
group by scorecard_key, metric_key
having count(*) >= 30
"""


def candidate_rows(
    seeds: Seeds, base: str, name: str, valid_from: str, learned: Mapping[str, float] | None = None, spread: Spread | None = None
) -> dict[str, list[dict[str, str]]]:
    """The rows of a version that is `base` with other weights or other anchors: seed -> cells.

    A dimension weighs the sum of its metrics, so that a metric's share of the whole is what was learned.
    """
    dimension_of = {row["metric_key"]: row["dimension_key"] for row in seeds["metrics"]}
    added: dict[str, list[dict[str, str]]] = {
        _VERSIONS: [
            {"config_version": name, "valid_from": valid_from, "status": "candidate", "author": "propose-weights"}
            | {"note": f"Weights of {base} learned from who left" if learned else f"{base} with anchors at the 10th and 90th percentile"}
        ]
    }
    for seed, shape in SEEDS.items():
        if seed == _VERSIONS or "config_version" not in shape.columns:
            continue
        added[seed] = []
        for row in seeds[seed]:
            if row["config_version"] != base:
                continue
            cells = {
                column: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
                for column, value in row.values.items()
            }
            cells["config_version"] = name
            if seed == "scorecard_metrics" and spread is not None:
                cells |= _anchors(row, spread.get((row["scorecard_key"], row["metric_key"])))
            elif learned is None:
                pass
            elif seed == "scorecard_metrics":
                cells["weight"] = f"{100 * learned.get(row['metric_key'], 0):.4f}"
            elif seed == "scorecard_dimensions":
                on_card = {
                    other["metric_key"]
                    for other in seeds["scorecard_metrics"]
                    if other["config_version"] == base and other["scorecard_key"] == row["scorecard_key"]
                }
                whole = sum(learned.get(metric, 0) for metric in on_card if dimension_of[metric] == row["dimension_key"])
                cells["weight"] = f"{100 * whole:.4f}"
            added[seed].append(cells)
    return added


def _anchors(row: Any, bounds: tuple[float, float] | None) -> dict[str, str]:
    """Anchors of a linear metric at the bounds, on the same sides as before; none where the accounts do not differ."""
    if row["method"] != "linear" or bounds is None or f"{bounds[0]:.4g}" == f"{bounds[1]:.4g}":
        return {}
    low, high = (f"{bound:.4g}" for bound in bounds)
    return {"worst": low, "best": high} if row["best"] > row["worst"] else {"worst": high, "best": low}


def write_candidate(
    seeds_dir: Path, base: str, name: str, valid_from: str, learned: Mapping[str, float] | None = None, spread: Spread | None = None
) -> bool:
    """Append the candidate to the seeds, all of it or nothing; False where a version of the name is there already.

    Raises:
        ConfigurationError: the seeds are not valid, or would not be.
    """
    import shutil
    import tempfile

    from orchestration.workbook.adopt import replace_seeds, with_rows

    seeds = load_seeds(seeds_dir)
    if any(row["config_version"] == name for row in seeds[_VERSIONS]):
        return False
    contents = {}
    for seed, rows in candidate_rows(seeds, base, name, valid_from, learned, spread).items():
        path = seeds_dir / f"{seed}.csv"
        if rows:
            contents[seed] = with_rows(path.read_bytes(), [(None, row) for row in rows])[0]
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / seeds_dir.absolute().name
        shutil.copytree(seeds_dir, trial)
        for seed, content in contents.items():
            (trial / f"{seed}.csv").write_bytes(content)
        load_seeds(trial)
    replace_seeds(seeds_dir, contents)
    return True


def _proposals(mart: Any) -> list[Row]:
    return list(rows_of(mart.execute("select * from weight_proposals order by period, metric_key")))


def propose(settings: Settings, by_anchors: bool) -> int:
    """Write a candidate version, or say why there is none: the command `health propose-weights`.

    Returns:
        0 where a candidate was written or is there already, 1 where none holds.

    Raises:
        PublishError: nothing is published, scored or validated yet.
        ConfigurationError, WorkbookError: the seeds are not valid, or cannot be written.
        WriterBusy: as `writer_lock`.
    """
    with writer_lock(settings, "propose-weights"):
        number = require_current(settings)
        try:
            with open_published(settings, number) as mart:
                rows = [] if by_anchors else _proposals(mart)
                spread = {(card, metric): (low, high) for card, metric, low, high in mart.execute(_SPREAD).fetchall()}
                [(base, as_of, first)] = mart.execute(
                    "select any_value(config_version), max(as_of_date), (select min(as_of_date) from account_health_history) "
                    "from account_health"
                ).fetchall()
        except duckdb.Error as error:
            raise PublishError(f"generation {number} cannot be read: {first_line(error)}. Run the pipeline, then try again") from error
        if as_of is None:
            raise PublishError("no account is scored: there is nothing to propose from")
        if by_anchors:
            name = f"{base}-anchors-{as_of:%Y%m%d}"
            written = write_candidate(settings.seeds_dir, base, name, str(first), spread=spread)
        else:
            if not rows:
                raise PublishError("nothing is validated yet: run make validate")
            for line in describe(rows):
                print(line)
            if not rows[0]["holds"]:
                return 1
            learned = {row["metric_key"]: row["learned_weight"] for row in rows if row["learned_weight"]}
            name = f"{base}-learned-{as_of:%Y%m%d}"
            written = write_candidate(settings.seeds_dir, base, name, str(first), learned)
    print(
        f"candidate {name} {'added to' if written else 'is already in'} {settings.seeds_dir.name}/, from {first} on so that it can be "
        f"judged"
    )
    print(
        "Run the pipeline over all days, then make validate. To put it in force, set its status to active and valid_from to its first day"
    )
    return 0
