"""The connector against localstripe, a Stripe server with state."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stripe_server import StripeServer
from tests.unit.extract.connectors.stripe.conftest import Reader, at


@pytest.fixture
def local(localstripe: StripeServer, tmp_path: Path) -> Reader:
    return Reader(tmp_path / "world", localstripe.url)


def customer(localstripe: StripeServer, name: str, email: str = "x@acme.example") -> str:
    card = {"object": "card", "number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    return localstripe.create("customers", name=name, email=email, source=card, metadata={"tier": "big"})["id"]


def plan(localstripe: StripeServer, name: str, amount: int, interval: str = "month", **fields: object) -> str:
    return localstripe.create("plans", nickname=name, amount=amount, currency="usd", interval=interval, product={"name": name}, **fields)[
        "id"
    ]


def test_customers_are_accounts_over_several_pages(localstripe: StripeServer, local: Reader) -> None:
    for number in range(105):
        localstripe.create("customers", name=f"Company {number}")
    names = [name for (name,) in local.values("accounts", "account_name")]
    assert sorted(names) == sorted(f"Company {number}" for number in range(105))


def test_subscriptions_by_quantity_and_interval(localstripe: StripeServer, local: Reader) -> None:
    acme = customer(localstripe, "Acme")
    # 3 seats of 10 dollars a month; 2 of 1,200 a year are 200 a month.
    monthly, yearly = plan(localstripe, "Team", 1000), plan(localstripe, "Company", 120000, "year")
    first = localstripe.create(
        "subscriptions", customer=acme, items=[{"plan": monthly, "quantity": 3}], backdate_start_date=at("2026-01-10")
    )["id"]
    second = localstripe.create(
        "subscriptions", customer=acme, items=[{"plan": yearly, "quantity": 2}], backdate_start_date=at("2026-02-01")
    )["id"]
    columns = (
        "subscription_id",
        "account_id",
        "plan",
        "seats",
        "mrr",
        "currency",
        "started_on",
        "term_ends_on",
        "is_trial",
    )
    assert sorted(local.values("subscriptions", *columns)) == sorted(
        [
            (first, acme, "Team", "3", "30.0000", "USD", "2026-01-10", None, "false"),
            (second, acme, "Company", "2", "200.0000", "USD", "2026-02-01", "2027-02-01", "false"),
        ]
    )


def test_a_change_of_seats_that_no_event_reports_begins_a_row_in_the_run_that_sees_it(localstripe: StripeServer, local: Reader) -> None:
    acme, team = customer(localstripe, "Acme"), plan(localstripe, "Team", 1000)
    made = localstripe.create("subscriptions", customer=acme, items=[{"plan": team, "quantity": 3}], backdate_start_date=at("2026-01-10"))[
        "id"
    ]
    local.read("subscriptions", until="2026-03-01")
    localstripe.create(f"subscriptions/{made}", items=[{"plan": team, "quantity": 5}])
    local.read("subscriptions", until="2026-03-02")
    assert local.values("subscriptions", "seats", "started_on", "ended_on", until="2026-03-09") == [
        ("3", "2026-01-10", "2026-03-02"),
        ("5", "2026-03-02", None),
    ]
    assert local.values("account_outcomes", "kind", "occurred_on", "arr_delta") == [("expanded", "2026-03-02", "240.0000")]


def test_a_canceled_subscription_ends_and_its_account_churns(localstripe: StripeServer, local: Reader) -> None:
    acme, team = customer(localstripe, "Acme"), plan(localstripe, "Team", 1000)
    made = localstripe.create("subscriptions", customer=acme, items=[{"plan": team, "quantity": 3}], backdate_start_date=at("2026-01-10"))[
        "id"
    ]
    localstripe.delete(f"subscriptions/{made}")
    days = {(datetime.now(UTC) - timedelta(days=back)).date().isoformat() for back in (0, 1)}
    ((ended,),) = local.values("subscriptions", "ended_on")
    assert ended in days
    assert local.values("account_outcomes", "account_id", "kind", "arr_delta") == [(acme, "churned", "-360.0000")]


def test_invoices_paid_and_drafts(localstripe: StripeServer, local: Reader) -> None:
    acme, team = customer(localstripe, "Acme"), plan(localstripe, "Team", 1050)
    localstripe.create("subscriptions", customer=acme, items=[{"plan": team, "quantity": 2}])
    localstripe.create("invoiceitems", customer=acme, amount=700, currency="usd")
    localstripe.create("invoices", customer=acme)
    days = {(datetime.now(UTC) - timedelta(days=back)).date().isoformat() for back in (0, 1)}
    ((account, amount, currency, issued, due, paid, voided),) = local.values(
        "invoices", "account_id", "amount", "currency", "issued_on", "due_on", "paid_on", "voided_on"
    )
    assert (account, amount, currency, voided) == (acme, "21.0000", "USD", None)
    assert {issued, due, paid} <= days


def test_a_preview_maps_columns_and_writes_nothing(localstripe: StripeServer, local: Reader) -> None:
    acme, team = customer(localstripe, "Acme"), plan(localstripe, "Team", 1000)
    localstripe.create("subscriptions", customer=acme, items=[{"plan": team}], backdate_start_date=at("2026-01-10"))
    local.options = {"account_key": "email_domain", "columns": {"segment": "metadata.tier"}}
    found = local.preview("subscriptions")
    [batch] = found.batches
    assert batch.column("started_on").to_pylist() == ["2026-01-10"]
    assert {"account_id", "mrr", "started_on"} <= set(found.mapped)
    assert "billing_cycle_anchor" in found.unmapped
    assert {"segment", "created_at"} <= set(local.preview("accounts").mapped)
    assert [batch.num_rows for batch in local.preview("invoices").batches] == [1]
    outcomes = local.preview("account_outcomes")
    assert outcomes.batches is None and outcomes.note
    assert local.journal == {}
