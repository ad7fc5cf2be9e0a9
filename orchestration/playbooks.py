"""Playbooks as data: which fields a condition or a reason may name, and a reason's text taken apart.

`seeds/playbooks.csv` and `seeds/playbook_conditions.csv` say what to do for which accounts. Nothing of their text ever becomes
SQL: a condition is a row (field, operator, value) that the models compare, a reason is a row for each piece of text
and each field in it, which the models put together.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestration.contract import TABLES

FieldKind = Literal["account", "dimension", "metric", "score", "change"]

# Of the account on the day; the models in dbt_project/models/intermediate/actions know each of them.
NUMBER_FIELDS = (
    "health_score",
    "uncapped_score",
    "coverage",
    "delta_7d",
    "delta_28d",
    "delta_90d",
    "slope_28d",
    "days_in_tier",
    "arr",
    "mrr",
    "seats",
    "tenure_days",
)
_TIERS = TABLES["score_overrides"].by_name["tier"].choices
TEXT_FIELDS: Mapping[str, tuple[str, ...] | None] = {
    "tier": _TIERS,
    "model_tier": _TIERS,
    "raw_tier": _TIERS,
    "previous_tier": _TIERS,
    "trend": ("improving", "stable", "declining", "new"),
    "stage": ("onboarding", "renewing", "mature"),
    "segment": None,
    "scorecard_key": None,
    "account_name": None,
    "industry": None,
    "region": None,
    "csm": None,
}
# `<metric>.change_28d`: the value less that of 28 days before; `<metric>.score`: its normalized score.
_ASPECTS: Mapping[str, FieldKind] = {"change_28d": "change", "score": "score"}
_DIMENSION_SUFFIX = "_score"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Field:
    """What a condition compares or a reason shows.

    Attributes:
        name: as the seed spells it.
        kind: an attribute of the account's day, a dimension's score, or a metric's value, normalized score or change in 28 days.
        key: the attribute, dimension or metric.
        choices: the values that a text may have; None for any. Always None for numbers.
    """

    name: str
    kind: FieldKind
    key: str
    is_text: bool = False
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Part:
    """A piece of a reason: text as it stands, or the field that is shown in its place."""

    text: str | None
    field: str | None


def all_fields(metrics: Collection[str], dimensions: Collection[str]) -> dict[str, Field]:
    """Every field that a playbook may name, by name."""
    fields = [Field(name, "account", name) for name in NUMBER_FIELDS]
    fields += [Field(name, "account", name, is_text=True, choices=choices) for name, choices in TEXT_FIELDS.items()]
    fields += [Field(f"{name}{_DIMENSION_SUFFIX}", "dimension", name) for name in dimensions]
    for metric in metrics:
        fields.append(Field(metric, "metric", metric))
        fields += [Field(f"{metric}.{aspect}", kind, metric) for aspect, kind in _ASPECTS.items()]
    return {field.name: field for field in fields}


def split_reason(template: str) -> list[Part]:
    """Take a reason apart: `{field}` stands for the account's own value.

    Raises:
        ValueError: a brace without its counterpart.
    """
    parts = []
    for position, piece in enumerate(_PLACEHOLDER.split(template)):
        if position % 2:
            parts.append(Part(None, piece.strip()))
        elif "{" in piece or "}" in piece:
            raise ValueError("has a brace without its counterpart. Write fields as {health_score}")
        elif piece:
            parts.append(Part(piece, None))
    return parts
