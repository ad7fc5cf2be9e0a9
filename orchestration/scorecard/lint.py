"""Rules that can be read but cannot be meant: warnings with file and line, before a run. What cannot be read is in `rules`.

Looked at are the newest active version and the candidates: what older versions say, nobody changes any more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from orchestration.scorecard.cells import parse_number
from orchestration.scorecard.faults import Fault, show
from orchestration.scorecard.playbooks import all_fields
from orchestration.scorecard.schema import CARD, Row, Seeds, by_card
from orchestration.shared import DEFAULT_TIERS, DIMENSIONS

Range = tuple[float | None, float | None]
Condition = tuple[str, float]

_OPEN: Range = (None, None)
_FROM_0: Range = (0, None)
_SHARE: Range = (0, 1)
_CHANGE: Range = (-1, None)
# docs/scoring.md, "Metrics": what a measured value can be. A metric that is not here can be anything.
METRIC_RANGES: dict[str, Range] = {
    "active_days_28d": (0, 28),
    "active_users_28d": _FROM_0,
    "license_utilization_28d": _FROM_0,
    "active_user_trend_28d": _CHANGE,
    "stickiness_28d": _SHARE,
    "minutes_per_active_user_28d": _FROM_0,
    "feature_breadth_90d": _SHARE,
    "new_feature_adoption_90d": _SHARE,
    "days_since_last_activity": _FROM_0,
    "user_retention_28d": _SHARE,
    "usage_vs_baseline_28d": _FROM_0,
    "active_periods_streak": (0, 13),
    "onboarding_rate_30d": _FROM_0,
    "days_late_180d": _FROM_0,
    "days_overdue_oldest": _FROM_0,
    "overdue_ratio": _FROM_0,
    "mrr_trend_90d": _CHANGE,
    "days_to_renewal": _FROM_0,
    "days_since_renewal": _FROM_0,
    "expansions_365d": _FROM_0,
    "critical_open_tickets": _FROM_0,
    "escalations_90d": _FROM_0,
    "tickets_per_10_users_28d": _FROM_0,
    "negative_ticket_share_90d": _SHARE,
    "median_first_reply_hours_90d": _FROM_0,
    "median_resolution_hours_90d": _FROM_0,
    "csat_180d": (1, 5),
    "nps_180d": (-100, 100),
    "product_rating_365d": (1, 5),
    "two_way_touchpoints_90d": _FROM_0,
    "contact_minutes_90d": _FROM_0,
    "contact_sentiment_90d": (-1, 1),
    "response_rate_90d": _SHARE,
    "advocacy_365d": _FROM_0,
    "csm_pulse": (1, 5),
    "goal_attainment": (0, 2),
}
_ACCOUNT_RANGES: dict[str, Range] = {
    "health_score": (0, 100),
    "uncapped_score": (0, 100),
    "coverage": _SHARE,
    "delta_7d": (-100, 100),
    "delta_28d": (-100, 100),
    "delta_90d": (-100, 100),
    "days_in_tier": (1, None),
    "tenure_days": _FROM_0,
    "seats": _FROM_0,
    "detractors_180d": _FROM_0,
    "reviews_365d": _FROM_0,
}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}


def lint(seeds: Seeds, alert_tiers: Iterable[tuple[int, str | None]] = ()) -> list[str]:
    """One line for each rule that cannot be meant, with file, line and remedy.

    Args:
        seeds: as `load_seeds` gives them.
        alert_tiers: line and tier of each row of alert_rules.csv.
    """
    active = [row for row in seeds["config_versions"] if row["status"] == "active"]
    newest = max(active, key=lambda row: row["valid_from"])["config_version"] if active else None
    versions = {newest} | {row["config_version"] for row in seeds["config_versions"] if row["status"] == "candidate"}
    faults = [
        *_caps(seeds, versions),
        *_anchors(seeds, versions),
        *_unused_metrics(seeds, versions),
        *_margins(seeds, versions),
        *_playbooks(seeds),
        *_alerts(seeds, versions, alert_tiers),
    ]
    return [f"{seeds.file(fault.seed)} line {fault.line}: {fault.text}" for fault in faults]


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


def _caps(seeds: Seeds, versions: set[str | None]) -> Iterator[Fault]:
    for row in seeds["score_caps"]:
        if row["config_version"] not in versions:
            continue
        bounds = METRIC_RANGES.get(row["metric_key"], _OPEN)
        condition = (row["operator"], row["threshold"])
        named = f"cap {show(row['cap_key'])}"
        said = f"{row['metric_key']} {row['operator']} {row['threshold']:g}"
        if row["max_score"] >= 100:
            yield Fault("score_caps", row.line, f"{named} never binds: no score is above 100. Give a lower max_score, or remove it")
        elif not can_hold([condition], bounds):
            text = f"{named} never binds: {said} cannot hold, as the metric {_range_text(bounds)}. Change the threshold, or remove it"
            yield Fault("score_caps", row.line, text)
        elif _always(condition, bounds):
            text = f"{named} holds for every account: {said} always holds, as the metric {_range_text(bounds)}. Change the threshold"
            yield Fault("score_caps", row.line, text)


def _anchors(seeds: Seeds, versions: set[str | None]) -> Iterator[Fault]:
    higher = {row["metric_key"]: row["higher_is_better"] for row in seeds["metrics"]}
    for row in seeds["scorecard_metrics"]:
        worst, best, metric = row["worst"], row["best"], row["metric_key"]
        if row["config_version"] not in versions or row["method"] != "linear":
            continue
        if higher[metric] is not None and (best > worst) != higher[metric]:
            better = "higher" if higher[metric] else "lower"
            text = f"metric {show(metric)} has worst {worst:g} and best {best:g}, but {better} is better in {seeds.file('metrics')}"
            yield Fault("scorecard_metrics", row.line, f"{text}. Swap worst and best, or correct it there")
        bounds = METRIC_RANGES.get(metric, _OPEN)
        for column in ("worst", "best"):
            if not can_hold([("=", row[column])], bounds):
                text = f"metric {show(metric)} has {column} {row[column]:g}, which it never reaches: it {_range_text(bounds)}"
                yield Fault("scorecard_metrics", row.line, f"{text}. Give a value within")


def _unused_metrics(seeds: Seeds, versions: set[str | None]) -> Iterator[Fault]:
    used = {row["metric_key"] for row in seeds["scorecard_metrics"] if row["config_version"] in versions}
    for row in seeds["metrics"]:
        if row["metric_key"] not in used:
            text = f"metric {show(row['metric_key'])} is on no scorecard, so it is not published"
            yield Fault("metrics", row.line, f"{text}. Add it to {seeds.file('scorecard_metrics')}, with weight 0 to only show it")


def _margins(seeds: Seeds, versions: set[str | None]) -> Iterator[Fault]:
    tiers = by_card(seeds["tiers"])
    for card in seeds["scorecards"]:
        if card["config_version"] not in versions or card["tier_mode"] != "threshold":
            continue
        starts = _starts(tiers[card.take(CARD)])
        for (tier, start), end in zip(starts, [100.0, *(begin for _, begin in starts)], strict=False):
            if start > 0 and card["tier_margin"] > end - start:
                text = f"tier_margin {card['tier_margin']:g} is wider than the tier {tier}, which reaches from {start:g} to {end:g}"
                yield Fault("scorecards", card.line, f"{text}: a score rises into it only by leaving it. Give a smaller margin")


def _starts(rows: list[Row]) -> list[tuple[str, float]]:
    """The tiers of a scorecard, the best first, and the score from which each holds."""
    given = {row["tier"]: row["min_score"] for row in rows}
    return [
        (tier, default["min_score"] if given.get(tier) is None else given[tier])
        for tier, default in DEFAULT_TIERS.items()
        if not given or tier in given
    ]


def _playbooks(seeds: Seeds) -> Iterator[Fault]:
    fields = all_fields([row["metric_key"] for row in seeds["metrics"]], DIMENSIONS)
    conditions: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in seeds["playbook_conditions"]:
        conditions[row["playbook_key"]][row["field"]].append((row["operator"], str(row["value"]).strip()))
    seen: dict[frozenset, Row] = {}
    for row in seeds["playbooks"]:
        of_playbook = conditions[row["playbook_key"]]
        named = f"playbook {show(row['playbook_key'])}"
        for name, listed in of_playbook.items():
            field = fields[name]
            if field.is_text:
                holds = _text_can_hold(listed, field.choices)
            else:
                bounds = _OPEN
                if field.kind in ("score", "dimension"):
                    bounds = (0.0, 100.0)
                elif field.kind in ("metric", "account"):
                    bounds = (METRIC_RANGES if field.kind == "metric" else _ACCOUNT_RANGES).get(field.key, _OPEN)
                numbers = [(operator, number) for operator, value in listed if (number := parse_number(value)) is not None]
                holds = can_hold(numbers, bounds)
            if not holds:
                said = " and ".join(f"{name} {operator} {value}" for operator, value in listed)
                yield Fault("playbooks", row.line, f"{named} never holds: {said} cannot be true. Correct the condition")
        same = frozenset((name, operator, value) for name, listed in of_playbook.items() for operator, value in listed)
        if same and (other := seen.setdefault(same, row)) is not row:
            text = f"{named} has the conditions of {show(other['playbook_key'])} (line {other.line}), so it asks for two things at once"
            yield Fault("playbooks", row.line, f"{text}. Merge them, or let a condition tell them apart")


def _text_can_hold(listed: list[tuple[str, str]], choices: tuple[str, ...] | None) -> bool:
    wanted = {value for operator, value in listed if operator == "="}
    refused = {value for operator, value in listed if operator == "!="}
    if len(wanted) > 1 or wanted & refused:
        return False
    return choices is None or bool(wanted) or bool(set(choices) - refused)


def _alerts(seeds: Seeds, versions: set[str | None], alert_tiers: Iterable[tuple[int, str | None]]) -> Iterator[Fault]:
    tiers = by_card(seeds["tiers"])
    known = {"unknown"}
    for card in seeds["scorecards"]:
        if card["config_version"] in versions:
            known |= {tier for tier, _ in _starts(tiers[card.take(CARD)])}
    for line, tier in alert_tiers:
        if tier is not None and tier not in known:
            yield Fault(
                "alert_rules", line, f"the rule never holds: no scorecard has the tier {tier}. Correct the tier, or remove the rule"
            )
