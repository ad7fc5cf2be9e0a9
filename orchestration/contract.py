"""The raw tables as data: columns, types, keys and ranges (docs/scoring.md, "Raw tables").

Everything that reads or lands raw data takes its knowledge from here: the connectors, the quarantine, the lake, the dbt
sources' views and the demo company. A new raw table is one entry in `TABLES` and one staging model.
"""

from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

Kind = Literal["id", "text", "choice", "timestamp", "date", "integer", "number", "boolean"]

_DUCKDB_TYPES: dict[Kind, str] = {
    "id": "varchar",
    "text": "varchar",
    "choice": "varchar",
    "timestamp": "timestamp",
    "date": "date",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
}
_ARROW_TYPES: dict[Kind, pa.DataType] = {
    "id": pa.string(),
    "text": pa.string(),
    "choice": pa.string(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}

# Sums of money and of durations are exact decimals in the models; these bounds keep every such sum from overflowing.
MONEY_LIMIT = 1e14
DURATION_LIMIT = 1e9
# Of what one user did with one feature on one day: events, or their seconds together.
DAY_LIMIT = 1e12
SEATS_LIMIT = 1e9
# A date that lies so long before the one that it follows on is a placeholder (1900-01-01, 1970-01-01), not something that happened.
PLACEHOLDER_YEARS = 10


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    A null or blank value in a required column quarantines the row. `id` values are identifiers, text or whole numbers: blank ones are
    null. Those with white space around them, or with a character that cannot be seen, are quarantined, since ` a1` and `a1` would be two
    accounts. So are those that are a fraction, a number in scientific notation, a list, an object, true or false: an id that lost its
    digits or its shape.

    Attributes:
        may_be_grouped: whether people write it with marks between thousands, so that `1.200` is not clear by itself.
        is_personal: it may be the mail address of a person: no message shows a value.
    """

    name: str
    kind: Kind
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    may_be_grouped: bool = False
    is_personal: bool = False

    @property
    def duckdb_type(self) -> str:
        return _DUCKDB_TYPES[self.kind]

    @property
    def arrow_type(self) -> pa.DataType:
        return _ARROW_TYPES[self.kind]


@dataclass(frozen=True)
class NotBefore:
    """`column` does not lie before `earlier`, or not more than `years` before it; a row that lacks either breaks nothing."""

    column: str
    earlier: str
    years: int = 0


@dataclass(frozen=True)
class RangeBy:
    """The range of `column` depends on what `by` says: (choice, least value, greatest value)."""

    column: str
    by: str
    ranges: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class NeededBy:
    """`column` has a value where `by` is `choice`."""

    column: str
    by: str
    choice: str


@dataclass(frozen=True)
class PartOf:
    """`column` counts some of what `whole` counts, so it is not above it."""

    column: str
    whole: str


@dataclass(frozen=True)
class SumOver:
    """`column` is a sum over as many facts as `count` says: over none it has no value, or 0; over any it has one."""

    column: str
    count: str


@dataclass(frozen=True)
class NotAbove:
    """`column` should not exceed `limit`, signs aside. Rows that do may be right; many of them are of two units."""

    column: str
    limit: str


Rule = NotBefore | RangeBy | NeededBy | PartOf | SumOver


@dataclass(frozen=True)
class Ending:
    """How a row ends where a source delivers the whole table each day and one delivery no longer holds it.

    Attributes:
        column: the first day on which the row no longer holds. Not of the contract where only such deliveries know it.
        begins: the column with the day from which on the row's values hold: other values end a row and begin the next. None: the
            last values hold for all days.
        by: with `begins`, the columns of which other values do so, while the last values of the others hold for all days of the row; none:
            all columns.
    """

    column: str
    begins: str | None = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawTable:
    """One raw table.

    Attributes:
        name: as in docs/scoring.md and in `health.toml` (`[sources.<name>]`).
        key: where a key is duplicated, the row extracted last wins.
        fact_column: the first timestamp or date of a row; the row exists for an as-of day from that day on.
        columns: in the order in which they land.
        late_after_days: the table's metrics are `late` when its newest fact is older than that; None: never.
        max_bad_share: share of quarantined rows above which an extraction fails and the old data stays.
        currency_date: for tables with a `currency` column, the date whose exchange rate holds.
        ending: how a row ends that the next delivery of the whole table lacks; None: it is a fact, and does not count any more.
        rules: what must hold between two values of a row; a row that breaks one goes to quarantine.
        doubt: what should hold between two values; rows that break it count, and are reported where they are many.
        period: first day of a row and first day after it; rows of the same thing (the key without that first day) should not overlap.
        is_personal: its rows name people: no message shows a value of them, only file, line, column and reason.
        by_day: whether it lands by the day of its fact, and a `{day}` file holds that day's facts: the tables of usage.
        is_aggregate: whether each row is a whole group of facts. So the last delivery of a day holds all of it, and a key that comes
            twice in one file is a fault: the grouping was finer than the key.
    """

    name: str
    key: tuple[str, ...]
    fact_column: str
    columns: tuple[Column, ...]
    description: str
    late_after_days: int | None = None
    max_bad_share: float = 0.05
    currency_date: str | None = None
    ending: Ending | None = None
    rules: tuple[Rule, ...] = ()
    doubt: NotAbove | None = None
    period: tuple[str, str] | None = None
    is_personal: bool = False
    by_day: bool = False
    is_aggregate: bool = False
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([(column.name, column.arrow_type) for column in self.columns])

    @property
    def has_account(self) -> bool:
        return self.name != "accounts" and "account_id" in self.by_name


def _id(name: str, required: bool = True) -> Column:
    return Column(name, "id", required)


def _person(name: str, required: bool = True) -> Column:
    return Column(name, "id", required, is_personal=True)


def _optional(name: str, kind: Kind, minimum: float | None = None, maximum: float | None = None) -> Column:
    return Column(name, kind, False, minimum, maximum)


def _choice(name: str, *choices: str, required: bool = True) -> Column:
    return Column(name, "choice", required, choices=choices)


def _money(name: str, required: bool = False) -> Column:
    return Column(name, "number", required, -MONEY_LIMIT, MONEY_LIMIT, may_be_grouped=True)


def _no_placeholder(earlier: str, *columns: str) -> tuple[NotBefore, ...]:
    """What happened may well lie before `earlier` (paid in advance, two clocks), but not by years."""
    return tuple(NotBefore(column, earlier, PLACEHOLDER_YEARS) for column in columns)


_ALL = (
    RawTable(
        "accounts",
        ("account_id",),
        "created_at",
        (
            _id("account_id"),
            Column("account_name", "text"),
            _id("parent_account_id", required=False),
            _optional("segment", "text"),
            _optional("industry", "text"),
            _optional("region", "text"),
            _optional("csm", "text"),
            Column("created_at", "timestamp"),
        ),
        "The customers that are scored.",
        ending=Ending("left_on"),
    ),
    RawTable(
        "contacts",
        ("contact_id", "account_id", "joined_on"),
        "joined_on",
        (
            _person("contact_id"),
            _id("account_id"),
            _person("user_id", required=False),
            _optional("name", "text"),
            _optional("email", "text"),
            _choice("role", "champion", "decision_maker", "billing", "user", "other"),
            Column("joined_on", "date"),
            _optional("left_on", "date"),
        ),
        "The people of the account. A change of role ends one row and begins the next. Names and mail addresses stay in the lake.",
        ending=Ending("left_on", begins="joined_on", by=("role",)),
        rules=(NotBefore("left_on", "joined_on"),),
        period=("joined_on", "left_on"),
        is_personal=True,
    ),
    RawTable(
        "touchpoints",
        ("touchpoint_id",),
        "occurred_at",
        (
            _id("touchpoint_id"),
            _id("account_id"),
            Column("occurred_at", "timestamp"),
            _choice("channel", "email", "chat", "call", "meeting", "campaign"),
            _choice("direction", "inbound", "outbound"),
            _optional("duration_minutes", "number", 0, DURATION_LIMIT),
            _optional("responded", "boolean"),
            _optional("sentiment", "number", -1, 1),
            _person("contact_id", required=False),
        ),
        "Contacts between the team and the account.",
    ),
    RawTable(
        "csm_pulses",
        ("pulse_id",),
        "rated_at",
        (
            _id("pulse_id"),
            _id("account_id"),
            Column("rated_at", "timestamp"),
            Column("rating", "number", True, 1, 5),
            _optional("author", "text"),
            _optional("note", "text"),
        ),
        "How the account's customer-success manager rates it.",
    ),
    RawTable(
        "account_goals",
        ("goal_id", "measured_on"),
        "measured_on",
        (
            _id("goal_id"),
            _id("account_id"),
            Column("measured_on", "date"),
            _money("target_value"),
            _money("actual_value"),
            _money("value_delivered"),
        ),
        "Measurements of the goals agreed with the account, and the value delivered (reporting currency).",
    ),
    RawTable(
        "advocacy_events",
        ("advocacy_id",),
        "occurred_at",
        (
            _id("advocacy_id"),
            _id("account_id"),
            Column("occurred_at", "timestamp"),
            _choice("kind", "referral", "review", "case_study", "reference_call", "community"),
        ),
        "What the account did for the company's name.",
    ),
    RawTable(
        "account_outcomes",
        ("outcome_id",),
        "occurred_on",
        (
            _id("outcome_id"),
            _id("account_id"),
            Column("occurred_on", "date"),
            _choice("kind", "churned", "renewed", "expanded", "contracted"),
            _money("arr_delta"),
        ),
        "Who left, renewed, grew or shrank.",
    ),
    RawTable(
        "score_overrides",
        ("override_id",),
        "starts_on",
        (
            _id("override_id"),
            _id("account_id"),
            _choice("tier", "healthy", "at_risk", "poor", "unknown"),
            Column("reason", "text"),
            Column("author", "text"),
            Column("starts_on", "date"),
            Column("expires_on", "date"),
        ),
        "Tiers that a person has set, with reason, author and expiry.",
        ending=Ending("expires_on"),
        rules=(NotBefore("expires_on", "starts_on"),),
    ),
    RawTable(
        "action_log",
        ("entry_id",),
        "logged_at",
        (
            _id("entry_id"),
            _id("account_id"),
            _id("playbook_key"),
            Column("logged_at", "timestamp"),
            _choice("state", "open", "done", "snoozed", "dismissed"),
            _optional("snoozed_until", "date"),
            _optional("owner", "text"),
            _optional("author", "text"),
            _optional("note", "text"),
        ),
        "What people did about actions: done, dismissed, snoozed until a day, taken up again.",
        rules=(NotBefore("snoozed_until", "logged_at"), NeededBy("snoozed_until", "state", "snoozed")),
    ),
    RawTable(
        "usage_events",
        ("event_id",),
        "occurred_at",
        (
            _id("event_id"),
            _id("account_id"),
            _person("user_id"),
            _optional("feature", "text"),
            Column("occurred_at", "timestamp"),
            _optional("duration_seconds", "number", 0, DURATION_LIMIT),
        ),
        "What the account's users did in the product.",
        late_after_days=2,
        by_day=True,
    ),
    RawTable(
        "usage_days",
        ("account_id", "user_id", "feature", "activity_day"),
        "activity_day",
        (
            _id("account_id"),
            _person("user_id"),
            _optional("feature", "text"),
            Column("activity_day", "date"),
            Column("events", "integer", True, 1, DAY_LIMIT, may_be_grouped=True),
            Column("events_with_duration", "integer", False, 0, DAY_LIMIT, may_be_grouped=True),
            _optional("duration_seconds", "number", 0, DAY_LIMIT),
        ),
        "The same, counted by day: how often each user used each feature.",
        late_after_days=2,
        rules=(PartOf("events_with_duration", "events"), SumOver("duration_seconds", "events_with_duration")),
        by_day=True,
        is_aggregate=True,
    ),
    RawTable(
        "feature_releases",
        ("feature",),
        "released_on",
        (_id("feature"), Column("released_on", "date")),
        "When each feature was released.",
    ),
    RawTable(
        "subscriptions",
        ("subscription_id", "started_on"),
        "started_on",
        (
            _id("subscription_id"),
            _id("account_id"),
            _optional("plan", "text"),
            Column("seats", "integer", False, 0, SEATS_LIMIT, may_be_grouped=True),
            _money("mrr"),
            _optional("currency", "text"),
            Column("started_on", "date"),
            _optional("ended_on", "date"),
            _optional("term_ends_on", "date"),
            _optional("is_trial", "boolean"),
        ),
        "What the account pays for. A change of seats, price or term ends one row and begins the next.",
        currency_date="started_on",
        ending=Ending("ended_on", begins="started_on"),
        rules=(NotBefore("ended_on", "started_on"), *_no_placeholder("started_on", "term_ends_on")),
        period=("started_on", "ended_on"),
    ),
    RawTable(
        "invoices",
        ("invoice_id",),
        "issued_on",
        (
            _id("invoice_id"),
            _id("account_id"),
            Column("issued_on", "date"),
            Column("due_on", "date"),
            _optional("paid_on", "date"),
            _money("amount", required=True),
            _money("open_amount"),
            _optional("currency", "text"),
            _optional("voided_on", "date"),
            _optional("written_off_on", "date"),
        ),
        "What the account was billed, and what it still owes.",
        currency_date="issued_on",
        ending=Ending("voided_on"),
        rules=_no_placeholder("issued_on", "due_on", "paid_on", "voided_on", "written_off_on"),
        doubt=NotAbove("open_amount", "amount"),
    ),
    RawTable(
        "tickets",
        ("ticket_id",),
        "opened_at",
        (
            _id("ticket_id"),
            _id("account_id"),
            Column("opened_at", "timestamp"),
            _optional("first_replied_at", "timestamp"),
            _optional("resolved_at", "timestamp"),
            _choice("priority", "low", "normal", "high", "critical", required=False),
            _choice("topic", "question", "bug", "billing", "feature_request", "complaint", "other", required=False),
            _optional("escalated_at", "timestamp"),
        ),
        "Support requests of the account.",
        rules=_no_placeholder("opened_at", "first_replied_at", "resolved_at", "escalated_at"),
    ),
    RawTable(
        "survey_responses",
        ("response_id",),
        "responded_at",
        (
            _id("response_id"),
            _id("account_id"),
            _person("user_id", required=False),
            _choice("survey", "nps", "csat", "ces", "product_rating"),
            Column("score", "number", True, -MONEY_LIMIT, MONEY_LIMIT),
            Column("responded_at", "timestamp"),
        ),
        "Answers to surveys.",
        rules=(RangeBy("score", "survey", (("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 7), ("product_rating", 1, 5))),),
    ),
)

# Tables whose facts may be known before their day.
PLANNED = ("subscriptions", "feature_releases", "score_overrides")

TABLES: dict[str, RawTable] = {table.name: table for table in _ALL}
# Usage comes as single events, or counted by day. What a metric needs of the first table, the other one gives as well.
EVENT_TABLE = "usage_events"
USAGE_TABLES = tuple(table.name for table in _ALL if table.by_day)
