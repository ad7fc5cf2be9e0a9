"""The rules of one configuration version as rows, with every default spelled out, and how two versions differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestration.scorecard import SEEDS, Seeds
from orchestration.shared import DEFAULT_TIERS
from orchestration.workbook import WorkbookError

VERSIONS = "config_versions"
# The seeds that have rows of a version, in the order in which messages name them.
RULE_SEEDS = ("scorecards", "scorecard_dimensions", "scorecard_metrics", "metric_bands", "score_caps", "tiers")
# In these every row of the version must come back: what shall not count gets the weight 0.
FIXED_SEEDS = ("scorecards", "scorecard_dimensions", "scorecard_metrics", "tiers")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """What the catalogue (`metrics.csv`) says of a metric. `better` is `higher`, `lower` or, where neither is, blank."""

    key: str
    dimension_key: str
    label: str
    unit: str
    better: str
    description: str


@dataclass(frozen=True)
class Rules:
    """The rows of one version by seed, without the column config_version."""

    version: str
    rows: Mapping[str, Sequence[Values]]

    def __getitem__(self, seed: str) -> Sequence[Values]:
        return self.rows[seed]

    def of_card(self, seed: str, scorecard_key: str) -> list[Values]:
        return [row for row in self.rows[seed] if row["scorecard_key"] == scorecard_key]


def rules_of(seeds: Seeds, version: str) -> Rules:
    rows = {
        seed: [
            {column: value for column, value in row.values.items() if column != "config_version"}
            for row in seeds[seed]
            if row["config_version"] == version
        ]
        for seed in RULE_SEEDS
    }
    given = {row["scorecard_key"] for row in rows["tiers"]}
    for row in rows["tiers"]:
        row |= {column: value for column, value in DEFAULT_TIERS[row["tier"]].items() if row[column] is None}
    rows["tiers"] += [
        {"scorecard_key": card["scorecard_key"], "tier": tier, "colour": None, **starts}
        for card in rows["scorecards"]
        if card["scorecard_key"] not in given
        for tier, starts in DEFAULT_TIERS.items()
    ]
    return Rules(version, rows)


def catalogue(seeds: Seeds) -> dict[str, Metric]:
    better = {True: "higher", False: "lower", None: ""}
    return {
        row["metric_key"]: Metric(
            row["metric_key"],
            row["dimension_key"],
            row["label"] or row["metric_key"],
            row["unit"] or "",
            better[row["higher_is_better"]],
            row["description"] or "",
        )
        for row in seeds["metrics"]
    }


def version_names(seeds: Seeds) -> list[str]:
    return [row["config_version"] for row in seeds[VERSIONS]]


def version_on(seeds: Seeds, day: date | None) -> str:
    """The active version in force on a day (docs/scoring.md, "Versions"); without a day, or before all of them, the last or first one."""
    active = sorted((row["valid_from"], row["config_version"]) for row in seeds[VERSIONS] if row["status"] == "active")
    if day is None:
        return active[-1][1]
    return next((version for start, version in reversed(active) if start <= day), active[0][1])


def checked_version(seeds: Seeds, version: str) -> str:
    """
    Raises:
        WorkbookError: there is no such version.
    """
    if version not in version_names(seeds):
        known = ", ".join(version_names(seeds))
        raise WorkbookError(f"{seeds.file(VERSIONS)}: has no version {version!r}. Name one of {known}")
    return version


def next_name(version: str, taken: list[str]) -> str:
    """`2026.1` -> `2026.2`, or the first number after it that is not taken."""
    stem = version.rstrip("0123456789")
    number = version.removeprefix(stem)
    if not number:
        stem, number = f"{version}.", "1"
    following = int(number) + 1
    while f"{stem}{following}" in taken:
        following += 1
    return f"{stem}{following}"


def changes(old: Rules, new: Rules) -> Iterator[str]:
    """How the new rules differ, a line for each cell that changed and each row that came or went."""
    for seed in RULE_SEEDS:
        key = SEEDS[seed].key[1:]
        before = {tuple(row[column] for column in key): row for row in old[seed]}
        after = {tuple(row[column] for column in key): row for row in new[seed]}
        for name in before.keys() - after.keys():
            yield f"{seed} {_named(name)}: removed"
        for name, row in after.items():
            if name not in before:
                rest = ", ".join(f"{column} {_shown(row[column])}" for column in row if column not in key)
                yield f"{seed} {_named(name)}: added with {rest}"
                continue
            for column in row:
                if row[column] != before[name][column]:
                    yield f"{seed} {_named(name)}: {column} {_shown(before[name][column])} -> {_shown(row[column])}"


def _named(key: tuple[Any, ...]) -> str:
    return " ".join(_shown(part) for part in key)


def _shown(value: Any) -> str:
    text = f"{value:.12g}" if isinstance(value, float) else "blank" if value is None else str(value)
    return text if len(text) <= 60 and text.isprintable() else repr(text[:60])
