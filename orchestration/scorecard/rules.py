"""What must hold between rows and files, checked once every cell is sound: one wrong cell is one fault."""

import math
import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from orchestration.scorecard.faults import Fault, show, suggest
from orchestration.scorecard.playbooks import playbook_faults
from orchestration.scorecard.schema import CARD, CARD_METRIC, SEEDS, SMALLEST_WEIGHT, STAGES, Row, Seeds, by_card
from orchestration.shared import DEFAULT_TIERS

_NOUNS = {
    "config_version": "version",
    "scorecard_key": "scorecard",
    "metric_key": "metric",
    "playbook_key": "playbook",
}
_KEY = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def reference_faults(seeds: Seeds, torn: set[str]) -> Iterator[Fault]:
    """Rows that name a version, scorecard, metric or playbook that is not there."""
    references = {reference for seed in SEEDS.values() for reference in seed.references}
    known = {(columns, target): {row.take(columns) for row in seeds[target]} for columns, target in references}
    for name, seed in SEEDS.items():
        for row in seeds[name]:
            dangling: set[str] = set()
            for columns, target in seed.references:
                key = row.take(columns)
                # A part that is blank, or that dangles by itself, has been reported already.
                if target in torn or None in key or dangling.intersection(columns) or key in known[columns, target]:
                    continue
                dangling.add(columns[-1])
                parts = zip(columns, key, strict=True)
                found, *owners = reversed([f"{_NOUNS[column]} {show(value)}" for column, value in parts])
                alike = sorted({other[-1] for other in known[columns, target] if other[:-1] == key[:-1]})
                remedy = suggest(key[-1], alike) or "Add it there, or correct this row"
                text = f"{' of '.join([found, *owners])} is not in {seeds.file(target)}. {remedy}"
                yield Fault(name, row.line, text, columns[-1])


def _of_card(row: Row) -> str:
    return f"scorecard {show(row['scorecard_key'])} of version {show(row['config_version'])}"


def _metric_faults(seeds: Seeds) -> Iterator[Fault]:
    """Metric keys that cannot be columns of the models, and ranges without a value."""
    for row in seeds["metrics"]:
        if not _KEY.fullmatch(row["metric_key"]):
            text = f"metric_key {show(row['metric_key'])} is not a column name. Use a-z, 0-9 and _, a letter first"
            yield Fault("metrics", row.line, text)
        lowest, highest = row.take(("lowest", "highest"))
        if lowest is not None and highest is not None and lowest >= highest:
            text = f"lowest {show(lowest)} is not below highest {show(highest)}. Give the smallest and the greatest value that it can have"
            yield Fault("metrics", row.line, text, "lowest")


def _version_faults(seeds: Seeds) -> Iterator[Fault]:
    active = [row for row in seeds["config_versions"] if row["status"] == "active"]
    if not active:
        yield Fault("config_versions", None, "no version is active. Set the status of one to active")
    first: dict[date, Row] = {}
    for row in active:
        other = first.setdefault(row["valid_from"], row)
        if other is not row:
            both = f"{show(other['config_version'])} (line {other.line}) and {show(row['config_version'])}"
            text = f"the active versions {both} are both valid from {row['valid_from']}. Change one date or status"
            yield Fault("config_versions", row.line, text, "valid_from")


def _matching_faults(seeds: Seeds) -> Iterator[Fault]:
    """Accounts that two scorecards claim with equal priority, or that none can match."""
    by_version: dict[str, list[Row]] = {row["config_version"]: [] for row in seeds["config_versions"]}
    for row in seeds["scorecards"]:
        by_version[row["config_version"]].append(row)
    for version, cards in by_version.items():
        for position, card in enumerate(cards):
            for other in cards[:position]:
                if card["priority"] == other["priority"] and _overlap(card, other):
                    both = f"{show(other['scorecard_key'])} (line {other.line}) and {show(card['scorecard_key'])}"
                    text = f"the scorecards {both} of version {show(version)} have priority {card['priority']}"
                    yield Fault("scorecards", card.line, f"{text} and can match the same account. Change one priority")
        covered = {card["stage"] for card in cards if card["segment"] == "*"}
        bare = [] if "*" in covered else [stage for stage in STAGES if stage not in covered]
        if bare:
            text = f"version {show(version)} has no scorecard with segment * for stage {', '.join(bare)}"
            yield Fault("scorecards", None, f"{text}, so accounts could stay without a score. Add one")


def _overlap(card: Row, other: Row) -> bool:
    return all("*" in (card[part], other[part]) or card[part] == other[part] for part in ("segment", "stage"))


def _weight_faults(seeds: Seeds) -> Iterator[Fault]:
    for seed in ("scorecard_dimensions", "scorecard_metrics"):
        for row in seeds[seed]:
            if 0 < row["weight"] < SMALLEST_WEIGHT:
                found = f"weight {row['weight']:g} is below {SMALLEST_WEIGHT:g} but not 0"
                yield Fault(seed, row.line, f"{found}. Give 0, or a greater weight: only the proportions count", "weight")
    dimension_of = {row["metric_key"]: row["dimension_key"] for row in seeds["metrics"]}
    dimensions = by_card(seeds["scorecard_dimensions"])
    metrics = by_card(seeds["scorecard_metrics"])
    for card in seeds["scorecards"]:
        key = card.take(CARD)
        weights = {row["dimension_key"]: row["weight"] for row in dimensions[key]}
        weighed = [row for row in metrics[key] if row["weight"] > 0]
        for row in weighed:
            dimension = dimension_of[row["metric_key"]]
            if dimension not in weights:
                found = f"metric {show(row['metric_key'])} of the dimension {show(dimension)} cannot count"
                cause = f"{_of_card(row)} has no such row in {seeds.file('scorecard_dimensions')}"
                remedy = "Add it, or set the metric's weight to 0"
                yield Fault("scorecard_metrics", row.line, f"{found}: {cause}. {remedy}", "weight")
        if not any(weights.get(dimension_of[row["metric_key"]], 1) > 0 for row in weighed):
            text = f"{_of_card(card)} has no metric of positive weight in a dimension of positive weight"
            yield Fault("scorecards", card.line, f"{text}. Give one a weight")


def _method_faults(seeds: Seeds) -> Iterator[Fault]:
    directed = {row["metric_key"] for row in seeds["metrics"] if row["higher_is_better"] is not None}
    banded = {row.take(CARD_METRIC) for row in seeds["metric_bands"]}
    for row in seeds["scorecard_metrics"]:
        metric, method, worst, best = row.take(("metric_key", "method", "worst", "best"))
        named = f"metric {show(metric)} has the method {method}"
        if method == "linear" and (worst is None or best is None):
            blank = " and ".join(column for column in ("worst", "best") if row[column] is None)
            column = "worst" if worst is None else "best"
            yield Fault("scorecard_metrics", row.line, f"{named}, but {blank} is blank. Fill it in", column)
        elif method == "linear" and worst == best:
            text = f"{named}, but worst and best are both {show(worst)}. Make them differ"
            yield Fault("scorecard_metrics", row.line, text, "best")
        elif method == "bands" and row.take(CARD_METRIC) not in banded:
            text = f"{named}, but {_of_card(row)} has none in {seeds.file('metric_bands')}. Add one"
            yield Fault("scorecard_metrics", row.line, text, "method")
        elif method in ("percentile", "zscore") and metric not in directed:
            text = f"{named}, but its higher_is_better in {seeds.file('metrics')} is blank"
            yield Fault("scorecard_metrics", row.line, f"{text}. Write true or false there", "method")


def _tier_faults(seeds: Seeds) -> Iterator[Fault]:
    """Scores without a tier and tiers without a score, in the mode that the scorecard uses."""
    tiers = by_card(seeds["tiers"])
    for card in seeds["scorecards"]:
        column = "min_percentile" if card["tier_mode"] == "quantile" else "min_score"
        found = {row["tier"]: row for row in tiers[card.take(CARD)]}
        falling = [
            (row, default[column] if row[column] is None else row[column])
            for tier, default in DEFAULT_TIERS.items()
            if (row := found.get(tier))
        ]
        for (row, start), lower in zip(falling, [*falling[1:], None], strict=False):
            fault = _tier_fault(column, start, lower)
            if fault:
                text = f"tier {show(row['tier'])} has {column} {show(start)}, {fault}"
                yield Fault("tiers", row.line, text, column)


def _tier_fault(column: str, start: float, lower: tuple[Row, float] | None) -> str | None:
    """What is wrong with where a tier starts, given the next lower tier and its start, if there is one."""
    if column == "min_score" and not 0 <= start <= 100:
        return "which is not a score. Give a number from 0 to 100"
    if column == "min_percentile" and not 0 <= start < 1:
        return "above which there is no account. Give a share from 0 to below 1"
    if lower is None:
        return "but is the lowest tier of its scorecard: what lies below has no tier. Set it to 0" if start else None
    lower_row, lower_start = lower
    worse = f"{show(lower_row['tier'])} (line {lower_row.line})"
    if start <= lower_start:
        return f"not above the {show(lower_start)} of {worse}. Let them fall from healthy over at_risk to poor"
    if column == "min_score" and _next_score(lower_start) >= start:
        return f"which leaves no score with one decimal for {worse}. Set it higher"
    return None


def _next_score(start: float) -> float:
    """The lowest published score, which has one decimal, from `start` on."""
    return math.ceil(Decimal(repr(start)) * 10) / 10


RULES: tuple[Callable[[Seeds], Iterator[Fault]], ...] = (
    _metric_faults,
    _version_faults,
    _matching_faults,
    _weight_faults,
    _method_faults,
    _tier_faults,
    playbook_faults,
)
