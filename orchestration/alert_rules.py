"""`seeds/alert_rules.csv`: what is worth a message, as data.

Rules are applied to the published mart by `orchestration.publish.alerts`. A folder of seeds without the file has the
shipped rules; a file with nothing below the header has none.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestration.scorecard import Cell, Fault, Row, Seed, read_seed
from orchestration.settings import PROJECT_ROOT
from orchestration.shared import LEDGER_DAYS

AlertKind = Literal[
    "tier_worsened", "score_fell", "renewal_near", "champion_left", "source_late", "drift_seen", "run_failed", "mart_late", "today"
]
Channel = Literal["email", "slack", "teams", "webhook"]

CHANNELS: tuple[Channel, ...] = ("email", "slack", "teams", "webhook")
# What they look for is not in the mart.
OF_THE_PIPELINE: tuple[AlertKind, ...] = ("run_failed", "mart_late")
# From best to worst; `unknown` is none of them.
TIER_ORDER = ("healthy", "at_risk", "poor")

_NAME = "alert_rules"
ALERT_RULES = f"{_NAME}.csv"
_ACCOUNT_FILTERS = ("segment", "min_arr")
# Kind -> columns that it needs, columns that it may have.
_COLUMNS: dict[AlertKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tier_worsened": ((), ("from_tier", "tier", *_ACCOUNT_FILTERS)),
    "score_fell": (("points", "days"), _ACCOUNT_FILTERS),
    "renewal_near": (("tier", "days"), _ACCOUNT_FILTERS),
    "champion_left": ((), _ACCOUNT_FILTERS),
    "source_late": ((), ()),
    "drift_seen": ((), ()),
    "run_failed": ((), ()),
    "mart_late": ((), ()),
    "today": ((), ("points", "metric_key", *_ACCOUNT_FILTERS)),
}
SEED = Seed(
    {
        "rule_key": Cell(),
        "label": Cell(required=False),
        "kind": Cell(choices=tuple(_COLUMNS)),
        "from_tier": Cell(required=False, choices=("healthy", "at_risk")),
        "tier": Cell(required=False, choices=(*TIER_ORDER, "unknown")),
        "points": Cell("number", required=False, above=0, maximum=100),
        "days": Cell("integer", required=False, minimum=0, maximum=3660),
        "segment": Cell(required=False),
        "min_arr": Cell("number", required=False, minimum=0),
        "channel": Cell(required=False, choices=CHANNELS),
        "metric_key": Cell(required=False, may_lack=True),
    },
    key=("rule_key",),
    required=False,
)
_USES = {column for needed, optional in _COLUMNS.values() for column in (*needed, *optional)}
_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)


@dataclass(frozen=True)
class AlertRule:
    """One rule; what its kind does not use is None.

    Attributes:
        from_tier, tier: tier before and now.
        points, days: size and days of a fall; `days` is also the longest time to a renewal.
        segment, min_arr: only such accounts.
        channel: only there.
        metric_key: metric whose rise today is looked for.
        line: of the file.
    """

    key: str
    label: str
    kind: AlertKind
    from_tier: str | None = None
    tier: str | None = None
    points: float | None = None
    days: int | None = None
    segment: str | None = None
    min_arr: float | None = None
    channel: Channel | None = None
    metric_key: str | None = None
    line: int = field(default=0, compare=False)

    @property
    def fingerprint(self) -> str:
        """Names what the rule looks for: another one makes it a new rule, another label or channel does not."""
        content = {name: value for name, value in asdict(self).items() if name not in ("label", "channel", "line")}
        if self.metric_key is None:
            # As before there was such a column: no rule of that time is a new one.
            del content["metric_key"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def worsened(self, before: str, now: str) -> bool:
        """Whether a change of the tier is one that a rule of the kind `tier_worsened` looks for."""
        is_worse = self.tier == "unknown" if now == "unknown" else TIER_ORDER.index(now) > TIER_ORDER.index(before)
        return is_worse and self.tier in (None, now) and self.from_tier in (None, before)


def read_alert_rules(seeds_dir: Path) -> list[AlertRule]:
    """The rules in the order of the file; the shipped ones where the folder has no such file.

    Raises:
        ConfigurationError: with one line per fault.
    """
    if not (seeds_dir / ALERT_RULES).exists():
        seeds_dir = PROJECT_ROOT / "seeds"
    return [_rule(row) for row in read_seed(seeds_dir, _NAME, SEED, _faults)]


def _rule(row: Row) -> AlertRule:
    values: dict[str, Any] = dict(row.values)
    key, label, segment = values.pop("rule_key"), values.pop("label"), values.pop("segment")
    return AlertRule(key=key, label=label or key, segment=segment and segment.strip(), line=row.line, **values)


def _faults(rows: list[Row]) -> Iterator[Fault]:
    for row in rows:
        kind = row["kind"]
        needed, optional = _COLUMNS[kind]
        for column in sorted(_USES):
            if column in needed and row[column] is None:
                yield Fault(_NAME, row.line, f"kind {kind} needs {column}, but it is blank. Fill it in")
            elif column not in needed + optional and row[column] is not None:
                yield Fault(_NAME, row.line, f"kind {kind} does not use {column}. Leave it blank")
        if not _KEY.fullmatch(row["rule_key"]):
            yield Fault(_NAME, row.line, "rule_key is not a plain name. Use at most 60 of a-z, 0-9 and _, a letter first")
        if kind == "score_fell" and row["days"] is not None and row["days"] not in LEDGER_DAYS:
            text = f"days {row['days']} is neither 7 nor 28, over which changes are explained"
            yield Fault(_NAME, row.line, f"{text}. Choose one of them")
        if kind == "today" and (row["points"] is None) == (row["metric_key"] is None):
            yield Fault(_NAME, row.line, "kind today looks for a fall by points or for the rise of a metric. Fill in points or metric_key")
        if kind == "tier_worsened":
            yield from _tier_faults(row)


def _tier_faults(row: Row) -> Iterator[Fault]:
    before, now = row["from_tier"], row["tier"]
    if now == "healthy":
        yield Fault(_NAME, row.line, "tier healthy is never worse. Write at_risk, poor or unknown, or leave it blank")
    elif before is not None and now in TIER_ORDER and TIER_ORDER.index(now) <= TIER_ORDER.index(before):
        yield Fault(_NAME, row.line, f"from_tier {before} to tier {now} is not a worsening. Let tier be the worse one")
