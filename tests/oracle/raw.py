"""docs/scoring.md, "Raw tables": read as text by name, typed, deduplicated, no bad rows, no orphans.

To note: midnight and the last minute of a day in a local time are that day in a column of days; a date that follows on another one by
less than nothing is bad where it ends a row, and where it lies ten years before. What is not an id as a number, a list or an object is
none as text either, since a CSV file has nothing but text; only `12e3`, without point and sign, may be a hexadecimal id. A typed `7.0` is
the whole number 7. An orphan ends no other row of its subscription. A row that ends on the day it begins ends the earlier one
nevertheless.
"""

import csv
import gzip
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

Row = dict[str, Any]

# name -> kind; `?` is optional, `a|b` a choice, `number[lo,hi]` a range. The first column(s) of KEYS are the key.
SCHEMA: dict[str, str] = {
    "accounts": """account_id:id account_name:text parent_account_id:id? segment:text? industry:text? region:text?
        csm:text? created_at:timestamp""",
    "contacts": """contact_id:id account_id:id user_id:id? name:text? email:text?
        role:champion|decision_maker|billing|user|other joined_on:date left_on:date?""",
    "touchpoints": """touchpoint_id:id account_id:id occurred_at:timestamp channel:email|chat|call|meeting|campaign
        direction:inbound|outbound duration_minutes:number[0,]? responded:boolean? sentiment:number[-1,1]?
        contact_id:id?""",
    "csm_pulses": "pulse_id:id account_id:id rated_at:timestamp rating:number[1,5] author:text? note:text?",
    "account_goals": """goal_id:id account_id:id measured_on:date target_value:number? actual_value:number?
        value_delivered:number?""",
    "advocacy_events": """advocacy_id:id account_id:id occurred_at:timestamp
        kind:referral|review|case_study|reference_call|community""",
    "account_outcomes": """outcome_id:id account_id:id occurred_on:date kind:churned|renewed|expanded|contracted
        arr_delta:number?""",
    "score_overrides": """override_id:id account_id:id tier:healthy|at_risk|poor|unknown reason:text author:text
        starts_on:date expires_on:date""",
    "usage_events": """event_id:id account_id:id user_id:id feature:text? occurred_at:timestamp
        duration_seconds:number[0,]?""",
    "usage_days": """account_id:id user_id:id feature:text? activity_day:date events:integer[1,]
        events_with_duration:integer[0,]? duration_seconds:number[0,]?""",
    "feature_releases": "feature:id released_on:date",
    "subscriptions": """subscription_id:id account_id:id plan:text? seats:integer[0,]? mrr:number? currency:text?
        started_on:date ended_on:date? term_ends_on:date? is_trial:boolean?""",
    "invoices": """invoice_id:id account_id:id issued_on:date due_on:date paid_on:date? amount:number
        open_amount:number? currency:text? voided_on:date? written_off_on:date?""",
    "tickets": """ticket_id:id account_id:id opened_at:timestamp first_replied_at:timestamp? resolved_at:timestamp?
        priority:low|normal|high|critical? topic:question|bug|billing|feature_request|complaint|other?
        escalated_at:timestamp?""",
    "survey_responses": """response_id:id account_id:id user_id:id? survey:nps|csat|ces|product_rating score:number
        responded_at:timestamp""",
}
KEYS: dict[str, tuple[str, ...]] = {
    **{table: (columns.split(":")[0],) for table, columns in SCHEMA.items()},
    "contacts": ("contact_id", "account_id", "joined_on"),
    "account_goals": ("goal_id", "measured_on"),
    "usage_days": ("account_id", "user_id", "feature", "activity_day"),
    "subscriptions": ("subscription_id", "started_on"),
}
# "A row is up to d by its first timestamp or date column."
FACT: dict[str, str] = {
    table: next(column.split(":")[0] for column in columns.split() if column.split(":")[1].startswith(("timestamp", "date")))
    for table, columns in SCHEMA.items()
}
# The later date must not lie before the earlier one; of a pair marked true only not ten years before, since that is a placeholder.
NOT_BEFORE: dict[str, list[tuple[str, str, bool]]] = {
    "subscriptions": [("started_on", "ended_on", False), ("started_on", "term_ends_on", True)],
    "contacts": [("joined_on", "left_on", False)],
    "score_overrides": [("starts_on", "expires_on", False)],
    "invoices": [("issued_on", later, True) for later in ("due_on", "paid_on", "voided_on", "written_off_on")],
    "tickets": [("opened_at", later, True) for later in ("first_replied_at", "resolved_at", "escalated_at")],
}
DAYS_OF_TEN_YEARS = 3652
# Beside the columns of a row: the day in the name of its file.
DELIVERY = "(delivery)"
CURRENCY_DATE = {"subscriptions": ("started_on", ("mrr",)), "invoices": ("issued_on", ("amount", "open_amount"))}
LATE_AFTER_DAYS = {"usage_events": 2}
Scale = tuple[Fraction, Fraction]
SURVEY_SCALES: dict[str, Scale] = {
    survey: (Fraction(low), Fraction(high))
    for survey, low, high in (("nps", 0, 10), ("csat", 1, 5), ("product_rating", 1, 5), ("ces", 1, 7))
}

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s?(Z|[+-]\d\d(?::?\d\d)?)?)?")
_LOCAL_DAY = re.compile(r"(\d{4}-\d\d-\d\d)[T ](?:00:00(?::00(?:\.0+)?)?|23:59(?::59(?:\.\d+)?)?)\s?[+-]\d.*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NO_ID = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|[+-]?\d+[eE][+-]\d+")


class NoWholeNumber(str):
    """A number that JSON writes with a point or an exponent."""


class Bad(ValueError):
    """The row belongs in quarantine; the message is the reason."""


@dataclass
class Raw:
    """Clean raw tables, and what was left out of them.

    Attributes:
        tables: clean rows by table: dates as `date`, timestamps as naive UTC `datetime`, numbers as `Fraction`. `day`
            is the UTC day of the row's fact column. Money is in the reporting currency, at the rate of the row's
            own date; `own_mrr` is a subscription's mrr in its own currency.
        late_after_days: by table, for those that can be late.
        fx_rates, reporting_currency: for what is converted at the rate of another day.
        quarantined, orphans: rows by table.
    """

    tables: dict[str, list[Row]]
    late_after_days: dict[str, int] = field(default_factory=lambda: dict(LATE_AFTER_DAYS))
    fx_rates: list[Row] = field(default_factory=list)
    reporting_currency: str = "USD"
    quarantined: dict[str, list[tuple[Row, str]]] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_account: dict[str, dict[str, list[Row]]] = {}
        for table, rows in self.tables.items():
            for row in rows:
                row["day"] = day_of(row[FACT[table]])
                if "account_id" in row:
                    self._by_account.setdefault(table, {}).setdefault(row["account_id"], []).append(row)

    def all(self, table: str) -> list[Row]:
        return self.tables.get(table, [])

    def of(self, table: str, account_id: str) -> list[Row]:
        return self._by_account.get(table, {}).get(account_id, [])

    def rate(self, currency: str | None, day: date) -> Fraction | None:
        """Reporting currency per unit, in force on a day; None without one."""
        return rate_on(self.fx_rates, currency, day, self.reporting_currency)


def day_of(moment: date | datetime) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def parse(kind: str, text: str | None) -> Any:
    """One value of a contract kind from its text.

    Raises:
        Bad: the text cannot be read as the kind, or lies outside its range.
    """
    if text is None or not text.strip():
        return None
    if kind == "id":
        if text != text.strip():
            raise Bad("white space around it")
        if isinstance(text, NoWholeNumber) or _NO_ID.fullmatch(text) or _is_list_or_object(text):
            raise Bad("no text and no whole number")
        return text
    if kind == "text":
        return text
    if kind == "timestamp":
        return _timestamp(text)
    if kind == "date":
        local = _LOCAL_DAY.fullmatch(text.strip())
        return date.fromisoformat(local[1]) if local and _timestamp(text) else _timestamp(text).date()
    if kind == "boolean":
        if text.strip().lower() not in ("true", "false"):
            raise Bad("no boolean")
        return text.strip().lower() == "true"
    if kind.startswith(("number", "integer")):
        return _number(kind, text)
    if text not in kind.split("|"):
        raise Bad("none of " + kind)
    return text


def _is_list_or_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (list, dict))
    except ValueError:
        return False


def _timestamp(text: str) -> datetime:
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise Bad("no date or timestamp")
    day, time, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day} {time or '00:00'}{zone or ''}")
    except ValueError as error:
        raise Bad("no date or timestamp") from error
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _number(kind: str, text: str) -> Fraction:
    if _NUMBER.fullmatch(text.strip()) is None:
        raise Bad("no number")
    value = Fraction(text.strip())
    if kind.startswith("integer") and value.denominator != 1:
        raise Bad("no integer")
    if "[" in kind:
        low, high = kind[kind.index("[") + 1 : -1].split(",")
        if (low and value < int(low)) or (high and value > int(high)):
            raise Bad("outside its range")
    return value


def rate_on(fx_rates: list[Row], currency: str | None, day: date, reporting_currency: str) -> Fraction | None:
    """Reporting currency per unit, in force on a day; None without one. No currency is the reporting currency."""
    if currency is None or currency.upper() == reporting_currency.upper():
        return Fraction(1)
    known = [row for row in fx_rates if row["currency"].upper() == currency.upper() and row["valid_from"] <= day]
    return max(known, key=lambda row: row["valid_from"])["rate"] if known else None


def type_row(
    table: str,
    text_row: dict[str, str | None],
    fx_rates: list[Row],
    reporting_currency: str,
    survey_scales: dict[str, Scale],
) -> Row:
    """A raw row from its texts: money converted, trials worth nothing, mail addresses in lower case, our survey scales.

    Raises:
        Bad: it belongs in quarantine.
    """
    row: Row = {}
    for column in SCHEMA[table].split():
        name, kind = column.split(":", 1)
        try:
            row[name] = parse(kind.rstrip("?"), text_row.get(name))
        except Bad as bad:
            raise Bad(f"{name}: {bad}") from bad
        if row[name] is None and not kind.endswith("?"):
            raise Bad(f"{name}: missing")
    for person in ("user_id", "contact_id"):
        if "@" in (row.get(person) or ""):
            row[person] = row[person].lower()
    if table == "usage_events" and row["duration_seconds"] is not None:
        # To the microsecond, half away from zero.
        row["duration_seconds"] = Fraction(math.floor(row["duration_seconds"] * 10**6 + Fraction(1, 2)), 10**6)
    if table == "usage_days":
        timed, seconds = row["events_with_duration"] or 0, row["duration_seconds"]
        if timed > row["events"] or (seconds is None if timed else seconds):
            raise Bad("durations of more events than there are, or of none, or none of some")
    if table == "survey_responses":
        row["score"] = _on_our_scale(row["survey"], row["score"], survey_scales)
    for earlier, later, is_placeholder in NOT_BEFORE.get(table, ()):
        if row[later] is not None and row[later] < row[earlier] - timedelta(days=DAYS_OF_TEN_YEARS if is_placeholder else 0):
            raise Bad(f"{later}: before {earlier}")
    if table == "subscriptions":
        row["mrr"] = Fraction(0) if row["is_trial"] else row["mrr"]
        row["own_mrr"] = row["mrr"]
    if table in CURRENCY_DATE:
        date_column, amounts = CURRENCY_DATE[table]
        rate = rate_on(fx_rates, row["currency"], row[date_column], reporting_currency)
        if rate is None:
            raise Bad(f"currency: no rate for {row['currency']} on {date_column}")
        for amount in amounts:
            row[amount] = None if row[amount] is None else row[amount] * rate
    return row


def _on_our_scale(survey: str, score: Fraction, scales: dict[str, Scale]) -> Fraction:
    low, high = SURVEY_SCALES[survey]
    from_low, from_high = scales.get(survey, (low, high))
    if not from_low <= score <= from_high:
        raise Bad(f"score: {survey} outside {from_low} to {from_high}")
    return low + (score - from_low) * (high - low) / (from_high - from_low)


def end_overlaps(rows: list[Row], thing: tuple[str, ...], begins: str, ends: str) -> None:
    """Of one thing (a subscription, a contact of an account) the earlier row ends when the later begins."""
    for row in rows:
        later = [other[begins] for other in rows if all(other[name] == row[name] for name in thing) and other[begins] > row[begins]]
        if later:
            row[ends] = min([*later] if row[ends] is None else [row[ends], *later])


def as_events(usage_days: list[Row], events: list[Row]) -> list[Row]:
    """The usage of both tables as events: those of an account's day that `usage_days` has are not counted once more."""
    counted = {(row["account_id"], row["activity_day"]) for row in usage_days}
    found = [row for row in events if (row["account_id"], day_of(row["occurred_at"])) not in counted]
    for row in usage_days:
        timed = row["events_with_duration"] or 0
        for number in range(int(row["events"])):
            # All of the time in the first of them: only its sum is known.
            seconds = None if number >= timed else row["duration_seconds"] if number == 0 else Fraction(0)
            found.append(
                {
                    "account_id": row["account_id"],
                    "user_id": row["user_id"],
                    "feature": row["feature"],
                    "occurred_at": datetime(row["activity_day"].year, row["activity_day"].month, row["activity_day"].day),
                    "duration_seconds": seconds,
                }
            )
    return found


def clean(
    texts: dict[str, list[dict[str, str | None]]],
    fx_rates: list[Row] = (),
    reporting_currency: str = "USD",
    late_after_days: dict[str, int] | None = None,
    survey_scales: dict[str, Scale] | None = None,
) -> Raw:
    """Quarantine, then "the row extracted last wins", then orphans, then overlapping rows of a subscription or a contact.

    Args:
        texts: by table, rows of texts in the order of extraction.
        fx_rates: rows of currency, valid_from (date), rate (Fraction).
        late_after_days: by table, besides the default of `usage_events`.
        survey_scales: by survey, lowest and highest score where the source has another scale than the contract.
    """
    tables: dict[str, list[Row]] = {}
    quarantined: dict[str, list[tuple[Row, str]]] = {}
    orphans: dict[str, int] = {}
    for table in SCHEMA:
        last: dict[tuple[Any, ...], Row] = {}
        for text_row in texts.get(table, []):
            try:
                row = type_row(table, text_row, fx_rates, reporting_currency, survey_scales or {})
            except Bad as bad:
                quarantined.setdefault(table, []).append((text_row, str(bad)))
            else:
                key = tuple(row[name] for name in KEYS[table])
                if table == "usage_days":
                    # A user in two spellings is two groups of the source, and the last delivery of a day is all of the day.
                    key = (*key, text_row["user_id"])
                    row["delivery"] = text_row.get(DELIVERY) or ""
                if table == "contacts":
                    key = (*key, text_row["contact_id"])
                last[key] = row
        if table == "contacts":
            # Of two spellings of one person on one day the greater counts.
            last = {key[:-1]: row for key, row in sorted(last.items(), key=lambda found: found[0][-1])}
        rows = list(last.values())
        if table == "usage_days":
            newest: dict[date, str] = {}
            for row in rows:
                newest[row["activity_day"]] = max(row["delivery"], newest.get(row["activity_day"], ""))
            rows = [row for row in rows if row["delivery"] == newest[row["activity_day"]]]
        if table != "accounts" and rows and "account_id" in rows[0]:
            known = {account["account_id"] for account in tables["accounts"]}
            orphans[table] = sum(row["account_id"] not in known for row in rows)
            rows = [row for row in rows if row["account_id"] in known]
        tables[table] = rows
    end_overlaps(tables["subscriptions"], ("subscription_id",), "started_on", "ended_on")
    end_overlaps(tables["contacts"], ("account_id", "contact_id"), "joined_on", "left_on")
    tables["usage_events"] = as_events(tables.pop("usage_days"), tables["usage_events"])
    late = {**LATE_AFTER_DAYS, **(late_after_days or {})}
    return Raw(tables, late, list(fx_rates), reporting_currency, quarantined, orphans)


def load(config_file: Path, last_day: date) -> Raw:
    """The clean raw tables that a first run up to `last_day` sees, read from the files that a `health.toml` names."""
    with config_file.open("rb") as stream:
        config = tomllib.load(stream)
    seeds = config_file.parent / config["pipeline"]["seeds_dir"]
    texts = {name: list(_read(config_file.parent, source, last_day)) for name, source in config["sources"].items()}
    late = {name: source["late_after_days"] for name, source in config["sources"].items() if "late_after_days" in source}
    # Of the two tables of usage that are given, the more patient.
    usage = [late.get(name, LATE_AFTER_DAYS["usage_events"]) for name in ("usage_events", "usage_days") if name in config["sources"]]
    late |= {"usage_events": max(usage)} if usage else {}
    return clean(texts, read_fx_rates(seeds), config["pipeline"].get("reporting_currency", "USD"), late)


def read_fx_rates(seeds: Path) -> list[Row]:
    with (seeds / "fx_rates.csv").open(encoding="utf-8-sig", newline="") as stream:
        return [
            {
                "currency": row["currency"],
                "valid_from": date.fromisoformat(row["valid_from"]),
                "rate": Fraction(row["rate"]),
            }
            for row in csv.DictReader(stream)
        ]


def _read(base: Path, source: dict[str, Any], last_day: date) -> Iterator[dict[str, str | None]]:
    if source["connector"] != "files":
        raise NotImplementedError(f"the oracle reads files, not connector {source['connector']}")
    found = _query(base, source["query"]) if "query" in source else _files(base, source["path"], last_day)
    names = source.get("columns", {})
    for row in found:
        yield {**row, **{column: row.get(in_file) for column, in_file in names.items()}}


def _files(base: Path, pattern: str, last_day: date) -> Iterator[dict[str, str | None]]:
    """Rows in the order of extraction: delivery day, file name, position."""
    in_pattern = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\{day\}", r"(\d{4}-\d\d-\d\d)"))
    files = []
    for path in base.glob(pattern.replace("{day}", "*")):
        match = in_pattern.fullmatch(path.relative_to(base).as_posix())
        day = match.group(1) if match and match.groups() else ""
        if day <= last_day.isoformat():
            files.append((day, path))
    for day, path in sorted(files):
        for row in _one_file(path):
            yield {**row, DELIVERY: day}


def _one_file(path: Path) -> Iterator[dict[str, str | None]]:
    if ".parquet" in path.name:
        for row in pq.read_table(path).to_pylist():
            yield {name: _text(value) for name, value in row.items()}
        return
    content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    stream = io.StringIO(content.decode("utf-8-sig"), newline="")
    if ".csv" in path.name:
        yield from csv.DictReader(stream)
    else:
        for line in stream:
            if line.strip():
                row = json.loads(line, parse_float=NoWholeNumber, parse_int=str, parse_constant=str)
                yield {name: _text(value) for name, value in row.items()}


def _query(base: Path, query: str) -> Iterator[dict[str, str | None]]:
    with duckdb.connect() as connection:
        connection.execute(f"set file_search_path = '{base}'")
        connection.execute("set TimeZone = 'UTC'")
        result = connection.execute(query)
        names = [column[0] for column in result.description]
        for values in result.fetchall():
            yield {name: _text(value) for name, value in zip(names, values, strict=True)}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value:f}" if value % 1 else str(int(value))
    return repr(value) if isinstance(value, float) else json.dumps(value, default=str)
