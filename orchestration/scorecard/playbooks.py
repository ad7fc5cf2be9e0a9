"""Playbooks as data: which fields a condition or a reason may name, and a reason's text taken apart.

`seeds/playbooks.csv` and `seeds/playbook_conditions.csv` say what to do for which accounts. Nothing of their text ever becomes
SQL: a condition is a row (field, operator, value) that the models compare, a reason is a row for each piece of text
and each field in it, which the models put together.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestration.contract import TABLES
from orchestration.scorecard.cells import KINDS, parse_number
from orchestration.scorecard.faults import Fault, show, suggest
from orchestration.scorecard.schema import STAGES, Seeds
from orchestration.shared import DIMENSIONS

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
    "detractors_180d",
    "reviews_365d",
)
_TIERS = TABLES["score_overrides"].by_name["tier"].choices
TEXT_FIELDS: Mapping[str, tuple[str, ...] | None] = {
    "tier": _TIERS,
    "model_tier": _TIERS,
    "raw_tier": _TIERS,
    "previous_tier": _TIERS,
    "trend": ("improving", "stable", "declining", "new"),
    "stage": STAGES,
    "segment": None,
    "scorecard_key": None,
    "account_name": None,
    "industry": None,
    "region": None,
    "csm": None,
    "override_tier": _TIERS,
    "override_reason": None,
    "override_author": None,
    "strongest_negative": None,
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
    """A piece of a reason: text as it is, or the field that is shown in its place."""

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
    """Take a reason apart: `{field}` is replaced by the account's own value.

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


@dataclass(frozen=True)
class Playbook:
    """A playbook of the seeds, ready to be evaluated.

    Attributes:
        priority: the smaller, the more urgent; None comes last.
        reason: the pieces of its reason, in order.
        due_days: an action is due so many days after it opened.
        is_fallback: it holds only where no playbook without this mark does.
        conditions: (field, operator, the number or text compared with); all must hold.
        fields: every field that the reason or a condition names.
    """

    key: str
    label: str
    priority: float | None
    due_days: int
    is_fallback: bool
    reason: list[Part]
    conditions: list[tuple[Field, str, float | str]]
    fields: list[Field]


def read_playbooks(seeds: Seeds) -> list[Playbook]:
    """The playbooks of the seeds; none where the team has no such files."""
    fields = _playbook_fields(seeds)
    conditions: dict[str, list[tuple[Field, str, float | str]]] = defaultdict(list)
    for row in seeds["playbook_conditions"]:
        field_ = fields[row["field"]]
        compared = row["value"] if field_.is_text else parse_number(row["value"].strip())
        # `load_seeds` has checked that it is a number.
        assert compared is not None
        conditions[row["playbook_key"]].append((field_, row["operator"], compared))
    playbooks = []
    for row in seeds["playbooks"]:
        key, reason = row["playbook_key"], split_reason(row["reason_template"] or "")
        shown = [fields[part.field] for part in reason if part.field is not None]
        compared_fields = [field_ for field_, _, _ in conditions[key]]
        words = (key, row["label"] or key, row["priority"], row["due_days"], row["is_fallback"])
        playbooks.append(Playbook(*words, reason, conditions[key], shown + compared_fields))
    return playbooks


def _playbook_fields(seeds: Seeds) -> dict[str, Field]:
    return all_fields([row["metric_key"] for row in seeds["metrics"]], DIMENSIONS)


def playbook_faults(seeds: Seeds) -> Iterator[Fault]:
    """Fields that nobody computes, values of the wrong kind, and playbooks that would hold for every account."""
    fields = _playbook_fields(seeds)
    conditioned = set()
    for row in seeds["playbook_conditions"]:
        conditioned.add(row["playbook_key"])
        fault = _condition_fault(fields, *row.take(("field", "operator", "value")))
        if fault:
            yield Fault("playbook_conditions", row.line, fault)
    for row in seeds["playbooks"]:
        if row["playbook_key"] not in conditioned:
            text = f"playbook {show(row['playbook_key'])} has no condition, so it would hold for every account"
            yield Fault("playbooks", row.line, f"{text}. Add one in {seeds.file('playbook_conditions')}")
        try:
            parts = split_reason(row["reason_template"] or "")
        except ValueError as error:
            yield Fault("playbooks", row.line, f"reason_template {error}")
            continue
        for part in parts:
            if part.field is not None and part.field not in fields:
                yield Fault("playbooks", row.line, f"reason_template shows {_unknown_field(part.field, fields)}")


def _condition_fault(fields: Mapping[str, Field], name: str, operator: str, value: str | None) -> str | None:
    if name not in fields:
        return _unknown_field(name, fields)
    field_ = fields[name]
    if value is None:
        return "value is blank. Fill it in"
    if not field_.is_text:
        return None if parse_number(value.strip()) is not None else f"value {show(value)} is not a {KINDS['number']}"
    if operator not in ("=", "!="):
        return f"operator {show(operator)} does not compare words. Use = or != with {name}"
    if field_.choices and value not in field_.choices:
        hint = suggest(value, field_.choices) or "Choose one of them"
        return f"value {show(value)} is not one of {', '.join(field_.choices)}. {hint}"
    return None


def _unknown_field(name: str, fields: Mapping[str, Field]) -> str:
    hint = suggest(name, fields.keys()) or "Name a metric, or a field that docs/customer-success.md lists under Actions"
    return f"field {show(name)}, which nothing computes. {hint}"
