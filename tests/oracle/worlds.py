"""Random small companies full of edge cases, as raw files, seeds and a `health.toml`.

Everything comes from one seed: the same seed gives the same world. Facts prefer the first and last days of the
metrics' windows, midnight and the last microsecond of a day; rows come twice, dirty, orphaned and late; every method,
policy, operator and tier mode occurs. The scored days are enough for changes over 28 days (of one world in six for
those over 90); among them config versions change, feeds stop and come back, accounts leave and return, and overrides
overlap. Two or three accounts have a score that is written down day by day: it swings around a limit, falls through
two of them, stops just short of one; of one of them a late feed takes too much of the coverage. Run as a program it
writes one world: `python -m tests.oracle.worlds SEED FOLDER`.
"""

import contextlib
import csv
import gzip
import io
import json
import random
import re
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.oracle.metrics import METRICS
from tests.oracle.raw import KEYS, SCHEMA, Bad, parse

TextRow = dict[str, str | None]
Rows = list[TextRow]

WINDOWS = (1, 28, 30, 56, 84, 90, 112, 180, 364, 365)
TENURES = (0, 0, 3, 29, 30, 31, 55, 56, 57, 89, 90, 91, 111, 112, 113, 119, 120, 121, 300, 420, 420, 420)
CURRENCIES = (None, None, "USD", "usd", "EUR", "gbp")
FEATURES = ("export", "alerts", "api", "board", "new_editor")
# Mail addresses come in any case; u1 and U1 are two users.
USERS = (*(f"u{n}" for n in range(8)), "U1", "Ann@mail.io", "Bo.Li@mail.io", "cy@mail.io")
CONTACTS = ("p1", "p2", "p3", "P4@mail.io")
# No text and no whole number: as JSON's own, and as the text of it.
NO_IDS = ("12.5", "7.0", "1.23457E+15", "[7]", '{"id": 7}')
TABLES = tuple(table for table in SCHEMA if table != "usage_days")
# What sends a row of usage_days to quarantine.
NO_USAGE_DAYS = (
    {"events": "0"}, {"events": "1.5"}, {"events": None}, {"user_id": None}, {"activity_day": "soon"}, {"duration_seconds": "-1"},
    {"events_with_duration": "9"}, {"events_with_duration": "1", "duration_seconds": None},
    {"events_with_duration": None, "duration_seconds": "60"},
)  # fmt: skip
SCRIPTED = ("swing", "held")  # segments
# Healthy from, at_risk from, and the percentiles; none: the defaults.
TIER_SETS: tuple[tuple[tuple[str, str, str, str], ...], ...] = (
    (),
    (("healthy", "green", "", ""), ("at_risk", "yellow", "", ""), ("poor", "red", "", "")),
    (("healthy", "green", "55.5", "0.9"), ("at_risk", "yellow", "50", "0.5"), ("poor", "red", "0", "0")),
    (("healthy", "green", "60", "0.5"), ("at_risk", "yellow", "45", "0.2"), ("poor", "red", "0", "0")),
    (("healthy", "green", "50", "0.6"), ("at_risk", "yellow", "46.5", "0.4"), ("poor", "red", "0", "0")),
)

# metric -> (worst, best, values worth a band or a cap). The order of worst and best says which side is better.
ANCHORS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "active_days_28d": ("0", "20", ("1", "2", "5", "12")),
    "active_users_28d": ("0", "6", ("1", "2", "3", "5")),
    "license_utilization_28d": ("0.1", "0.9", ("0", "0.2", "0.3", "0.5", "1")),
    "active_user_trend_28d": ("-0.5", "0.5", ("-1", "-0.5", "0", "0.25")),
    "stickiness_28d": ("0", "0.3", ("0", "0.05", "0.1", "0.2")),
    "minutes_per_active_user_28d": ("0", "30", ("0", "1", "10", "15.5")),
    "feature_breadth_90d": ("0", "0.8", ("0", "0.2", "0.5", "0.75")),
    "new_feature_adoption_90d": ("0", "1", ("0", "0.5", "1")),
    "days_since_last_activity": ("30", "0", ("0", "1", "7", "28")),
    "user_retention_28d": ("0.2", "0.9", ("0", "0.5", "1")),
    "usage_vs_baseline_28d": ("0.4", "1.2", ("0", "0.5", "1", "2")),
    "active_periods_streak": ("0", "13", ("0", "1", "4", "13")),
    "onboarding_rate_30d": ("0", "0.6", ("0", "0.1", "0.25")),
    "days_late_180d": ("30", "0", ("0", "0.5", "5", "20")),
    "days_overdue_oldest": ("60", "0", ("0", "1", "30", "31")),
    "overdue_ratio": ("2", "0", ("0", "0.5", "1", "1.5")),
    "mrr_trend_90d": ("-0.3", "0.3", ("-1", "-0.25", "0", "0.5")),
    "days_to_renewal": ("0", "120", ("0", "30", "90")),
    "days_since_renewal": ("400", "0", ("0", "30", "365")),
    "expansions_365d": ("0", "2", ("0", "1", "2")),
    "critical_open_tickets": ("3", "0", ("0", "1", "2")),
    "escalations_90d": ("3", "0", ("0", "1", "2")),
    "tickets_per_10_users_28d": ("20", "0", ("0", "5", "10")),
    "negative_ticket_share_90d": ("0.8", "0.1", ("0", "0.5", "1")),
    "median_first_reply_hours_90d": ("48", "1", ("-1", "0", "8", "24")),
    "median_resolution_hours_90d": ("200", "4", ("0", "24", "72")),
    "csat_180d": ("2", "5", ("1", "3", "4.5")),
    "nps_180d": ("-50", "60", ("-100", "0", "50")),
    "product_rating_365d": ("1", "5", ("2", "3.5")),
    "two_way_touchpoints_90d": ("0", "4", ("0", "1", "3")),
    "contact_minutes_90d": ("0", "60", ("0", "15", "30.5")),
    "contact_sentiment_90d": ("-0.5", "0.7", ("-0.25", "0", "0.5")),
    "response_rate_90d": ("0", "0.8", ("0", "0.5", "1")),
    "advocacy_365d": ("0", "2", ("0", "1", "2")),
    "csm_pulse": ("1", "5", ("2", "3", "4")),
    "champion_days_silent": ("90", "7", ("0", "7", "30")),
    "champions_left_90d": ("2", "0", ("0", "1")),
    "engaged_contacts_90d": ("0", "3", ("0", "1", "2")),
    "decision_maker_days_silent": ("120", "10", ("0", "30", "365")),
    "goal_attainment": ("0.3", "1", ("0", "0.5", "1")),
    "customer_roi_365d": ("0", "3", ("0", "1", "2.5")),
}


@dataclass(frozen=True)
class World:
    config_file: Path
    first_day: date
    last_day: date


def build_world(folder: Path, seed: int) -> World:
    """Write a world into an empty folder. One in ten has usage counted by day besides its events."""
    return _Builder(folder, random.Random(seed), has_usage_days=seed % 10 == 8).build()


class _Builder:
    def __init__(self, folder: Path, rng: random.Random, has_usage_days: bool) -> None:
        self.folder = folder
        self.rng = rng
        self.has_usage_days = has_usage_days
        self.first_day = date(2024, 2, 20) + timedelta(days=rng.randrange(0, 25))
        self.long = self.chance(1 / 6)
        self.last_day = self.first_day + timedelta(days=93 if self.long else rng.choice((40, 42, 45)))
        self.days = [self.first_day + timedelta(days=n) for n in range((self.last_day - self.first_day).days + 1)]
        self.serial = 0
        self.tables: dict[str, Rows] = {table: [] for table in TABLES}
        self.config: list[str] = []

    # -- dice

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def key(self, prefix: str) -> str:
        """A new key; keys do not grow with time, so that ties of timestamps are not decided by the order of rows."""
        self.serial += 1
        return f"{prefix}{self.rng.randrange(10)}{self.serial:05d}"

    def edge_day(self, windows: tuple[int, ...] = WINDOWS) -> date:
        """A first, last, or just excluded day of a window of some scored day."""
        ends = self.rng.choice(self.days)
        if self.chance(0.1):
            return date(2024, 2, 29)
        return ends - timedelta(days=self.rng.choice(windows)) + timedelta(days=self.rng.choice((-1, 0, 1)))

    def some_day(self, back: int = 120) -> date:
        """Mostly within `back` days of the scored days, sometimes at an edge, rarely in the future."""
        roll = self.rng.random()
        if roll < 0.35:
            return self.edge_day()
        if roll < 0.4:
            return self.last_day + timedelta(days=self.rng.randrange(1, 20))
        return self.rng.choice(self.days) - timedelta(days=self.rng.randrange(0, back))

    def moment(self, day: date) -> str:
        """A timestamp that is on `day` in UTC, written in one of the ways."""
        at = self.rng.choice(
            (
                datetime(day.year, day.month, day.day),
                datetime(day.year, day.month, day.day, 23, 59, 59, 999999),
                datetime(day.year, day.month, day.day, 12, 30),
                datetime(day.year, day.month, day.day) + timedelta(seconds=self.rng.randrange(86400)),
            )
        )
        style = self.rng.randrange(6)
        if day.year == 9999:
            return at.isoformat()  # an offset would leave the calendar
        if style == 0:
            return at.isoformat() + "Z"
        if style == 1:
            return (at + timedelta(hours=5, minutes=30)).isoformat(sep=" ") + "+05:30"
        if style == 2:
            return (at - timedelta(hours=8)).isoformat() + "-08:00"
        if style == 3 and at == datetime(day.year, day.month, day.day):
            return day.isoformat()
        return at.isoformat(sep=" ")

    def text_day(self, day: date | None) -> str | None:
        if day is None:
            return None
        return self.moment(day) if self.chance(0.05) else day.isoformat()

    def maybe(self, p: float, value: str) -> str | None:
        return value if self.chance(p) else None

    # -- the company

    def build(self) -> World:
        self.accounts()
        for account in list(self.tables["accounts"]):
            self.account_facts(account)
        self.releases()
        self.some_tables_absent_or_empty()
        self.usage_stops_or_has_no_details()
        self.orphans_duplicates_and_dirt()
        self.write_sources()
        seeds = self.folder / "seeds"
        seeds.mkdir()
        Seeds(seeds, self.rng, self.days).write()
        if self.has_usage_days:
            self.usage_in_days()
        pipeline = [
            "[pipeline]",
            f"start_date = {self.first_day}",
            'data_dir = "data"',
            'seeds_dir = "seeds"',
            'memory_limit = "512MB"',
            # All scored days are in health.duckdb.
            "metric_history_days = 200",
            "",
        ]
        config_file = self.folder / "health.toml"
        config_file.write_text("\n".join(pipeline + self.config) + "\n")
        return World(config_file, self.first_day, self.last_day)

    def accounts(self) -> None:
        scripted = self.rng.choice((SCRIPTED, (*SCRIPTED, "swing"), (*SCRIPTED, "held")))
        for number in range(self.rng.randrange(6, 9) if self.long else self.rng.randrange(9, 14)):
            tenure = self.rng.choice(TENURES)
            created = self.rng.choice(self.days) - timedelta(days=tenure)
            segment = self.rng.choice((None, "enterprise", "enterprise", "smb", "smb", "edu"))
            if number < len(scripted):
                segment, created = scripted[number], self.first_day - timedelta(days=self.rng.choice((0, 80, 420)))
            elif self.chance(0.04):
                created = self.last_day + timedelta(days=3)
            self.tables["accounts"].append(
                {
                    "account_id": f"a{number:02d}",
                    "account_name": f"Account {number}, Ltd",
                    "parent_account_id": self.rng.choice((None, None, "a00", "a00", "a01", "nobody")),
                    "segment": segment,
                    "industry": self.maybe(0.5, "software"),
                    "region": self.maybe(0.5, "north"),
                    "csm": self.maybe(0.5, "Kim"),
                    "created_at": self.moment(created),
                    "_created": created.isoformat(),
                }
            )

    def account_facts(self, account: TextRow) -> None:
        account_id = account["account_id"]
        created = date.fromisoformat(account.pop("_created"))
        if account["segment"] in SCRIPTED:
            self.subscription(self.key("s"), account_id, created, None)
            self.scripted_pulses(account_id)
        elif self.chance(0.25):
            self.leaver(account_id, created)
        else:
            self.subscriptions(account_id, created)
        self.overrides(account_id)
        if not self.chance(0.15):
            self.usage(account_id)
        for add in (
            self.invoices,
            self.tickets,
            self.surveys,
            self.contacts,
            self.touchpoints,
            self.goals,
            self.outcomes,
            self.small_tables,
        ):
            if not self.chance(0.2):
                add(account_id)

    def subscriptions(self, account_id: str, created: date) -> None:
        if self.chance(0.06):
            return
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            started = self.rng.choice((created, created, created, self.edge_day(), created - timedelta(days=5)))
            subscription_id = self.key("s")
            for renewals_left in range(self.rng.choice((0, 0, 1, 2)), -1, -1):
                ended: date | None = None
                if renewals_left:  # a row that begins before this one ends, or that this one knows nothing of
                    ended = max(started, self.edge_day())
                elif self.chance(0.2):
                    ended = self.rng.choice((started, self.rng.choice(self.days), self.last_day + timedelta(days=9)))
                elif self.chance(0.1):
                    ended = date(9999, 12, 31)
                self.subscription(subscription_id, account_id, started, None if renewals_left and self.chance(0.2) else ended)
                if not renewals_left or ended == started:
                    break
                # Same-day renewal, or a gap during which nothing is in force.
                started = ended + timedelta(days=self.rng.choice((0, 0, 0, 1, 4, -3, -20)))

    def subscription(self, subscription_id: str, account_id: str, started: date, ended: date | None) -> None:
        terms = (None, *(self.rng.choice(self.days) + timedelta(days=n) for n in (0, 0, 1, 89, 90, 91, 200, -10)))
        self.tables["subscriptions"].append(
            {
                "subscription_id": subscription_id,
                "account_id": account_id,
                "plan": self.maybe(0.5, "team"),
                "seats": self.rng.choice((None, "0", "1", "3", "5", "5", "10", "10.0", "12")),
                "mrr": self.rng.choice((None, "0", "100", "99.90", "99.9", "250.55", "1E3", "20", "-20", "0.1", "0.2")),
                "currency": self.rng.choice(CURRENCIES),
                "started_on": self.text_day(started),
                "ended_on": self.text_day(ended),
                "term_ends_on": self.text_day(self.rng.choice(terms)),
                "is_trial": self.rng.choice((None, "true", "false")),
            }
        )
        if self.chance(0.15):  # over before it begins: quarantined, and it does not end the row before it
            later, row = started + timedelta(days=self.rng.choice((1, 30))), self.tables["subscriptions"][-1]
            reversed_days = {"started_on": later.isoformat(), "ended_on": started.isoformat()}
            self.tables["subscriptions"].append({**row, **reversed_days})

    def leaver(self, account_id: str, created: date) -> None:
        """One subscription that ends within the scored days; mostly the account comes back, once or twice."""
        subscription_id, started = self.key("s"), created
        for _ in range(self.rng.choice((1, 2, 2, 3))):
            ended = max(started + timedelta(days=1), self.rng.choice(self.days))
            self.subscription(subscription_id, account_id, started, ended)
            started = ended + timedelta(days=self.rng.choice((1, 1, 2, 6, 7, 8, 28)))
        if self.chance(0.8):
            self.subscription(self.key("s"), account_id, started, None)

    def scripted_pulses(self, account_id: str) -> None:
        """A pulse on each day, whose rating makes the score that is wanted: 100 x (rating - 1) / 4."""
        scores: list[str] = []
        while len(scores) < len(self.days) + 3:
            limit = self.rng.choice((70, 70, 40, 60, 45, 50))
            length = self.rng.choice((1, 2, 3, 3, 4, 7, 10))
            kind = self.rng.choice(("swing", "swing", "edge", "far", "near"))
            if kind == "swing":
                scores += [str(limit + self.rng.choice((-2, 2))) for _ in range(length)]
            elif kind == "edge":  # three days on one side, the last of them at limit and margin or just short of it
                by = self.rng.choice(("3", "2.9", "-3", "-3.1", "1", "0", "-0.1"))
                scores += [str(limit + (1 if Decimal(by) >= 0 else -1))] * 2 + [str(limit + Decimal(by))]
            elif kind == "far":
                scores += [self.rng.choice(("5", "10", "95"))] * length
            else:
                scores += [str(limit + self.rng.choice((-4, -2, 1, 2, 4)))] * length
        for n, score in enumerate(scores):
            self.tables["csm_pulses"].append(
                {
                    "pulse_id": self.key("p"),
                    "account_id": account_id,
                    "rated_at": self.moment(self.first_day + timedelta(days=n - 3)),
                    "rating": str(1 + Decimal(score) / 25),
                    "author": None,
                    "note": None,
                }
            )

    def overrides(self, account_id: str) -> None:
        """None, or some that overlap, begin on one day, are over before they begin, or never matter."""
        if self.chance(0.6):
            return
        starts = self.rng.sample(self.days, 2)
        for _ in range(self.rng.choice((1, 2, 3, 4))):
            start = self.rng.choice((*starts, self.first_day - timedelta(days=5)))
            lasts = self.rng.choice((-2, 0, 1, 3, 9, 9, 20, 60))
            self.tables["score_overrides"].append(
                {
                    "override_id": self.key("w"),
                    "account_id": account_id,
                    "tier": self.rng.choice(("healthy", "at_risk", "poor", "unknown")),
                    "reason": "we know better",
                    "author": "Kim",
                    "starts_on": self.text_day(start),
                    "expires_on": self.text_day(start + timedelta(days=lasts)),
                }
            )

    def usage(self, account_id: str) -> None:
        users = self.rng.sample(USERS, self.rng.randrange(1, 6))
        back = self.rng.choice((20, 60, 150, 400))
        days = [self.some_day(back) for _ in range(self.rng.choice((2, 10, 40, 70)))]
        if self.chance(0.4):  # a streak of 28-day periods, on the periods' last days
            days += [self.rng.choice(self.days) - timedelta(days=28 * n) for n in range(self.rng.randrange(2, 16))]
        for day in days:
            self.tables["usage_events"].append(
                {
                    "event_id": self.key("e"),
                    "account_id": account_id,
                    "user_id": self.in_some_case(self.rng.choice(users)),
                    "feature": self.rng.choice((None, *FEATURES)),
                    "occurred_at": self.moment(day),
                    "duration_seconds": self.rng.choice((None, None, "0", "60", "90.5", "600", "1")),
                    "_day": day.isoformat(),
                }
            )

    def in_some_case(self, user_id: str | None) -> str | None:
        if user_id is None or "@" not in user_id:
            return user_id
        return self.rng.choice((user_id, user_id.lower(), user_id.upper()))

    def invoices(self, account_id: str) -> None:
        for _ in range(self.rng.randrange(0, 8)):
            issued = self.some_day(400)
            due = issued + timedelta(days=self.rng.choice((0, 14, 30, 30, -3)))
            if self.chance(0.3):
                due = self.edge_day((1, 180))
            paid = self.rng.choice((None, None, due - timedelta(days=4), due, due + timedelta(days=11), self.edge_day((1,))))
            amount = self.rng.choice(("100", "100", "-100", "99.90", "0", "1250.01", "-30", "0.1", "3000"))
            # Of a claim a part, nothing, or all; of a credit note nothing or all.
            left = (None, None, None, amount, "0", *(("0.05", "0.1") if float(amount) > 0 else ()))
            self.tables["invoices"].append(
                {
                    "invoice_id": self.key("i"),
                    "account_id": account_id,
                    "issued_on": self.text_day(issued),
                    "due_on": self.text_day(due),
                    "paid_on": self.text_day(paid),
                    "amount": amount,
                    "open_amount": self.rng.choice(left),
                    "currency": self.rng.choice(CURRENCIES),
                    "voided_on": self.text_day(self.rng.choice((None, None, None, None, issued, self.edge_day((1,))))),
                    "written_off_on": self.text_day(
                        self.rng.choice((None, None, None, None, due + timedelta(days=9), self.edge_day((1,))))
                    ),
                }
            )

    def tickets(self, account_id: str) -> None:
        def after(opened: date) -> str | None:
            if self.chance(0.3):
                return None
            return self.moment(self.rng.choice((opened, opened + timedelta(days=2), opened - timedelta(days=1), self.edge_day())))

        for _ in range(self.rng.randrange(0, 9)):
            opened = self.some_day(100)
            self.tables["tickets"].append(
                {
                    "ticket_id": self.key("t"),
                    "account_id": account_id,
                    "opened_at": self.moment(opened),
                    "first_replied_at": after(opened),
                    "resolved_at": after(opened),
                    "priority": self.rng.choice((None, "low", "normal", "high", "critical", "critical")),
                    "topic": self.rng.choice((None, "question", "bug", "billing", "feature_request", "complaint", "other")),
                    "escalated_at": self.maybe(0.6, self.moment(self.edge_day((1, 90)))) if self.chance(0.5) else None,
                }
            )

    def surveys(self, account_id: str) -> None:
        tie = self.moment(self.some_day(150))
        for _ in range(self.rng.randrange(0, 12)):
            survey = self.rng.choice(("nps", "nps", "nps", "csat", "ces", "product_rating"))
            scores = {"nps": ("0", "6", "6.5", "7", "8", "9", "10", "10"), "ces": ("1", "4", "7")}.get(survey, ("1", "2", "3.5", "4", "5"))
            self.tables["survey_responses"].append(
                {
                    "response_id": self.key("r"),
                    "account_id": account_id,
                    "user_id": self.in_some_case(self.rng.choice((None, "u1", "u1", "U1", "u2", *USERS[-3:]))),
                    "survey": survey,
                    "score": self.rng.choice(scores),
                    "responded_at": tie if self.chance(0.25) else self.moment(self.some_day(500)),
                }
            )

    def contacts(self, account_id: str) -> None:
        """People in one role after another; the same few ids in every account, so that many belong to several."""
        for _ in range(self.rng.randrange(0, 6)):
            joined = self.some_day(420)
            left = self.rng.choice((None, None, joined, self.some_day(60), self.some_day(60), self.last_day + timedelta(days=9)))
            row = {
                "contact_id": self.in_some_case(self.rng.choice(CONTACTS)),
                "account_id": account_id,
                "user_id": self.rng.choice((None, *USERS)),
                "name": self.maybe(0.5, "Ann Li"),
                "email": self.maybe(0.5, "Ann@mail.io"),
                "role": self.rng.choice(("champion", "champion", "champion", "decision_maker", "decision_maker", "billing", "user")),
                "joined_on": self.text_day(joined),
                "left_on": self.text_day(None if left is None else max(left, joined)),
            }
            self.tables["contacts"].append(row)
            if "@" in row["contact_id"] and self.rng.random() < 0.4:
                # The same person on the same day, in another spelling.
                self.tables["contacts"].append(row | {"contact_id": self.in_some_case(row["contact_id"]), "role": "champion"})

    def touchpoints(self, account_id: str) -> None:
        for _ in range(self.rng.randrange(0, 9)):
            self.tables["touchpoints"].append(
                {
                    "touchpoint_id": self.key("c"),
                    "account_id": account_id,
                    "occurred_at": self.moment(self.some_day(150)),
                    "channel": self.rng.choice(("email", "chat", "call", "meeting", "campaign")),
                    "direction": self.rng.choice(("inbound", "outbound", "outbound")),
                    "duration_minutes": self.rng.choice((None, "0", "15", "30.25", "60")),
                    "responded": self.rng.choice((None, "true", "false")),
                    "sentiment": self.rng.choice((None, None, "-1", "1", "0", "0.1", "0.2", "-0.3")),
                    "contact_id": self.in_some_case(self.rng.choice((None, "somebody", *CONTACTS))),
                }
            )

    def goals(self, account_id: str) -> None:
        for _ in range(self.rng.randrange(0, 4)):
            goal_id = self.key("g")
            for _ in range(self.rng.randrange(1, 5)):
                self.tables["account_goals"].append(
                    {
                        "goal_id": goal_id,
                        "account_id": account_id,
                        "measured_on": self.text_day(self.some_day(400)),
                        "target_value": self.rng.choice((None, "0", "-1", "10", "10", "3")),
                        "actual_value": self.rng.choice((None, "-5", "0", "5", "7", "50")),
                        "value_delivered": self.rng.choice((None, None, "0", "500.5", "1000", "-10")),
                    }
                )

    def outcomes(self, account_id: str) -> None:
        for _ in range(self.rng.randrange(0, 4)):
            self.tables["account_outcomes"].append(
                {
                    "outcome_id": self.key("o"),
                    "account_id": account_id,
                    "occurred_on": self.text_day(self.some_day(380)),
                    "kind": self.rng.choice(("churned", "renewed", "renewed", "expanded", "expanded", "contracted")),
                    "arr_delta": self.maybe(0.5, "1200"),
                }
            )

    def small_tables(self, account_id: str) -> None:
        for _ in range(self.rng.randrange(0, 4)):
            self.tables["advocacy_events"].append(
                {
                    "advocacy_id": self.key("v"),
                    "account_id": account_id,
                    "occurred_at": self.moment(self.some_day(380)),
                    "kind": self.rng.choice(("referral", "review", "case_study", "reference_call", "community")),
                }
            )
        tie = self.moment(self.some_day(60))
        for _ in range(self.rng.randrange(0, 4)):
            self.tables["csm_pulses"].append(
                {
                    "pulse_id": self.key("p"),
                    "account_id": account_id,
                    "rated_at": tie if self.chance(0.5) else self.moment(self.some_day(200)),
                    "rating": self.rng.choice(("1", "2", "3", "4", "5", "3.5")),
                    "author": self.maybe(0.5, "Kim"),
                    "note": None,
                }
            )

    def releases(self) -> None:
        old = self.chance(0.2)  # none in the last 90 days: not applicable
        for feature in FEATURES:
            day = self.first_day - timedelta(days=300) if old else self.some_day(150)
            self.tables["feature_releases"].append({"feature": feature, "released_on": self.text_day(day)})

    # -- what goes wrong

    def some_tables_absent_or_empty(self) -> None:
        self.absent: set[str] = set()
        for table in TABLES:
            if table == "accounts":
                continue
            roll = self.rng.random()
            if roll < 0.05:
                self.absent.add(table)
            if roll < 0.1:
                self.tables[table].clear()

    def usage_in_days(self) -> None:
        """Usage counted by day beside the events: also of account-days that have events, and days that are delivered twice."""
        rows: Rows = []
        for account_id in [row["account_id"] for row in self.tables["accounts"]] + ["ghost"]:
            with_events = [event["_day"] for event in self.tables["usage_events"] if event["account_id"] == account_id and "_day" in event]
            for _ in range(self.rng.choice((0, 4, 25))):
                day = self.rng.choice(with_events) if with_events and self.chance(0.5) else self.some_day(60).isoformat()
                count = self.rng.randrange(1, 9)
                timed = self.rng.choice((None, "0", str(self.rng.randrange(1, count + 1))))
                row = {
                    "account_id": account_id,
                    "user_id": self.in_some_case(self.rng.choice(USERS)),
                    "feature": self.rng.choice((None, *FEATURES)),
                    "activity_day": self.text_day(date.fromisoformat(day)),
                    "events": str(count),
                    "events_with_duration": timed,
                    "duration_seconds": self.rng.choice(("0", "60", "90.5", "600.000001")) if timed not in (None, "0") else timed,
                    "_day": day,
                }
                rows.append(row)
                if self.chance(0.1):
                    rows.append({**row, "events": "9"})
                if self.chance(0.1):
                    rows.append({**row, **self.rng.choice(NO_USAGE_DAYS)})
        columns = [column.split(":")[0] for column in SCHEMA["usage_days"].split()]
        for day, delivered in self.by_delivery_day(rows).items():
            path = self.folder / "raw" / "usage_days" / f"{day}.csv"
            path.parent.mkdir(exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([columns, *([row[name] or "" for name in columns] for row in delivered)])
        self.config += ["[sources.usage_days]", 'connector = "files"', 'path = "raw/usage_days/{day}.csv"']
        self.config += ["max_bad_share = 1", "late_after_days = 4", ""]

    def usage_stops_or_has_no_details(self) -> None:
        events = self.tables["usage_events"]
        if self.chance(0.25):
            stop = self.rng.choice(self.days[: len(self.days) // 2 + 1])
            events[:] = [event for event in events if event["_day"] <= stop.isoformat()]
        if self.chance(0.6):  # the feed is late for some days, then comes back
            for start in self.rng.sample(self.days, self.rng.choice((1, 2, 3))):
                gap = {(start + timedelta(days=n)).isoformat() for n in range(self.rng.choice((3, 4, 6, 9, 10, 13)))}
                events[:] = [event for event in events if event["_day"] not in gap]
        if self.chance(0.15):
            for event in events:
                event["duration_seconds"] = None
        if self.chance(0.15):
            for event in events:
                event["feature"] = None

    def orphans_duplicates_and_dirt(self) -> None:
        accounts = [row["account_id"] for row in self.tables["accounts"]]
        for table, rows in self.tables.items():
            if not rows:
                continue
            clean_rows = list(rows)
            if "account_id" in rows[0] and table != "accounts":
                for row in self.rng.choices(clean_rows, k=self.rng.randrange(0, 4)):
                    rows.append({**row, KEYS[table][0]: self.key("x"), "account_id": self.rng.choice(("ghost", "A00"))})
            for row in self.rng.choices(clean_rows, k=self.rng.randrange(0, 4)):
                rows.append(dict(row))  # the same row twice
            for row in self.rng.choices(clean_rows, k=self.rng.randrange(0, 4)):
                # The same key with the content of another row: the last one wins.
                other = self.rng.choice(clean_rows)
                if table == "accounts":
                    rows.append({**row, "segment": other["segment"]})
                elif "account_id" in row and self.chance(0.2):
                    rows.append({**row, "account_id": self.rng.choice((*accounts, "ghost"))})
                else:
                    rows.append({**other, **{name: row[name] for name in KEYS[table]}})
            for row in self.rng.choices(clean_rows, k=self.rng.randrange(0, 3)):
                rows.append(self.dirty(table, row))
            self.rng.shuffle(rows)

    def dirty(self, table: str, row: TextRow) -> TextRow:
        """The row with one value that sends it to quarantine; its key may be that of a good row, too."""
        kinds = dict(column.split(":", 1) for column in SCHEMA[table].split())
        spoilt: list[tuple[str, str | None]] = [
            (KEYS[table][0], None),
            (KEYS[table][0], "  "),
            (KEYS[table][0], f" {self.key('y')}"),
        ]
        for name, kind in kinds.items():
            if kind.startswith("id"):
                spoilt += [(name, self.rng.choice(NO_IDS))] * 2
            if kind.startswith("timestamp") or kind.startswith("date"):
                spoilt += [(name, "2026-02-30"), (name, "01/02/2024"), (name, "soon")]
            elif kind.startswith("integer"):
                spoilt += [(name, "2.5"), (name, "-1"), (name, "many")]
            elif kind.startswith("number"):
                spoilt += [(name, "NaN"), (name, "inf"), (name, "1,5")]
                if "[-1,1]" in kind:
                    spoilt.append((name, "1.01"))
                if "[1,5]" in kind:
                    spoilt += [(name, "0.5"), (name, "6")]
                if "[0,]" in kind:
                    spoilt.append((name, "-0.5"))
            elif "|" in kind:
                spoilt += [(name, "surely_not"), (name, kind.split("|")[0].upper())]
            elif name == "account_id":
                spoilt += [(name, None), (name, f"{row[name]} ")]
        if table == "survey_responses":
            spoilt += [("score", "11"), ("score", "-1")]
            if row["survey"] != "nps":
                spoilt += [("score", "0.9"), ("score", "7.1")]
        if table == "subscriptions":
            before = parse("date", row["started_on"]) - timedelta(days=self.rng.choice((1, 40)))
            spoilt += [("ended_on", before.isoformat())]
        if table == "contacts":
            before = parse("date", row["joined_on"]) - timedelta(days=self.rng.choice((1, 40)))
            spoilt += [("left_on", before.isoformat())] * 2
        if "currency" in row:
            spoilt += [("currency", "XXX"), ("currency", "JPY")]
        name, value = self.rng.choice(spoilt)
        return {**row, name: value}

    # -- files

    def write_sources(self) -> None:
        raw = self.folder / "raw"
        raw.mkdir()
        for table, rows in self.tables.items():
            if table in self.absent:
                continue
            columns = [column.split(":")[0] for column in SCHEMA[table].split()]
            if table != "accounts" and rows and self.chance(0.4 if table == "usage_events" else 0.1):
                pattern = f"raw/{table}/{{day}}"
                parts = self.by_delivery_day(rows)
            else:
                pattern = f"raw/{table}"
                cut = self.rng.randrange(len(rows) + 1) if rows and self.chance(0.4) else 0
                parts = {"-1": rows[:cut], "-2": rows[cut:]} if cut else {"": rows}
            renames = {name: f"{name}_in_file" for name in columns if self.chance(0.1)}
            suffix = self.rng.choice(("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"))
            for part, part_rows in parts.items():
                path = self.folder / pattern.replace("{day}", part if "{day}" in pattern else "")
                path = path.with_name(path.name + ("" if "{day}" in pattern else part) + "." + suffix)
                path.parent.mkdir(exist_ok=True)
                self.write_file(path, part_rows, table, renames, suffix)
            glob = "*" if "{day}" not in pattern and len(parts) > 1 else ""
            self.config += [
                f"[sources.{table}]",
                'connector = "files"',
                f'path = "{pattern}{glob}.{suffix}"',
                "max_bad_share = 1",
            ]
            if "{day}" in pattern and table != "usage_events":
                self.config.append('delivery = "changes"')
            if renames:
                pairs = ", ".join(f'{name} = "{in_file}"' for name, in_file in renames.items())
                self.config.append(f"columns = {{ {pairs} }}")
            if self.chance(0.1) and table in ("tickets", "touchpoints", "invoices", "survey_responses", "usage_events"):
                self.config.append(f"late_after_days = {self.rng.choice((0, 1, 7, 20))}")
            self.config.append("")

    def by_delivery_day(self, rows: Rows) -> dict[str, Rows]:
        """Rows by the day on which they arrive; a few arrive after the scored days and must not be seen."""
        parts: dict[str, Rows] = {}
        for row in rows:
            day = date.fromisoformat(row["_day"]) if "_day" in row else self.some_day(30)
            day += timedelta(days=self.rng.choice((0, 0, 0, 1, 3)))
            parts.setdefault(day.isoformat(), []).append(row)
        return parts

    def write_file(self, path: Path, rows: Rows, table: str, renames: dict[str, str], suffix: str) -> None:
        kinds = dict(column.split(":", 1) for column in SCHEMA[table].split())
        empty = {name for name in kinds if kinds[name].endswith("?") and all(row[name] is None for row in rows)}
        names = [name for name in kinds if name not in empty or name in renames or self.chance(0.5)]
        self.rng.shuffle(names)
        heads = [renames.get(name, name) for name in names]
        if suffix == "parquet":
            self.write_parquet(path, rows, names, heads, kinds)
            return
        stream = io.StringIO(newline="")
        if suffix.startswith("csv"):
            writer = csv.writer(stream, lineterminator=self.rng.choice(("\n", "\r\n")))
            writer.writerow([*heads, "extra"])
            writer.writerows([*(row[name] or "" for name in names), "?"] for row in rows)
        else:
            typed = self.chance(0.5)
            for row in rows:
                pairs = [
                    f"{json.dumps(head)}: {self.json_value(kinds[name], row[name], typed)}"
                    for name, head in zip(names, heads, strict=True)
                    if row[name] is not None or self.chance(0.5)
                ]
                stream.write("{" + ", ".join(pairs) + "}\n")
        content = stream.getvalue().encode()
        path.write_bytes(gzip.compress(content, mtime=0) if suffix.endswith("gz") else content)

    def json_value(self, kind: str, value: str | None, typed: bool) -> str:
        """A number or boolean as JSON's own where it is one and the file is typed, else a string."""
        if kind.startswith("id") and typed and value in NO_IDS:
            return value
        bare = kind.startswith(("number", "integer")) and value and re.fullmatch(r"-?\d+(\.\d+)?(E\d+)?", value)
        if typed and (bare or kind.startswith("boolean")) and value is not None:
            return value
        return json.dumps(value)

    def write_parquet(self, path: Path, rows: Rows, names: list[str], heads: list[str], kinds: dict[str, str]) -> None:
        """Columns as text, or with their type where every value of the column can be read."""
        arrays = []
        for name in names:
            values = [row[name] for row in rows]
            array = pa.array(values, pa.string())
            if self.chance(0.6):
                with contextlib.suppress(Bad):
                    array = self.typed_array(kinds[name].rstrip("?"), values)
            arrays.append(array)
        pq.write_table(pa.table(dict(zip(heads, arrays, strict=True))), path)

    def typed_array(self, kind: str, values: list[str | None]) -> pa.Array:
        parsed = [parse(kind, value) for value in values]
        if kind.startswith("number"):
            return pa.array([None if value is None else float(value) for value in parsed], pa.float64())
        if kind.startswith("integer"):
            return pa.array([None if value is None else int(value) for value in parsed], self.rng.choice((pa.int64(), pa.int32())))
        if kind == "boolean":
            return pa.array(parsed, pa.bool_())
        if kind == "date":
            return pa.array(parsed, pa.date32())
        if kind == "timestamp":
            return pa.array(parsed, pa.timestamp("us", self.rng.choice((None, "UTC", "America/Lima"))))
        return pa.array(values, pa.string())


class Seeds:
    """A random scorecard configuration, all seed files."""

    def __init__(self, folder: Path, rng: random.Random, days: list[date]) -> None:
        self.folder = folder
        self.rng = rng
        self.days = days
        self.files: dict[str, list[tuple[object, ...]]] = {
            name: []
            for name in (
                "scorecards",
                "scorecard_dimensions",
                "scorecard_metrics",
                "metric_bands",
                "score_caps",
                "tiers",
            )
        }

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def write(self) -> None:
        versions = self.versions()
        self.save("config_versions", "config_version,valid_from,status,author,note", versions)
        self.save(
            "metrics",
            "metric_key,dimension_key,label,unit,higher_is_better,description",
            [
                (key, METRICS[key][0], key, "", str(float(best) > float(worst)).lower(), "see docs/scoring.md")
                for key, (worst, best, _) in ANCHORS.items()
            ],
        )
        header = "config_version,scorecard_key,label,priority,segment,stage,min_coverage,confirm_days,tier_mode"
        if self.chance(0.8):
            self.save("scorecards", f"{header},tier_margin", self.files["scorecards"])
        else:  # the column is optional
            self.save("scorecards", header, [row[:-1] for row in self.files["scorecards"]])
        self.save(
            "scorecard_dimensions",
            "config_version,scorecard_key,dimension_key,weight",
            self.files["scorecard_dimensions"],
        )
        self.save(
            "scorecard_metrics",
            "config_version,scorecard_key,metric_key,weight,method,worst,best,missing_policy",
            self.files["scorecard_metrics"],
        )
        self.save("metric_bands", "config_version,scorecard_key,metric_key,lower_bound,score", self.bands())
        self.save(
            "score_caps",
            "config_version,scorecard_key,cap_key,metric_key,operator,threshold,max_score,reason",
            self.files["score_caps"],
        )
        self.save("tiers", "config_version,scorecard_key,tier,colour,min_score,min_percentile", self.files["tiers"])
        self.save("playbooks", "playbook_key,label,priority,reason_template", [("call", "Call them", 1, "score fell")])
        self.save("playbook_conditions", "playbook_key,field,operator,value", [("call", "health_score", "<", 40)])
        self.save(
            "fx_rates",
            "currency,valid_from,rate",
            [
                ("EUR", "2015-01-01", "1.1"),
                ("EUR", self.days[0] - timedelta(days=100), "1.085"),
                ("EUR", self.days[1], "1.25"),
                ("EUR", self.days[len(self.days) // 2], "1.15"),
                ("GBP", "2015-01-01", "1.3"),
                ("GBP", self.days[0] - timedelta(days=40), "1.22"),
                ("JPY", "2031-01-01", "0.007"),
            ],
        )

    def bands(self) -> list[tuple[object, ...]]:
        """A scorecard that has nothing but bands reaches 100 with the highest: a run refuses tiers that no score reaches."""
        methods: dict[tuple[object, object], set[object]] = {}
        counts = {row[:3] for row in self.files["scorecard_dimensions"] if row[3] != "0"}
        for version, card, key, weight, method, *_ in self.files["scorecard_metrics"]:
            if weight != "0" and (version, card, METRICS[str(key)][0]) in counts:
                methods.setdefault((version, card), set()).add(method)
        rows = self.files["metric_bands"]
        highest = {row[:3]: row for row in rows}
        return [(*row[:4], "100") if methods.get(row[:2]) == {"bands"} and highest[row[:3]] is row else row for row in rows]

    def versions(self) -> list[tuple[object, ...]]:
        """The rows of config_versions.csv, the rest of each version written: active ones one after the other, whose
        names do not follow their order, and candidates beside them."""
        found: list[tuple[object, ...]] = [("v1", date(2000, 1, 1), "active", "Kim", "first")]
        self.cards("v1")
        starts = sorted(self.rng.sample(self.days[1:], self.rng.choice((0, 1, 1, 2, 2, 2, 3))))
        names = self.rng.sample(("v2", "v3", "v4"), len(starts))
        for name, start in zip(names, starts, strict=True):
            self.next_version(name, str(found[-1][0]))
            found.append((name, start, "active", "Kim", "better"))
        for name in ("c1", "c2")[: self.rng.choice((0, 1, 1, 1, 2))]:
            start = self.rng.choice((self.days[0] - timedelta(days=9), self.days[0], *self.rng.sample(self.days, 3)))
            self.next_version(name, str(found[0][0]))
            found.append((name, start, "candidate", "Kim", "what if"))
        return found

    def next_version(self, version: str, base: str) -> None:
        """A version with little in common with the one before it, or one that changes a few things of it."""
        if self.chance(0.3):
            self.cards(version)
            return
        cards = [str(row[1]) for row in self.files["scorecards"] if row[0] == base and row[1] != "standard"]
        gone = self.rng.sample(cards, min(len(cards), self.rng.choice((0, 1, 1, 2))))
        changed = {name: self.chance(0.5) for name in ("weights", "methods", "dimensions", "caps", "tiers", "rules", "one_rule")}
        if self.chance(0.4):  # nothing but the limits, or one of the rules
            gone, only = [], self.rng.choice(("tiers", "tiers", "one_rule"))
            changed = {name: name == only for name in changed}
        for name, rows in self.files.items():
            mine = [(version, *row[1:]) for row in rows if row[0] == base and row[1] not in gone]
            if name == "scorecards" and changed["rules"]:
                mine = [(*row[:6], *self.rules()) for row in mine]
            elif name == "scorecards" and changed["one_rule"]:
                which = self.rng.choice((7, 9, 9))
                mine = [(*row[:which], self.rules()[which - 6], *row[which + 1 :]) for row in mine]
            elif name == "scorecard_dimensions" and changed["dimensions"]:
                mine = [(*row[:3], self.rng.choice((row[3], "0.5", "2"))) for row in mine]
            elif name == "scorecard_metrics" and changed["weights"]:
                mine = [(*row[:3], self.rng.choice((row[3], row[3], "0.5", "2")), *row[4:]) for row in mine]
            elif name == "tiers" and changed["tiers"]:
                mine = [
                    (version, row[1], *tier) for row in self.files["scorecards"] if row[0] == version for tier in self.rng.choice(TIER_SETS)
                ]
            elif name == "score_caps" and changed["caps"]:
                mine = []
            rows += mine
        if changed["methods"]:
            metrics = self.files["scorecard_metrics"]
            for row in [row for row in metrics if row[0] == version and self.chance(0.2)]:
                metrics.remove(row)
                bands = self.files["metric_bands"]
                bands[:] = [band for band in bands if band[:3] != row[:3]]
                self.metric(*(str(cell) for cell in row[:4]))

    def save(self, name: str, header: str, rows: list[tuple[object, ...]]) -> None:
        rows = list(rows)
        self.rng.shuffle(rows)
        with (self.folder / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header.split(","))
            writer.writerows(rows)

    def cards(self, version: str) -> None:
        special = (
            ("onboarding", 10, "*", "onboarding"),
            ("renewing", 20, "*", "renewing"),
            ("enterprise", 30, "enterprise", "*"),
            ("enterprise_onboarding", 40, "enterprise", "onboarding"),
        )
        cards = [("standard", 1, "*", "*"), *([card for card in special if self.chance(0.5)] or special[2:3])]
        for key, priority, segment, stage in cards:
            self.files["scorecards"].append((version, key, key, priority, segment, stage, *self.rules()))
            self.card(version, key, everything=key == "standard")
        for priority, key in enumerate(SCRIPTED, 50):
            _, confirm_days, _, margin = self.rules()
            mode = self.rng.choice(("", "threshold", "threshold", "quantile"))
            self.files["scorecards"].append((version, key, key, priority, key, "*", "0.6", confirm_days, mode, margin))
            self.scripted_card(version, key)

    def rules(self) -> tuple[object, ...]:
        """min_coverage, confirm_days, tier_mode and tier_margin."""
        return (
            self.rng.choice(("", "0", "0.2", "0.2", "0.3", "0.4", "0.5", "0.6", "1")),
            self.rng.choice(("", 1, 1, 2, 3, 5)),
            self.rng.choice(("", "threshold", "quantile", "quantile")),
            self.rng.choice(("", "", "0", "1", "3", "2.5", "5")),
        )

    def scripted_card(self, version: str, card: str) -> None:
        """The score is that of the pulse; `held` adds usage, whose feed can be late, and is too little without."""
        metrics = {"csm_pulse": ("1", "5")} | ({"active_days_28d": ("0", "4")} if card == "held" else {})
        for key, (worst, best) in metrics.items():
            self.files["scorecard_dimensions"].append((version, card, METRICS[key][0], "1"))
            self.files["scorecard_metrics"].append((version, card, key, "1", "", worst, best, ""))
        self.files["tiers"] += [(version, card, *tier) for tier in self.rng.choice(TIER_SETS)]

    def card(self, version: str, card: str, everything: bool) -> None:
        share = 1 if everything else self.rng.choice((0.15, 0.5, 0.9))
        metrics = [key for key in METRICS if self.chance(share)] or ["active_days_28d"]
        by_dimension: dict[str, list[str]] = {}
        for key in metrics:
            by_dimension.setdefault(METRICS[key][0], []).append(key)
        for dimension, weight in self.weights(list(by_dimension), ("0", "0.5", "1", "1.25", "40")).items():
            self.files["scorecard_dimensions"].append((version, card, dimension, weight))
        for keys in by_dimension.values():
            for key, weight in self.weights(keys, ("0", "0.85", "1", "1", "1.25", "3")).items():
                self.metric(version, card, key, weight)
        for number in range(self.rng.randrange(0, 5)):
            key = self.rng.choice(metrics if self.chance(0.8) else list(METRICS))
            self.files["score_caps"].append(
                (
                    version,
                    card,
                    f"cap{number}",
                    key,
                    self.rng.choice(("<", "<=", ">", ">=", "=", "!=")),
                    self.rng.choice(ANCHORS[key][2]),
                    self.rng.choice(("0", "20", "40", "40", "45.5", "60", "100")),
                    "because",
                )
            )
        self.files["tiers"] += [(version, card, *tier) for tier in self.rng.choice(TIER_SETS)]

    def weights(self, keys: list[str], choices: tuple[str, ...]) -> dict[str, str]:
        """A weight for each key, at least one of them positive."""
        weights = {key: self.rng.choice(choices) for key in keys}
        if all(float(weight) == 0 for weight in weights.values()):
            weights[keys[0]] = "1"
        return weights

    def metric(self, version: str, card: str, key: str, weight: str) -> None:
        worst, best, values = ANCHORS[key]
        method = self.rng.choice(("", "linear", "linear", "bands", "percentile", "zscore"))
        linear = method in ("", "linear")
        policy = self.rng.choice(("", "", "exclude", "neutral", "worst"))
        self.files["scorecard_metrics"].append(
            (version, card, key, weight, method, worst if linear else "", best if linear else "", policy)
        )
        if method == "bands":
            bounds = sorted(self.rng.sample(values, self.rng.randrange(1, len(values) + 1)), key=float)
            if self.chance(0.5):
                bounds = ["-1000000", *bounds]
            self.files["metric_bands"] += [
                (version, card, key, bound, self.rng.choice(("0", "20", "50", "62.5", "100"))) for bound in bounds
            ]


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True)
    print(build_world(target, int(sys.argv[1])))
