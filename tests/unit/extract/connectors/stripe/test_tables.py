"""Accounts, invoices and outcomes; what fails, and what nobody may see."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract import SourceUnavailable
from orchestration.extract.connectors.stripe.journal import journal_folder
from orchestration.settings import SettingsError
from orchestration.sources import Secret
from tests.stripe_server import KEY
from tests.unit.extract.connectors.stripe.conftest import VARIABLE, Reader, at, event, item, price, subscription
from tests.unit.extract.connectors.stripe.replay import Answer, Replay


def customer(key: str, created: str = "2026-01-05", **fields: Any) -> dict[str, Any]:
    return {
        "id": key,
        "object": "customer",
        "created": at(created),
        "name": key.title(),
        "email": None,
        "metadata": {},
        **fields,
    }


def test_customers_of_one_domain_are_one_account(replay: Replay, reader: Reader) -> None:
    replay.lists["/v1/customers"] = [
        customer("cus_3", email="me@gmail.com"),
        customer("cus_2", "2026-02-01", email="b@ACME.example", metadata={"size": "big", "region": "EU"}),
        customer("cus_1", "2026-01-05", email="a@acme.example", name=" ", metadata={"size": ""}),
    ]
    reader.options = {"account_key": "email_domain", "columns": {"segment": "metadata.size"}}
    rows = reader.values("accounts", "account_id", "account_name", "segment", "created_at")
    assert rows == [
        ("acme.example", "Cus_2", "big", "2026-01-05T12:00:00"),
        (None, "Cus_3", None, "2026-01-05T12:00:00"),
    ]


def test_the_billing_contact_is_the_customer(replay: Replay, reader: Reader) -> None:
    replay.lists["/v1/customers"] = [
        customer("cus_2", "2026-02-01", email="bills@acme.example", metadata={"crm": "A-1"}),
        customer("cus_1", name=None, metadata={"crm": "A-1"}),
        {"id": "cus_3", "object": "customer", "deleted": True},
    ]
    reader.options = {"account_key": "metadata.crm"}
    columns = ("contact_id", "account_id", "user_id", "name", "email", "role", "joined_on", "left_on")
    expected = [
        ("cus_2", "A-1", None, "Cus_2", "bills@acme.example", "billing", "2026-02-01", None),
        ("cus_1", "A-1", None, None, None, "billing", "2026-01-05", None),
    ]
    assert reader.values("contacts", *columns) == expected
    # Nothing of it is journalled.
    assert reader.journal == {}
    assert reader.preview("contacts").unmapped == ("deleted",)


def test_an_account_without_a_name_has_its_customers_id(replay: Replay, reader: Reader) -> None:
    replay.lists["/v1/customers"] = [customer("cus_1", name=None), {"id": "cus_2", "deleted": True}]
    assert reader.values("accounts", "account_id", "account_name") == [("cus_1", "cus_1")]


def test_a_customer_who_was_deleted_before_the_first_run_is_known_by_its_subscription(replay: Replay, reader: Reader) -> None:
    replay.lists["/v1/customers"] = [customer("cus_2"), {"id": "cus_1", "object": "customer", "deleted": True}]
    replay.lists["/v1/subscriptions"] = [
        subscription(key="sub_3", start_date=at("2026-03-01"), created=at("2026-03-01")),
        subscription(status="canceled", start_date=at("2025-10-01"), created=at("2026-01-10"), ended_at=at("2026-02-01")),
        subscription(key="sub_4", customer="cus_4", status="incomplete_expired"),
    ]
    assert sorted(reader.values("accounts", "account_id", "account_name", "created_at")) == [
        ("cus_1", "cus_1", "2025-10-01T12:00:00"), ("cus_2", "Cus_2", "2026-01-05T12:00:00"),
    ]  # fmt: skip


def test_a_deleted_customers_subscription_keeps_its_account(replay: Replay, reader: Reader) -> None:
    reader.options = {"account_key": "metadata.crm"}
    replay.lists["/v1/customers"] = [customer("cus_1", metadata={"crm": "A-1"}, email="secret@acme.example")]
    replay.lists["/v1/subscriptions"] = [subscription(), subscription(key="sub_2", customer="cus_2")]
    expected = [("sub_1", "A-1"), ("sub_2", None)]
    assert reader.values("subscriptions", "subscription_id", "account_id") == expected
    replay.lists["/v1/customers"] = []
    assert reader.values("subscriptions", "subscription_id", "account_id") == expected
    for content in reader.journal.values():
        assert b"secret" not in content


INVOICE_COLUMNS = ("paid_on", "amount", "open_amount", "voided_on", "written_off_on")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Paid: all was open until then, whatever is open now.
        ({"passed": {"paid_at": at("2026-03-09")}, "status": "paid", "amount_due": 2500, "amount_remaining": 0}, ("2026-03-09", "25.0000",
        None, None, None)),
        # Paid, nobody knows when.
        ({"status": "paid", "amount_remaining": 2500}, (None, "25.0000", "0", None, None)),
        ({}, (None, "25.0000", None, None, None)),
        ({"amount_due": 2500, "amount_paid": 2000, "amount_remaining": 500}, (None, "25.0000", "5.0000", None, None)),
        # The customer's balance takes a part.
        ({"amount_due": 1800}, (None, "25.0000", "18.0000", None, None)),
        ({"pre_payment_credit_notes_amount": 2000, "amount_due": 500, "amount_remaining": 500}, (None, "5.0000", "5.0000", None, None)),
        ({"status": "paid", "passed": {"paid_at": at("2026-03-01")}, "pre_payment_credit_notes_amount": 1000,
         "post_payment_credit_notes_amount": 1500},
         ("2026-03-01", "0.0000", None, None, None)),
        ({"status": "uncollectible", "passed": {"marked_uncollectible_at": at("2026-04-01")}, "amount_remaining": 2500},
         (None, "25.0000", "25.0000", None, "2026-04-01")),
        ({"status": "uncollectible"}, (None, "25.0000", None, None, "2026-03-04")),
        ({"status": "paid", "passed": {"marked_uncollectible_at": at("2026-04-01"), "paid_at": at("2026-05-01")}},
         ("2026-05-01", "25.0000", None, None, "2026-04-01")),
        ({"status": "void", "passed": {"voided_at": at("2026-02-20")}}, (None, "25.0000", None, "2026-02-20", None)),
        ({"status": "void"}, (None, "25.0000", None, "2026-02-02", None)),
        # A downgrade is credited to the balance.
        ({"status": "paid", "total": -700, "amount_due": 0}, (None, "-7.0000", "0", None, None)),
        # Without decimals.
        ({"currency": "jpy", "amount_remaining": 500}, (None, "2500.0000", "500.0000", None, None)),
    ],
)  # fmt: skip
def test_what_is_owed_of_an_invoice(replay: Replay, reader: Reader, fields: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    passed = {"finalized_at": at("2026-02-02"), "paid_at": None, "voided_at": None, "marked_uncollectible_at": None}
    invoice = {
        "id": "in_1", "customer": "cus_1", "status": "open", "created": at("2026-02-01"), "due_date": at("2026-03-04"), "total": 2500,
        "currency": "eur", **fields, "status_transitions": passed | fields.get("passed", {}),
    }  # fmt: skip
    replay.lists["/v1/invoices"] = [invoice]
    assert reader.values("invoices", "issued_on", "due_on", *INVOICE_COLUMNS) == [("2026-02-02", "2026-03-04", *expected)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"paid": True, "closed": True}, (None, "25.0000", "0", None, None)),
        ({"paid": False, "closed": False, "amount_due": 2500}, (None, "25.0000", "25.0000", None, None)),
        ({"paid": False, "closed": True, "forgiven": True}, (None, "25.0000", None, None, "2026-02-01")),
        # Collection was given up, or the invoice was issued by mistake.
        ({"paid": False, "closed": True, "forgiven": False}, (None, "25.0000", None, None, "2026-02-01")),
        # Statuses, and no times yet: 2018-11-08 to 2019-03-13.
        ({"paid": True, "status": "paid"}, (None, "25.0000", "0", None, None)),
    ],
)
def test_invoices_of_old_versions(replay: Replay, reader: Reader, fields: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    replay.lists["/v1/invoices"] = [
        {"id": "in_1", "customer": "cus_1", "date": at("2026-02-01"), "due_date": None, "total": 2500, "currency": "eur", **fields}
    ]
    assert reader.values("invoices", "issued_on", "due_on", *INVOICE_COLUMNS) == [("2026-02-01", "2026-02-01", *expected)]


def test_a_draft_is_not_an_invoice_and_what_holds_little_still_comes(replay: Replay, reader: Reader) -> None:
    replay.lists["/v1/invoices"] = [
        {"id": "in_1", "status": "draft", "created": at("2026-02-01")},
        {"id": "in_2", "created": at("2026-02-01")},
    ]
    assert reader.values("invoices", "invoice_id", "account_id", "due_on", *INVOICE_COLUMNS) == [
        ("in_2", None, "2026-02-01", None, None, None, None, None)
    ]


@pytest.mark.parametrize("table", ["invoices", "account_outcomes"])
def test_memory_does_not_hold_whole_invoices(replay: Replay, reader: Reader, table: str) -> None:
    line = {"period": {"start": at("2026-02-01"), "end": at("2026-03-01")}, "description": "x" * 1000}
    fields = {"customer": "cus_1", "status": "paid", "created": at("2026-02-01"), "total": 100, "currency": "eur"}
    replay.page_size = 10
    replay.lists["/v1/invoices"] = [{"id": f"in_{n}", "lines": {"data": [line] * 50}, **fields} for n in range(200)]
    reader.read("account_outcomes")

    def peak() -> int:
        tracemalloc.start()
        try:
            reader.read(table)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # All of them are more than ten million characters; a page of ten, in a few copies, is half a million each.
    # A table of the interpreter's that grows in one of the readings (7.7 MB) does not grow in the next one.
    assert min(peak(), peak()) < 8_000_000


def cycle(key: str, start: str, end: str, **fields: Any) -> dict[str, Any]:
    lines = {"data": [{"period": {"start": at(start), "end": at(end)}}]}
    return {
        "id": key,
        "customer": "cus_1",
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "lines": lines,
        **fields,
    }


def test_new_terms_of_three_months_and_more_are_renewals(replay: Replay, reader: Reader) -> None:
    new = {"parent": {"subscription_details": {"subscription": "sub_1"}}}
    replay.lists["/v1/invoices"] = [
        cycle("in_1", "2026-01-10", "2027-01-10", **new),
        cycle("in_2", "2026-02-01", "2026-05-01", subscription="sub_2"),
        cycle("in_3", "2026-02-01", "2026-03-01", subscription="sub_3"),
        cycle("in_4", "2026-01-10", "2027-01-10", subscription="sub_4", billing_reason="subscription_create"),
        cycle("in_5", "2026-01-10", "2027-01-10", subscription="sub_5", status="void"),
        cycle("in_6", "2026-01-10", "2027-01-10", subscription="sub_6", status="uncollectible"),
    ]
    rows = reader.values("account_outcomes", "outcome_id", "account_id", "occurred_on", "kind")
    assert rows == [
        ("renewed:sub_1:2026-01-10", "cus_1", "2026-01-10", "renewed"),
        ("renewed:sub_2:2026-02-01", "cus_1", "2026-02-01", "renewed"),
    ]


def dollars(amount: int) -> dict[str, Any]:
    return item(1, price=price(amount=amount, currency="usd"))


def test_an_account_grows_shrinks_leaves_returns_and_leaves_again(replay: Replay, reader: Reader) -> None:
    ended = {"status": "canceled"}
    grown = subscription(dollars(3000), key="sub_1", ended_at=at("2026-06-20"), **ended)
    replay.lists["/v1/subscriptions"] = [
        grown,
        subscription(dollars(500), key="sub_2", start_date=at("2026-03-01"), ended_at=at("2026-04-01"), **ended),
        subscription(dollars(700), key="sub_3", start_date=at("2026-06-25"), ended_at=at("2026-06-28"), **ended),
    ]
    replay.lists["/v1/events"] = [event("2026-06-03", subscription(dollars(3000)), {"items": {"data": [dollars(1000)]}})]
    # 10 dollars a month, with 15 in March, 30 from 3 June; gone on the 20th; 7 from the 25th to the 28th.
    assert reader.values("account_outcomes", "outcome_id", "arr_delta") == [
        ("expanded:cus_1:2026-03-01", "60.0000"),
        ("contracted:cus_1:2026-04-01", "-60.0000"),
        ("expanded:cus_1:2026-06-03", "240.0000"),
        ("churned:cus_1:2026-06-20", "-360.0000"),
        ("churned:cus_1:2026-06-28", "-84.0000"),
    ]


def test_who_never_paid_does_not_leave(replay: Replay, reader: Reader) -> None:
    def left(key: str, amount: int = 1000, start: str = "2026-02-01", end: str = "2026-03-01", **fields: Any) -> dict[str, Any]:
        spans = {"start_date": at(start), "created": at(start), "ended_at": at(end), "status": "canceled"}
        return subscription(dollars(amount), key=f"sub_{key}_{start}", customer=key, **{**spans, **fields})

    def bill(key: str, **fields: Any) -> dict[str, Any]:
        return {"id": f"in_{key}_{len(fields)}", "customer": key, "created": at("2026-02-15"), "total": 1000, "currency": "usd", **fields}

    trial = {"trial_start": at("2026-02-01"), "trial_end": at("2026-02-15")}
    void = {"behavior": "void", "resumes_at": None}
    replay.lists["/v1/subscriptions"] = [
        left("trial", end="2026-02-15", **trial),
        left("free_plan", amount=0),
        # The card failed at the end of the trial.
        left("unpaid_after_trial", **trial),
        left("converted", **trial),
        left("paid_once_and_tried_again", start="2025-10-01", end="2025-11-01"),
        left("paid_once_and_tried_again", end="2026-02-15", **trial),
        left("no_bills_here"),
        left("paused", pause_collection=void, current_period_start=at("2026-02-20"), current_period_end=at("2026-03-20")),
    ]
    replay.lists["/v1/invoices"] = [
        bill("trial", total=0, status="paid"),
        bill("unpaid_after_trial", status="uncollectible"),
        bill("unpaid_after_trial", status="void", id="in_void"),
        bill("converted", status="paid"),
        bill("paid_once_and_tried_again", paid=True),
        bill("paid_once_and_tried_again", status="open", total=700),
        bill("paused", status="paid"),
    ]
    assert reader.values("account_outcomes", "outcome_id") == [
        ("churned:converted:2026-03-01",),
        ("churned:no_bills_here:2026-03-01",),
        ("churned:paid_once_and_tried_again:2025-11-01",),
        ("churned:paid_once_and_tried_again:2026-02-15",),
        ("churned:paused:2026-03-01",),
    ]


def test_the_first_term_after_a_trial_is_not_a_renewal(replay: Replay, reader: Reader) -> None:
    trial = {"trial_start": at("2025-01-10"), "trial_end": at("2025-01-24"), "start_date": at("2025-01-10")}
    replay.lists["/v1/subscriptions"] = [subscription(item(price=price(interval="year"), end="2027-01-24"), **trial)]
    replay.lists["/v1/invoices"] = [
        cycle(f"in_{year}", f"{year}-01-24", f"{year + 1}-01-24", subscription="sub_1") for year in (2026, 2025)
    ]
    assert reader.values("account_outcomes", "outcome_id") == [("renewed:sub_1:2026-01-24",)]


def test_no_delta_in_another_currency_or_of_an_unknown_value(replay: Replay, reader: Reader) -> None:
    euro = subscription(status="canceled", ended_at=at("2026-06-20"))
    unknown = subscription(dollars(1), key="sub_2", customer="cus_2", discounts=["di_0"], status="canceled", ended_at=at("2026-06-20"))
    replay.lists["/v1/subscriptions"] = [euro, unknown]
    assert reader.values("account_outcomes", "account_id", "kind", "arr_delta") == [
        ("cus_1", "churned", None),
        ("cus_2", "churned", None),
    ]


def test_pages_that_overlap_bring_each_object_once(replay: Replay, reader: Reader) -> None:
    replay.page_size = 2
    replay.lists["/v1/customers"] = [customer(f"cus_{number}") for number in range(5)]
    inserted = customer("cus_1")

    def insert(path: str) -> None:
        if len(replay.asked) == 2:
            # The object of the first page comes on the second again.
            replay.lists["/v1/customers"].insert(2, inserted)

    replay.before_answer = insert
    assert len(reader.read("accounts")) == 5


HTML: Answer = (200, {"Content-Type": "text/html"}, "<html>Sign in</html>")
SHORT: Answer = (200, {}, '{"object": "list", "data": [{"id": "cus_')
BUSY: Answer = (429, {"Retry-After": "0"}, "{}")
DOWN: Answer = (502, {}, "Bad gateway")


@pytest.mark.parametrize("fault", [HTML, SHORT, BUSY, DOWN])
def test_faults_that_pass_are_overcome_and_others_are_one_clear_error(replay: Replay, reader: Reader, fault: Answer) -> None:
    replay.lists["/v1/customers"] = [customer("cus_1")]
    replay.faults = [fault, fault]
    assert len(reader.read("accounts")) == 1
    replay.faults = [fault] * 3
    with pytest.raises(SourceUnavailable, match=r"sources\.accounts: /v1/(customers|subscriptions)") as raised:
        reader.read("accounts")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("answer", ['{"object": "customer"}', '{"data": []}', '{"data": [], "has_more": true}'])
def test_an_answer_that_is_not_a_list_is_not_an_empty_table(replay: Replay, reader: Reader, answer: str) -> None:
    replay.faults = [(200, {}, answer)]
    with pytest.raises(SourceUnavailable, match=r"sources\.accounts"):
        reader.read("accounts")


def test_refused_credentials(replay: Replay, reader: Reader) -> None:
    replay.faults = [(401, {}, '{"error": {"message": "Invalid API Key provided: sk_test"}}')]
    with pytest.raises(SourceUnavailable, match="refuses the credentials"):
        reader.read("subscriptions")
    assert reader.journal == {}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "Check the settings of the source"),
        (403, "Check the key and what it may read"),
        (404, "Check the address"),
        (408, "Try again later"),
        (422, "Check the settings of the source"),
        (500, "Try again later"),
    ],
)
def test_a_remedy_that_fits_the_answer(replay: Replay, reader: Reader, status: int, remedy: str) -> None:
    replay.faults = [(status, {}, "{}")] * 3
    with pytest.raises(SourceUnavailable, match=remedy) as raised:
        reader.read("accounts")
    assert ("Try again later" in str(raised.value)) == (status in (408, 500))
    assert getattr(raised.value, "status", status) == status


def test_seats_come_from_prices_or_from_one_key_of_the_metadata(reader: Reader) -> None:
    reader.options = {"seats_from": ["price_1", "metadata.seats"]}
    with pytest.raises(ValueError, match=r"give prices and products, or metadata\.<key> alone"):
        reader.source  # noqa: B018


def test_the_key_and_the_version_are_sent_and_shown_nowhere(
    replay: Replay, reader: Reader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.options = {"api_version": "2025-09-30.clover"}
    replay.lists["/v1/subscriptions"] = [subscription()]
    reader.read("subscriptions")
    assert {(one["Authorization"], one["Stripe-Version"]) for one in replay.headers} == {(f"Bearer {KEY}", "2025-09-30.clover")}
    files = [path for path in reader.folder.rglob("*") if path.is_file()]
    assert files and all(KEY.encode() not in path.read_bytes() for path in files)
    assert KEY not in caplog.text + repr(reader.source)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(SettingsError, match=VARIABLE):
        reader.read("subscriptions")


def test_two_stripe_accounts_share_no_journal(reader: Reader) -> None:
    other = reader.source.model_copy(update={"api_key": Secret(env="OTHER_KEY")})
    folders = {journal_folder(reader.settings, source) for source in (reader.source, other)}
    assert len(folders) == 2


@pytest.mark.parametrize("table", ["accounts", "subscriptions", "invoices", "account_outcomes"])
def test_every_table_is_read_as_a_whole_and_may_be_empty(reader: Reader, table: str, tmp_path: Path) -> None:
    assert reader.source.is_incremental(TABLES[table]) is False
    assert reader.read(table) == []
    assert not reader.preview(table).batches
    assert reader.journal == {}
