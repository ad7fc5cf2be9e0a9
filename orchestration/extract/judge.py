"""The contract as SQL: raw values in, typed values and the reasons against the row out.

Every value is judged by name and by kind, never by position and never by type detection. A row with a reason goes to
quarantine; the reasons of a row are kept in the contract's order, and the first one is the one it is counted under.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from orchestration.contract import Column, NeededBy, NotBefore, PartOf, RangeBy, RawTable, Rule, SumOver
from orchestration.extract.files.lines import TEXT_AFTER_QUOTE
from orchestration.extract.lake.manifest import LandedDelivery, stats_of
from orchestration.extract.lake.write import EXAMPLES, REPEATED, BadRow
from orchestration.plain_text import HIDDEN, for_duckdb
from orchestration.settings import Settings
from orchestration.sources import EPOCH, NULL_WORDS, Notation
from orchestration.warehouse import identifier, literal

# White space at an end, and nothing but white space; Unicode's, not only ASCII's.
_SPACE = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]"
_EDGE = f"^{_SPACE}|{_SPACE}$"
# Single characters of `_SPACE` at the end of ASCII text: far cheaper to look for than a regular expression.
_ASCII_SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "
# Numbers that are not whole, as text, with either decimal mark. Without one an exponent needs its sign: `12e45` may be the id of something.
_FRACTION = r"[+-]?(\d+[.,]\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?\d+[eE][+-]\d+"
# A list or an object as Python writes it, which is not JSON; an object as JavaScript does.
_NESTED = r"(?s)\[\s*'.*\]|\{\s*'.*\}|\[object \w+\]"
_TRUTHS = "('true', 'false', 'True', 'False', 'TRUE', 'FALSE')"
_LONGEST_TRUTH = 5
# No shorter than true and false, and most words for null.
_SHORT = 6
# What an id cannot have: at an end white space, anywhere what cannot be seen or looks like a plain space. It would be two accounts.
_UNSEEN = for_duckdb(rf"{HIDDEN}|[\p{{Zl}}\p{{Zp}}\x{{a0}}\x{{1680}}\x{{2000}}-\x{{200a}}\x{{202f}}\x{{205f}}\x{{3000}}]")
_EXPONENT = r"([eE][+-]?\d+)?"
_WHOLE = r"[+-]?\d+"
# What may be between thousands: Excel writes no plain space there, and Switzerland either apostrophe.
_THOUSANDS = {".": r"\.", ",": ",", "'": "['\u2019]", "space": r"[ \x{a0}\x{202f}\x{2009}]"}
# A thousand, or one and a bit; and what can only be a fraction with a point. Accounting writes (1.200) and 1.200- for what is negative.
_UNCLEAR = r"[+(-]?[1-9]\d{0,2}\.\d{3}\s?[)-]?"
_WITH_POINT = rf"[+(-]?(\d*\.\d*){_EXPONENT}\s?[)-]?"
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_ZONE = r"(\s?(Z|UTC|[+-](0\d|1[0-4])(:?[0-5]\d)?))?"
_MOMENT = rf"{_DAY}([T ]{_CLOCK}(:[0-5]\d(\.\d{{1,9}})?)?{_ZONE})?"
_WITH_ZONE = rf"{_DAY}[T ].*(Z|UTC|[+-][\d:]+)"
_LOCAL_DAY = rf"{_DAY}[T ](00:00(:00(\.0+)?)?|23:59(:59(\.\d+)?)?)\s?[+-]\d.*"
# Times of day that may follow a date in a format of the source.
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
_FIRST_FORMATTED = "timestamp '1000-01-01'"
# DuckDB 1.5 reads no zone behind minutes and none behind a space: write the seconds, drop the space.
_SPACE_BEFORE_ZONE = r"\s([+-]\d\d(:?\d\d)?)$"
_WITHOUT_SECONDS = r"^(.{10}[T ]\d\d:\d\d)(\s?(?:Z|UTC|[+-].*))$"
# With those of pandas, which makes floats of booleans where one is missing.
_TRUE = "('true', 't', 'yes', 'y', 'on', '1', '1.0')"
_FALSE = "('false', 'f', 'no', 'n', 'off', '0', '0.0')"
_FIRST_MOMENT, _LAST_MOMENT = "timestamp '0001-01-01'", "timestamp '9999-12-31 23:59:59.999999'"
# Above this a double no longer separates one whole number from the next.
_EXACT_DOUBLE = 2**53
_SHOWN_CURRENCY = 12

_REASONS_SHOWN = 5

_TEXTUAL = ("id", "text", "choice")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_NOT_FRACTION = "a fraction or in scientific notation, not an id"
_NOT_NESTED = "a list or an object, not an id"
_NOT_TRUTH = "true or false, not an id"
_NOT_CLEAR = "may be a thousand or a fraction"
_UNREADABLE = {
    "timestamp": "not a timestamp like 2026-01-31 10:00:00",
    "date": "not a date like 2026-01-31",
    "integer": "not a whole number",
    "number": "not a number like 1234.5",
    "boolean": "not true or false",
}
_DATES = (
    '{source}.date_format says how dates are written, for example "%d.%m.%Y", "%m/%d/%Y", or "epoch" for seconds or milliseconds since'
    " 1970; {source}.nulls which words mean that there is none"
)
_AS_TEXT = "deliver ids as text or as whole numbers (pandas: read them with dtype=str)"
# What a reason has in it -> what helps where the values are as they should be; {source} is `sources.<table>`.
_REMEDIES = {
    _NOT_FRACTION: _AS_TEXT,
    _NOT_NESTED: _AS_TEXT,
    _NOT_TRUTH: _AS_TEXT,
    _NOT_CLEAR: '{source}.decimal = "," and {source}.thousands = "." make it a thousand, {source}.decimal = "." a fraction',
    "not a number": "{source}.decimal and {source}.thousands say how numbers are written, {source}.nulls which words mean that there is"
    " none; {source}.query can take out a currency: select * replace (replace({column}, '€', '') as {column}) from file",
    "not a date": _DATES,
    "not a timestamp": _DATES,
    "not true or false": "{source}.query can map other words: select * replace ({column} = 'ja' as {column}) from file",
    "none of": "{source}.query can map other words: select * replace (lower({column}) as {column}) from file",
    "no rate": "add the currency's rate to fx_rates.csv, by its code, such as EUR",
    "score: missing": "{source}.query can leave out what has no answer: select * from file where score <> ''",
    TEXT_AFTER_QUOTE: 'write a quote within quotes twice ("")',
    REPEATED: "group by account_id, user_id, feature and activity_day alone, and sum the rest",
    "events: below 1": "{source}.query can leave out what was not used: where events > 0",
    "where events_with_duration is": "deliver count(duration) as events_with_duration beside sum(duration) as duration_seconds",
    " before ": "{source}.nulls names placeholders, such as 1900-01-01, that mean that there is no day",
    "outside": "{source}.scales gives the scale of a survey, for example {{ csat = [0, 100] }}",
}


def remedy_for(table: str, reasons: Iterable[str]) -> str | None:
    """What a setting, or another form of the delivery, does about some reasons against rows; None where nothing of it helps."""
    helps = {
        remedy.format(source=f"sources.{table}", column=one.partition(":")[0]): None
        for reason in reasons
        for one in reason.split("; ")
        for words, remedy in _REMEDIES.items()
        if words in one
    }
    return "; ".join(helps) or None


def doubtful_reasons(table: str, quarantined: Mapping[str, int]) -> list[str]:
    """Of quarantined rows, by reason, those in which another scale or another decimal mark shows, with what helps."""
    return [
        f"{rows} {'row' if rows == 1 else 'rows'} in quarantine, {reason}: {remedy_for(table, [reason])}"
        for reason, rows in quarantined.items()
        if _NOT_CLEAR in reason or "outside" in reason
    ]


class QuarantineLimitExceeded(ValueError):
    """More rows break the contract than `max_bad_share` allows; nothing was landed and the old data stays."""


@dataclass(frozen=True)
class RawRows:
    """Rows as a source delivers them.

    Attributes:
        sql: a select of `_file`, `_delivery`, `_position` (integers), `_problem` (text: why the row could not even be
            taken apart, else null), `_text` (the text of such a row) and `r_<column>` for every column of the contract.
        types: DuckDB type of each `r_<column>`; a column that the source lacks is a null `VARCHAR`.
        has_typed_numbers: whether a number that is text here was none in the source (JSON), so that its point is one.
    """

    sql: str
    types: Mapping[str, str]
    has_typed_numbers: bool = False


Judge = Callable[[RawRows], str]


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


def judged(table: RawTable, rows: RawRows, rates: Mapping[str, date], reporting_currency: str, notation: Notation) -> str:
    """SQL that types and judges rows.

    Args:
        table: the contract.
        rows: what the source delivers.
        rates: as `first_rates` gives them.
        reporting_currency: needs no rate.
        notation: how the source writes values.

    Returns:
        A select of `_file`, `_delivery`, `_position`, the contract's columns in its types, `_reasons` (list of strings,
        null for a good row), `_raw` (JSON of the values as delivered, as text; null for a good row) and `_blanked`
        (whether a text or a float that is not a value became null).
    """
    edges = "".join(
        f",\n        {_is_odd(column, _text(column, rows))} as e_{column.name}" for column in table.columns if column.kind in _TEXTUAL
    )
    unclear = [column.name for column in table.columns if _may_be_unclear(column, rows, notation)]
    edges += "".join(f",\n        {_is_unclear(name)} as u_{name}" for name in unclear)
    cleaned = ",\n        ".join(f"{_cleaned(column, rows, notation)} as c_{column.name}" for column in table.columns)
    faults = [(f"u_{name}", literal(f"{name}: {_NOT_CLEAR}")) for name in unclear]
    faults += [fault for column in table.columns for fault in _faults(column, rows, notation)]
    faults += _table_faults(table, rates, reporting_currency, notation)
    reasons = ",\n            ".join(f"case when {condition} then {reason} end" for condition, reason in faults)
    any_fault = "\n            or ".join(f"({condition})" for condition, _ in faults)
    columns = ", ".join(_landed(column, table, notation) for column in table.columns)
    raw = ", ".join(f"{literal(column.name)}, cast(r_{column.name} as varchar)" for column in table.columns)
    blanked = " or ".join(
        f"(c_{column.name} is null and r_{column.name} is not null)"
        for column in table.columns
        if (column.kind in _TEXTUAL or rows.types[column.name] in _FLOATS) and not column.required
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


def doubtful(
    table: RawTable, rows: RawRows, also: str, *, rates: Mapping[str, date], reporting_currency: str, notation: Notation
) -> RawRows:
    """Of rows in the contract's own types those that may be bad, or land with another value than they are delivered with.

    All others are good as they are. To find them costs half of what it costs to judge all. `also`: a condition for others that are wanted.
    Further arguments as of `judged`.
    """
    doubts = [also]
    doubts += [_is_doubtful(column, rows, notation) for column in table.columns]
    doubts += [condition for condition, _ in _table_faults(table, rates, reporting_currency, notation)]
    as_cleaned = ", ".join(f"r_{column.name} as c_{column.name}" for column in table.columns)
    columns = ", ".join(["_file", "_delivery", "_position", "_problem", "_text", *(f"r_{column.name}" for column in table.columns)])
    all_rows = f"select *, {as_cleaned} from ({rows.sql}) as delivered"
    return replace(rows, sql=f"select {columns} from ({all_rows}) as delivered where {' or '.join(f'({doubt})' for doubt in doubts)}")


def _is_doubtful(column: Column, rows: RawRows, notation: Notation) -> str:
    """Whether a value of the contract's type may be bad or land as another; a null where there is none."""
    raw = f"r_{column.name}"
    if column.kind in _TEXTUAL:
        doubts = [f"{raw} = ''", f"not ({' or '.join(_plain_texts(column, raw))})", _is_null_word(raw, notation)]
        if column.kind == "id":
            doubts += [condition for condition, _ in _not_an_id(column.name, raw, rows.types[column.name])]
        if column.kind == "choice":
            doubts = [f"{raw} not in ({', '.join(literal(choice) for choice in column.choices)})"]
        else:
            doubts = [f"case when {_is_word(raw, notation)} then false else {' or '.join(doubts)} end"]
    else:
        doubts = [f"({_cleaned(column, rows, notation)}) is distinct from {raw}"]
        if column.minimum is not None:
            doubts.append(f"{raw} < {column.minimum!r}")
        if column.maximum is not None:
            doubts.append(f"{raw} > {column.maximum!r}")
    return f"{raw} is {'null or' if column.required else 'not null and'} ({' or '.join(doubts)})"


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
    """Whether there is white space at an end, or in an id a character that cannot be seen. Plain ASCII text is spared the expensive
    expression."""
    odd = literal(f"{_EDGE}|{_UNSEEN}" if column.kind == "id" else _EDGE)
    plain = " or ".join(_plain_texts(column, text))
    return f"case when {plain} then false else coalesce(regexp_matches({text}, {odd}), false) end"


def _is_word(text: str, notation: Notation) -> str:
    """Whether nothing can be said against a text, at the price of three comparisons: of letters and digits, not short, no number. Some that
    are as good are not found. A text that a Parquet file holds once for many rows is compared once."""
    long_words = [literal(word.strip()) for word in notation.nulls if len(word.strip().encode()) > _SHORT]
    is_null = f" and {text} not in ({', '.join(long_words)})" if long_words else ""
    return f"url_encode({text}) = {text} and strlen({text}) > {_SHORT} and {text} >= ':'{is_null}"


def _plain_texts(column: Column, text: str) -> list[str]:
    """Conditions of which each means that a text is not odd, the cheaper one first."""
    if column.kind == "id":
        # What needs no escape in an address has nothing in it that cannot be seen: found twice as fast as by the second pattern.
        return [f"url_encode({text}) = {text}", f"regexp_full_match({text}, '[!-~]+')"]
    spaces = " or ".join(f"suffix({text}, chr({ord(space)}))" for space in _ASCII_SPACES)
    return [f"{text} >= '!' and {text} < chr(127) and strlen({text}) = length({text}) and not ({spaces})"]


def _null_pattern(notation: Notation) -> str:
    """What means no value as a whole: white space, or one of the words with or without white space around it."""
    words = "|".join(_quoted(word.strip()) for word in notation.nulls)
    return f"{_SPACE}*({words})?{_SPACE}*" if words else f"{_SPACE}*"


def _quoted(text: str) -> str:
    """A text as a pattern that matches it alone."""
    return "".join(character if character.isalnum() else f"\\x{{{ord(character):x}}}" for character in text)


def _is_null_word(text: str, notation: Notation) -> str:
    """Whether the text is one of the words; a comparison of lengths spares most texts the others."""
    words = [word.strip() for word in notation.nulls]
    if not words:
        return "false"
    longest = max(len(word.encode()) for word in words)
    return f"(strlen({text}) <= {longest} and {text} in ({', '.join(literal(word) for word in words)}))"


def _may_be_unclear(column: Column, rows: RawRows, notation: Notation) -> bool:
    is_declared = notation.decimal is not None or notation.thousands is not None
    return column.may_be_grouped and rows.types[column.name] == "VARCHAR" and not rows.has_typed_numbers and not is_declared


def _is_unclear(name: str) -> str:
    """Whether a number is a thousand or a fraction, and no other number of its column shows which mark is the decimal one."""
    text = f"trim(r_{name})"
    looks = f"coalesce(regexp_full_match({text}, {literal(_UNCLEAR)}), false)"
    has_point = f"regexp_full_match({text}, {literal(_WITH_POINT)}) and not regexp_full_match({text}, {literal(_UNCLEAR)})"
    return f"{looks} and not coalesce(bool_or({has_point}) over (), false)"


def _not_an_id(name: str, text: str, source_type: str) -> list[tuple[str, str]]:
    """(condition, reason) for a value that is neither text nor a whole number."""
    if source_type.endswith("]") or source_type.startswith(("STRUCT", "MAP", "UNION")):
        return [(f"r_{name} is not null", _NOT_NESTED)]
    if _may_be_fraction(source_type):
        return [(f"r_{name} is not null and not ({_is_whole(f'r_{name}', source_type)})", _NOT_FRACTION)]
    if source_type == "BOOLEAN":
        return [(f"r_{name} is not null", _NOT_TRUTH)]
    if source_type not in ("VARCHAR", "JSON"):
        return []
    # Text that begins with no digit, sign or mark, and holds no mark or sign, is passed over at the price of a comparison.
    may_be = f"{text} < ':' and (contains({text}, '.') or contains({text}, ',') or contains({text}, '+') or contains({text}, '-'))"
    opens = f"prefix({text}, '[') or prefix({text}, '{{')"
    return [
        (f"strlen({text}) <= {_LONGEST_TRUTH} and {text} in {_TRUTHS}", _NOT_TRUTH),
        (f"case when {may_be} then regexp_full_match({text}, {literal(_FRACTION)}) else false end", _NOT_FRACTION),
        (f"case when {opens} then json_valid({text}) or regexp_full_match({text}, {literal(_NESTED)}) else false end", _NOT_NESTED),
    ]


def _cleaned(column: Column, rows: RawRows, notation: Notation) -> str:
    """The typed value; null where there is no raw value, or it cannot be read as the kind."""
    raw, source_type = f"r_{column.name}", rows.types[column.name]
    text = _text(column, rows)
    if column.kind in _TEXTUAL:
        edge = f"e_{column.name}"
        padded = f"({edge} and regexp_full_match({text}, {literal(_null_pattern(notation))}))"
        return f"case when {text} = '' or {_is_null_word(text, notation)} or {padded} then null else {text} end"
    value = _read(column, raw, text, source_type, notation)
    # None of the usual words can be read as a value, but a placeholder such as 1900-01-01 or -1 can.
    if source_type != "VARCHAR" or set(notation.nulls) <= set(NULL_WORDS):
        return value
    return f"case when {_is_null_word(f'trim({text})', notation)} then null else {value} end"


def _read(column: Column, raw: str, text: str, source_type: str, notation: Notation) -> str:
    """The value of a column of moments, numbers or truths; null where it cannot be read as one."""
    if column.kind in ("timestamp", "date"):
        return _moment(column, raw, text, source_type, notation)
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
    number = _number(text, notation)
    if column.kind == "number":
        return f"case when isfinite({number}) then {number} end"
    return (
        f"case when regexp_full_match(trim({text}), {literal(_WHOLE)}) then try_cast(trim({text}) as bigint)"
        f" when abs({number}) <= {_EXACT_DOUBLE} and {number} = trunc({number}) then try_cast({number} as bigint) end"
    )


def _number(text: str, notation: Notation) -> str:
    """A number that is text, as a double; null where it is not one in the source's notation.

    `(12.50)` and `12.50-` are negative, as in accounting.
    """
    mark, groups, clean = notation.decimal or ".", _THOUSANDS.get(notation.thousands or ""), f"trim({text})"
    whole = r"\d+" if groups is None else rf"(\d+|\d{{1,3}}({groups}\d{{2,3}})*{groups}\d{{3}})"
    amount = rf"({whole}(\{mark}\d*)?|\{mark}\d+)"
    pattern, negative = rf"[+-]?{amount}{_EXPONENT}", rf"\({amount}\)|{amount}\s?-"
    plain = clean if groups is None else f"regexp_replace({clean}, {literal(groups)}, '', 'g')"
    plain = plain if mark == "." else f"replace({plain}, ',', '.')"
    unsigned = f"regexp_replace({plain}, '[()\\s-]', '', 'g')"
    return (
        f"case when regexp_full_match({clean}, {literal(pattern)}) then try_cast({plain} as double)"
        f" when regexp_full_match({clean}, {literal(negative)}) then -try_cast({unsigned} as double) end"
    )


def _moment(column: Column, raw: str, text: str, source_type: str, notation: Notation) -> str:
    zone = literal(notation.timezone or "UTC")
    if source_type in _MOMENTS:
        local = raw if source_type == "TIMESTAMP" else f"try_cast({raw} as timestamp)"
        return _within_calendar(column, local if column.kind == "date" else _in_utc(local, notation))
    if source_type == _ZONED:
        return _within_calendar(column, f"({raw} at time zone {zone if column.kind == 'date' else literal('UTC')})")
    clean = f"trim({text})"
    iso = f"regexp_replace(regexp_replace({clean}, {literal(_SPACE_BEFORE_ZONE)}, '\\1'), {literal(_WITHOUT_SECONDS)}, '\\1:00\\2')"
    utc = f"try_cast({iso} as timestamptz) at time zone 'UTC'"
    if column.kind == "date":
        # The first and the last moment of a local day are that day, whatever day it is in UTC.
        written = f"try_cast(left({clean}, 10) as timestamp)"
        day = f"case when regexp_full_match({clean}, {literal(_LOCAL_DAY)}) then {written} else {utc} end"
        if notation.timezone is not None:
            in_zone = f"try_cast({iso} as timestamptz) at time zone {zone}"
            day = (
                f"case when regexp_full_match({clean}, {literal(_LOCAL_DAY)}) then {written}"
                f" when regexp_full_match({clean}, {literal(_WITH_ZONE)}) then {in_zone} else {utc} end"
            )
        moment = f"case when regexp_full_match({clean}, {literal(_MOMENT)}) then {day} end"
    elif notation.timezone is not None:
        zoned = f"regexp_full_match({clean}, {literal(_WITH_ZONE)})"
        moment = (
            f"case when regexp_full_match({clean}, {literal(_MOMENT)})"
            f" then case when {zoned} then {utc} else {_in_utc(utc, notation)} end end"
        )
    else:
        moment = f"case when regexp_full_match({clean}, {literal(_MOMENT)}) then {utc} end"
    if formats := _formats(notation):
        formatted = f"try_strptime({clean}, {formats})"
        # A year of two digits is not a year of four.
        formatted = f"case when {formatted} >= {_FIRST_FORMATTED} then {formatted} end"
        moment = f"coalesce({moment}, {formatted if column.kind == 'date' else _in_utc(formatted, notation)})"
    if EPOCH in notation.date_format:
        since_1970 = _since_1970(clean)
        if column.kind == "date":
            since_1970 = f"timezone({zone}, timezone('UTC', {since_1970}))"
        moment = f"coalesce({moment}, {since_1970})"
    return _within_calendar(column, moment)


def _since_1970(number: str) -> str:
    """A moment in UTC from its seconds, milliseconds or microseconds since 1970, which its number of digits tells apart."""
    cases = " ".join(
        f"when regexp_full_match({number}, '\\d{{{digits - 1},{digits}}}(\\.\\d+)?')"
        f" then make_timestamp(cast(round(try_cast({number} as double) * {factor}) as bigint))"
        for digits, factor in ((10, 1_000_000), (13, 1_000), (16, 1))
    )
    return f"case {cases} end"


def _within_calendar(column: Column, moment: str) -> str:
    in_range = f"case when {moment} between {_FIRST_MOMENT} and {_LAST_MOMENT} then {moment} end"
    return in_range if column.kind == "timestamp" else f"cast({in_range} as date)"


def _in_utc(local: str, notation: Notation) -> str:
    return local if notation.timezone is None else f"timezone('UTC', timezone({literal(notation.timezone)}, {local}))"


def _formats(notation: Notation) -> str:
    """The formats as a list, each also with the times of day that may follow a date; nothing without any."""
    found = []
    for text in notation.date_format:
        if text == EPOCH:
            continue
        has_clock = "%H" in text or "%I" in text
        found += [text] if has_clock else [text, *(f"{text} {clock}" for clock in _CLOCKS)]
    return f"[{', '.join(literal(text) for text in found)}]" if found else ""


def _faults(column: Column, rows: RawRows, notation: Notation) -> list[tuple[str, str]]:
    """(condition, reason) of a column; both SQL, the condition never null."""
    name, clean, text = column.name, f"c_{column.name}", _text(column, rows)
    blank = f"({clean} is null and coalesce(regexp_full_match({text}, {literal(_null_pattern(notation))}), true))"
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


def _table_faults(table: RawTable, rates: Mapping[str, date], reporting_currency: str, notation: Notation) -> list[tuple[str, str]]:
    """Faults that more than one column decides."""
    faults = [fault for rule in table.rules for fault in _broken(rule, notation)]
    if table.currency_date is None:
        return faults
    known = {**rates, reporting_currency.upper(): date.min}
    cases = " ".join(f"when {literal(name)} then date '{valid_from.isoformat()}'" for name, valid_from in known.items())
    in_force = f"coalesce((case upper(c_currency) {cases} end) <= c_{table.currency_date}, false)"
    condition = f"c_currency is not null and c_{table.currency_date} is not null and not {in_force}"
    shown = f"left(upper(c_currency), {_SHOWN_CURRENCY})"
    reason = f"concat('currency: no rate for ', {shown}, ' on {table.currency_date} in fx_rates.csv')"
    return [*faults, (condition, reason)]


def _broken(rule: Rule, notation: Notation) -> list[tuple[str, str]]:
    """(condition, reason) of a rule over two values of a row."""
    if isinstance(rule, NotBefore):
        limit = f"c_{rule.earlier} - interval {rule.years} year" if rule.years else f"c_{rule.earlier}"
        reason = f"{rule.column}: {f'more than {rule.years} years ' if rule.years else ''}before {rule.earlier}"
        return [(f"coalesce(c_{rule.column} < {limit}, false)", literal(reason))]
    if isinstance(rule, NeededBy):
        is_lacking = f"coalesce(c_{rule.by} = {literal(rule.choice)}, false) and c_{rule.column} is null"
        return [(is_lacking, literal(f"{rule.column}: missing where {rule.by} is {rule.choice}"))]
    if isinstance(rule, PartOf):
        return [(f"coalesce(c_{rule.column} > c_{rule.whole}, false)", literal(f"{rule.column}: above {rule.whole}"))]
    if isinstance(rule, SumOver):
        count = f"coalesce(c_{rule.count}, 0)"
        return [
            (f"{count} > 0 and c_{rule.column} is null", literal(f"{rule.column}: missing where {rule.count} is above 0")),
            (f"{count} = 0 and coalesce(c_{rule.column} > 0, false)", literal(f"{rule.column}: above 0 where {rule.count} is 0")),
        ]
    given = {str(survey): scale for survey, scale in notation.scales.items()}
    scales = {choice: given.get(choice, (least, greatest)) for choice, least, greatest in rule.ranges}
    return [
        (
            f"coalesce(c_{rule.by} = {literal(choice)} and not c_{rule.column} between {least!r} and {greatest!r}, false)",
            literal(f"{rule.column}: outside {_plain(least)} to {_plain(greatest)} for {choice}"),
        )
        for choice, (least, greatest) in scales.items()
    ]


def _landed(column: Column, table: RawTable, notation: Notation) -> str:
    value = f"upper(c_{column.name})" if column.name == "currency" else f"c_{column.name}"
    for rule in table.rules:
        if isinstance(rule, RangeBy) and rule.column == column.name and notation.scales:
            value = _on_our_scale(rule, notation)
    return f"cast({value} as {column.duckdb_type}) as {identifier(column.name)}"


def _on_our_scale(rule: RangeBy, notation: Notation) -> str:
    """The value as it lies on the contract's scale, where the source has another one."""
    value = f"c_{rule.column}"
    cases = []
    given = {str(survey): scale for survey, scale in notation.scales.items()}
    for choice, least, greatest in rule.ranges:
        if choice in given:
            from_least, from_greatest = given[choice]
            mapped = f"{least!r} + ({value} - {from_least!r}) * {greatest - least!r} / {from_greatest - from_least!r}"
            cases.append(f"when {literal(choice)} then {mapped}")
    return f"case c_{rule.by} {' '.join(cases)} else {value} end"


def rates_of(settings: Settings, table: RawTable) -> tuple[dict[str, date], str | None]:
    """Currency -> first day of its rate, and the reporting currency; of a table without money nothing."""
    if table.currency_date is None:
        return {}, None
    return first_rates(settings.seeds_dir), settings.pipeline.reporting_currency


def judge_of(settings: Settings, table: RawTable) -> Judge:
    """How the rows of a table are typed and judged."""
    return partial(judged, table, **_rules_of(settings, table))


def doubts_of(settings: Settings, table: RawTable) -> Callable[[RawRows, str], RawRows]:
    """`doubtful`, as the rows of a table are judged."""
    return partial(doubtful, table, **_rules_of(settings, table))


def _rules_of(settings: Settings, table: RawTable) -> dict[str, Any]:
    rates, _ = rates_of(settings, table)
    source = settings.sources.get(table.name)
    # What a connector makes of an API's answer, and the demo company, is written as the contract has it.
    notation = source if isinstance(source, Notation) else Notation(decimal=".")
    return {"rates": rates, "reporting_currency": settings.pipeline.reporting_currency, "notation": notation}


def check_share(settings: Settings, table: RawTable, deliveries: Sequence[LandedDelivery], examples: Sequence[BadRow]) -> None:
    """Refuse deliveries with more bad rows than `max_bad_share` allows.

    Raises:
        QuarantineLimitExceeded: says which reasons there are, with examples.
    """
    stats = stats_of(table.name, "snapshot", deliveries)
    bad = sum(stats.quarantined.values())
    limit = settings.max_bad_share(table.name)
    if bad <= limit * stats.delivered:
        return
    # Where all rows are bad, to allow them would empty the table.
    remedy = "Fix the source" + (f", or raise sources.{table.name}.max_bad_share" if bad < stats.delivered else "")
    if (helps := remedy_for(table.name, [*by_count(stats.quarantined), *(row.reason for row in examples)])) is not None:
        remedy += f"; {helps}"
    raise QuarantineLimitExceeded(
        f"{table.name}: {bad} of {stats.delivered} rows ({bad / stats.delivered:.1%}) break the contract, more than"
        f" max_bad_share {limit:g} allows: {describe_bad(stats.quarantined, examples)}. Nothing was landed, the old data stays. {remedy}"
    )


def describe_bad(quarantined: Mapping[str, int], examples: Sequence[BadRow]) -> str:
    """Why rows are in quarantine (rows by reason), the most frequent reasons first, with examples."""
    reasons = [f"{quarantined[reason]} x {reason}" for reason in by_count(quarantined)]
    listed = ", ".join(reasons[:_REASONS_SHOWN])
    if len(reasons) > _REASONS_SHOWN:
        listed += f" and {len(reasons) - _REASONS_SHOWN} other reasons"
    return f"{listed}. For example " + "; ".join(f"{row.file} line {row.line}: {row.reason}" for row in examples[:EXAMPLES])


def by_count(quarantined: Mapping[str, int]) -> list[str]:
    """The reasons, the most frequent first."""
    return sorted(quarantined, key=lambda reason: (-quarantined[reason], reason))
