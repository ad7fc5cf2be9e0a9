"""Which metrics the sources will give, and what coverage, by scorecard: from the seeds, before anything has run."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from orchestration.contract import USAGE_TABLES
from orchestration.scorecard import Row, Seeds


@dataclass(frozen=True)
class ExpectedCoverage:
    """What a scorecard will find for an account of which the sources hold everything that they have.

    Attributes:
        scorecard_key: which one.
        measured: metrics that weigh something and will be measured.
        missing, not_applicable: metrics that weigh something and will not, by what they lack.
        coverage: share (0 to 1) of the weight that will be measured, of what applies.
        min_coverage: below it there is no tier.
    """

    scorecard_key: str
    measured: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]
    not_applicable: Mapping[str, tuple[str, ...]]
    coverage: float
    min_coverage: float


def expected_coverage(seeds: Seeds, filled: Mapping[str, Collection[str]], on: date) -> list[ExpectedCoverage]:
    """The scorecards of the configuration version in force on a day; none where no version is.

    Args:
        seeds: checked.
        filled: raw table -> its columns that have a value, and its choices that occur (`survey=nps`); tables without rows are left out.
        on: the day.
    """
    versions = [row for row in seeds["config_versions"] if row["status"] == "active" and row["valid_from"] <= on]
    if not versions:
        return []
    version = max(versions, key=lambda row: row["valid_from"])["config_version"]
    metrics = {row["metric_key"]: row for row in seeds["metrics"]}
    return [_of_card(seeds, metrics, card, filled) for card in seeds["scorecards"] if card["config_version"] == version]


def _of_card(seeds: Seeds, metrics: Mapping[str, Row], card: Row, filled: Mapping[str, Collection[str]]) -> ExpectedCoverage:
    weight_of = {row["dimension_key"]: row["weight"] for row in _on_card(seeds, "scorecard_dimensions", card)}
    weights: dict[str, dict[str, float]] = defaultdict(dict)
    missing: dict[str, list[str]] = defaultdict(list)
    not_applicable: dict[str, list[str]] = defaultdict(list)
    for row in _on_card(seeds, "scorecard_metrics", card):
        key, metric = row["metric_key"], metrics[row["metric_key"]]
        if not row["weight"] or not weight_of.get(metric["dimension_key"]):
            continue
        state, need = expected_state(metric["needs"], filled)
        if state == "not_applicable":
            not_applicable[need].append(key)
            continue
        if state == "missing":
            missing[need].append(key)
        weights[metric["dimension_key"]][key] = row["weight"]
    unmeasured = {key for keys in missing.values() for key in keys}
    total = measured = 0.0
    for dimension, of_metrics in weights.items():
        for key, weight in of_metrics.items():
            base = weight_of[dimension] * weight / sum(of_metrics.values())
            total += base
            measured += 0 if key in unmeasured else base
    return ExpectedCoverage(
        card["scorecard_key"],
        tuple(key for of_metrics in weights.values() for key in of_metrics if key not in unmeasured),
        {need: tuple(keys) for need, keys in missing.items()},
        {need: tuple(keys) for need, keys in not_applicable.items()},
        measured / total if total else 0.0,
        card["min_coverage"],
    )


def expected_state(needs: str | None, filled: Mapping[str, Collection[str]]) -> tuple[str, str]:
    """The state that a metric can have at best (measured, not_applicable, missing), and the first of its needs that is not met, else "".

    Args:
        needs: as in `metrics.csv`; None where nobody wrote them down, which is as if they were met.
        filled: as in `expected_coverage`.
    """
    lacks = [need for need in (needs or "").split() if not _is_met(need, filled)]
    required = [need for need in lacks if not need.endswith("?")]
    if required:
        return "missing", _as_given(required[0], filled)
    return ("not_applicable", lacks[0].removesuffix("?")) if lacks else ("measured", "")


def _on_card(seeds: Seeds, name: str, card: Row) -> Iterator[Row]:
    same = ("config_version", "scorecard_key")
    return (row for row in seeds[name] if row.take(same) == card.take(same))


def _as_given(need: str, filled: Mapping[str, Collection[str]]) -> str:
    """The need, of the table of usage that there is."""
    table, point, column = need.partition(".")
    given = next((one for one in USAGE_TABLES if one in filled), table) if table in USAGE_TABLES else table
    return f"{given}{point}{column}"


def _is_met(need: str, filled: Mapping[str, Collection[str]]) -> bool:
    table, _, column = need.removesuffix("?").partition(".")
    tables = USAGE_TABLES if table in USAGE_TABLES else (table,)
    return any(one in filled and (not column or column in filled[one]) for one in tables)
