"""Rules that can be read but make no sense, with file and line, before a run. What cannot be read is in `rules`.

What certainly is a mistake is an error and stops the run; what somebody may mean is a warning. Of versions that are no longer in force
there are warnings only: they worked until today, and nobody changes them any more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise

from orchestration.alert_rules import AlertRule
from orchestration.scorecard.cells import parse_number
from orchestration.scorecard.faults import Fault, show
from orchestration.scorecard.playbooks import Field, all_fields
from orchestration.scorecard.schema import CARD, CARD_METRIC, Row, Seeds, by_card
from orchestration.shared import DEFAULT_TIERS, DIMENSIONS

Range = tuple[float | None, float | None]
Condition = tuple[str, float]
Conditions = Mapping[str, list[tuple[str, str]]]

_OPEN: Range = (None, None)
_SCORES: Range = (0, 100)
_ACCOUNT_RANGES: dict[str, Range] = {
    "health_score": _SCORES,
    "uncapped_score": _SCORES,
    "coverage": (0, 1),
    "delta_7d": (-100, 100),
    "delta_28d": (-100, 100),
    "delta_90d": (-100, 100),
    "days_in_tier": (1, None),
    "tenure_days": (0, None),
    "seats": (0, None),
    "detractors_180d": (0, None),
    "reviews_365d": (0, None),
}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}
_ALERTS = "alert_rules"


def lint(
    seeds: Seeds, day: date, alert_rules: Iterable[AlertRule] = (), sources: Collection[str] = (), channels: Collection[str] = ()
) -> list[Fault]:
    """The rules that make no sense, each with what to do.

    Args:
        seeds: as `load_seeds` gives them.
        day: versions that are in force on this day or later can have errors, and so can candidates.
        alert_rules: of the folder's own file.
        sources: the raw tables that are configured.
        channels: where alerts are configured to go.
    """
    return list(_Lint(seeds, day).faults(alert_rules, sources, channels))


def can_hold(conditions: Iterable[Condition], bounds: Range = _OPEN) -> bool:
    """Whether some number within the bounds, which belong to them, meets all conditions."""
    low, high = bounds
    low_open = high_open = False
    apart: set[float] = set()
    for operator, value in conditions:
        if operator in (">", ">=", "=") and (low is None or value > low or (value == low and operator == ">")):
            low, low_open = value, operator == ">"
        if operator in ("<", "<=", "=") and (high is None or value < high or (value == high and operator == "<")):
            high, high_open = value, operator == "<"
        if operator == "!=":
            apart.add(value)
    if low is None or high is None or low < high:
        return True
    return low == high and not low_open and not high_open and low not in apart


def _always(condition: Condition, bounds: Range) -> bool:
    return not can_hold([(_NEGATED[condition[0]], condition[1])], bounds)


def _range_text(bounds: Range) -> str:
    low, high = bounds
    return f"is never below {low:g}" if high is None else f"is never above {high:g}" if low is None else f"lies within {low:g} to {high:g}"


class _Lint:
    """One look through the seeds; each method finds the faults of one file."""

    def __init__(self, seeds: Seeds, day: date) -> None:
        self._seeds = seeds
        self._ranges: dict[str, Range] = {row["metric_key"]: row.take(("lowest", "highest")) for row in seeds["metrics"]}
        active = sorted((row for row in seeds["config_versions"] if row["status"] == "active"), key=lambda row: row["valid_from"])
        ended = {row["config_version"] for row, later in pairwise(active) if later["valid_from"] <= day}
        self._current = {row["config_version"] for row in seeds["config_versions"]} - ended
        self._tiers = by_card(seeds["tiers"])
        self._cards = [card for card in seeds["scorecards"] if card["config_version"] in self._current]

    def faults(self, alert_rules: Iterable[AlertRule], sources: Collection[str], channels: Collection[str]) -> Iterator[Fault]:
        for of_version in (self._caps, self._anchors, self._bands, self._reach, self._margins):
            for fault in of_version():
                [row] = [row for row in self._seeds[fault.seed] if row.line == fault.line]
                yield fault if row["config_version"] in self._current else replace(fault, is_error=False)
        yield from self._unused_metrics()
        yield from self._playbooks()
        yield from self._alerts(list(alert_rules), sources, channels)

    def _caps(self) -> Iterator[Fault]:
        for row in self._seeds["score_caps"]:
            bounds = self._ranges[row["metric_key"]]
            condition = (row["operator"], row["threshold"])
            named = f"cap {show(row['cap_key'])}"
            said = f"{row['metric_key']} {row['operator']} {row['threshold']:g}"
            if row["max_score"] >= 100:
                text = f"{named} never binds: no score is above 100. Give a lower max_score, or remove it"
                yield Fault("score_caps", row.line, text, is_error=False)
            elif not can_hold([condition], bounds):
                text = f"{named} never binds: {said} cannot hold, as the metric {_range_text(bounds)}. Change the threshold, or remove it"
                yield Fault("score_caps", row.line, text)
            elif _always(condition, bounds):
                text = f"{named} holds for every account: {said} always holds, as the metric {_range_text(bounds)}. Change the threshold"
                yield Fault("score_caps", row.line, text, is_error=False)

    def _anchors(self) -> Iterator[Fault]:
        higher = {row["metric_key"]: row["higher_is_better"] for row in self._seeds["metrics"]}
        for row in self._seeds["scorecard_metrics"]:
            worst, best, metric = row.take(("worst", "best", "metric_key"))
            if row["method"] != "linear":
                continue
            if higher[metric] is not None and (best > worst) != higher[metric]:
                better = "higher" if higher[metric] else "lower"
                text = (
                    f"metric {show(metric)} has worst {worst:g} and best {best:g}, but {better} is better in {self._seeds.file('metrics')}"
                )
                # `linear` does not read higher_is_better, so a scorecard may mean it.
                yield Fault("scorecard_metrics", row.line, f"{text}. Swap worst and best, or correct it there", is_error=False)
            bounds = self._ranges[metric]
            beyond = [column for column in ("worst", "best") if not can_hold([("=", row[column])], bounds)]
            low, high = _reached(worst, best, bounds)
            if low == high:
                text = f"metric {show(metric)} has worst {worst:g} and best {best:g}, but it {_range_text(bounds)}"
                remedy = f"so it scores {low:g} for every account. Give values within"
                # Without weight it is only shown.
                yield Fault("scorecard_metrics", row.line, f"{text}, {remedy}", is_error=row["weight"] > 0)
            else:
                for column in beyond:
                    text = f"metric {show(metric)} has {column} {row[column]:g}, which it never reaches: it {_range_text(bounds)}"
                    yield Fault("scorecard_metrics", row.line, f"{text}. Give a value within", is_error=False)

    def _bands(self) -> Iterator[Fault]:
        for row in self._seeds["metric_bands"]:
            bounds = self._ranges[row["metric_key"]]
            if not can_hold([(">=", row["lower_bound"])], bounds):
                text = f"metric {show(row['metric_key'])} has a band from {row['lower_bound']:g} on, which it never reaches"
                yield Fault("metric_bands", row.line, f"{text}: it {_range_text(bounds)}. Give a lower bound, or remove it", is_error=False)

    def _reach(self) -> Iterator[Fault]:
        """Tiers that no score can reach, whatever is missing. Where the lowest tier begins is checked in `rules`."""
        for card in self._seeds["scorecards"]:
            key = card.take(CARD)
            if card["tier_mode"] != "threshold":
                continue
            low, high = self._scores(card)
            lines = {row["tier"]: row.line for row in self._tiers[key]}
            starts = _starts(self._tiers[key])
            for (tier, start), end in zip(starts, [None, *(begin for _, begin in starts)], strict=False):
                if start <= high and (end is None or end > low):
                    continue
                why = f"at most {high:g}" if start > high else f"{low:g} or more"
                text = f"no score reaches the tier {tier}, which begins at {start:g}: the metrics and caps of the scorecard give {why}"
                remedy = "Change where it begins, or what the metrics can score"
                seed, line = ("tiers", lines[tier]) if tier in lines else ("scorecards", card.line)
                yield Fault(seed, line, f"{text}. {remedy}")

    def _scores(self, card: Row) -> tuple[float, float]:
        """Bounds of the scores that a scorecard can give: those of its metrics, since all but one may be missing."""
        key = card.take(CARD)
        dimension_of = {row["metric_key"]: row["dimension_key"] for row in self._seeds["metrics"]}
        counts = {row["dimension_key"] for row in self._seeds["scorecard_dimensions"] if row.take(CARD) == key and row["weight"] > 0}
        lows, highs = [], []
        for row in self._seeds["scorecard_metrics"]:
            if row.take(CARD) != key or not row["weight"] > 0 or dimension_of[row["metric_key"]] not in counts:
                continue
            bounds = self._ranges[row["metric_key"]]
            if row["method"] == "linear":
                scores = [*_reached(row["worst"], row["best"], bounds)]
            elif row["method"] == "bands":
                scores = self._band_scores(row, bounds)
            else:
                scores = [0.0, 100.0]
            scores += {"neutral": [50.0], "worst": [0.0]}.get(row["missing_policy"], [])
            lows.append(min(scores))
            highs.append(max(scores))
        if card["min_coverage"] == 0:
            # Without any data the score is 50, and here it counts.
            lows.append(50.0)
            highs.append(50.0)
        lows += [row["max_score"] for row in self._seeds["score_caps"] if row.take(CARD) == key]
        return round(min(lows), 1), round(max(highs), 1)

    def _band_scores(self, metric: Row, bounds: Range) -> list[float]:
        bands = sorted(
            row.take(("lower_bound", "score")) for row in self._seeds["metric_bands"] if row.take(CARD_METRIC) == metric.take(CARD_METRIC)
        )
        ends = [begin for begin, _ in bands[1:]]
        reached = [0.0] if can_hold([("<", bands[0][0])], bounds) else []
        for (begin, score), end in zip(bands, [*ends, None], strict=True):
            if can_hold([(">=", begin), *([("<", end)] if end is not None else [])], bounds):
                reached.append(score)
        return reached

    def _margins(self) -> Iterator[Fault]:
        for card in self._seeds["scorecards"]:
            if card["tier_mode"] != "threshold":
                continue
            starts = _starts(self._tiers[card.take(CARD)])
            for (tier, start), end in zip(starts, [100.0, *(begin for _, begin in starts)], strict=False):
                if start > 0 and card["tier_margin"] > end - start:
                    text = f"tier_margin {card['tier_margin']:g} is wider than the tier {tier}, which reaches from {start:g} to {end:g}"
                    remedy = "a score rises into it only by leaving it. Give a smaller margin"
                    yield Fault("scorecards", card.line, f"{text}: {remedy}", is_error=False)

    def _unused_metrics(self) -> Iterator[Fault]:
        used = {row["metric_key"] for row in self._seeds["scorecard_metrics"] if row["config_version"] in self._current}
        for row in self._seeds["metrics"]:
            if row["metric_key"] not in used:
                text = f"metric {show(row['metric_key'])} is on no scorecard, so it is not published"
                remedy = f"Add it to {self._seeds.file('scorecard_metrics')}, with weight 0 to only show it"
                yield Fault("metrics", row.line, f"{text}. {remedy}", is_error=False)

    def _playbooks(self) -> Iterator[Fault]:
        fields = all_fields([row["metric_key"] for row in self._seeds["metrics"]], DIMENSIONS)
        ever_scored = {row["metric_key"] for row in self._seeds["scorecard_metrics"]}
        of_playbook: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
        for row in self._seeds["playbook_conditions"]:
            of_playbook[row["playbook_key"]][row["field"]].append((row["operator"], str(row["value"]).strip()))
        sound: list[Row] = []
        for row in self._seeds["playbooks"]:
            never = False
            for name, listed in of_playbook[row["playbook_key"]].items():
                field = fields[name]
                why = None
                if field.kind in ("metric", "score", "change") and field.key not in ever_scored:
                    why = f"{field.key} is on no scorecard, so it has no value. Add it to {self._seeds.file('scorecard_metrics')}"
                elif not self._can_hold(field, listed):
                    said = " and ".join(f"{name} {operator} {value}" for operator, value in listed)
                    why = f"{said} cannot be true. Correct the condition"
                if why:
                    never = True
                    yield Fault("playbooks", row.line, f"playbook {show(row['playbook_key'])} never holds: {why}")
            if not never:
                sound.append(row)
        for place, row in enumerate(sound):
            for other in sound[:place]:
                if row["is_fallback"] != other["is_fallback"]:
                    # A fallback holds only where no other does.
                    continue
                mine, theirs = of_playbook[row["playbook_key"]], of_playbook[other["playbook_key"]]
                here, there = self._implies(fields, mine, theirs), self._implies(fields, theirs, mine)
                named, first = f"playbook {show(row['playbook_key'])}", f"{show(other['playbook_key'])} (line {other.line})"
                if here and there:
                    text = f"{named} holds whenever {first} does and never else, so both ask for one account at once"
                elif (here or there) and row["priority"] == other["priority"]:
                    whenever = f"{named} holds, {first}" if here else f"{first} holds, {named}"
                    text = f"whenever {whenever} holds too, and their priority says not which comes first"
                else:
                    continue
                yield Fault("playbooks", row.line, f"{text}. Merge them, or tell them apart by a condition or priority", is_error=False)

    def _bounds(self, field: Field) -> Range:
        if field.kind in ("score", "dimension"):
            return _SCORES
        if field.kind == "metric":
            return self._ranges[field.key]
        return _ACCOUNT_RANGES.get(field.key, _OPEN) if field.kind == "account" else _OPEN

    def _can_hold(self, field: Field, listed: list[tuple[str, str]]) -> bool:
        if field.is_text:
            choices = {row["scorecard_key"] for row in self._seeds["scorecards"]} if field.key == "scorecard_key" else field.choices
            return _text_can_hold(listed, choices)
        numbers = [(operator, number) for operator, value in listed if (number := parse_number(value)) is not None]
        return can_hold(numbers, self._bounds(field))

    def _implies(self, fields: Mapping[str, Field], some: Conditions, others: Conditions) -> bool:
        """Whether the others hold wherever these do: none of them can fail beside what is asked of its field here."""
        return all(
            name in some and not self._can_hold(fields[name], [*some[name], (_NEGATED[operator], value)])
            for name, listed in others.items()
            for operator, value in listed
        )

    def _alerts(self, rules: list[AlertRule], sources: Collection[str], channels: Collection[str]) -> Iterator[Fault]:
        tiers = {tier for card in self._cards for tier, _ in _starts(self._tiers[card.take(CARD)])}
        if any(card["min_coverage"] > 0 for card in self._cards):
            tiers.add("unknown")
        reach = [self._scores(card) for card in self._seeds["scorecards"]]
        widest = max(high for _, high in reach) - min(low for low, _ in reach)
        for rule in rules:
            gone = [tier for tier in (rule.tier, rule.from_tier) if tier is not None and tier not in tiers]
            if gone and "score_overrides" not in sources:
                text = f"the rule never holds: no scorecard has the tier {gone[0]}. Correct the tier, or remove the rule"
                # An account may have a tier from before; it cannot fall to it any more.
                yield Fault(_ALERTS, rule.line, text, is_error=rule.kind == "tier_worsened" and gone[0] == rule.tier)
            elif rule.metric_key is not None and rule.metric_key not in {row["metric_key"] for row in self._seeds["metrics"]}:
                text = f"metric_key {rule.metric_key} is not a metric of {self._seeds.file('metrics')}"
                yield Fault(_ALERTS, rule.line, f"{text}. Correct it, or remove the rule")
            elif rule.points is not None and rule.points > widest:
                text = f"the rule never holds: no score can fall by {rule.points:g}, since all scores are within {widest:g} points"
                yield Fault(_ALERTS, rule.line, f"{text}. Give fewer points, or remove the rule")
            elif rule.min_arr is not None and "subscriptions" not in sources:
                text = "the rule never holds: arr comes from subscriptions, which no source fills"
                yield Fault(_ALERTS, rule.line, f"{text}. Add the source, or leave min_arr blank", is_error=False)
            elif rule.channel is not None and channels and rule.channel not in channels:
                text = f"what the rule finds is sent nowhere: [alerts] has no address for {rule.channel}"
                yield Fault(_ALERTS, rule.line, f"{text}. Add it, or change the channel", is_error=False)


def _reached(worst: float, best: float, bounds: Range) -> tuple[float, float]:
    """Lowest and highest score that a linear metric reaches."""
    scores = []
    for bound, end in zip(bounds, (-1, 1), strict=True):
        share = (bound - worst) / (best - worst) if bound is not None else end if best > worst else -end
        scores.append(max(0.0, min(100.0, 100 * share)))
    return min(scores), max(scores)


def _starts(rows: list[Row]) -> list[tuple[str, float]]:
    """The tiers of a scorecard, the best first, and the score from which each holds."""
    given = {row["tier"]: row["min_score"] for row in rows}
    return [
        (tier, default["min_score"] if given.get(tier) is None else given[tier])
        for tier, default in DEFAULT_TIERS.items()
        if not given or tier in given
    ]


def _text_can_hold(listed: list[tuple[str, str]], choices: Collection[str] | None) -> bool:
    wanted = {value for operator, value in listed if operator == "="}
    refused = {value for operator, value in listed if operator == "!="}
    if len(wanted) > 1 or wanted & refused:
        return False
    return choices is None or bool((wanted or set(choices)) & set(choices) - refused)
