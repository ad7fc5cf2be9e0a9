"""The contract as SQL: raw values in, typed values and the reasons against the row out.

Every value is judged by name and by kind, never by position and never by type detection. A row with a reason goes to
quarantine; the reasons of a row are kept in the contract's order, and the first one is the one it is counted under.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.contract import Column, NotBefore, RawTable, Rule
from orchestration.plain_text import HIDDEN, for_duckdb
from orchestration.warehouse import identifier, literal

# White space at an end, and nothing but white space; Unicode's, not only ASCII's.
_SPACE = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]"
_EDGE = f"^{_SPACE}|{_SPACE}$"
_BLANK = f"{_SPACE}*"
# Single characters of `_SPACE` at the end of ASCII text: far cheaper to look for than a regular expression.
_ASCII_SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "
# Numbers that are not whole, as text. Without a point an exponent needs its sign: `12e45` may be the id of something.
_FRACTION = r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|[+-]?\d+[eE][+-]\d+"
# A list or an object as Python writes it, which is no JSON.
_NESTED = r"(?s)\[\s*'.*\]|\{\s*'.*\}"
# What an id cannot have: at an end white space, anywhere what cannot be seen or looks like a plain space. It would be two accounts.
_UNSEEN = for_duckdb(rf"{HIDDEN}|[\p{{Zl}}\p{{Zp}}\x{{a0}}\x{{1680}}\x{{2000}}-\x{{200a}}\x{{202f}}\x{{205f}}\x{{3000}}]")
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_WHOLE = r"[+-]?\d+"
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_ZONE = r"(\s?(Z|UTC|[+-](0\d|1[0-4])(:?[0-5]\d)?))?"
_MOMENT = rf"{_DAY}([T ]{_CLOCK}(:[0-5]\d(\.\d{{1,9}})?)?{_ZONE})?"
# DuckDB 1.5 reads no zone behind minutes and none behind a space: write the seconds, drop the space.
_SPACE_BEFORE_ZONE = r"\s([+-]\d\d(:?\d\d)?)$"
_WITHOUT_SECONDS = r"^(.{10}[T ]\d\d:\d\d)(\s?(?:Z|UTC|[+-].*))$"
_TRUE = "('true', 't', 'yes', 'y', '1')"
_FALSE = "('false', 'f', 'no', 'n', '0')"
_FIRST_MOMENT, _LAST_MOMENT = "timestamp '0001-01-01'", "timestamp '9999-12-31 23:59:59.999999'"
# Above this a double no longer tells one whole number from the next.
_EXACT_DOUBLE = 2**53
_SHOWN_CURRENCY = 12

_TEXTUAL = ("id", "text", "choice")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_NOT_FRACTION = "a fraction or in scientific notation, not an id"
_NOT_NESTED = "a list or an object, not an id"
_UNREADABLE = {
    "timestamp": "not a timestamp like 2026-01-31 10:00:00",
    "date": "not a date like 2026-01-31",
    "integer": "not a whole number",
    "number": "not a number like 1234.5",
    "boolean": "not true or false",
}


class QuarantineLimitExceeded(ValueError):
    """More rows break the contract than `max_bad_share` allows; nothing was landed and the old data stays."""


@dataclass(frozen=True)
class RawRows:
    """Rows as a source delivers them.

    Attributes:
        sql: a select of `_file`, `_delivery`, `_position` (integers), `_problem` (text: why the row could not even be
            taken apart, else null), `_text` (the text of such a row) and `r_<column>` for every column of the contract.
        types: DuckDB type of each `r_<column>`; a column that the source lacks is a null `VARCHAR`.
    """

    sql: str
    types: Mapping[str, str]


def first_rates(seeds_dir: Path) -> dict[str, date]:
    """Currency (upper case) -> first day on which `fx_rates.csv` has a rate for it; empty without the file."""
    path = seeds_dir / "fx_rates.csv"
    if not path.is_file():
        return {}
    first: dict[str, date] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            currency = row["currency"].strip().upper()
            valid_from = date.fromisoformat(row["valid_from"].strip())
            first[currency] = min(first.get(currency, valid_from), valid_from)
    return first


def judged(table: RawTable, rows: RawRows, rates: Mapping[str, date], reporting_currency: str) -> str:
    """SQL that types and judges rows.

    Args:
        table: the contract.
        rows: what the source delivers.
        rates: as `first_rates` gives them.
        reporting_currency: needs no rate.

    Returns:
        A select of `_file`, `_delivery`, `_position`, the contract's columns in its types, `_reasons` (list of texts,
        null for a good row), `_raw` (JSON of the values as delivered, as text; null for a good row) and `_blanked`
        (whether a blank text became null).
    """
    edges = "".join(
        f",\n        {_is_odd(column, _text(column, rows))} as e_{column.name}" for column in table.columns if column.kind in _TEXTUAL
    )
    cleaned = ",\n        ".join(f"{_cleaned(column, rows)} as c_{column.name}" for column in table.columns)
    faults = [fault for column in table.columns for fault in _faults(column, rows)]
    faults += _table_faults(table, rates, reporting_currency)
    reasons = ",\n            ".join(f"case when {condition} then {reason} end" for condition, reason in faults)
    any_fault = "\n            or ".join(f"({condition})" for condition, _ in faults)
    columns = ", ".join(_landed(column) for column in table.columns)
    raw = ", ".join(f"{literal(column.name)}, cast(r_{column.name} as varchar)" for column in table.columns)
    blanked = " or ".join(
        f"(c_{column.name} is null and r_{column.name} is not null)"
        for column in table.columns
        if column.kind in _TEXTUAL and not column.required
    )
    return f"""
select
    _file, _delivery, _position, {columns}, _reasons,
    case
        when _problem is not null then cast(json_object('line', _text) as varchar)
        when _reasons is not null then cast(json_object({raw}) as varchar)
    end as _raw,
    {blanked or "false"} as _blanked
from (
    select *,
        case
            when _problem is not null then [_problem]
            when {any_fault} then list_filter([
            {reasons}], lambda reason: reason is not null)
        end as _reasons
    from (
        select *,
        {cleaned}
        from (select *{edges}
        from ({rows.sql}
        ) as delivered) as edged) as cleaned) as judged"""


def _text(column: Column, rows: RawRows) -> str:
    """The raw value as text, without a cast where it is one. A whole number is written without a point where it is an id."""
    name, source_type = f"r_{column.name}", rows.types[column.name]
    if source_type == "VARCHAR":
        return name
    if column.kind == "id" and _may_be_fraction(source_type):
        return f"case when {_is_whole(name, source_type)} then cast(cast({name} as hugeint) as varchar) else cast({name} as varchar) end"
    return f"cast({name} as varchar)"


def _may_be_fraction(source_type: str) -> bool:
    return source_type in _FLOATS or source_type.startswith("DECIMAL")


def _is_whole(name: str, source_type: str) -> str:
    whole = f"{name} = trunc({name})"
    return f"{whole} and abs({name}) <= {_EXACT_DOUBLE}" if source_type in _FLOATS else whole


def _is_odd(column: Column, text: str) -> str:
    """Whether white space stands at an end, or in an id a character that cannot be seen. Plain ASCII text is spared the expensive expression."""
    spaces = " or ".join(f"suffix({text}, chr({ord(space)}))" for space in _ASCII_SPACES)
    plain = f"{text} >= '!' and {text} < chr(127) and strlen({text}) = length({text}) and not ({spaces})"
    is_id = column.kind == "id"
    odd = f"{_EDGE}|{_UNSEEN}" if is_id else _EDGE
    within = f"regexp_matches({text}, '[\\x00-\\x1f\\x7f]')" if is_id else "false"
    return f"case when {plain} then {within} else coalesce(regexp_matches({text}, {literal(odd)}), false) end"


def _not_an_id(name: str, text: str, source_type: str) -> list[tuple[str, str]]:
    """(condition, reason) for a value that is neither text nor a whole number."""
    if source_type.endswith("]") or source_type.startswith(("STRUCT", "MAP", "UNION")):
        return [(f"r_{name} is not null", _NOT_NESTED)]
    if _may_be_fraction(source_type):
        return [(f"r_{name} is not null and not ({_is_whole(f'r_{name}', source_type)})", _NOT_FRACTION)]
    if source_type not in ("VARCHAR", "JSON"):
        return []
    # Text that begins with no digit, sign or point, and holds no point or sign, is passed over at the price of a comparison.
    may_be = f"{text} < ':' and (contains({text}, '.') or contains({text}, '+') or contains({text}, '-'))"
    opens = f"prefix({text}, '[') or prefix({text}, '{{')"
    return [
        (f"case when {may_be} then regexp_full_match({text}, {literal(_FRACTION)}) else false end", _NOT_FRACTION),
        (f"case when {opens} then json_valid({text}) or regexp_full_match({text}, {literal(_NESTED)}) else false end", _NOT_NESTED),
    ]


def _cleaned(column: Column, rows: RawRows) -> str:
    """The typed value; null where the raw value is blank or cannot be read as the kind."""
    raw, source_type = f"r_{column.name}", rows.types[column.name]
    text = _text(column, rows)
    if column.kind in _TEXTUAL:
        edge = f"e_{column.name}"
        blank = f"{text} = '' or ({edge} and regexp_full_match({text}, {literal(_BLANK)}))"
        return f"case when {blank} then null else {text} end"
    if column.kind in ("timestamp", "date"):
        return _moment(column, raw, text, source_type)
    if column.kind == "boolean":
        if source_type == "BOOLEAN":
            return raw
        said = f"lower(trim({text}))"
        return f"case when {said} in {_TRUE} then true when {said} in {_FALSE} then false end"
    numeric = source_type in (*_FLOATS, *_INTEGERS) or source_type.startswith("DECIMAL")
    if column.kind == "number" and numeric:
        value = f"try_cast({raw} as double)"
        return f"case when isfinite({value}) then {value} end"
    if column.kind == "integer" and source_type in _INTEGERS:
        return f"try_cast({raw} as bigint)"
    number = f"case when regexp_full_match(trim({text}), {literal(_NUMBER)}) then try_cast(trim({text}) as double) end"
    if column.kind == "number":
        return f"case when isfinite({number}) then {number} end"
    return (
        f"case when regexp_full_match(trim({text}), {literal(_WHOLE)}) then try_cast(trim({text}) as bigint)"
        f" when abs({number}) <= {_EXACT_DOUBLE} and {number} = trunc({number}) then try_cast({number} as bigint) end"
    )


def _moment(column: Column, raw: str, text: str, source_type: str) -> str:
    if source_type in _MOMENTS:
        moment = raw if source_type == "TIMESTAMP" else f"try_cast({raw} as timestamp)"
    elif source_type == _ZONED:
        moment = f"({raw} at time zone 'UTC')"
    else:
        iso = (
            f"regexp_replace(regexp_replace(trim({text}), {literal(_SPACE_BEFORE_ZONE)}, '\\1'),"
            f" {literal(_WITHOUT_SECONDS)}, '\\1:00\\2')"
        )
        moment = (
            f"case when regexp_full_match(trim({text}), {literal(_MOMENT)})"
            f" then try_cast({iso} as timestamptz) at time zone 'UTC' end"
        )
    in_range = f"case when {moment} between {_FIRST_MOMENT} and {_LAST_MOMENT} then {moment} end"
    return in_range if column.kind == "timestamp" else f"cast({in_range} as date)"


def _faults(column: Column, rows: RawRows) -> list[tuple[str, str]]:
    """(condition, reason) of a column; both SQL, the condition never null."""
    name, clean, text = column.name, f"c_{column.name}", _text(column, rows)
    blank = f"({clean} is null and coalesce(regexp_full_match({text}, {literal(_BLANK)}), true))"
    faults: list[tuple[str, str]] = []

    def add(condition: str, reason: str) -> None:
        faults.append((condition, literal(f"{name}: {reason}")))

    if column.required:
        add(blank, "missing")
    if column.kind == "id":
        around, within = literal(f"{name}: white space around it"), literal(f"{name}: a character in it that cannot be seen")
        reason = f"case when regexp_matches({text}, {literal(_EDGE)}) then {around} else {within} end"
        faults.append((f"{clean} is not null and e_{name}", reason))
        for condition, words in _not_an_id(name, text, rows.types[name]):
            add(condition, words)
    if column.kind == "choice":
        listed = ", ".join(literal(choice) for choice in column.choices)
        add(f"{clean} is not null and {clean} not in ({listed})", f"none of {', '.join(column.choices)}")
    if column.kind in _UNREADABLE:
        add(f"{clean} is null and r_{name} is not null and not {blank}", _UNREADABLE[column.kind])
    if column.minimum is not None:
        add(f"coalesce({clean} < {column.minimum!r}, false)", f"below {_plain(column.minimum)}")
    if column.maximum is not None:
        add(f"coalesce({clean} > {column.maximum!r}, false)", f"above {_plain(column.maximum)}")
    return faults


def _plain(number: float) -> str:
    return f"{int(number)}" if number == int(number) else f"{number}"


def _table_faults(table: RawTable, rates: Mapping[str, date], reporting_currency: str) -> list[tuple[str, str]]:
    """Faults that more than one column decides."""
    faults = [fault for rule in table.rules for fault in _broken(rule)]
    if table.currency_date is None:
        return faults
    known = {**rates, reporting_currency.upper(): date.min}
    cases = " ".join(f"when {literal(name)} then date '{valid_from.isoformat()}'" for name, valid_from in known.items())
    in_force = f"coalesce((case upper(c_currency) {cases} end) <= c_{table.currency_date}, false)"
    condition = f"c_currency is not null and c_{table.currency_date} is not null and not {in_force}"
    shown = f"left(upper(c_currency), {_SHOWN_CURRENCY})"
    reason = f"concat('currency: no rate for ', {shown}, ' on {table.currency_date} in fx_rates.csv')"
    return [*faults, (condition, reason)]


def _broken(rule: Rule) -> list[tuple[str, str]]:
    """(condition, reason) of a rule over two values of a row."""
    if isinstance(rule, NotBefore):
        condition = f"coalesce(c_{rule.column} < c_{rule.earlier}, false)"
        return [(condition, literal(f"{rule.column}: before {rule.earlier}"))]
    return [
        (
            f"coalesce(c_{rule.by} = {literal(choice)} and not c_{rule.column} between {least!r} and {greatest!r}, false)",
            literal(f"{rule.column}: outside {_plain(least)} to {_plain(greatest)} for {choice}"),
        )
        for choice, least, greatest in rule.ranges
    ]


def _landed(column: Column) -> str:
    value = f"upper(c_{column.name})" if column.name == "currency" else f"c_{column.name}"
    return f"cast({value} as {column.duckdb_type}) as {identifier(column.name)}"
