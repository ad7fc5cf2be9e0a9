"""Values and states of every metric (docs/scoring.md, "Data states" and "Metrics"), one function per metric, in its order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from statistics import median

from tests.oracle.raw import Raw, Row, day_of


@dataclass(frozen=True)
class Measure:
    """What is known of a metric on a day; it has a `value` only where the state is `measured`."""

    state: str
    value: Fraction | None = None


NOT_APPLICABLE = Measure("not_applicable")
STALE = Measure("stale")
MISSING = Measure("missing")
LATE = Measure("late")
ADOPTION_TABLE = "usage_events"


def measured(value: Fraction | int) -> Measure:
    return Measure("measured", Fraction(value))


class AccountDay:
    """An account as seen at the end of a day: every row here is up to that day."""

    def __init__(self, raw: Raw, account: Row, d: date) -> None:
        self.raw = raw
        self.account_id: str = account["account_id"]
        self.d = d
        self.tenure = (d - account["day"]).days

    def rows(self, table: str) -> list[Row]:
        return [row for row in self.raw.of(table, self.account_id) if row["day"] <= self.d]

    def in_last(self, days: int, moment: object, before: int = 0) -> bool:
        """Whether a date or timestamp lies in the `days` days ending `before` days before d."""
        if moment is None:
            return False
        last = self.d - timedelta(days=before)
        return last - timedelta(days=days - 1) <= day_of(moment) <= last

    def recent(self, table: str, days: int, before: int = 0) -> list[Row]:
        return [row for row in self.rows(table) if self.in_last(days, row["day"], before)]

    # -- usage

    @cached_property
    def events(self) -> list[Row]:
        return self.rows(ADOPTION_TABLE)

    def users(self, days: int, before: int = 0) -> set[str]:
        return {event["user_id"] for event in self.events if self.in_last(days, event["day"], before)}

    @cached_property
    def au28(self) -> int:
        return len(self.users(28))

    @cached_property
    def au_before(self) -> int:
        return len(self.users(28, before=28))

    def anyones_events(self) -> Iterable[Row]:
        return (event for event in self.raw.all(ADOPTION_TABLE) if event["day"] <= self.d)

    def never_used_or(self, value: Callable[[], Fraction | int]) -> Measure:
        """The never-used rule, then the value."""
        if self.events:
            return measured(value())
        return NOT_APPLICABLE if self.tenure <= 30 else measured(0)

    # -- subscriptions

    def in_force(self, day: date) -> list[Row]:
        return [
            row
            for row in self.raw.of("subscriptions", self.account_id)
            if row["started_on"] <= day and (row["ended_on"] is None or row["ended_on"] > day)
        ]

    def sum_in_force(self, column: str, day: date) -> Fraction | None:
        """Sum over the subscriptions in force; None where all are null."""
        values = [row[column] for row in self.in_force(day) if row[column] is not None]
        return sum(values, Fraction(0)) if values else None

    @property
    def seats(self) -> Fraction | None:
        return self.sum_in_force("seats", self.d)

    @property
    def mrr(self) -> Fraction | None:
        return self.sum_in_force("mrr", self.d)

    def mrr_at_rates_of_today(self, day: date) -> Fraction | None:
        """The mrr in force on a day, at the rates in force on d."""
        values = [row["own_mrr"] * self.raw.rate(row["currency"], self.d) for row in self.in_force(day) if row["own_mrr"] is not None]
        return sum(values, Fraction(0)) if values else None

    # -- invoices

    def invoices(self) -> list[Row]:
        return [row for row in self.rows("invoices") if row["voided_on"] is None or row["voided_on"] > self.d]

    def claims(self) -> list[Row]:
        return [row for row in self.invoices() if row["amount"] > 0]

    def owed(self) -> list[Row]:
        """The claims that are past due and not settled."""
        return [row for row in self.claims() if row["due_on"] < self.d and (settled_on(row) is None or settled_on(row) > self.d)]

    # -- contacts

    @cached_property
    def contacts(self) -> list[Row]:
        """The role of each contact that had begun last: contacts who had left are there, too."""
        latest: dict[str, Row] = {}
        for row in sorted(self.rows("contacts"), key=lambda row: row["joined_on"]):
            latest[row["contact_id"]] = row
        return list(latest.values())

    def heard_on(self, contact: Row) -> list[date]:
        """The days on which a contact used the product, wrote, or answered."""
        spoke = [row for row in self.rows("touchpoints") if row["direction"] == "inbound" or row["responded"] is True]
        return [row["day"] for row in spoke if row["contact_id"] == contact["contact_id"]] + [
            event["day"] for event in self.events if contact["user_id"] is not None and event["user_id"] == contact["user_id"]
        ]

    def can_be_heard(self, contact: Row) -> bool:
        if any(row["day"] <= self.d and row["contact_id"] is not None for row in self.raw.all("touchpoints")):
            return True
        return contact["user_id"] is not None and any(True for _ in self.anyones_events())

    def is_a_feed_late(self) -> bool:
        return LATE in (table_state(self.raw, ADOPTION_TABLE, self.d), table_state(self.raw, "touchpoints", self.d))


def settled_on(claim: Row) -> date | None:
    """The day on which nothing is owed any more, None if that has not come."""
    days = [day for day in (claim["paid_on"], claim["written_off_on"]) if day is not None]
    if days:
        return min(days)
    return claim["due_on"] if claim["open_amount"] is not None and claim["open_amount"] <= 0 else None


# -- adoption


def active_days_28d(a: AccountDay) -> Measure:
    return a.never_used_or(lambda: len({event["day"] for event in a.events if a.in_last(28, event["day"])}))


def active_users_28d(a: AccountDay) -> Measure:
    return a.never_used_or(lambda: a.au28)


def license_utilization_28d(a: AccountDay) -> Measure:
    seats = a.seats
    if not seats:
        return NOT_APPLICABLE
    return a.never_used_or(lambda: a.au28 / seats)


def active_user_trend_28d(a: AccountDay) -> Measure:
    if a.au_before == 0 or a.tenure < 56:
        return NOT_APPLICABLE
    return a.never_used_or(lambda: Fraction(a.au28 - a.au_before, a.au_before))


def stickiness_28d(a: AccountDay) -> Measure:
    def value() -> Fraction | int:
        if a.au28 == 0:
            return 0
        daily = [len(a.users(1, before=back)) for back in range(28)]
        return Fraction(sum(daily), 28) / a.au28

    return a.never_used_or(value)


def minutes_per_active_user_28d(a: AccountDay) -> Measure:
    if all(event["duration_seconds"] is None for event in a.anyones_events()):
        return MISSING
    window = [event["duration_seconds"] for event in a.events if a.in_last(28, event["day"])]
    durations = [seconds for seconds in window if seconds is not None]
    if window and not durations:
        return MISSING
    return a.never_used_or(lambda: sum(durations, Fraction(0)) / 60 / a.au28 if a.au28 else 0)


def feature_breadth_90d(a: AccountDay) -> Measure:
    anyone = {e["feature"] for e in a.anyones_events() if a.in_last(90, e["day"]) and e["feature"] is not None}
    if not anyone:
        return MISSING
    used = {e["feature"] for e in a.events if a.in_last(90, e["day"]) and e["feature"] is not None}
    return a.never_used_or(lambda: Fraction(len(used), len(anyone)))


def new_feature_adoption_90d(a: AccountDay) -> Measure:
    releases = [row for row in a.raw.all("feature_releases") if row["day"] <= a.d]
    if not releases:
        return MISSING
    new = {row["feature"]: row["released_on"] for row in releases if a.in_last(90, row["released_on"])}
    if not new:
        return NOT_APPLICABLE
    used = {e["feature"] for e in a.events if e["feature"] in new and e["day"] >= new[e["feature"]]}
    return a.never_used_or(lambda: Fraction(len(used), len(new)))


def days_since_last_activity(a: AccountDay) -> Measure:
    if not a.events:
        return NOT_APPLICABLE if a.tenure <= 30 else measured(a.tenure)
    return measured((a.d - max(event["day"] for event in a.events)).days)


def user_retention_28d(a: AccountDay) -> Measure:
    if a.au_before == 0:
        return NOT_APPLICABLE
    return a.never_used_or(lambda: Fraction(len(a.users(28) & a.users(28, before=28)), a.au_before))


def usage_vs_baseline_28d(a: AccountDay) -> Measure:
    baseline = sum(a.in_last(84, event["day"], before=28) for event in a.events)
    if baseline == 0 or a.tenure < 112:
        return NOT_APPLICABLE
    now = sum(a.in_last(28, event["day"]) for event in a.events)
    return a.never_used_or(lambda: Fraction(now, 28) / Fraction(baseline, 84))


def active_periods_streak(a: AccountDay) -> Measure:
    def value() -> int:
        for period in range(13):
            if not any(a.in_last(28, event["day"], before=28 * period) for event in a.events):
                return period
        return 13

    return a.never_used_or(value)


def onboarding_rate_30d(a: AccountDay) -> Measure:
    seats = a.seats
    if not seats or a.tenure > 120:
        return NOT_APPLICABLE

    def value() -> Fraction:
        first: dict[str, date] = {}
        for event in a.events:
            first[event["user_id"]] = min(first.get(event["user_id"], event["day"]), event["day"])
        return sum(a.in_last(30, day) for day in first.values()) / seats

    return a.never_used_or(value)


# -- commercial


def days_late_180d(a: AccountDay) -> Measure:
    due = [row for row in a.claims() if a.in_last(180, row["due_on"])]
    late = [max(0, (min(settled_on(row) or a.d, a.d) - row["due_on"]).days) for row in due]
    return measured(Fraction(sum(late), len(late))) if late else NOT_APPLICABLE


def days_overdue_oldest(a: AccountDay) -> Measure:
    owed = a.owed()
    return measured((a.d - min(row["due_on"] for row in owed)).days if owed else 0)


def overdue_ratio(a: AccountDay) -> Measure:
    mrr = a.mrr
    if not mrr:
        return NOT_APPLICABLE
    owed = [row["amount"] if row["open_amount"] is None else max(row["open_amount"], Fraction(0)) for row in a.owed()]
    return measured(sum(owed, Fraction(0)) / mrr)


def mrr_trend_90d(a: AccountDay) -> Measure:
    before, now = a.mrr_at_rates_of_today(a.d - timedelta(days=90)), a.mrr_at_rates_of_today(a.d)
    if not before:
        return NOT_APPLICABLE
    # Null on d although no state applies: nothing is known, hence missing.
    return MISSING if now is None else measured((now - before) / before)


def days_to_renewal(a: AccountDay) -> Measure:
    # A term that ends on 9999-12-31 never does.
    terms = [row["term_ends_on"] for row in a.in_force(a.d) if row["term_ends_on"] and a.d <= row["term_ends_on"] < date(9999, 12, 31)]
    return measured((min(terms) - a.d).days) if terms else MISSING


def days_since_renewal(a: AccountDay) -> Measure:
    days = [row["started_on"] for row in a.in_force(a.d)]
    days += [row["occurred_on"] for row in a.rows("account_outcomes") if row["kind"] == "renewed"]
    return measured((a.d - max(days)).days) if days else MISSING


def expansions_365d(a: AccountDay) -> Measure:
    return measured(sum(row["kind"] == "expanded" for row in a.recent("account_outcomes", 365)))


# -- support


def critical_open_tickets(a: AccountDay) -> Measure:
    return measured(
        sum(row["priority"] == "critical" and (row["resolved_at"] is None or day_of(row["resolved_at"]) > a.d) for row in a.rows("tickets"))
    )


def escalations_90d(a: AccountDay) -> Measure:
    return measured(sum(a.in_last(90, _not_before_opening(row, "escalated_at")) for row in a.rows("tickets")))


def tickets_per_10_users_28d(a: AccountDay) -> Measure:
    return measured(Fraction(10 * len(a.recent("tickets", 28)), max(a.au28, 10)))


def negative_ticket_share_90d(a: AccountDay) -> Measure:
    opened = a.recent("tickets", 90)
    if not opened:
        return NOT_APPLICABLE
    return measured(Fraction(sum(row["topic"] in ("bug", "billing", "complaint") for row in opened), len(opened)))


def _not_before_opening(ticket: Row, column: str) -> datetime | None:
    """A moment of a ticket; one before its opening counts as at the opening."""
    return None if ticket[column] is None else max(ticket[column], ticket["opened_at"])


def _median_hours(a: AccountDay, column: str) -> Measure:
    hours = [
        Fraction((moment - row["opened_at"]) // timedelta(microseconds=1), 3_600_000_000)
        for row in a.rows("tickets")
        if a.in_last(90, moment := _not_before_opening(row, column))
    ]
    return measured(median(hours)) if hours else NOT_APPLICABLE


def median_first_reply_hours_90d(a: AccountDay) -> Measure:
    return _median_hours(a, "first_replied_at")


def median_resolution_hours_90d(a: AccountDay) -> Measure:
    return _median_hours(a, "resolved_at")


def _mean_survey(a: AccountDay, survey: str, days: int) -> Measure:
    ever = [row for row in a.rows("survey_responses") if row["survey"] == survey]
    scores = [row["score"] for row in ever if a.in_last(days, row["day"])]
    if scores:
        return measured(sum(scores, Fraction(0)) / len(scores))
    return STALE if ever else MISSING


def csat_180d(a: AccountDay) -> Measure:
    return _mean_survey(a, "csat", 180)


# -- voice


def nps_180d(a: AccountDay) -> Measure:
    ever = [row for row in a.rows("survey_responses") if row["survey"] == "nps"]
    latest: dict[tuple[str, str], Row] = {}
    for row in sorted(ever, key=lambda row: (row["responded_at"], row["response_id"])):
        if a.in_last(180, row["day"]):
            respondent = ("answer", row["response_id"]) if row["user_id"] is None else ("user", row["user_id"])
            latest[respondent] = row
    if not latest:
        return STALE if ever else MISSING
    promoters = sum(9 <= row["score"] <= 10 for row in latest.values())
    detractors = sum(0 <= row["score"] <= 6 for row in latest.values())
    return measured(Fraction(100 * (promoters - detractors), len(latest)))


def product_rating_365d(a: AccountDay) -> Measure:
    return _mean_survey(a, "product_rating", 365)


def two_way_touchpoints_90d(a: AccountDay) -> Measure:
    return measured(sum(row["direction"] == "inbound" or row["responded"] is True for row in a.recent("touchpoints", 90)))


def contact_minutes_90d(a: AccountDay) -> Measure:
    return measured(sum((row["duration_minutes"] or Fraction(0) for row in a.recent("touchpoints", 90)), Fraction(0)))


def contact_sentiment_90d(a: AccountDay) -> Measure:
    sentiments = [row["sentiment"] for row in a.recent("touchpoints", 90) if row["sentiment"] is not None]
    return measured(sum(sentiments, Fraction(0)) / len(sentiments)) if sentiments else MISSING


def response_rate_90d(a: AccountDay) -> Measure:
    sent = [row for row in a.recent("touchpoints", 90) if row["direction"] == "outbound"]
    return measured(Fraction(sum(row["responded"] is True for row in sent), len(sent))) if sent else NOT_APPLICABLE


def advocacy_365d(a: AccountDay) -> Measure:
    return measured(len(a.recent("advocacy_events", 365)))


def csm_pulse(a: AccountDay) -> Measure:
    ever = a.rows("csm_pulses")
    recent = a.recent("csm_pulses", 90)
    if not recent:
        return STALE if ever else MISSING
    return measured(max(recent, key=lambda row: (row["rated_at"], row["pulse_id"]))["rating"])


def _days_silent(a: AccountDay, role: str) -> Measure:
    in_force = [row for row in a.contacts if row["role"] == role and (row["left_on"] is None or row["left_on"] > a.d)]
    if not in_force:
        return NOT_APPLICABLE
    if a.is_a_feed_late():
        return LATE
    silent = [min((a.d - max([row["joined_on"], *a.heard_on(row)])).days, 365) for row in in_force if a.can_be_heard(row)]
    return measured(min(silent)) if silent else MISSING


def champion_days_silent(a: AccountDay) -> Measure:
    return _days_silent(a, "champion")


def champions_left_90d(a: AccountDay) -> Measure:
    champions = [row for row in a.rows("contacts") if row["role"] == "champion"]
    if not a.contacts:
        return MISSING
    left = sum(a.in_last(90, row["left_on"]) for row in champions)
    return measured(max(left - sum(a.in_last(90, row["joined_on"]) for row in champions), 0))


def engaged_contacts_90d(a: AccountDay) -> Measure:
    if a.is_a_feed_late():
        return LATE
    if not any(a.can_be_heard(row) for row in a.contacts):
        return MISSING
    return measured(sum(any(a.in_last(90, day) for day in a.heard_on(row)) for row in a.contacts))


def decision_maker_days_silent(a: AccountDay) -> Measure:
    return _days_silent(a, "decision_maker")


# -- outcomes


def goal_attainment(a: AccountDay) -> Measure:
    def counts(row: Row) -> bool:
        return row["target_value"] is not None and row["target_value"] > 0 and row["actual_value"] is not None

    latest: dict[str, Row] = {}
    for row in sorted(a.recent("account_goals", 180), key=lambda row: row["measured_on"]):
        latest[row["goal_id"]] = row
    ratios = [min(max(row["actual_value"] / row["target_value"], Fraction(0)), Fraction(2)) for row in latest.values() if counts(row)]
    if ratios:
        return measured(sum(ratios, Fraction(0)) / len(ratios))
    return STALE if any(counts(row) for row in a.rows("account_goals")) else MISSING


def customer_roi_365d(a: AccountDay) -> Measure:
    values = [row["value_delivered"] for row in a.recent("account_goals", 365) if row["value_delivered"] is not None]
    if not values:
        return MISSING
    invoiced = sum((row["amount"] for row in a.invoices() if a.in_last(365, row["issued_on"])), Fraction(0))
    return measured(sum(values, Fraction(0)) / invoiced) if invoiced > 0 else NOT_APPLICABLE


# metric -> (dimension, the metric's table, function)
METRICS: dict[str, tuple[str, str, Callable[[AccountDay], Measure]]] = {
    function.__name__: (dimension, table, function)
    for dimension, table, functions in (
        (
            "adoption",
            ADOPTION_TABLE,
            (
                active_days_28d,
                active_users_28d,
                license_utilization_28d,
                active_user_trend_28d,
                stickiness_28d,
                minutes_per_active_user_28d,
                feature_breadth_90d,
                new_feature_adoption_90d,
                days_since_last_activity,
                user_retention_28d,
                usage_vs_baseline_28d,
                active_periods_streak,
                onboarding_rate_30d,
            ),
        ),
        ("commercial", "invoices", (days_late_180d, days_overdue_oldest, overdue_ratio)),
        ("commercial", "subscriptions", (mrr_trend_90d, days_to_renewal, days_since_renewal)),
        ("commercial", "account_outcomes", (expansions_365d,)),
        (
            "support",
            "tickets",
            (
                critical_open_tickets,
                escalations_90d,
                tickets_per_10_users_28d,
                negative_ticket_share_90d,
                median_first_reply_hours_90d,
                median_resolution_hours_90d,
            ),
        ),
        ("support", "survey_responses", (csat_180d,)),
        ("voice", "survey_responses", (nps_180d, product_rating_365d)),
        (
            "voice",
            "touchpoints",
            (two_way_touchpoints_90d, contact_minutes_90d, contact_sentiment_90d, response_rate_90d),
        ),
        ("voice", "advocacy_events", (advocacy_365d,)),
        ("voice", "csm_pulses", (csm_pulse,)),
        ("voice", "contacts", (champion_days_silent, champions_left_90d, engaged_contacts_90d, decision_maker_days_silent)),
        ("outcomes", "account_goals", (goal_attainment, customer_roi_365d)),
    )
    for function in functions
}


def table_state(raw: Raw, table: str, d: date) -> Measure | None:
    """`missing` or `late` where the whole table is so on d, else None."""
    days = [row["day"] for row in raw.all(table) if row["day"] <= d]
    if not days:
        return MISSING
    limit = raw.late_after_days.get(table)
    return LATE if limit is not None and (d - max(days)).days > limit else None


def measure(raw: Raw, account: Row, metric_key: str, d: date) -> Measure:
    """One metric of one account on one day."""
    _, table, function = METRICS[metric_key]
    return table_state(raw, table, d) or function(AccountDay(raw, account, d))


def measure_all(raw: Raw, accounts: list[Row], d: date) -> dict[str, dict[str, Measure]]:
    """account_id -> metric_key -> measure, for one day."""
    states = {table: table_state(raw, table, d) for _, table, _ in METRICS.values()}
    found: dict[str, dict[str, Measure]] = {}
    for account in accounts:
        day = AccountDay(raw, account, d)
        found[account["account_id"]] = {key: states[table] or function(day) for key, (_, table, function) in METRICS.items()}
    return found
