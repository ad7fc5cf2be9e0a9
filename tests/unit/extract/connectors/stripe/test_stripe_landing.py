"""Stripe into the lake: every fault leaves the table as it was or costs one row, and a broken reading leaves no trace."""

import shutil
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract import LandedTable, land_table
from tests.company import content
from tests.stripe_server import KEY
from tests.unit.extract.conftest import World
from tests.unit.extract.connectors.stripe.conftest import VARIABLE, at, event, item, price, subscription
from tests.unit.extract.connectors.stripe.replay import Answer, Replay

FIRST, SECOND = date(2026, 6, 1), date(2026, 6, 2)


@pytest.fixture
def stripe_world(world: World, replay: Replay) -> World:
    """Subscriptions, invoices and outcomes of `replay`; euros have a rate."""
    world.write("seeds/fx_rates.csv", "currency,valid_from,rate\nEUR,2020-01-01,1.1\n")
    read = (
        f'connector = "stripe"\nbase_url = "{replay.url}"\napi_key = {{ env = "{VARIABLE}" }}\nmax_attempts = 2\n'
        "max_retry_delay_seconds = 2\ntimeout_seconds = 0.5\nmax_bad_share = 0.5\n"
    )
    world.sources = "\n\n".join(f"[sources.{name}]\n{read}" for name in ("subscriptions", "invoices", "account_outcomes"))
    return world


def land(world: World, day: date, table: str = "subscriptions") -> LandedTable:
    return land_table(world.settings, TABLES[table], day, day)


def customer(key: str, crm: str) -> dict[str, Any]:
    return {"id": key, "object": "customer", "created": at("2026-01-05"), "name": key, "metadata": {"crm": crm}}


def answer(replay: Replay, fault: Answer | None) -> Callable[[str], None]:
    """Before every answer: a fault instead of it, or, without one, more time than the client has."""
    return lambda path: time.sleep(1) if fault is None else replay.faults.__setitem__(slice(None), [fault])


FAULTS: dict[str, tuple[Answer | None, str]] = {
    "down": ((503, {}, "no"), "answers 503"),
    "slow": (None, "gives no answer in time"),
    "rate-limited": ((429, {"Retry-After": "1"}, "{}"), "answers 429"),
    "a proxy's page": ((200, {"Content-Type": "text/html"}, "<html>Sign in</html>"), "answers HTML"),
    "cut off": ((200, {}, '{"object": "list", "data": [{"id": "su'), "truncated or damaged JSON"),
    "a wrong key": ((401, {}, f'{{"error": {{"message": "Invalid API Key: {KEY}"}}}}'), "refuses the credentials (401)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_lasts_leaves_the_table_as_it_stood_and_the_next_run_reads_it(stripe_world: World, replay: Replay, name: str) -> None:
    fault, said = FAULTS[name]
    replay.lists["/v1/subscriptions"] = [subscription(item(3))]
    assert land(stripe_world, FIRST).unavailable is None
    before = stripe_world.kept()
    replay.lists["/v1/subscriptions"].append(subscription(key="sub_2"))
    replay.before_answer = answer(replay, fault)
    unread = land(stripe_world, SECOND)
    assert unread.unavailable.startswith("sources.subscriptions: /v1/") and said in unread.unavailable
    assert KEY not in unread.unavailable
    # The lake ends the day before: that is what makes the table's metrics late.
    assert stripe_world.kept() == before
    replay.before_answer, replay.faults = lambda path: None, []
    assert land(stripe_world, SECOND).unavailable is None
    assert stripe_world.rows("subscriptions", "subscription_id, account_id, seats") == [("sub_1", "cus_1", 3), ("sub_2", "cus_1", 1)]


@pytest.mark.parametrize("name", ["down", "rate-limited", "a proxy's page", "cut off"])
def test_a_fault_that_passes_is_not_noticed(stripe_world: World, replay: Replay, name: str) -> None:
    replay.lists["/v1/subscriptions"] = [subscription()]
    replay.faults = [FAULTS[name][0]]
    began = time.monotonic()
    landed = land(stripe_world, FIRST)
    assert (landed.loaded, landed.unavailable) == (1, None)
    if name == "rate-limited":
        assert time.monotonic() - began >= 1


def test_a_currency_without_a_rate_costs_its_row_only(stripe_world: World, replay: Replay) -> None:
    replay.lists["/v1/subscriptions"] = [
        subscription(),
        subscription(item(1, price=price(currency="xyz")), key="sub_2", currency="xyz"),
    ]
    landed = land(stripe_world, FIRST)
    reason = "currency: no rate for XYZ on started_on in fx_rates.csv"
    assert (landed.loaded, landed.quarantined) == (1, {reason: 1})
    assert stripe_world.quarantine("subscriptions") == [("stripe", 2, reason)]
    assert stripe_world.rows("subscriptions", "subscription_id") == [("sub_1",)]


def test_a_run_of_earlier_days_leaves_the_later_ones_and_dates_nothing_back(stripe_world: World, replay: Replay) -> None:
    until_the_3rd = {"id": "di_1", "start": at("2026-05-01"), "end": at("2026-06-03"),
                     "coupon": {"id": "c", "percent_off": 50, "duration": "repeating"}}  # fmt: skip
    replay.lists["/v1/subscriptions"] = [subscription(item(2), discounts=[until_the_3rd])]
    third, fourth, fifth = (date(2026, 6, day) for day in (3, 4, 5))
    land(stripe_world, fourth)
    facts = "subscription_id, seats, cast(mrr as double), cast(started_on as varchar), cast(ended_on as varchar)"
    stood = stripe_world.rows("subscriptions", facts, "started_on")
    # 2 seats of 10 EUR: full until the discount begins, half until it ends, full again.
    assert [row[2:] for row in stood] == [
        (20.0, "2026-01-10", "2026-05-01"),
        (10.0, "2026-05-01", "2026-06-03"),
        (20.0, "2026-06-03", None),
    ]
    # Since then, without an event: another number of seats, and one that is gone.
    gone = subscription(key="sub_2")
    replay.lists["/v1/subscriptions"].append(gone)
    land(stripe_world, fourth)
    stood = stripe_world.rows("subscriptions", facts, "subscription_id, started_on")
    replay.lists["/v1/subscriptions"] = [subscription(item(3), discounts=[until_the_3rd])]
    for day in (third, FIRST):
        land(stripe_world, day)
        assert stripe_world.rows("subscriptions", facts, "subscription_id, started_on") == stood
    land(stripe_world, fifth)
    assert stripe_world.rows("subscriptions", facts, "subscription_id, started_on") == [
        *stood[:2],
        ("sub_1", 2, 20.0, "2026-06-03", "2026-06-05"),
        ("sub_1", 3, 30.0, "2026-06-05", None),
        ("sub_2", 1, 10.0, "2026-01-10", "2026-06-05"),
    ]


def test_a_deleted_customer_keeps_the_account_that_was_known_and_else_has_none(stripe_world: World, replay: Replay) -> None:
    stripe_world.sources = stripe_world.sources.replace("max_attempts", 'account_key = "metadata.crm"\nmax_attempts')
    replay.lists["/v1/customers"] = [customer("cus_1", "A-1")]
    replay.lists["/v1/subscriptions"] = [subscription()]
    land(stripe_world, FIRST)
    replay.lists["/v1/customers"] = [{"id": "cus_1", "object": "customer", "deleted": True}]
    replay.lists["/v1/subscriptions"].append(subscription(key="sub_2", customer="cus_2"))
    landed = land(stripe_world, SECOND)
    assert (landed.loaded, landed.quarantined) == (1, {"account_id: missing": 1})
    assert stripe_world.rows("subscriptions", "subscription_id, account_id") == [("sub_1", "A-1")]


@pytest.mark.parametrize("account_key", ["customer", "metadata.crm"])
def test_of_deleted_customers_those_with_a_subscription_stay_accounts_as_last_known(
    stripe_world: World, replay: Replay, account_key: str
) -> None:
    read = stripe_world.sources.partition("[sources.subscriptions]\n")[2].partition("[sources.invoices]")[0]
    read += f'account_key = "{account_key}"\n'
    more = 'columns = { segment = "metadata.size" }\nmin_share = 0\n'
    stripe_world.sources = f"[sources.subscriptions]\n{read}\n[sources.accounts]\n{read}{more}"
    left, moved, idle = (customer(f"cus_{n}", f"A-{n}") for n in (1, 2, 3))
    left["metadata"]["size"] = "big"
    replay.lists["/v1/customers"] = [left, moved, idle]
    replay.lists["/v1/subscriptions"] = [subscription(), subscription(key="sub_2", customer="cus_2")]
    names = ["cus_1", "cus_2", "cus_3"] if account_key == "customer" else ["A-1", "A-2", "A-3"]
    for table in ("accounts", "subscriptions"):
        land(stripe_world, FIRST, table)
    facts = "account_id, account_name, segment"
    assert stripe_world.rows("accounts", facts) == [(names[0], "cus_1", "big"), (names[1], "cus_2", None), (names[2], "cus_3", None)]
    # cus_3 never had a subscription: its row says nothing that counts. An account that nobody leads to any more is none either.
    moved["metadata"]["crm"] = "A-9"
    replay.lists["/v1/customers"] = [moved]
    for day in (SECOND, date(2026, 6, 3)):
        for table in ("accounts", "subscriptions"):
            land(stripe_world, day, table)
        second = "cus_2" if account_key == "customer" else "A-9"
        assert stripe_world.rows("accounts", facts) == [(names[0], "cus_1", "big"), (second, "cus_2", None)]
    # Nor is it lost with the list of subscriptions, whose rows come from the journal.
    replay.lists["/v1/subscriptions"] = []
    land(stripe_world, date(2026, 6, 4), "accounts")
    assert (names[0], "cus_1", "big") in stripe_world.rows("accounts", facts)


def test_what_a_second_page_brings_again_lands_once(stripe_world: World, replay: Replay) -> None:
    replay.page_size = 2
    everything = [subscription(key=f"sub_{number}") for number in range(5)]
    replay.lists["/v1/subscriptions"] = everything.copy()

    def repeat(path: str) -> None:
        if path == "/v1/subscriptions" and sum(asked == path for asked, _ in replay.asked) == 2:
            # As when a new one pushed the others down: the last of the first page comes again.
            replay.lists[path].insert(2, everything[1])

    replay.before_answer = repeat
    landed = land(stripe_world, FIRST)
    assert (landed.delivered, landed.loaded, landed.duplicates) == (5, 5, 0)
    assert len(replay.lists["/v1/subscriptions"]) == 6


def test_a_whole_page_that_comes_again_is_an_outage_not_a_circle(stripe_world: World, replay: Replay) -> None:
    replay.page_size = 2
    replay.lists["/v1/subscriptions"] = [subscription(key=f"sub_{number}") for number in range(5)]

    def repeat(path: str) -> None:
        if path == "/v1/subscriptions":
            replay.asked[-1][1].pop("starting_after", None)

    replay.before_answer = repeat
    assert "/v1/subscriptions gives the same pages for ever" in land(stripe_world, FIRST, "account_outcomes").unavailable
    assert sum(path == "/v1/subscriptions" for path, _ in replay.asked) == 2
    replay.before_answer = lambda path: None
    assert land(stripe_world, FIRST).loaded == 5


@pytest.mark.parametrize("table", ["subscriptions", "invoices", "account_outcomes"])
def test_a_reading_that_breaks_off_and_another_leave_the_lake_of_an_undisturbed_one(
    stripe_world: World, replay: Replay, table: str
) -> None:
    replay.page_size = 2

    def lists(seats: int) -> dict[str, list[dict[str, Any]]]:
        invoice = {"customer": "cus_1", "status": "open", "created": at("2026-05-01"), "total": 500 * seats, "currency": "eur"}
        return {
            "/v1/subscriptions": [subscription(item(seats), key=f"sub_{number}") for number in range(5)],
            "/v1/events": [event("2026-06-02", subscription(item(seats), key="sub_1"), {"items": {"data": [item(3)]}})] * (seats > 3),
            "/v1/invoices": [{"id": f"in_{number}", **invoice} for number in range(5)],
        }

    def runs(folder: str, breaks_off: bool) -> dict[str, bytes | str]:
        stripe_world.pipeline = f'data_dir = "{folder}"'
        replay.lists = lists(3)
        assert land(stripe_world, FIRST, table).unavailable is None
        replay.lists = lists(4)
        if breaks_off:
            replay.asked.clear()
            path = "/v1/invoices" if table != "subscriptions" else "/v1/subscriptions"
            broken = answer(replay, (503, {}, ""))
            # After two of the list's three pages.
            replay.before_answer = lambda asked: broken(asked) if sum(one == path for one, _ in replay.asked) > 2 else None
            before = stripe_world.kept()
            assert "answers 503" in land(stripe_world, SECOND, table).unavailable
            assert sum(one == path for one, _ in replay.asked) == 4
            assert stripe_world.kept() == before
            replay.before_answer, replay.faults = lambda asked: None, []
        assert land(stripe_world, SECOND, table).unavailable is None
        return content(stripe_world.settings.lake)

    assert runs("disturbed", True) == runs("undisturbed", False)


def test_a_lost_journal_is_named_and_nothing_takes_the_place_of_the_history_that_it_held(stripe_world: World, replay: Replay) -> None:
    replay.lists["/v1/subscriptions"] = [subscription(item(3))]
    for table in ("account_outcomes", "subscriptions"):
        assert land(stripe_world, FIRST, table).unavailable is None
    # Outcomes without a row have no history to lose.
    assert stripe_world.rows("account_outcomes") == []
    journal = stripe_world.settings.lake / "journal"
    shutil.rmtree(journal)
    before = stripe_world.kept()
    replay.lists["/v1/subscriptions"] = [subscription(item(9))]
    # The first table of a run that reads the journal must not begin a new one, which would hide the loss from the other.
    for table in ("account_outcomes", "subscriptions"):
        lost = land(stripe_world, SECOND, table).unavailable
        assert f"{journal}/stripe/" in lost and "is gone. Restore it from a backup" in lost and "\n" not in lost
    assert stripe_world.kept() == before
    assert land(stripe_world, SECOND, "invoices").unavailable is None
    assert "is gone" in land(stripe_world, SECOND).unavailable
    # The remedy.
    folder = stripe_world.settings.lake / "raw" / "subscriptions"
    folder.rename(stripe_world.root / "away")
    assert land(stripe_world, SECOND).unavailable is None
    assert stripe_world.rows("subscriptions", "subscription_id, seats") == [("sub_1", 9)]
