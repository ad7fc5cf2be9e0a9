"""A cell's text as a typed value, read as dbt reads it: what passes here loads there."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from orchestration.scorecard.faults import show, suggest
from orchestration.scorecard.schema import Cell, Kind

# Keeps sums and products of weights, anchors and thresholds finite in doubles.
_NUMBER_LIMIT = 1e15
_INTEGER_LIMIT = 2**31 - 1

_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A spreadsheet or data frame writes an integer column with blanks as 3.0.
_INTEGER = re.compile(r"-?\d+(\.0*)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse(cell: Cell, text: str) -> Any:
    """The typed value of a cell.

    Raises:
        ValueError: what is wrong and what to do, to follow the name of the column.
    """
    stripped = text.strip()
    if stripped.lower() in ("", "null"):
        if cell.required:
            raise ValueError("is blank. Fill it in")
        return cell.default
    if cell.required and cell.kind == "text" and text != stripped:
        raise ValueError(f"{show(text)} has white space around it. Remove it")
    value = _PARSERS[cell.kind](text if cell.kind == "text" else stripped)
    if value is None:
        raise ValueError(f"{show(text)} is not a {KINDS[cell.kind]}")
    if cell.choices and value not in cell.choices:
        hint = suggest(value, cell.choices) or "Choose one of them"
        raise ValueError(f"{show(text)} is not one of {', '.join(cell.choices)}. {hint}")
    if cell.kind in ("number", "integer"):
        _check_range(cell, value)
    return value


def parse_number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0


def _parse_integer(text: str) -> int | None:
    return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) and len(text) <= 20 else None


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _parse_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _check_range(cell: Cell, value: float) -> None:
    limit = _NUMBER_LIMIT if cell.kind == "number" else _INTEGER_LIMIT
    low = -limit if cell.minimum is None else cell.minimum
    high = limit if cell.maximum is None else cell.maximum
    if cell.above is not None and value <= cell.above:
        raise ValueError(f"{show(value)} is not above {cell.above:g}. Give a greater number")
    if value < low:
        raise ValueError(f"{show(value)} is below {low:g}. Give a number from {low:g} to {high:g}")
    if value > high:
        raise ValueError(f"{show(value)} is above {high:g}. Give a number from {low:g} to {high:g}")


_PARSERS: Mapping[Kind, Callable[[str], Any]] = {
    "text": str,
    "number": parse_number,
    "integer": _parse_integer,
    "date": _parse_date,
    "boolean": _parse_boolean,
}
KINDS: Mapping[Kind, str] = {
    "text": "text",
    "number": "finite number. Write digits with a decimal point, such as 1.25",
    "integer": "whole number. Write digits only, such as 3",
    "date": "date. Write it as YYYY-MM-DD",
    "boolean": "boolean. Write true or false",
}
