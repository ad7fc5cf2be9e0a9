"""The company's facts as the raw tables of the contract, as they are at the end of its last day.

What lies after that day is not there yet: later rows are left out, and a payment, a resolution or an end of a
subscription that is still to come is null.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orchestration.contract import TABLES
from orchestration.extract.connectors.demo.company import (
    CURRENCIES,
    INDUSTRIES,
    NEVER,
    PLANS,
    REGIONS,
    SEGMENTS,
    UNLIMITED,
    Ints,
    account_names,
    csm_names,
    feature_releases,
    person_names,
    stream,
)
from orchestration.extract.connectors.demo.simulation import (
    ADVOCACY,
    CHANNELS,
    NPS,
    OUTCOMES,
    PRIORITIES,
    ROLES,
    SECONDS_PER_DAY,
    SURVEYS,
    TIERS,
    TOPICS,
    Fact,
    History,
)
from orchestration.extract.connectors.demo.usage import numbered

_TEAM = "Customer success"
_PULSE_NOTES = (
    "Sponsor has gone quiet.",
    "Complains about the same bug again.",
    "Steady, nothing new.",
    "Good meeting, wants a roadmap call.",
    "Rolling out to another team.",
)
_OVERRIDE_REASONS = (
    "Executive sponsor confirmed the rollout",
    "New owner, contract under review",
    "Announced to look at alternatives",
)
_Builder = Callable[[History, Fact], dict[str, pa.Array]]
# Some invoices were paid in part when they were issued; what nobody has paid for long is written off.
_ONE_PAID_IN_PART_IN, _OPEN_SHARE = 12, 0.6
_WRITTEN_OFF_AFTER_DAYS = 120
# What people act on in the action log: playbook, raw table, day of the fact, which facts.
_CAUSES: tuple[tuple[str, str, Callable[[Fact], Ints], Callable[[Fact], NDArray]], ...] = (
    (
        "answer_escalations",
        "tickets",
        lambda fact: fact["escalated_at"] // SECONDS_PER_DAY,
        lambda fact: fact["escalated_at"] < NEVER * SECONDS_PER_DAY,
    ),
    ("plan_low_pulse", "csm_pulses", lambda fact: fact["rated_at"] // SECONDS_PER_DAY, lambda fact: fact["rating"] <= 2),
    (
        "answer_detractors",
        "survey_responses",
        lambda fact: fact["responded_at"] // SECONDS_PER_DAY,
        lambda fact: (fact["survey"] == NPS) & (fact["score"] <= 6),
    ),
    ("collect_overdue", "invoices", lambda fact: fact["due_on"], lambda fact: fact["paid_on"] > fact["due_on"]),
)
_ACTED_ON = 0.55
_ACTION_NOTES = ("Talked to them.", "They asked for two weeks.", "Nothing to do here.")


class Source:
    """One raw table of the demo company.

    Attributes:
        rows: the contract's columns, in order of occurrence.
        numbers: for each row its number in the table; it does not depend on the company's last day.
    """

    def __init__(self, rows: pa.Table, numbers: Ints) -> None:
        self.rows = rows
        self.numbers = numbers


def build_table(history: History, name: str, size: int, with_hostile_names: bool) -> Source:
    """One raw table other than `usage_events`, complete and clean.

    Args:
        size: customers at any one time, about; sets the number of customer-success managers.
    """
    if name == "accounts":
        return _accounts(history, size, with_hostile_names)
    if name == "feature_releases":
        features, released_on = feature_releases(history.first_day, history.last_day)
        return _source(name, {"feature": pa.array(features), "released_on": _dates(released_on)})
    if name == "action_log":
        return _action_log(history, size)
    if name not in history.facts:
        return Source(TABLES[name].arrow_schema.empty_table(), np.empty(0, dtype=np.int64))
    fact = history.facts[name]
    first = TABLES[name].fact_column
    end = history.last_day + 1
    limit = end * SECONDS_PER_DAY if TABLES[name].by_name[first].kind == "timestamp" else end
    happened = fact[first] < limit
    fact = {column: values[happened] for column, values in fact.items()}
    if "author" in TABLES[name].by_name:
        fact["author"] = np.array([person or _TEAM for person in csm_names(history.accounts, size)])[fact["account"]]
    columns = _BUILDERS[name](history, fact)
    return _source(name, {"account_id": _account_ids(fact["account"]), **columns}, fact["number"])


def _source(name: str, columns: dict[str, pa.Array], numbers: Ints | None = None) -> Source:
    schema = TABLES[name].arrow_schema
    rows = pa.table({column: columns[column] for column in schema.names}, schema=schema)
    return Source(rows, np.arange(rows.num_rows) if numbers is None else numbers)


def _account_ids(index: Ints) -> pa.Array:
    return numbered("acc-", index, 5)


def _named(names: tuple[str, ...], index: NDArray, is_null: NDArray | None = None) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(index, mask=is_null))


def _dates(days: Ints, end: int = NEVER) -> pa.Array:
    """Days as dates; null from day `end` on."""
    return pa.array(days.astype(np.int32), mask=days >= end).cast(pa.date32())


def _moments(seconds: Ints, end: int = NEVER) -> pa.Array:
    """Seconds since 1970 as timestamps; null from day `end` on."""
    is_null = seconds >= end * SECONDS_PER_DAY
    return pa.array(np.where(is_null, 0, seconds) * 1_000_000, mask=is_null).cast(pa.timestamp("us"))


def _numbers(values: NDArray) -> pa.Array:
    """Numbers, null where they are NaN."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _accounts(history: History, size: int, with_hostile_names: bool) -> Source:
    accounts = history.accounts
    index = np.arange(len(accounts))
    since_midnight = (stream(history.seed, "created_at").uniform(8, 18, len(accounts)) * 3600).astype(np.int64)
    # One account in 97 was never put into a segment.
    columns = {
        "account_id": _account_ids(index),
        "account_name": pa.array(account_names(accounts, history.seed, with_hostile_names)),
        "parent_account_id": pc.if_else(
            pa.array(accounts.parent >= 0), _account_ids(np.maximum(accounts.parent, 0)), pa.scalar(None, pa.string())
        ),
        "segment": _named(SEGMENTS, accounts.segment, index % 97 == 71),
        "industry": _named(INDUSTRIES, accounts.industry),
        "region": _named(REGIONS, accounts.region),
        "csm": pa.array(csm_names(accounts, size), pa.string()),
        "created_at": _moments(accounts.created * SECONDS_PER_DAY + since_midnight),
    }
    return _source("accounts", columns)


def _contacts(history: History, fact: Fact) -> dict[str, pa.Array]:
    ids = _contact_ids(fact["number"])
    names = person_names(fact["number"])
    # Of one in eleven there is no address.
    emails = [f"{name.lower().replace(' ', '.')}.{number}@customer.example" for name, number in zip(names, fact["number"], strict=True)]
    return {
        "contact_id": ids,
        "user_id": _user_ids(fact["user"]),
        "name": pa.array(names),
        "email": pa.array(emails, mask=fact["number"] % 11 == 4),
        "role": _named(ROLES, fact["role"]),
        "joined_on": _dates(fact["joined_on"]),
        "left_on": _dates(fact["left_on"], history.last_day + 1),
    }


def _contact_ids(numbers: Ints) -> pa.Array:
    return pc.if_else(pa.array(numbers >= 0), numbered("con-", np.maximum(numbers, 0), 6), pa.scalar(None, pa.string()))


def _user_ids(numbers: Ints) -> pa.Array:
    return pc.if_else(pa.array(numbers >= 0), numbered("usr-", np.maximum(numbers, 0), 6), pa.scalar(None, pa.string()))


def _touchpoints(history: History, fact: Fact) -> dict[str, pa.Array]:
    return {
        "touchpoint_id": numbered("tch-", fact["number"], 7),
        "occurred_at": _moments(fact["occurred_at"]),
        "channel": _named(CHANNELS, fact["channel"]),
        "direction": _named(("outbound", "inbound"), fact["is_inbound"].astype(np.int64)),
        "duration_minutes": _numbers(fact["duration_minutes"]),
        "responded": pa.array(fact["responded"], mask=fact["is_inbound"]),
        "sentiment": _numbers(fact["sentiment"]),
        "contact_id": _contact_ids(fact["contact"]),
    }


def _csm_pulses(history: History, fact: Fact) -> dict[str, pa.Array]:
    rating = fact["rating"].astype(np.int64)
    return {
        "pulse_id": numbered("pls-", fact["number"], 6),
        "rated_at": _moments(fact["rated_at"]),
        "rating": pa.array(fact["rating"]),
        "author": pa.array(fact["author"], pa.string()),
        "note": _named(_PULSE_NOTES, rating - 1, fact["number"] % 3 > 0),
    }


def _account_goals(history: History, fact: Fact) -> dict[str, pa.Array]:
    prefix = _named(("goal-1", "goal-2"), fact["is_second"].astype(np.int64))
    return {
        "goal_id": pc.binary_join_element_wise(prefix, _account_ids(fact["account"]), "-"),
        "measured_on": _dates(fact["measured_on"]),
        "target_value": pa.array(fact["target_value"]),
        "actual_value": pa.array(fact["actual_value"]),
        "value_delivered": _numbers(fact["value_delivered"]),
    }


def _advocacy_events(history: History, fact: Fact) -> dict[str, pa.Array]:
    return {
        "advocacy_id": numbered("adv-", fact["number"], 6),
        "occurred_at": _moments(fact["occurred_at"]),
        "kind": _named(ADVOCACY, fact["kind"]),
    }


def _account_outcomes(history: History, fact: Fact) -> dict[str, pa.Array]:
    return {
        "outcome_id": numbered("out-", fact["number"], 6),
        "occurred_on": _dates(fact["occurred_on"]),
        "kind": _named(OUTCOMES, fact["kind"]),
        "arr_delta": pa.array(fact["arr_delta"]),
    }


def _score_overrides(history: History, fact: Fact) -> dict[str, pa.Array]:
    return {
        "override_id": numbered("ovr-", fact["number"], 5),
        "tier": _named(TIERS, fact["tier"]),
        "reason": _named(_OVERRIDE_REASONS, fact["tier"]),
        "author": pa.array(fact["author"], pa.string()),
        "starts_on": _dates(fact["starts_on"]),
        "expires_on": _dates(fact["expires_on"]),
    }


def _action_log(history: History, size: int) -> Source:
    """What the team did about what had happened: some days after an escalation, a low pulse, an answer of 0 to 6 or a missed due date."""
    people = pa.array([person or _TEAM for person in csm_names(history.accounts, size)])
    parts = []
    numbers = []
    for playbook, name, day_of, happened in _CAUSES:
        if name not in history.facts:
            continue
        fact = history.facts[name]
        # A row for each fact, so that a longer history begins with the same draws.
        acts, what, late, hour = stream(history.seed, f"action_log {playbook}").random((len(fact["number"]), 4)).T
        logged = day_of(fact) + 1 + (late * 12).astype(np.int64)
        is_logged = happened(fact) & (acts < _ACTED_ON) & (logged <= history.last_day)
        state = np.searchsorted([0.68, 0.85], what, side="right")
        columns = {
            "entry_id": numbered(f"act-{playbook}-", fact["number"], 6),
            "account_id": _account_ids(fact["account"]),
            "playbook_key": pa.array([playbook] * len(state)),
            "logged_at": _moments(logged * SECONDS_PER_DAY + ((8 + 9 * hour) * 3600).astype(np.int64)),
            "state": _named(("done", "snoozed", "dismissed"), state),
            "snoozed_until": _dates(np.where(state == 1, logged + 14, NEVER)),
            # Now and then a colleague takes over.
            "owner": _named((_TEAM,), np.zeros(len(state), dtype=np.int64), late < 0.9),
            "author": people.take(pa.array(fact["account"])),
            "note": _named(_ACTION_NOTES, state),
        }
        schema = TABLES["action_log"].arrow_schema
        part = pa.table({column: columns[column] for column in schema.names}, schema=schema)
        parts.append(part.filter(pa.array(is_logged)))
        numbers.append(fact["number"][is_logged])
    rows = pa.concat_tables(parts)
    order = pc.sort_indices(rows, [("logged_at", "ascending"), ("entry_id", "ascending")])
    return Source(rows.take(order).combine_chunks(), np.concatenate(numbers)[order.to_numpy()])


def _subscriptions(history: History, fact: Fact) -> dict[str, pa.Array]:
    suffix = _named(("", "-insights"), fact["is_add_on"].astype(np.int64))
    # Unlimited plans and add-ons are not sold by the seat.
    has_seats = ~fact["is_add_on"] & (fact["plan"] != UNLIMITED)
    return {
        "subscription_id": pc.binary_join_element_wise(numbered("sub-", fact["account"], 5), suffix, ""),
        "plan": _named(PLANS, fact["plan"]),
        "seats": pa.array(fact["seats"], mask=~has_seats),
        "mrr": pa.array(np.round(fact["mrr"], 2)),
        "currency": _currency(history, fact["account"]),
        "started_on": _dates(fact["started_on"]),
        "ended_on": _dates(fact["ended_on"], history.last_day + 1),
        "term_ends_on": _dates(fact["term_ends_on"]),
        "is_trial": pa.array(fact["is_trial"]),
    }


def _invoices(history: History, fact: Fact) -> dict[str, pa.Array]:
    end = history.last_day + 1
    is_paid_in_part = fact["number"] % _ONE_PAID_IN_PART_IN == 5
    given_up_on = fact["due_on"] + _WRITTEN_OFF_AFTER_DAYS
    is_given_up = (fact["paid_on"] > given_up_on) & (fact["voided_on"] > given_up_on)
    return {
        "invoice_id": numbered("inv-", fact["number"], 6),
        "issued_on": _dates(fact["issued_on"]),
        "due_on": _dates(fact["due_on"]),
        "paid_on": _dates(fact["paid_on"], end),
        "amount": pa.array(fact["amount"]),
        "open_amount": pa.array(np.round(_OPEN_SHARE * fact["amount"], 2), mask=~is_paid_in_part),
        "currency": _currency(history, fact["account"]),
        "voided_on": _dates(fact["voided_on"], end),
        "written_off_on": _dates(np.where(is_given_up, given_up_on, NEVER), end),
    }


def _currency(history: History, account: Ints) -> pa.Array:
    """The account's currency; a few accounts in the first one, the reporting currency, come without."""
    currency = history.accounts.currency[account]
    return _named(CURRENCIES, currency, (currency == 0) & (account % 40 == 11))


def _tickets(history: History, fact: Fact) -> dict[str, pa.Array]:
    end = history.last_day + 1
    return {
        "ticket_id": numbered("tkt-", fact["number"], 6),
        "opened_at": _moments(fact["opened_at"]),
        "first_replied_at": _moments(fact["first_replied_at"], end),
        "resolved_at": _moments(fact["resolved_at"], end),
        "priority": _named(PRIORITIES, fact["priority"]),
        "topic": _named(TOPICS, fact["topic"]),
        "escalated_at": _moments(fact["escalated_at"], end),
    }


def _survey_responses(history: History, fact: Fact) -> dict[str, pa.Array]:
    return {
        "response_id": numbered("srv-", fact["number"], 6),
        "user_id": _user_ids(fact["user"]),
        "survey": _named(SURVEYS, fact["survey"]),
        "score": pa.array(fact["score"]),
        "responded_at": _moments(fact["responded_at"]),
    }


_BUILDERS: dict[str, _Builder] = {
    "contacts": _contacts,
    "touchpoints": _touchpoints,
    "csm_pulses": _csm_pulses,
    "account_goals": _account_goals,
    "advocacy_events": _advocacy_events,
    "account_outcomes": _account_outcomes,
    "score_overrides": _score_overrides,
    "subscriptions": _subscriptions,
    "invoices": _invoices,
    "tickets": _tickets,
    "survey_responses": _survey_responses,
}
