"""A company that lives in HubSpot, Chargebee and Intercom, by their ready mappings and the real command; one of them then goes down."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from tests.forked import health
from tests.leaks import find_leaks
from tests.pipeline import run_pipeline
from tests.rest_server import RestServer, chargebee, hubspot, intercom

DAY, NEXT_DAY = date(2026, 3, 5), date(2026, 3, 6)
TOKENS = {"HUBSPOT_TOKEN": "sesame-hub-61", "INTERCOM_TOKEN": "sesame-inter-62", "CHARGEBEE_API_KEY": "sesame-charge-63"}
ADDRESSES = {"hubspot": "https://api.hubapi.com", "intercom": "https://api.intercom.io", "chargebee": "https://acme.chargebee.com"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


COMPANIES = [
    {"id": "101", "properties": {"name": "Anvil", "industry": "TOOLS", "createdate": "2025-01-01T10:00:00Z"}},
    {"id": "102", "properties": {"name": "Bolt", "country": "Norway", "createdate": "2025-01-01T10:00:00Z"}},
]
MEETING = {
    "id": "7", "companies": ["101"],
    "properties": {"hs_meeting_start_time": "2026-03-02T09:00:00Z", "hs_meeting_end_time": "2026-03-02T09:45:00Z",
    "hs_meeting_outcome": "COMPLETED"},
}  # fmt: skip
OF_CRM = {"companies": COMPANIES, "meetings": [MEETING], "calls": [], "emails": [], "contacts": []}
# 1,250 dollars a month for ten seats.
SUBSCRIPTION = {
    "id": "s1", "customer_id": "101", "status": "active", "currency_code": "USD", "mrr": 125000, "billing_period": 1,
    "billing_period_unit": "year",
    "started_at": at("2025-02-01"), "current_term_start": at("2026-02-01"), "current_term_end": at("2027-02-01"),
    "subscription_items": [{"item_price_id": "team", "item_type": "plan", "quantity": 10, "amount": 1500000}],
}  # fmt: skip
# A quarter of what was due on 21 February is paid.
INVOICE = {
    "id": "i1", "customer_id": "101", "status": "payment_due", "currency_code": "USD", "date": at("2026-02-07"),
    "due_date": at("2026-02-21"),
    "total": 400000, "amount_due": 300000, "amount_paid": 100000, "updated_at": at("2026-02-25"), "adjustment_credit_notes": [],
}  # fmt: skip


def conversation(number: int, opened: str, replied: str, rating: int | None) -> dict[str, Any]:
    return {
        "id": str(number), "created_at": at(opened), "updated_at": at(replied), "state": "closed", "priority": "not_priority",
        "source": {"delivered_as": "customer_initiated"}, "company": {"id": "65f1", "company_id": "101"},
        "statistics": {"first_admin_reply_at": at(replied), "last_close_at": at(replied)}, "tags": {"tags": []},
        "conversation_rating": {"rating": rating, "created_at": at(replied), "contact": {"id": "c1"}},
    }  # fmt: skip


# Replies after 2, 4 and 6 hours; ratings 4 and 5 of 5.
CONVERSATIONS = [
    conversation(1, "2026-02-10T08:00", "2026-02-10T10:00", 4),
    conversation(2, "2026-02-20T08:00", "2026-02-20T12:00", 5),
    conversation(3, "2026-03-01T08:00", "2026-03-01T14:00", None),
]


def run(folder: Path) -> None:
    done = health(folder / "health.toml", "run", DAY)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "degraded" not in said, said
    assert not [token for token in TOKENS.values() if token in said]


def rows(folder: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(folder / "data" / "published" / "current" / "health.duckdb"), read_only=True) as mart:
        return mart.execute(query).fetchall()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One day, by the command, with all servers up; and the next with Intercom's down."""
    folder = tmp_path_factory.mktemp("api-company")
    text = f'[pipeline]\nstart_date = {DAY}\nmemory_limit = "512MB"\n'
    with (
        pytest.MonkeyPatch.context() as environment,
        RestServer(
            hubspot(TOKENS["HUBSPOT_TOKEN"], companies=COMPANIES, meetings=[MEETING], calls=[], emails=[], contacts=[])
        ) as hubspot_server,
        RestServer(chargebee(TOKENS["CHARGEBEE_API_KEY"], [SUBSCRIPTION], [INVOICE])) as chargebee_server,
    ):
        for name, token in TOKENS.items():
            environment.setenv(name, token)
        with RestServer(intercom(TOKENS["INTERCOM_TOKEN"], CONVERSATIONS, page_size=2)) as intercom_server:
            for name, server in {"hubspot": hubspot_server, "chargebee": chargebee_server, "intercom": intercom_server}.items():
                mapping = (PROJECT_ROOT / "examples" / "mappings" / f"{name}.toml").read_text(encoding="utf-8")
                text += mapping.replace(f'base_url = "{ADDRESSES[name]}"', f'base_url = "{server.url}"\nmax_attempts = 1')
            (folder / "health.toml").write_text(text)
            run(folder)
        run_pipeline(folder / "health.toml", NEXT_DAY, NEXT_DAY)
    return folder


def test_accounts_and_contracts_are_in_the_mart(ran: Path) -> None:
    found = rows(ran, "select account_id, account_name, industry, region, mrr, seats, term_ends_on from account_health")
    # A company of the CRM without a contract is not a customer.
    assert found == [("101", "Anvil", "TOOLS", None, 1250, 10, date(2027, 2, 1))]


# Of 4,000 dollars 3,000 are open, for 12 days; median of 2, 4 and 6 hours; mean of 4 and 5; 45 minutes.
EXPECTED = {"days_overdue_oldest": 12, "median_first_reply_hours_90d": 4, "csat_180d": 4.5, "contact_minutes_90d": 45}


@pytest.mark.parametrize("metric", EXPECTED)
def test_metrics_are_those_worked_out_by_hand(ran: Path, metric: str) -> None:
    [found] = rows(
        ran, f"select value, state from metric_scores_history where account_id = '101' and metric_key = '{metric}' and as_of_date = '{DAY}'"
    )
    assert found == (EXPECTED[metric], "measured")


def test_a_server_that_is_down_makes_its_metrics_late_and_the_rest_is_published(ran: Path) -> None:
    states = dict(rows(ran, f"select metric_key, state from metric_scores_history where account_id = '101' and as_of_date = '{NEXT_DAY}'"))
    assert {states[name] for name in ("median_first_reply_hours_90d", "csat_180d")} == {"late"}
    assert {states[name] for name in ("days_overdue_oldest", "contact_minutes_90d")} == {"measured"}
    unread = rows(ran, "select raw_table, not_read_reason from data_freshness where status = 'not read' order by raw_table")
    assert [table for table, _ in unread] == ["survey_responses", "tickets"]
    assert unread[1][1].startswith("sources.tickets: /conversations/search cannot be reached")


def test_no_token_is_in_anything_that_the_runs_left(ran: Path) -> None:
    assert find_leaks(ran, TOKENS) == []
    # The search sees into the files.
    assert any(place.startswith("name in data/lake/raw/accounts") for place in find_leaks(ran, {"name": "Anvil"}))
