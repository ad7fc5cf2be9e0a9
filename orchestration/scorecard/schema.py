"""What the seed files are: their columns, what each cell may hold, which rows belong together, and the defaults of blank cells."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestration.shared import DEFAULT_TIERS, DIMENSIONS, SCORECARD_DEFAULTS

Kind = Literal["text", "number", "integer", "boolean", "date"]

STAGES = ("onboarding", "renewing", "mature")
OPERATORS = ("<", "<=", ">", ">=", "=", "!=")


@dataclass(frozen=True)
class Cell:
    """What one column of a seed may hold.

    Attributes:
        default: what a blank cell means; only for columns that are not required.
        above: like `minimum`, but the bound itself is refused.
        may_lack: the whole column may be missing, which is as if every cell of it were blank.
    """

    kind: Kind = "text"
    required: bool = True
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    default: Any = None
    may_lack: bool = False


@dataclass(frozen=True)
class Seed:
    """One seed file.

    Attributes:
        key: columns in which no two rows may agree.
        references: (columns, seed): the values of these columns must be in a row of that seed.
        required: whether the file must be there.
        has_rows: whether the file must have a row.
    """

    columns: Mapping[str, Cell]
    key: tuple[str, ...]
    references: tuple[tuple[tuple[str, ...], str], ...] = ()
    required: bool = True
    has_rows: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a seed: the line on which it begins, and its typed values (None where blank)."""

    line: int
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    def take(self, columns: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(self.values[column] for column in columns)


@dataclass(frozen=True)
class Seeds:
    """The rows of all seeds, by name of the seed."""

    folder: Path
    rows: Mapping[str, list[Row]]

    def __getitem__(self, name: str) -> list[Row]:
        return self.rows[name]

    def file(self, name: str) -> str:
        """How messages call a seed's file: `seeds/metrics.csv`."""
        return f"{self.folder.absolute().name}/{name}.csv"


_TEXT = Cell()
_OPTIONAL_TEXT = Cell(required=False)
_DAY = Cell("date")
_NUMERIC = Cell("number")
_OPTIONAL_NUMERIC = Cell("number", required=False)
# The models add weights as exact decimals of 22 places: within these bounds that is finer than a double.
SMALLEST_WEIGHT, _GREATEST_WEIGHT = 1e-6, 1e6
_WEIGHT = Cell("number", minimum=0, maximum=_GREATEST_WEIGHT)
_SCORE = Cell("number", minimum=0, maximum=100)

CARD = ("config_version", "scorecard_key")
CARD_METRIC = (*CARD, "metric_key")
# Columns that say nothing about how accounts are scored.
WORDS = ("label", "reason", "colour")
_OF_VERSION = (("config_version",), "config_versions")
_OF_CARD = (CARD, "scorecards")
_OF_METRIC = (("metric_key",), "metrics")


def _on_card(**columns: Cell) -> dict[str, Cell]:
    return {"config_version": _TEXT, "scorecard_key": _TEXT, **columns}


SEEDS: Mapping[str, Seed] = {
    "config_versions": Seed(
        {
            "config_version": _TEXT,
            "valid_from": _DAY,
            "status": Cell(choices=("active", "candidate")),
            "author": _OPTIONAL_TEXT,
            "note": _OPTIONAL_TEXT,
        },
        key=("config_version",),
    ),
    "metrics": Seed(
        {
            "metric_key": _TEXT,
            "dimension_key": Cell(choices=DIMENSIONS),
            "label": _OPTIONAL_TEXT,
            "unit": _OPTIONAL_TEXT,
            "higher_is_better": Cell("boolean", required=False),
            "needs": Cell(required=False, may_lack=True),
            # What a measured value can be; blank for any. No score depends on it.
            "lowest": Cell("number", required=False, may_lack=True),
            "highest": Cell("number", required=False, may_lack=True),
            "description": _OPTIONAL_TEXT,
        },
        key=("metric_key",),
        has_rows=True,
    ),
    "scorecards": Seed(
        _on_card(
            label=_OPTIONAL_TEXT,
            priority=Cell("integer"),
            segment=_TEXT,
            stage=Cell(choices=("*", *STAGES)),
            min_coverage=Cell("number", required=False, minimum=0, maximum=1, default=SCORECARD_DEFAULTS["min_coverage"]),
            confirm_days=Cell("integer", required=False, minimum=1, default=SCORECARD_DEFAULTS["confirm_days"]),
            tier_mode=Cell(required=False, choices=("threshold", "quantile"), default=SCORECARD_DEFAULTS["tier_mode"]),
            tier_margin=Cell("number", required=False, minimum=0, maximum=100, default=SCORECARD_DEFAULTS["tier_margin"], may_lack=True),
        ),
        key=CARD,
        references=(_OF_VERSION,),
        has_rows=True,
    ),
    "scorecard_dimensions": Seed(
        _on_card(dimension_key=Cell(choices=DIMENSIONS), weight=_WEIGHT),
        key=(*CARD, "dimension_key"),
        references=(_OF_VERSION, _OF_CARD),
        has_rows=True,
    ),
    "scorecard_metrics": Seed(
        _on_card(
            metric_key=_TEXT,
            weight=_WEIGHT,
            method=Cell(required=False, choices=("linear", "bands", "percentile", "zscore"), default=SCORECARD_DEFAULTS["method"]),
            worst=_OPTIONAL_NUMERIC,
            best=_OPTIONAL_NUMERIC,
            missing_policy=Cell(required=False, choices=("exclude", "neutral", "worst"), default=SCORECARD_DEFAULTS["missing_policy"]),
        ),
        key=CARD_METRIC,
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC),
        has_rows=True,
    ),
    "metric_bands": Seed(
        _on_card(metric_key=_TEXT, lower_bound=_NUMERIC, score=_SCORE),
        key=(*CARD_METRIC, "lower_bound"),
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC, (CARD_METRIC, "scorecard_metrics")),
    ),
    "score_caps": Seed(
        _on_card(
            cap_key=_TEXT,
            metric_key=_TEXT,
            operator=Cell(choices=OPERATORS),
            threshold=_NUMERIC,
            max_score=_SCORE,
            reason=_OPTIONAL_TEXT,
        ),
        key=(*CARD, "cap_key"),
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC),
    ),
    "tiers": Seed(
        _on_card(
            tier=Cell(choices=tuple(DEFAULT_TIERS)),
            colour=_OPTIONAL_TEXT,
            min_score=_OPTIONAL_NUMERIC,
            min_percentile=_OPTIONAL_NUMERIC,
        ),
        key=(*CARD, "tier"),
        references=(_OF_VERSION, _OF_CARD),
    ),
    "fx_rates": Seed(
        {"currency": _TEXT, "valid_from": _DAY, "rate": Cell("number", above=0)},
        key=("currency", "valid_from"),
    ),
    "playbooks": Seed(
        {
            "playbook_key": _TEXT,
            "label": _OPTIONAL_TEXT,
            "priority": _OPTIONAL_NUMERIC,
            "reason_template": _OPTIONAL_TEXT,
            "due_days": Cell("integer", required=False, minimum=0, maximum=3650, default=14, may_lack=True),
            "is_fallback": Cell("boolean", required=False, default=False, may_lack=True),
        },
        key=("playbook_key",),
        required=False,
    ),
    "playbook_conditions": Seed(
        {"playbook_key": _TEXT, "field": _TEXT, "operator": Cell(choices=OPERATORS), "value": _OPTIONAL_TEXT},
        key=("playbook_key", "field", "operator", "value"),
        references=((("playbook_key",), "playbooks"),),
        required=False,
    ),
}


def by_card(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row.take(CARD)].append(row)
    return groups
