"""Rows through time: from events, from observed changes, and both over many runs."""

from pathlib import Path
from typing import Any

import pytest

from orchestration.extract import SourceError, SourceUnavailable
from orchestration.extract.connectors.stripe import journal
from orchestration.extract.lake import manifest as lake
from tests.unit.extract.connectors.stripe.conftest import Reader, at, event, item, price, subscription
from tests.unit.extract.connectors.stripe.replay import Replay

COLUMNS = ("seats", "mrr", "started_on", "ended_on")


def stands(replay: Replay, *subscriptions: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> None:
    """What Stripe holds; events newest first."""
    replay.lists["/v1/subscriptions"] = list(subscriptions)
    replay.lists["/v1/events"] = list(events)


def seats(count: int, **fields: Any) -> dict[str, Any]:
    return subscription(item(count), **fields)


def items(count: int) -> dict[str, Any]:
    return {"items": {"data": [item(count)]}}


SEATS_5 = event("2026-06-03", seats(5), items(3))
SEATS_8 = event("2026-06-20", seats(8), items(5))
ENDED = seats(8, status="canceled", ended_at=at("2026-06-25"))
DELETED = event("2026-06-25", ENDED, kind="deleted")
HISTORY = [
    ("3", "30.0000", "2026-01-10", "2026-06-03"),
    ("5", "50.0000", "2026-06-03", "2026-06-20"),
    ("8", "80.0000", "2026-06-20", "2026-06-25"),
]


def test_events_and_what_was_before_them_make_the_rows(replay: Replay, reader: Reader) -> None:
    stands(replay, ENDED, events=(DELETED, SEATS_8, SEATS_5))
    assert reader.values("subscriptions", *COLUMNS) == HISTORY


def test_daily_runs_give_the_rows_of_one_run_and_keep_them_when_the_events_are_gone(replay: Replay, reader: Reader, tmp_path: Path) -> None:
    other = Reader(tmp_path / "other", replay.url)
    for until, state, events in (
        ("2026-06-02", seats(3), ()),
        ("2026-06-03", seats(5), (SEATS_5,)),
        ("2026-06-19", seats(5), (SEATS_5,)),
        ("2026-06-20", seats(8), (SEATS_8, SEATS_5)),
        ("2026-06-25", ENDED, (DELETED, SEATS_8, SEATS_5)),
    ):
        stands(replay, state, events=events)
        reader.read("subscriptions", until)
    assert reader.values("subscriptions", *COLUMNS) == other.values("subscriptions", *COLUMNS) == HISTORY
    stands(replay, ENDED)
    assert reader.values("subscriptions", *COLUMNS, until="2026-12-31") == HISTORY


def test_only_new_events_are_asked_for(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(5), events=(SEATS_5,))
    reader.read("subscriptions")
    before = reader.journal
    reader.read("subscriptions")
    asked = [query.get("created[gte]") for path, query in replay.asked if path == "/v1/events"]
    assert asked == [None, [str(at("2026-05-31"))]]
    assert reader.journal == before


def test_a_change_in_a_gap_holds_from_the_run_that_sees_it(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3))
    reader.read("subscriptions", "2026-03-01")
    stands(replay, seats(4))
    expected = [("3", "30.0000", "2026-01-10", "2026-05-05"), ("4", "40.0000", "2026-05-05", None)]
    assert reader.values("subscriptions", *COLUMNS, until="2026-05-05") == expected
    assert reader.values("subscriptions", *COLUMNS, until="2026-05-20") == expected


def test_a_change_between_the_two_requests_waits_for_its_event(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3))
    reader.read("subscriptions", "2026-06-02")

    def change(path: str) -> None:
        if path == "/v1/subscriptions":
            stands(replay, seats(5), events=(SEATS_5,))

    replay.before_answer = change
    first = [("3", "30.0000", "2026-01-10", None)]
    assert reader.values("subscriptions", *COLUMNS, until="2026-06-02") == first
    assert reader.values("subscriptions", *COLUMNS, until="2026-06-03")[0] == HISTORY[0]


def test_of_several_changes_on_a_day_the_last_counts(replay: Replay, reader: Reader) -> None:
    again = event("2026-06-03T18:00", seats(2), items(5))
    stands(replay, seats(2), events=(again, SEATS_5))
    assert reader.values("subscriptions", *COLUMNS) == [
        ("3", "30.0000", "2026-01-10", "2026-06-03"),
        ("2", "20.0000", "2026-06-03", None),
    ]


def test_events_of_one_second_hold_in_the_order_of_the_list(replay: Replay, reader: Reader) -> None:
    second = {**event("2026-06-03", seats(2), items(5)), "id": "evt_0"}
    stands(replay, seats(2), events=(second, SEATS_5))
    assert [row[0] for row in reader.values("subscriptions", "seats")] == ["3", "2"]


def test_what_makes_no_row_begins_none(replay: Replay, reader: Reader) -> None:
    renewed = subscription(item(1, "2026-08-10"))
    rolled = event("2026-07-10", renewed, {"items": {"data": [item(1, "2026-07-10")]}})
    stands(replay, renewed, events=(rolled,))
    assert reader.values("subscriptions", "started_on", "term_ends_on") == [("2026-01-10", None)]


def yearly(end: str, **fields: Any) -> dict[str, Any]:
    """3 seats for 120 EUR each a year, in force since 10 January 2024."""
    return subscription(item(3, end, price=price(amount=12_000, interval="year")), **{"start_date": at("2024-01-10"), **fields})


TERMS = ("started_on", "ended_on", "term_ends_on")


def test_a_new_term_begins_a_row_also_before_the_first_run(replay: Replay, reader: Reader) -> None:
    stands(replay, yearly("2027-01-10"))
    assert reader.values("subscriptions", *TERMS, "mrr") == [
        ("2024-01-10", "2025-01-10", "2025-01-10", "30.0000"),
        ("2025-01-10", "2026-01-10", "2026-01-10", "30.0000"),
        ("2026-01-10", None, "2027-01-10", "30.0000"),
    ]
    assert reader.read("account_outcomes") == []


def test_daily_runs_tell_the_terms_of_a_first_run(replay: Replay, reader: Reader, tmp_path: Path) -> None:
    """The renewal comes a day late, as an event, in the last days of a run that saw the old term."""
    before, after = yearly("2026-06-10"), yearly("2027-06-10", current_period_start=at("2026-06-10"))
    started = {"start_date": at("2025-06-10")}
    renewal = event("2026-06-10", after | started, {"items": before["items"], "current_period_start": at("2025-06-10")})
    for until, state, events in (
        ("2026-06-09", before, ()),
        ("2026-06-10", before, ()),
        ("2026-06-11", after, (renewal,)),
        ("2026-09-01", after, ()),
    ):
        stands(replay, state | started, events=events)
        rows = reader.values("subscriptions", *TERMS, until=until)
        assert rows[0][2] == "2026-06-10"
    assert rows == [("2025-06-10", "2026-06-10", "2026-06-10"), ("2026-06-10", None, "2027-06-10")]
    other = Reader(tmp_path / "other", replay.url)
    assert other.values("subscriptions", *TERMS, until="2026-09-01") == rows


def test_a_renewal_that_no_event_reports_begins_on_its_own_day(replay: Replay, reader: Reader) -> None:
    started = {"start_date": at("2025-06-10")}
    stands(replay, yearly("2026-06-10", **started))
    reader.read("subscriptions", "2026-05-01")
    stands(replay, yearly("2027-06-10", **started))
    for until in ("2026-09-01", "2026-09-02"):
        assert reader.values("subscriptions", *TERMS, until=until) == [
            ("2025-06-10", "2026-06-10", "2026-06-10"),
            ("2026-06-10", None, "2027-06-10"),
        ]


@pytest.mark.parametrize(
    ("start", "fields", "terms"),
    [
        # The plan ends; nobody knows of a renewal.
        ("2025-06-01", {"current_period_end": at("2026-06-01")}, [("2025-06-01", "2026-06-01")]),
        # Anchored to the first of June: the weeks before it are not a term.
        ("2026-05-10", {"current_period_end": at("2027-06-01")}, [("2026-05-10", None), ("2026-06-01", "2027-06-01")]),
        # The present period is another than the interval says, for example as the anchor was set anew.
        ("2025-03-01", {"current_period_start": at("2025-09-15"), "current_period_end": at("2026-09-15")},
         [("2025-03-01", "2025-09-15"), ("2025-09-15", "2026-09-15")]),
        ("2024-02-29", {"current_period_end": at("2027-02-28")},
         [("2024-02-29", "2025-02-28"), ("2025-02-28", "2026-02-28"), ("2026-02-28", "2027-02-28")]),
        ("2025-08-31", {"months": 3, "current_period_end": at("2026-08-31")},
         [("2025-08-31", "2025-11-30"), ("2025-11-30", "2026-02-28"), ("2026-02-28", "2026-05-31"), ("2026-05-31", "2026-08-31")]),
        # February to April have 89 days.
        ("2026-02-01", {"months": 3, "current_period_end": at("2026-05-01")}, [("2026-02-01", "2026-05-01")]),
        ("2026-02-01", {"months": 2, "current_period_end": at("2026-08-01")}, [("2026-02-01", None)]),
        ("2026-01-05", {"weeks": 13, "current_period_end": at("2026-07-06")}, [("2026-01-05", "2026-04-06"), ("2026-04-06", "2026-07-06")]),
        # The trial is not a term, the year after it is one.
        ("2026-01-10", {"trial_start": at("2026-01-10"), "trial_end": at("2026-01-24"), "current_period_end": at("2027-01-24")},
         [("2026-01-10", None), ("2026-01-24", "2027-01-24")]),
        ("2026-06-20", {"status": "trialing", "trial_start": at("2026-06-20"), "trial_end": at("2026-07-04"),
         "current_period_end": at("2026-07-04")},
         [("2026-06-20", None)]),
        ("2026-01-10", {"current_period_end": at("2026-12-10"), "interval": None}, [("2026-01-10", None)]),
    ],
)  # fmt: skip
def test_terms(replay: Replay, reader: Reader, start: str, fields: dict[str, Any], terms: list[tuple[str, str | None]]) -> None:
    interval, count = next(((name.removesuffix("s"), fields[name]) for name in ("months", "weeks") if name in fields), ("year", 1))
    recurring = {"interval": fields.get("interval", interval), "interval_count": count}
    held = {name: value for name, value in fields.items() if name not in ("months", "weeks", "interval")}
    one = {"id": "si_1", "quantity": 3, "price": price(recurring=recurring)}
    stands(replay, subscription(one, start_date=at(start), created=at(start), **held))
    assert reader.values("subscriptions", "started_on", "term_ends_on") == terms


def test_of_several_items_the_next_end_of_a_term_counts(replay: Replay, reader: Reader) -> None:
    half, whole = (price(f"price_{n}", interval="month", recurring={"interval_count": n}) for n in (6, 12))
    stands(
        replay,
        subscription(
            item(2, "2026-07-10", price=half), item(1, "2027-01-10", price=whole), item(1, "2026-07-10"), start_date=at("2025-07-10")
        ),
    )
    assert reader.values("subscriptions", "started_on", "term_ends_on") == [("2025-07-10", "2026-01-10"), ("2026-01-10", "2026-07-10")]


def sold(key: str, *quantities: tuple[str, int], metadata: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A subscription of its own customer to several prices."""
    held = [
        item(count, price=price(name, product=f"prod_{name}", lookup_key=f"key_{name}", nickname=name.title()))
        for name, count in quantities
    ]
    return subscription(*held, key=key, customer=f"cus_{key}", metadata=metadata or {}, **fields)


SOLD = (
    sold("flat", ("company", 1)),
    sold("base", ("platform", 1), ("seat", 10), ("support", 1)),
    sold("single", ("platform", 1), ("seat", 1)),
    sold("none", ("platform", 0), metadata={"licences": "25", "mail": "ann@acme.example"}),
)


@pytest.mark.parametrize(
    ("seats_from", "expected"),
    [
        # What anybody has more than once is sold by number.
        ([], {"flat": None, "base": "10", "single": "1", "none": None}),
        (["seat"], {"flat": None, "base": "10", "single": "1", "none": None}),
        (["prod_seat", "Company"], {"flat": "1", "base": "10", "single": "1", "none": None}),
        (["key_platform"], {"flat": None, "base": "1", "single": "1", "none": "0"}),
        (["metadata.licences"], {"flat": None, "base": None, "single": None, "none": "25"}),
    ],
)
def test_seats(replay: Replay, reader: Reader, seats_from: list[str], expected: dict[str, str | None]) -> None:
    reader.options = {"seats_from": seats_from}
    stands(replay, *SOLD)
    assert dict(reader.values("subscriptions", "subscription_id", "seats")) == expected
    assert b"ann@" not in b"".join(reader.journal.values())
    [batch] = reader.preview("subscriptions").batches
    assert dict(zip(batch["subscription_id"].to_pylist(), batch["seats"].to_pylist(), strict=True)) == expected


def test_a_price_that_was_sold_by_number_once_has_seats_for_ever(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(1), events=(event("2026-06-03", seats(1), items(3)),))
    expected = [("3", "30.0000", "2026-01-10", "2026-06-03"), ("1", "10.0000", "2026-06-03", None)]
    assert reader.values("subscriptions", *COLUMNS) == expected
    stands(replay, seats(1))
    assert reader.values("subscriptions", *COLUMNS) == expected


def test_seats_in_the_metadata_change_with_their_event(replay: Replay, reader: Reader) -> None:
    reader.options = {"seats_from": ["metadata.licences"]}
    now = sold("none", ("platform", 0), metadata={"licences": "25"})
    stands(replay, now, events=(event("2026-06-03", now, {"metadata": {"licences": "20"}}),))
    assert reader.values("subscriptions", "seats", "started_on") == [("20", "2026-01-10"), ("25", "2026-06-03")]


PAUSE = {"behavior": "void", "resumes_at": None}


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible"])
def test_while_collection_is_paused_nothing_is_paid_and_the_subscription_goes_on(replay: Replay, reader: Reader, behavior: str) -> None:
    paused = seats(3, pause_collection={"behavior": behavior, "resumes_at": at("2026-06-20")})
    stands(replay, paused, events=(event("2026-06-03", paused, {"pause_collection": None}),))
    rows = [("30.0000", "2026-01-10", "2026-06-03"), ("0", "2026-06-03", "2026-06-20"), ("30.0000", "2026-06-20", None)]
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on", until="2026-06-10") == [*rows[:1], ("0", "2026-06-03", None)]
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on") == rows
    # When Stripe has forgotten the event, and tells that the pause was lifted.
    stands(replay, seats(3), events=(event("2026-06-15", seats(3), {"pause_collection": paused["pause_collection"]}),))
    rows[1:] = [("0", "2026-06-03", "2026-06-15"), ("30.0000", "2026-06-15", None)]
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on") == rows
    assert reader.read("account_outcomes") == []


def test_bills_that_are_put_off_are_still_paid_for(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3, pause_collection={"behavior": "keep_as_draft", "resumes_at": None}))
    assert reader.values("subscriptions", *COLUMNS) == [("3", "30.0000", "2026-01-10", None)]


def test_a_pause_that_no_event_dates_began_with_the_billing_period_or_is_seen_by_a_run(replay: Replay, reader: Reader) -> None:
    stands(replay, subscription(item(3, "2026-07-10"), pause_collection=PAUSE), seats(3, key="sub_2"))
    first = [("30.0000", "2026-01-10", "2026-06-10"), ("0", "2026-06-10", None)]
    paid = [("30.0000", "2026-01-10", None)]
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on", until="2026-06-30") == first + paid
    # The next period does not move it, and a change in a gap holds from the run that sees it.
    stands(replay, *(subscription(item(3, "2026-10-10"), key=key, pause_collection=PAUSE) for key in ("sub_1", "sub_2")))
    for until in ("2026-09-15", "2026-09-16"):
        rows = reader.values("subscriptions", "mrr", "started_on", "ended_on", until=until)
        assert rows == [*first, ("30.0000", "2026-01-10", "2026-09-15"), ("0", "2026-09-15", None)]


@pytest.mark.parametrize("paid_before", [False, True])
def test_who_never_paid_is_not_a_customer_who_left(replay: Replay, reader: Reader, paid_before: bool) -> None:
    trial = {"trial_start": at("2026-05-01"), "trial_end": at("2026-05-15"), "start_date": at("2026-05-01")}
    gone = {**seats(3, status="canceled", ended_at=at("2026-05-15"), **trial), "id": "sub_2"}
    before = {**seats(3, status="canceled", ended_at=at("2026-04-01")), "id": "sub_1"}
    stands(replay, *([before] if paid_before else []), gone)
    churned = [("churned", "2026-04-01"), ("churned", "2026-05-15")]
    assert reader.values("account_outcomes", "kind", "occurred_on") == (churned if paid_before else [])


def test_a_trial_is_a_row_of_its_own(replay: Replay, reader: Reader) -> None:
    trial = {"trial_start": at("2026-01-10"), "trial_end": at("2026-01-24")}
    stands(replay, seats(3, **trial))
    assert reader.values("subscriptions", "is_trial", "started_on", "ended_on") == [
        ("true", "2026-01-10", "2026-01-24"),
        ("false", "2026-01-24", None),
    ]
    assert reader.read("account_outcomes") == []


def test_a_running_trial_has_no_row_to_come(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3, status="trialing", trial_start=at("2026-06-20"), trial_end=at("2026-07-20")))
    assert reader.values("subscriptions", "started_on", "ended_on", "is_trial") == [
        ("2026-01-10", "2026-06-20", "false"),
        ("2026-06-20", None, "true"),
    ]


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_what_was_never_paid_was_never_in_force(replay: Replay, reader: Reader, status: str) -> None:
    stands(replay, seats(3, status=status))
    assert reader.read("subscriptions") == []


@pytest.mark.parametrize("status", ["past_due", "unpaid"])
def test_unpaid_invoices_end_nothing_and_a_planned_end_is_none_yet(replay: Replay, reader: Reader, status: str) -> None:
    stands(replay, seats(3, status=status, cancel_at_period_end=True, cancel_at=at("2026-07-10")))
    assert reader.values("subscriptions", *COLUMNS) == [("3", "30.0000", "2026-01-10", None)]


def test_a_trial_that_ended_without_a_payment_method_pauses(replay: Replay, reader: Reader) -> None:
    trial = {"trial_start": at("2026-01-10"), "trial_end": at("2026-01-24")}
    stands(replay, seats(3, status="paused", **trial))
    assert reader.values("subscriptions", "is_trial", "started_on", "ended_on") == [("true", "2026-01-10", "2026-01-24")]


def test_what_ended_on_the_day_of_its_start_is_not_lost(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3, status="canceled", ended_at=at("2026-01-10T15:00")))
    assert reader.values("subscriptions", *COLUMNS) == [("3", "30.0000", "2026-01-10", "2026-01-10")]
    assert reader.read("account_outcomes") == []


def test_a_subscription_that_is_gone_ends_on_the_day_of_the_run_that_misses_it(replay: Replay, reader: Reader) -> None:
    stands(replay, seats(3))
    reader.read("subscriptions", "2026-03-01")
    stands(replay)
    for until in ("2026-04-01", "2026-04-02"):
        assert reader.values("subscriptions", *COLUMNS, until=until) == [("3", "30.0000", "2026-01-10", "2026-04-01")]


def test_a_discount_begins_and_ends_on_its_own_days(replay: Replay, reader: Reader) -> None:
    coupon = {"id": "half", "percent_off": 50, "duration": "repeating"}
    discount = {"id": "di_1", "start": at("2026-02-01"), "end": at("2026-05-01"), "source": {"coupon": "half"}}
    stands(replay, seats(3, discounts=["di_1"]))
    replay.expanded["/v1/subscriptions"] = [seats(3, discounts=[discount])]
    replay.objects["/v1/coupons/half"] = coupon
    expected = [
        ("30.0000", "2026-01-10", "2026-02-01"),
        ("15.0000", "2026-02-01", "2026-05-01"),
        ("30.0000", "2026-05-01", None),
    ]
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on") == expected
    # Events hold ids only; the journal knows the discount when Stripe no longer shows it.
    before = event("2026-06-03", seats(5), items(3) | {"discounts": ["di_1"]})
    stands(replay, seats(5), events=(before,))
    replay.expanded, replay.objects = {}, {}
    assert reader.values("subscriptions", "mrr", "started_on", "ended_on") == [
        *expected[:2], ("30.0000", "2026-05-01", "2026-06-03"), ("50.0000", "2026-06-03", None),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", ["old", "new"])
def test_a_customers_discount_counts_from_its_start_until_it_ends_or_is_gone(replay: Replay, reader: Reader, shape: str) -> None:
    half = {"id": "half", "percent_off": 50, "duration": "forever"}
    by_id = {"source": {"coupon": "half"}} if shape == "new" else {"coupon": half}
    discount = {"id": "di_9", "start": at("2026-03-01"), "end": None, **by_id}
    replay.objects["/v1/coupons/half"] = half
    replay.lists["/v1/customers"] = [{"id": "cus_1", "discount": discount, "email": "eve@acme.example"}, {"id": "cus_2", "discount": None}]
    # 3 seats of 10 EUR, 5 since April; the events know nothing of the discount.
    stands(replay, seats(5), events=(event("2026-04-01", seats(5), items(3)),))
    expected = [
        ("3", "30.0000", "2026-01-10", "2026-03-01"),
        ("3", "15.0000", "2026-03-01", "2026-04-01"),
        ("5", "25.0000", "2026-04-01", None),
    ]
    for until in ("2026-04-10", "2026-04-11"):
        assert reader.values("subscriptions", *COLUMNS, until=until) == expected
    assert b"eve@" not in b"".join(reader.journal.values())
    # Taken away: no event of a subscription tells of it, so it holds from the run that sees it. Then it comes back.
    replay.lists["/v1/customers"] = [{"id": "cus_1", "discount": None}]
    expected[-1:] = [("5", "25.0000", "2026-04-01", "2026-05-02"), ("5", "50.0000", "2026-05-02", None)]
    for until in ("2026-05-02", "2026-05-03"):
        assert reader.values("subscriptions", *COLUMNS, until=until) == expected
    replay.lists["/v1/customers"] = [
        {"id": "cus_1", "discount": {**discount, "id": "di_10", "start": at("2026-06-01"), "end": at("2026-06-20")}}
    ]
    expected[-1:] = [
        ("5", "50.0000", "2026-05-02", "2026-06-01"),
        ("5", "25.0000", "2026-06-01", "2026-06-20"),
        ("5", "50.0000", "2026-06-20", None),
    ]
    for until in ("2026-06-25", "2026-06-26"):
        assert reader.values("subscriptions", *COLUMNS, until=until) == expected


def test_tiers_are_looked_up_once(replay: Replay, reader: Reader) -> None:
    tiered = price(amount=None, billing_scheme="tiered", tiers_mode="volume")
    stands(replay, subscription(item(4, price=tiered)))
    assert reader.values("subscriptions", "mrr") == [(None,)]
    replay.objects["/v1/prices/price_1"] = {**tiered, "tiers": [{"up_to": None, "unit_amount": 250}]}
    reader.folder = reader.folder / "anew"
    assert reader.values("subscriptions", "mrr") == [("10.0000",)]
    replay.objects = {}
    assert reader.values("subscriptions", "mrr") == [("10.0000",)]


def test_items_beyond_the_page_within_the_page(replay: Replay, reader: Reader) -> None:
    short = seats(3)
    short["items"]["has_more"] = True
    stands(replay, short)
    replay.lists["/v1/subscription_items"] = [item(3), {**item(4), "id": "si_2"}]
    assert reader.values("subscriptions", *COLUMNS) == [("7", "70.0000", "2026-01-10", None)]


def test_old_shape_of_term_plan_and_previous_attributes(replay: Replay, reader: Reader) -> None:
    plan = {
        "id": "gold",
        "amount": 1000,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "nickname": "Gold",
    }

    def old(count: int, amount: int) -> dict[str, Any]:
        whole = {"plan": {**plan, "amount": amount}, "quantity": count}
        lines = {"items": {"data": [{"id": "si_1", **whole}]}}
        return {**subscription(), **whole, **lines, "current_period_end": at("2026-07-01")}

    stands(replay, old(2, 1500), events=(event("2026-06-03", old(2, 1500), {"quantity": 1, "plan": plan}),))
    assert reader.values("subscriptions", *COLUMNS, "plan", "term_ends_on") == [
        ("1", "10.0000", "2026-01-10", "2026-06-03", "Gold", None),
        ("2", "30.0000", "2026-06-03", None, "Gold", None),
    ]


@pytest.mark.parametrize("broken", [{"items": None}, {"items": {"data": [None, 7]}}, {"customer": None}, {"discounts": 7}])
def test_what_cannot_be_mapped_still_comes(replay: Replay, reader: Reader, broken: dict[str, Any]) -> None:
    stands(replay, {**seats(3), **broken})
    assert reader.values("subscriptions", "subscription_id", "started_on") == [("sub_1", "2026-01-10")]


def test_a_subscription_without_start_or_id_comes_for_the_quarantine(replay: Replay, reader: Reader) -> None:
    stands(replay, {"id": "sub_1", "customer": "cus_1"}, {"customer": "cus_2", "start_date": at("2026-01-10")})
    rows = reader.values("subscriptions", "subscription_id", "account_id", "started_on")
    assert rows == [("sub_1", "cus_1", None), (None, "cus_2", "2026-01-10")]


def test_an_interrupted_reading_and_another_leave_the_journal_of_an_undisturbed_one(
    replay: Replay, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [seats(3, key=f"sub_{number}") for number in range(4)]
    stands(replay, *several, events=(SEATS_8, SEATS_5))
    replay.page_size = 2
    undisturbed = Reader(tmp_path / "other", replay.url)
    expected = undisturbed.read("subscriptions")
    # Between the pages.
    replay.asked.clear()

    def fail(path: str) -> None:
        if path == "/v1/subscriptions" and sum(asked == path for asked, _ in replay.asked) == 2:
            replay.faults = [(503, {}, "")] * 3

    replay.before_answer = fail
    with pytest.raises(SourceUnavailable):
        reader.read("subscriptions")
    assert reader.journal == {}
    replay.before_answer, replay.faults = lambda path: None, []
    # Before the journal has its name.
    with monkeypatch.context() as patch:
        patch.setattr(lake, "keep", lambda files: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reader.read("subscriptions")
    assert reader.read("subscriptions") == expected
    assert reader.journal == undisturbed.journal


@pytest.mark.parametrize(
    "body", ["{", "[]", "{}", '{"object": {}, "previous": {}, "sequence": "first"}', '{"object": {}, "sequence": null}']
)
def test_a_damaged_record_of_the_journal_is_named_with_its_file(reader: Reader, body: str) -> None:
    folder = journal.journal_folder(reader.settings, reader.source)
    journal.append(folder, [], [journal.Record("evt_1", at("2026-03-01"), "customer.subscription.updated", "sub_1", body)])
    [file] = folder.glob("*.parquet")
    with pytest.raises(SourceError, match=f"{file.name} cannot be read"):
        reader.read("subscriptions")
