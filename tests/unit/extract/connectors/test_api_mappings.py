"""The ready mappings of APIs, each file unchanged, against a local server that answers in the shape that its product documents."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract import LandedTable, land_table, preflight_sources
from orchestration.settings import PROJECT_ROOT
from tests.rest_server import RestServer, chargebee, hubspot, intercom
from tests.unit.extract.conftest import World

MAPPINGS = PROJECT_ROOT / "examples" / "mappings"
DAY = date(2026, 3, 5)


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HUBSPOT_TOKEN", "INTERCOM_TOKEN", "CHARGEBEE_API_KEY"):
        monkeypatch.setenv(name, f"sesame-{name}")
    yield


def use(world: World, name: str, address: str, server: RestServer) -> None:
    text = (MAPPINGS / f"{name}.toml").read_text(encoding="utf-8")
    assert f'base_url = "{address}"' in text
    world.sources = text.replace(f'base_url = "{address}"', f'base_url = "{server.url}"')
    preflight_sources(world.settings)


def land(world: World, table: str, day: date = DAY) -> LandedTable:
    landed = land_table(world.settings, TABLES[table], day, day)
    assert landed.unavailable is None
    return landed


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def company(number: int, **properties: Any) -> dict[str, Any]:
    return {"id": str(number), "properties": {"name": f"Company {number}", "createdate": "2025-01-01T10:00:00.000Z", **properties}}


def engagement(number: int, companies: list[int], at: str = "2026-03-01T10:00:00Z", **properties: Any) -> dict[str, Any]:
    return {"id": str(number), "companies": [str(one) for one in companies], "properties": {"hs_timestamp": at, **properties}}


def test_hubspot_companies(world: World) -> None:
    # Numbers as text, and an owner, as HubSpot gives them; 101 companies are two pages.
    companies = [company(number) for number in range(3, 102)]
    companies += [
        company(1, name="Acme", industry="COMPUTER_SOFTWARE", country="Germany", hubspot_owner_id="77"),
        company(2, name=None, domain="bolt.io", createdate=None),
    ]
    with RestServer(hubspot("sesame-HUBSPOT_TOKEN", companies=companies)) as server:
        use(world, "hubspot", "https://api.hubapi.com", server)
        assert land(world, "accounts").loaded == 101
        assert len(server.requests) == 2
    columns = "account_id, account_name, industry, region, csm, cast(created_at as varchar)"
    assert [row for row in world.rows("accounts", columns) if row[0] in ("1", "2")] == [
        ("1", "Acme", "COMPUTER_SOFTWARE", "Germany", "77", "2025-01-01 10:00:00"),
        ("2", "bolt.io", None, None, None, "2019-10-30 03:30:17.883"),
    ]


def test_hubspot_meetings_calls_and_emails(world: World) -> None:
    start, end = "2026-03-02T09:00:00Z", "2026-03-02T09:45:00Z"
    meeting = {"hs_meeting_start_time": start, "hs_meeting_end_time": end}
    lists = {
        "companies": [company(1), company(2)],
        "meetings": [
            # The same company with two labels, and another one.
            engagement(10, [1, 1, 2], hs_meeting_outcome="COMPLETED", **meeting),
            engagement(11, [1], hs_meeting_outcome="SCHEDULED"),
            engagement(12, [1], hs_meeting_outcome="CANCELED", **meeting),
            engagement(13, [1], hs_meeting_outcome="NO_SHOW", **meeting),
            engagement(14, [], **meeting),
        ],
        "calls": [
            engagement(20, [1], hs_call_direction="INBOUND", hs_call_duration="90000", hs_call_status="COMPLETED"),
            engagement(21, [2], hs_call_direction="OUTBOUND"),
            engagement(22, [2], hs_call_direction="OUTBOUND", hs_call_status="NO_ANSWER"),
        ],
        "emails": [
            engagement(30, [1], hs_email_direction="EMAIL", hs_email_status="SENT"),
            engagement(31, [1], hs_email_direction="INCOMING_EMAIL"),
            engagement(32, [1], hs_email_direction="EMAIL", hs_email_status="BOUNCED"),
        ],
    }
    lists["calls"][0]["contacts"] = ["901", "902"]
    with RestServer(hubspot("sesame-HUBSPOT_TOKEN", **lists)) as server:
        use(world, "hubspot", "https://api.hubapi.com", server)
        landed = land(world, "touchpoints")
    assert landed.quarantined == {}
    assert world.rows("touchpoints", "touchpoint_id, account_id, cast(occurred_at as varchar), channel, direction, duration_minutes") == [
        ("10-1", "1", "2026-03-02 09:00:00", "meeting", "inbound", 45),
        ("10-2", "2", "2026-03-02 09:00:00", "meeting", "inbound", 45),
        ("11-1", "1", "2026-03-01 10:00:00", "meeting", "inbound", None),
        ("20-1", "1", "2026-03-01 10:00:00", "call", "inbound", 1.5),
        ("21-2", "2", "2026-03-01 10:00:00", "call", "outbound", None),
        ("30-1", "1", "2026-03-01 10:00:00", "email", "outbound", None),
        ("31-1", "1", "2026-03-01 10:00:00", "email", "inbound", None),
    ]
    assert [row for row in world.rows("touchpoints", "touchpoint_id, contact_id") if row[1] is not None] == [("20-1", "901")]


def person(number: int, companies: list[int], **properties: Any) -> dict[str, Any]:
    made = {"createdate": "2026-01-05T10:00:00.000Z", "firstname": "Ann", "lastname": "Li", "email": "ann@acme.example"}
    return {"id": str(number), "companies": [str(one) for one in companies], "properties": made | properties}


def test_hubspot_contacts(world: World) -> None:
    people = [
        # In two companies, to one of them with two labels.
        person(1, [1, 1, 2], hs_buying_role="END_USER;CHAMPION", hs_job_change_detected_date="2026-02-20"),
        person(2, [1], hs_buying_role="BUDGET_HOLDER;LEGAL_AND_COMPLIANCE", lastname=None),
        person(3, [1], hs_buying_role="END_USER", hs_job_change_detected_date="2026-01-04", createdate="2026-01-05T00:00:00Z"),
        person(4, [2], firstname=None, lastname=None, email=None, createdate=None),
        person(5, []),
    ]
    with RestServer(hubspot("sesame-HUBSPOT_TOKEN", companies=[company(1), company(2)], contacts=people)) as server:
        use(world, "hubspot", "https://api.hubapi.com", server)
        landed = land(world, "contacts")
    assert landed.quarantined == {}
    columns = "contact_id, account_id, user_id, name, email, role, cast(joined_on as varchar), cast(left_on as varchar)"
    assert world.rows("contacts", columns) == [
        ("1", "1", None, "Ann Li", "ann@acme.example", "champion", "2026-01-05", "2026-02-20"),
        ("1", "2", None, "Ann Li", "ann@acme.example", "champion", "2026-01-05", "2026-02-20"),
        ("2", "1", None, "Ann", "ann@acme.example", "decision_maker", "2026-01-05", None),
        ("3", "1", None, "Ann Li", "ann@acme.example", "user", "2026-01-05", None),
        ("4", "2", None, None, None, "other", "2019-10-30", None),
    ]


def conversation(number: int, **values: Any) -> dict[str, Any]:
    opened = at("2026-03-01T10:00:00")
    return {
        "type": "conversation", "id": str(number), "created_at": opened, "updated_at": opened, "open": True, "state": "open",
        "priority": "not_priority", "source": {"type": "conversation", "delivered_as": "customer_initiated"},
        "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "6762f14a", "external_id": "70"}]},
        "company": {"type": "company", "id": "65f1", "company_id": "a1"}, "first_contact_reply": None, "statistics": None,
        "tags": {"type": "tag.list", "tags": []}, "conversation_rating": None,
    } | values  # fmt: skip


def tagged(*names: str, applied_at: int | None = None) -> dict[str, Any]:
    return {"type": "tag.list", "tags": [{"type": "tag", "id": "1", "name": name, "applied_at": applied_at} for name in names]}


def test_intercom_contacts(world: World) -> None:
    def contact(number: int, role: str = "user", **attributes: str) -> dict[str, Any]:
        return {
            "type": "contact", "id": f"c{number}", "external_id": str(number), "role": role, "name": "Ann Li", "email": "ann@acme.example",
            "created_at": at("2026-01-05T10:00:00"), "signed_up_at": at("2025-12-24T10:00:00") if number == 1 else None,
            "companies": {"type": "list", "data": [{"id": "65f1", "type": "company"}]}, "custom_attributes": attributes,
        }  # fmt: skip

    contacts = [
        contact(1, account_id="a1", account_role="champion", left_on="2026-02-20"),
        contact(2, account_id="a1"),
        contact(3),
        contact(4, role="lead", account_id="a1"),
    ]
    with RestServer(intercom("sesame-INTERCOM_TOKEN", contacts=contacts, page_size=1)) as server:
        use(world, "intercom_contacts", "https://api.intercom.io", server)
        landed = land(world, "contacts")
        assert len(server.requests) == 4
    assert landed.quarantined == {"account_id: missing": 1}
    columns = "contact_id, account_id, user_id, name, email, role, cast(joined_on as varchar), cast(left_on as varchar)"
    assert world.rows("contacts", columns) == [
        ("c1", "a1", "1", "Ann Li", "ann@acme.example", "champion", "2025-12-24", "2026-02-20"),
        ("c2", "a1", "2", "Ann Li", "ann@acme.example", "user", "2026-01-05", None),
    ]


def test_intercom_conversations(world: World) -> None:
    sent = {"type": "conversation", "delivered_as": "admin_initiated"}
    closed = {
        "state": "closed",
        "statistics": {"first_admin_reply_at": at("2026-03-01T11:00:00"), "last_close_at": at("2026-03-01T15:00:00")},
    }
    conversations = [
        conversation(1, priority="priority", tags=tagged("vip", "refund"), **closed),
        # Opened again after it was closed.
        conversation(2, statistics=closed["statistics"], tags=tagged("escalated", applied_at=at("2026-03-01T12:00:00"))),
        # Imported as closed; nobody knows when its tag was added.
        conversation(3, state="closed", updated_at=at("2026-03-02T08:00:00"), tags=tagged("escalation")),
        # Sent to the customer: unanswered, and answered two days later.
        conversation(4, source=sent),
        conversation(5, source=sent, first_contact_reply={"created_at": at("2026-03-03T10:00:00"), "type": "conversation"}),
        conversation(6, company=None),
    ]
    with RestServer(intercom("sesame-INTERCOM_TOKEN", conversations, page_size=2)) as server:
        use(world, "intercom", "https://api.intercom.io", server)
        landed = land(world, "tickets")
        assert [asked.body["pagination"] for asked in server.requests] == [
            {"per_page": 150}, {"per_page": 150, "starting_after": "2"}, {"per_page": 150, "starting_after": "4"},
        ]  # fmt: skip
        times = "cast(opened_at as varchar), cast(first_replied_at as varchar), cast(resolved_at as varchar)"
        first, again = "2026-03-01 10:00:00", "2026-03-02 08:00:00"
        assert world.rows("tickets", f"ticket_id, account_id, {times}, priority, topic, cast(escalated_at as varchar)") == [
            ("1", "a1", first, "2026-03-01 11:00:00", "2026-03-01 15:00:00", "high", "billing", None),
            ("2", "a1", first, "2026-03-01 11:00:00", None, "normal", "other", "2026-03-01 12:00:00"),
            ("3", "a1", first, None, again, "normal", "other", again),
            ("5", "a1", "2026-03-03 10:00:00", None, None, "normal", "other", None),
        ]
        # Of nobody's company: seen and counted.
        assert sum(landed.quarantined.values()) == 1
        # Only what changed is asked for, from the day after the last run less the lookback on.
        conversations[4] |= {"state": "closed", "updated_at": at("2026-03-06T09:00:00")}
        server.requests.clear()
        land(world, "tickets", date(2026, 3, 6))
        assert [asked.body["query"]["value"] for asked in server.requests] == [at("2026-03-05T00:00:00")]
    assert world.rows("tickets", "ticket_id, cast(resolved_at as varchar)")[3] == ("5", "2026-03-06 09:00:00")


def test_intercom_ratings(world: World) -> None:
    given = {"created_at": at("2026-03-01T16:00:00"), "contact": {"type": "contact", "id": "6762f14a", "external_id": "70"}}
    conversations = [
        conversation(1, conversation_rating={"rating": 2, **given, "updated_at": at("2026-03-01T17:00:00")}),
        conversation(2, conversation_rating={"rating": 5, **given, "contact": {"type": "contact", "id": "6762f14a"}}),
        conversation(3, conversation_rating={"rating": None, **given}),
        conversation(4),
    ]
    with RestServer(intercom("sesame-INTERCOM_TOKEN", conversations)) as server:
        use(world, "intercom", "https://api.intercom.io", server)
        land(world, "survey_responses")
    assert world.rows("survey_responses", "response_id, account_id, user_id, survey, score, cast(responded_at as varchar)") == [
        ("1", "a1", "70", "csat", 2, "2026-03-01 17:00:00"),
        ("2", "a1", "6762f14a", "csat", 5, "2026-03-01 16:00:00"),
    ]


def item(kind: str, quantity: int, amount: int) -> dict[str, Any]:
    return {"item_price_id": f"{kind}-USD", "item_type": kind, "quantity": quantity, "unit_price": amount // quantity, "amount": amount}


def subscription(key: str, status: str, **values: Any) -> dict[str, Any]:
    return {
        "id": key, "customer_id": "a1", "status": status, "currency_code": "USD", "mrr": 12500, "billing_period": 1,
        "billing_period_unit": "year", "created_at": at("2025-01-01T09:00:00"), "started_at": at("2025-01-01T09:00:00"),
        "subscription_items": [item("plan", 5, 120000), item("addon", 1, 30000)], "object": "subscription",
    } | values  # fmt: skip


def test_chargebee_subscriptions(world: World) -> None:
    year = {"current_term_start": at("2026-01-15T00:00:00"), "current_term_end": at("2027-01-15T00:00:00")}
    month = {"current_term_start": at("2026-03-01T00:00:00"), "current_term_end": at("2026-04-01T00:00:00"), "billing_period_unit": "month"}
    subscriptions = [
        subscription("s1", "active", activated_at=at("2025-01-15T09:00:00"), **year),
        subscription("s2", "non_renewing", cancelled_at=at("2026-04-01T00:00:00"), **month),
        # Chargebee counts it as 0; its items cost 1,500 dollars a year.
        subscription("s3", "cancelled", mrr=0, cancelled_at=at("2026-02-01T12:00:00")),
        subscription("s4", "in_trial", trial_start=at("2026-03-01T00:00:00"), started_at=at("2026-03-01T00:00:00")),
        subscription("s5", "paused", **month),
        subscription("s6", "future", started_at=None, start_date=at("2026-06-01T00:00:00")),
        subscription("s7", "active", contract_term={"contract_end": at("2026-12-31T00:00:00")}, **month),
        subscription("s8", "transferred"),
    ]
    with RestServer(chargebee("sesame-CHARGEBEE_API_KEY", subscriptions, page_size=3)) as server:
        use(world, "chargebee", "https://acme.chargebee.com", server)
        landed = land(world, "subscriptions")
        assert len(server.requests) == 3
    assert landed.quarantined == {}
    days = "cast(started_on as varchar), cast(ended_on as varchar), cast(term_ends_on as varchar)"
    assert world.rows("subscriptions", f"subscription_id, account_id, plan, seats, mrr, currency, {days}, is_trial") == [
        ("s1", "a1", "plan-USD", 5, 125, "USD", "2025-01-15", None, "2027-01-15", False),
        ("s2", "a1", "plan-USD", 5, 125, "USD", "2025-01-01", "2026-04-01", None, False),
        ("s3", "a1", "plan-USD", 5, 125, "USD", "2025-01-01", "2026-02-01", None, False),
        ("s4", "a1", "plan-USD", 5, 125, "USD", "2026-03-01", None, None, True),
        ("s5", "a1", "plan-USD", 5, 0, "USD", "2025-01-01", None, None, False),
        ("s6", "a1", "plan-USD", 5, 125, "USD", "2026-06-01", None, None, False),
        ("s7", "a1", "plan-USD", 5, 125, "USD", "2025-01-01", None, "2026-12-31", False),
    ]


def invoice(key: str, status: str, **values: Any) -> dict[str, Any]:
    return {
        "id": key, "customer_id": "a1", "status": status, "currency_code": "USD", "date": at("2026-02-01T09:00:00"),
        "due_date": at("2026-02-15T09:00:00"), "total": 12550, "amount_due": 0, "amount_paid": 0, "write_off_amount": 0,
        "credits_applied": 0,
        "adjustment_credit_notes": [], "updated_at": at("2026-02-20T09:00:00"), "deleted": False, "object": "invoice",
    } | values  # fmt: skip


def test_chargebee_invoices(world: World) -> None:
    note = {
        "cn_id": "CN-1",
        "cn_reason_code": "write_off",
        "cn_date": at("2026-03-02T09:00:00"),
        "cn_total": 12550,
        "cn_status": "adjusted",
    }
    invoices = [
        invoice("i1", "paid", amount_paid=12550, paid_at=at("2026-02-10T09:00:00")),
        invoice("i2", "not_paid", amount_due=12550),
        invoice("i3", "payment_due", amount_due=2550, amount_paid=10000),
        invoice("i4", "voided", voided_at=at("2026-02-20T09:00:00")),
        # Settled by credits: nothing is open, and nobody paid.
        invoice("i5", "paid", credits_applied=12550),
        invoice("i6", "paid", write_off_amount=12550, paid_at=at("2026-03-02T09:00:00"), adjustment_credit_notes=[note]),
        invoice("i7", "pending", amount_due=12550),
        invoice("i8", "posted", due_date=None, amount_due=12550),
    ]
    with RestServer(chargebee("sesame-CHARGEBEE_API_KEY", invoices=invoices, page_size=5)) as server:
        use(world, "chargebee", "https://acme.chargebee.com", server)
        landed = land(world, "invoices")
        assert (len(server.requests), landed.quarantined) == (2, {})
        days = "cast(issued_on as varchar), cast(due_on as varchar), cast(paid_on as varchar)"
        columns = (
            f"invoice_id, account_id, {days}, amount, open_amount, currency, cast(voided_on as varchar), cast(written_off_on as varchar)"
        )
        issued, due = "2026-02-01", "2026-02-15"
        expected = [
            ("i1", "a1", issued, due, "2026-02-10", 125.5, 0, "USD", None, None),
            ("i2", "a1", issued, due, None, 125.5, 125.5, "USD", None, None),
            ("i3", "a1", issued, due, None, 125.5, 25.5, "USD", None, None),
            ("i4", "a1", issued, due, None, 125.5, 0, "USD", "2026-02-20", None),
            ("i5", "a1", issued, due, None, 125.5, 0, "USD", None, None),
            ("i6", "a1", issued, due, None, 125.5, 0, "USD", None, "2026-03-02"),
            ("i8", "a1", issued, issued, None, 125.5, 125.5, "USD", None, None),
        ]
        assert world.rows("invoices", columns) == expected
        # The next day asks for what changed, and one is deleted.
        invoices[1] |= {"deleted": True, "updated_at": at("2026-03-06T09:00:00")}
        server.requests.clear()
        land(world, "invoices", date(2026, 3, 6))
        assert [asked.query["updated_at[after]"] for asked in server.requests] == [str(at("2026-03-05T00:00:00"))]
        assert world.rows("invoices", columns) == [expected[0], *expected[2:]]
