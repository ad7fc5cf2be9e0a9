"""Subscriptions through time: from the journal and the present state to one row for each stretch without a change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from orchestration.extract.connectors.http import Api
from orchestration.extract.connectors.stripe import client, journal, money
from orchestration.extract.connectors.stripe.journal import Record
from orchestration.extract.connectors.stripe.shapes import (
    Body,
    Known,
    coupon_of,
    day_of,
    discounts_of,
    first_day,
    items_of,
    lacks_tiers,
    price_id,
    price_of,
    raw_discounts,
    state_before,
    text_id,
    trimmed_price,
    trimmed_subscription,
)
from orchestration.extract.connectors.stripe.terms import period_start, term_end, terms_of

# Events are asked for anew from so long before the newest known one: Stripe may list one late.
_OVERLAP_SECONDS = 3 * 86_400
# The first payment is not yet made, or never was: not in force.
NEVER_IN_FORCE = frozenset({"incomplete", "incomplete_expired"})
# Stripe gives this status only to subscriptions whose trial ended without a payment method.
_PAUSED = "paused"
# While collection is paused like this, nobody pays for the time. (`keep_as_draft` only puts the bills off.)
_GIVEN_AWAY = ("void", "mark_uncollectible")
_CANCELED = "canceled"


@dataclass(frozen=True)
class Facts:
    """What a row holds besides its term; any change of either begins the next row."""

    plan: str | None
    seats: int | None
    mrr: Decimal | None
    currency: str | None
    is_trial: bool


@dataclass(frozen=True)
class State:
    """A subscription (trimmed) as it was from a moment on, in epoch seconds; the first state holds from the start."""

    moment: int
    body: Body


def midnight(day: date) -> int:
    """Epoch seconds of a day's first moment, UTC."""
    return int(datetime.combine(day, time(), UTC).timestamp())


def subscription_rows(
    api: Api, records: Sequence[Record], until: date, is_backfill: bool = False, seats_from: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], list[Record]]:
    """Read what is new and what is current.

    Args:
        api: Stripe.
        records: the journal as it is, in its order.
        until: last day of the run, from which on a change holds that no event reports.
        is_backfill: leave such changes to a later run, since `until` is the day of an earlier one.
        seats_from: as configured.

    Returns:
        Rows of the contract's `subscriptions`, with the Stripe customer under `customer` instead of the account; and
        records that the journal may lack. Nothing is written.

    Raises:
        SourceUnavailable: the API cannot be read.
    """
    events = _events(api, records, seats_from)
    current = client.current_subscriptions(api, seats_from)
    present = {key: body for body in current if (key := text_id(body)) is not None}
    told = journal.merged(records, events)
    lookups = _lookups(api, told, current) + _customer_discounts(api, told, until, is_backfill)
    known = _known([*told, *lookups], current)
    known.seats_from, known.sold_by_number = seats_from, sold_by_number(told, current)
    observed = [] if is_backfill else _observed(told, present, known, until)
    if observed:
        # What changed between the two readings has an event: the next run reads it, with its true day.
        later = {record.subscription for record in _events(api, told, seats_from)} - {record.subscription for record in events}
        observed = [record for record in observed if record.subscription not in later]
    everything = journal.merged(told, observed)
    rows: list[dict[str, Any]] = []
    for key, states in sorted(_states(everything, known, present).items()):
        rows += timeline(_up_to_present(states, present.get(key), known, until), known, until)
    rows += [row for body in current if text_id(body) is None for row in timeline([State(0, body)], known, until)]
    return rows, [*events, *lookups, *observed]


def _events(api: Api, records: Sequence[Record], seats_from: Sequence[str]) -> list[Record]:
    newest = max((record.created for record in records if record.is_event), default=None)
    since = {} if newest is None else {"created[gte]": newest - _OVERLAP_SECONDS}
    found: list[Record] = []
    sequences: dict[tuple[str, int], int] = {}
    # Newest first; events of one second have no other order than that of the list.
    for event in reversed(list(client.all_objects(api, "/v1/events", type=f"{journal.EVENTS}*", **since))):
        data = event.get("data")
        if not isinstance(data, dict):
            data = {}
        after, previous = data.get("object"), data.get("previous_attributes")
        key, kind, created = text_id(after), event.get("type"), event.get("created")
        if text_id(event) is None or key is None or not isinstance(after, dict) or not isinstance(created, int):
            continue
        if not isinstance(kind, str) or not kind.startswith(journal.EVENTS):
            continue
        sequences[key, created] = sequences.get((key, created), -1) + 1
        content = {
            "object": trimmed_subscription(after, seats_from),
            "previous": trimmed_subscription(previous, seats_from) if isinstance(previous, dict) else {},
            "sequence": sequences[key, created],
        }
        found.append(Record(event["id"], created, kind, key, journal.as_text(content)))
    return found


def _lookups(api: Api, records: Iterable[Record], current: Iterable[Body]) -> list[Record]:
    """Records of prices and discounts that states name but do not hold, and that would be gone later."""
    known = _known(records, current)
    bodies = [*current, *(body for record in records if record.subscription for body in _bodies(record))]
    found: dict[str, Record] = {}
    for body in bodies:
        for item in items_of(body):
            price = price_of(item, known)
            key = text_id(price) if price is not None and lacks_tiers(price) else None
            if key is not None and f"price:{key}" not in found:
                delivered = client.price_with_tiers(api, key)
                if delivered is not None and not lacks_tiers(delivered):
                    content = journal.as_text(trimmed_price(delivered))
                    found[f"price:{key}"] = Record(f"price:{key}", 0, journal.PRICE, None, content)
    for discount in _whole_discounts(current):
        key = f"discount:{discount['id']}"
        found[key] = Record(key, 0, journal.DISCOUNT, None, journal.as_text(discount))
    return list(found.values())


def _customer_discounts(api: Api, records: Sequence[Record], until: date, is_backfill: bool) -> list[Record]:
    """Records of customers' discounts that are new or changed, and of those that were taken away before their end."""
    journalled = _known(records, ()).of_customers
    present = {key: {_discount_key(one): one} for key, one in client.customer_discounts(api).items()}
    today = midnight(until)
    changed = [(key, one) for key, held in present.items() for name, one in held.items() if journalled.get(key, {}).get(name) != one]
    for key, held in journalled.items():
        for name, one in held.items():
            end = day_of(one.get("end"))
            is_over = end is not None and end <= until
            if not (is_backfill or is_over or name in present.get(key, {})):
                changed.append((key, {**one, "end": today}))
    newest = max((record.created for record in records if record.type == journal.CUSTOMER_DISCOUNT), default=0)
    found = []
    for key, one in changed:
        body = journal.as_text({"customer": key, "discount": one})
        moment = max(today, newest + 1)
        name = f"{journal.CUSTOMER_DISCOUNT}:{key}:{moment}:{journal.digest(body)}"
        found.append(Record(name, moment, journal.CUSTOMER_DISCOUNT, None, body))
    return found


def _discount_key(discount: Body) -> str:
    # Old versions give no id.
    return text_id(discount) or str(discount.get("start"))


def _known(records: Iterable[Record], current: Iterable[Body]) -> Known:
    known = Known()
    for record in records:
        if record.type == journal.PRICE:
            known.prices[record.content["id"]] = record.content
        elif record.type == journal.DISCOUNT:
            known.discounts[record.content["id"]] = record.content
        elif record.type == journal.CUSTOMER_DISCOUNT:
            discount = record.content["discount"]
            known.of_customers.setdefault(record.content["customer"], {})[_discount_key(discount)] = discount
    known.discounts.update({discount["id"]: discount for discount in _whole_discounts(current)})
    return known


def sold_by_number(records: Iterable[Record], current: Iterable[Body]) -> set[str]:
    """Ids of the prices that any subscription has, or had, more than once."""
    bodies = [*current, *(body for record in records if record.subscription for body in _bodies(record))]
    items = [item for body in bodies for item in items_of(body)]
    several = [item for item in items if money.is_number(item.get("quantity")) and item["quantity"] > 1]
    return {key for item in several if (key := price_id(item)) is not None}


def _whole_discounts(bodies: Iterable[Body]) -> list[Body]:
    holders = [holder for body in bodies for holder in (body, *items_of(body))]
    discounts = [one for holder in holders for one in raw_discounts(holder)]
    return [one for one in discounts if isinstance(one, dict) and text_id(one) and isinstance(coupon_of(one), dict)]


def _bodies(record: Record) -> list[Body]:
    content = record.content
    before = [state_before(content["object"], content["previous"])] if content.get("previous") else []
    return [content["object"], *before]


def _states(records: Iterable[Record], known: Known, present: Iterable[str] = ()) -> dict[str, list[State]]:
    """The journalled states by subscription; the first one from before its first event."""
    states: dict[str, list[State]] = {key: [] for key in present}
    for record in records:
        if record.subscription is None:
            continue
        bodies = _bodies(record)
        found = states.setdefault(record.subscription, [])
        if not found and len(bodies) == 2:
            found += _first_seen(bodies[1], known, 0, record.created)
        found.append(State(record.created, bodies[0]))
    return states


def _first_seen(body: Body, known: Known, moment: int, latest: int | None = None) -> list[State]:
    """A state that holds from a moment on, since nobody knows of an earlier one. Only a pause is taken to begin with its billing period.

    Args:
        latest: moment before which the pause began.
    """
    begun = period_start(body, known)
    if not body.get("pause_collection") or begun is None or midnight(begun) <= moment:
        return [State(moment, body)]
    paused = midnight(begun) if latest is None else min(midnight(begun), latest)
    return [State(moment, {**body, "pause_collection": None}), State(paused, body)]


def _observed(records: Sequence[Record], present: Mapping[str, Body], known: Known, until: date) -> list[Record]:
    """Records of what no event reports: subscriptions seen for the first time, changed in a gap, or gone."""
    today = midnight(until)
    found: list[Record] = []
    for key, states in sorted(_states(records, known, present).items()):
        body = present.get(key)
        if body is None:
            last = states[-1]
            if _end_day(last) is not None or last.body.get("status") in NEVER_IN_FORCE:
                continue
            moment = max(today, last.moment + 1)
            news = [State(moment, {**last.body, "status": _CANCELED, "ended_at": moment})]
        elif not states:
            if body.get("status") in NEVER_IN_FORCE:
                continue
            news = _first_seen(body, known, start_of(body))
        elif _is_same(states[-1], body, known, until):
            continue
        else:
            news = [State(max(today, states[-1].moment + 1), body)]
        for state in news:
            content = journal.as_text({"object": state.body})
            name = f"{journal.OBSERVED}:{key}:{state.moment}:{journal.digest(content)}"
            found.append(Record(name, state.moment, journal.OBSERVED, key, content))
    return found


def _is_same(last: State, body: Body, known: Known, until: date) -> bool:
    day = max(until, day_of(last.moment) or until)
    statuses = [one.get("status") for one in (last.body, body)]
    if any((status in NEVER_IN_FORCE | {_CANCELED, _PAUSED}) for status in statuses) and statuses[0] != statuses[1]:
        return False
    return _facts(last.body, known, day) == _facts(body, known, day)


def _up_to_present(states: Sequence[State], body: Body | None, known: Known, until: date) -> list[State]:
    """With the present state as the last, which knows the end of the term best.

    A present state that differs was journalled as observed, unless an event that the next run reads reports it.
    """
    if body is None:
        return list(states)
    if not states:
        return _first_seen(body, known, 0)
    return [*states, State(states[-1].moment, body)] if _is_same(states[-1], body, known, until) else list(states)


def start_of(body: Body) -> int:
    """When a subscription began, in epoch seconds; 0 where nothing says so."""
    return next((one for name in ("start_date", "start", "created") if isinstance(one := body.get(name), int)), 0)


def timeline(states: Sequence[State], known: Known, until: date) -> list[dict[str, Any]]:
    """The rows of one subscription, each from the first day of its facts to the first day of other ones.

    A discount, trial or term begins and ends a row on its own days, as far as these are not after `until`. Of several states
    on one day the last counts. A subscription that was never paid has no row; one without a start has one, for the
    quarantine.

    Args:
        states: of one subscription, in their order in time; at least one.
        known: what they name but do not hold.
        until: last day of the run.
    """
    live = [state for state in states if state.body.get("status") not in NEVER_IN_FORCE]
    if not live:
        return []
    last = live[-1].body
    start = first_day(state.body.get(name) for state in reversed(live) for name in ("start_date", "start", "created"))
    if start is None:
        return [_row(last, _facts(last, known, until), None, None, None)]
    days: dict[date, Body] = {start: live[0].body}
    for state in live[1:]:
        days[max(start, day_of(state.moment) or start)] = state.body
    end = _end_day(live[-1])

    pieces: list[tuple[date, tuple[Facts, date | None] | None, Body]] = []
    for (day, body), following in zip(sorted(days.items()), [*sorted(days)[1:], None], strict=True):
        terms = terms_of(body, known, start)
        moves = _own_cuts(body, known).union(*terms)
        cuts = {cut for cut in moves if day < cut <= until and (following is None or cut < following)}
        for cut in sorted({day} | cuts):
            held = (_facts(body, known, cut), term_end(terms, cut)) if _in_force(body, cut) else None
            if not pieces or pieces[-1][1] != held:
                pieces.append((cut, held, body))
    rows = []
    for (day, held, body), following in zip(pieces, [*(one[0] for one in pieces[1:]), None], strict=True):
        if held is not None and (end is None or day < end):
            ended = min((one for one in (following, end) if one is not None), default=None)
            rows.append(_row(body, *held, day, ended))
    # Ended on the day of its start: in force on no day, yet not lost.
    return rows or [_row(last, _facts(last, known, start), term_end(terms_of(last, known, start), start), start, end)]


def _own_cuts(body: Body, known: Known) -> set[date]:
    holders = [body, *items_of(body)]
    discounts = [one for holder in holders for one in discounts_of(holder, known) if one is not None]
    moments = [one.get(name) for one in discounts for name in ("start", "end")]
    moments += [body.get("trial_start"), body.get("trial_end"), (body.get("pause_collection") or {}).get("resumes_at")]
    if body.get("status") == _CANCELED:
        moments.append(body.get("ended_at") or body.get("canceled_at"))
    return {day for moment in moments if (day := day_of(moment)) is not None}


def _facts(body: Body, known: Known, day: date) -> Facts:
    return Facts(
        money.plan_name(body, known),
        money.seats(body, known),
        Decimal(0) if _is_given_away(body, day) else money.monthly_value(body, known, day),
        money.currency_of(body, known),
        _is_trial(body, day),
    )


def _is_trial(body: Body, day: date) -> bool:
    begins, ends = day_of(body.get("trial_start")), day_of(body.get("trial_end"))
    if ends is None:
        return body.get("status") == "trialing"
    return (begins is None or begins <= day) and day < ends


def _is_given_away(body: Body, day: date) -> bool:
    """Whether collection is paused so that nobody pays for the day."""
    pause = body.get("pause_collection") or {}
    resumes = day_of(pause.get("resumes_at"))
    return pause.get("behavior") in _GIVEN_AWAY and (resumes is None or day < resumes)


def _in_force(body: Body, day: date) -> bool:
    """Whether the service is given; unpaid invoices do not end it."""
    status = body.get("status")
    if status == _CANCELED:
        ended = first_day((body.get("ended_at"), body.get("canceled_at")))
        return ended is not None and day < ended
    if status == _PAUSED:
        ends = day_of(body.get("trial_end"))
        return ends is not None and day < ends
    return True


def _end_day(state: State) -> date | None:
    """First day no longer in force, of the last state; None while there is no end. (`cancel_at` alone is a plan.)"""
    if state.body.get("status") != _CANCELED:
        return day_of(state.body.get("ended_at"))
    return first_day((state.body.get("ended_at"), state.body.get("canceled_at"), state.moment or None))


def _row(body: Body, facts: Facts, term_ends_on: date | None, started_on: date | None, ended_on: date | None) -> dict[str, Any]:
    return {
        "subscription_id": text_id(body),
        "customer": text_id(body.get("customer")),
        "plan": facts.plan,
        "seats": facts.seats,
        "mrr": facts.mrr,
        "currency": facts.currency,
        "started_on": started_on,
        "ended_on": ended_on,
        "term_ends_on": term_ends_on,
        "is_trial": facts.is_trial,
    }
