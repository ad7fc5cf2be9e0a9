"""`python -m orchestration.validate.propose`: write the weights that outcomes suggest as a candidate version, or say why there are none.

A candidate is scored beside the version in force and changes nothing until a person sets its status to active. Exit status: 0 where a
candidate was written or is there already, 1 where none holds, 2 if it cannot say.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestration.scorecard import SEEDS, Seeds, load_seeds

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


def candidate_rows(seeds: Seeds, base: str, name: str, valid_from: str, learned: Mapping[str, float]) -> dict[str, list[dict[str, str]]]:
    """The rows of a version that is `base` with other weights: seed -> cells.

    A dimension weighs the sum of its metrics, so that a metric's share of the whole is what was learned.
    """
    dimension_of = {row["metric_key"]: row["dimension_key"] for row in seeds["metrics"]}
    added: dict[str, list[dict[str, str]]] = {
        _VERSIONS: [
            {"config_version": name, "valid_from": valid_from, "status": "candidate", "author": "propose-weights"}
            | {"note": f"Weights of {base} learned from who left"}
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
            if seed == "scorecard_metrics":
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


def write_candidate(seeds_dir: Path, base: str, name: str, valid_from: str, learned: Mapping[str, float]) -> bool:
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
    for seed, rows in candidate_rows(seeds, base, name, valid_from, learned).items():
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


def main() -> int:
    argparse.ArgumentParser(prog="python -m orchestration.validate.propose", description=__doc__).parse_args()
    import duckdb

    from orchestration.locking import WriterBusy, writer_lock
    from orchestration.publish import PublishError
    from orchestration.publish.generations import current_generation, open_published
    from orchestration.scorecard import ConfigurationError
    from orchestration.settings import SettingsError, load_settings
    from orchestration.workbook import WorkbookError

    try:
        settings = load_settings()
        with writer_lock(settings, "propose-weights"):
            number = current_generation(settings)
            if number is None:
                raise PublishError(f"{settings.published / 'current'}: nothing is published yet. Run the pipeline, then make validate")
            with open_published(settings, number) as mart:
                cursor = mart.execute("select * from weight_proposals order by period, metric_key")
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            if not rows:
                raise PublishError("nothing is validated yet: run make validate")
            for line in describe(rows):
                print(line)
            if not rows[0]["holds"]:
                return 1
            base, as_of = rows[0]["config_version"], rows[0]["as_of_date"]
            learned = {row["metric_key"]: row["learned_weight"] for row in rows if row["learned_weight"]}
            name = f"{base}-learned-{as_of:%Y%m%d}"
            written = write_candidate(settings.seeds_dir, base, name, str(as_of), learned)
    except (SettingsError, WriterBusy, PublishError, ConfigurationError, WorkbookError, duckdb.Error) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"candidate {name} {'added to' if written else 'is already in'} {settings.seeds_dir.name}/. Run the pipeline, then make validate")
    return 0


if __name__ == "__main__":
    sys.exit(main())
