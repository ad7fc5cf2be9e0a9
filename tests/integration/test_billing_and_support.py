"""What is ordinary in billing and support, in one company of Stripe and Zendesk, by the real command: what is published of it.

Every account has one peculiarity; the first one has none.
"""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.forked import health
from tests.stripe_server import KEY
from tests.unit.extract.connectors.stripe.conftest import at, item, price, subscription
from tests.unit.extract.connectors.stripe.replay import replay_server
from tests.zendesk_server import ZendeskServer

FIRST, LAST = date(2026, 3, 9), date(2026, 3, 11)
SEATS, FLAT = price("seat", 5000, currency="usd"), price("flat", 30_000, currency="usd")
YEARLY = price("yearly", 60_000, "year", currency="usd")
STRIPE_TABLES = ("accounts", "subscriptions", "invoices", "account_outcomes")


def sold(account: str, *items: dict[str, Any], since: str = "2025-01-10", **fields: Any) -> dict[str, Any]:
    """Ten seats of 50 dollars a month, where nothing else is said."""
    held = items or (item(10, "2026-03-20", price=SEATS),)
    told = {"currency": "usd", "start_date": at(since), "created": at(since), **fields}
    return subscription(*held, key=f"sub_{account}", customer=account, **told)


def bill(account: str, number: int = 1, day: str = "2026-02-15", **fields: Any) -> dict[str, Any]:
    """Over 500 dollars, paid on its day, where nothing else is said."""
    passed = {"finalized_at": at(day), "paid_at": at(day) if "status" not in fields else None}
    return {
        "id": f"in_{account}_{number}", "customer": account, "status": "paid", "created": at(day), "due_date": at(day), "total": 50_000,
        "currency": "usd", "status_transitions": passed, **fields,
    }  # fmt: skip


OLD = {"status": None, "status_transitions": None, "total": 50_000}
PAST = {"start_date": at("2026-02-01"), "created": at("2026-02-01"), "trial_start": at("2026-02-01"), "trial_end": at("2026-02-15")}
COMPANY: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "plain.test": (sold("plain.test"), [bill("plain.test")]),
    "old.test": (
        sold("old.test"),
        [bill("old.test", 1, paid=True, **OLD), bill("old.test", 2, forgiven=True, closed=True, day="2025-12-01", **OLD)],
    ),
    "partly.test": (
        sold("partly.test"),
        [bill("partly.test"), bill("partly.test", 2, status="open", total=100_000, amount_due=100_000, amount_remaining=10_000)],
    ),
    "credited.test": (
        sold("credited.test"),
        [bill("credited.test", 2, status="open", total=60_000, pre_payment_credit_notes_amount=57_000, amount_due=3_000,
        amount_remaining=3_000)],
    ),
    "forgiven.test": (sold("forgiven.test"), [bill("forgiven.test"), bill("forgiven.test", 2, "2025-06-01", status="uncollectible")]),
    "flat.test": (sold("flat.test", item(1, "2026-03-20", price=FLAT)), []),
    "paused.test": (sold("paused.test", pause_collection={"behavior": "void", "resumes_at": None}), [bill("paused.test")]),
    "trial.test": (sold("trial.test", since="2026-03-01", status="trialing", trial_start=at("2026-03-01"), trial_end=at("2026-03-31")), []),
    "tried.test": (sold("tried.test", status="canceled", ended_at=at("2026-02-15"), canceled_at=at("2026-02-15"), **PAST), []),
    "deleted.test": (sold("deleted.test", status="canceled", ended_at=at("2026-03-10"), canceled_at=at("2026-03-10")),
    [bill("deleted.test")]),
    "renewed.test": (sold("renewed.test", item(1, "2027-03-10", price=YEARLY), since="2024-03-10"), []),
}  # fmt: skip


def ticket(number: int, organization: int | None, requester: int, **fields: Any) -> dict[str, Any]:
    moment = {"created_at": "2026-03-01T08:00:00Z", "updated_at": "2026-03-01T08:05:00Z"}
    return {
        "id": number, "status": "closed", "organization_id": organization, "requester_id": requester, "priority": "normal",
        "type": "question",
        "tags": [], "custom_fields": [], "metric_set": {"ticket_id": number, "solved_at": "2026-03-03T08:00:00Z"}, **moment, **fields,
    }  # fmt: skip


MERGED = {"tags": ["closed_by_merge"], "metric_set": {"solved_at": "2026-03-01T08:05:00Z"}}
DESK = {
    "organizations": [{"id": 7, "name": "Plain", "domain_names": ["gmail.com", "plain.test"]}],
    "users": [{"id": 1, "organization_id": 7, "email": "a@plain.test"}, {"id": 2, "organization_id": None, "email": "b@gmail.com"}],
    "tickets": [ticket(1, 7, 1), *(ticket(n, 7, 1, **MERGED) for n in (2, 3, 4)), ticket(5, None, 2)],
}


@pytest.fixture(scope="module")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("billing")
    with replay_server() as stripe, ZendeskServer(**DESK) as desk:
        stripe.lists = {
            "/v1/customers": [
                {"id": name, "object": "customer", "created": at("2024-01-05"), "name": name, "metadata": {}}
                for name in COMPANY
                if name != "deleted.test"
            ],
            "/v1/subscriptions": [one for one, _ in COMPANY.values()],
            "/v1/invoices": [one for _, bills in COMPANY.values() for one in bills],
        }
        billing = f'connector = "stripe"\nbase_url = "{stripe.url}"\napi_key = {{ env = "STRIPE_KEY" }}\n'
        support = f'connector = "zendesk"\nbase_url = "{desk.url}"\noauth_token = {{ env = "DESK_TOKEN" }}\naccount_key = "domain"\n'
        events = (f"{account}-{n},{account},u{n},2026-03-10T09:00:00Z\n" for account in COMPANY for n in range(8))
        (folder / "usage.csv").write_text("event_id,account_id,user_id,occurred_at\n" + "".join(events))
        config = folder / "health.toml"
        config.write_text(
            f"[pipeline]\nstart_date = {FIRST}\nend_date = {LAST}\n"
            + "".join(f"[sources.{name}]\n{billing}" for name in STRIPE_TABLES)
            + f'[sources.tickets]\n{support}[sources.usage_events]\nconnector = "files"\npath = "usage.csv"\n'
        )
        done = health(config, "run", f"{FIRST}...{LAST}", variables={"STRIPE_KEY": KEY, "DESK_TOKEN": "t"})
    assert done.returncode == 0, done.stderr
    return folder / "data" / "published" / "current" / "health.duckdb"


def metrics(mart: Path, account: str, day: date = LAST) -> dict[str, float | str]:
    """The value of each metric that is measured, the state of the others, and the arr."""
    with duckdb.connect(str(mart), read_only=True) as connection:
        found = connection.execute(
            "select metric_key, value, state from metric_scores_history where account_id = ? and as_of_date = ?", [account, day]
        ).fetchall()
        arr = connection.execute(
            "select arr, stage from account_health_history where account_id = ? and as_of_date = ?", [account, day]
        ).fetchall()
    return {key: value if state == "measured" else state for key, value, state in found} | dict(
        zip(("arr", "stage"), arr[0] if arr else (), strict=False)
    )


OWED = ("overdue_ratio", "days_late_180d", "days_overdue_oldest")


@pytest.mark.parametrize(
    ("account", "names", "expected"),
    [
        ("plain.test", (*OWED, "days_to_renewal", "stage", "arr"), (0, 0, 0, "missing", "mature", 6000)),
        # One request in five mails, answered after 48 hours; the ticket from gmail.com is nobody's.
        ("plain.test", ("tickets_per_10_users_28d", "median_resolution_hours_90d", "critical_open_tickets"), (1, 48, 0)),
        ("old.test", OWED, (0, 0, 0)),
        # 100 of 500 a month since 15 February, and the paid one: 0 and 24 days.
        ("partly.test", OWED, (0.2, 12, 24)),
        ("credited.test", OWED, (0.06, 24, 24)),
        ("forgiven.test", OWED, (0, 0, 0)),
        # Eight users: of ten seats, and of a price for the whole company.
        ("plain.test", ("active_users_28d", "license_utilization_28d"), (8, 0.8)),
        ("flat.test", ("active_users_28d", "license_utilization_28d", "arr"), (8, "not_applicable", 3600)),
        ("paused.test", ("arr", "mrr_trend_90d", "overdue_ratio"), (0, -1, "not_applicable")),
        ("trial.test", ("arr", "overdue_ratio"), (0, "not_applicable")),
    ],
)  # fmt: skip
def test_what_is_published_of_an_account(mart: Path, account: str, names: tuple[str, ...], expected: tuple[float | str, ...]) -> None:
    found = metrics(mart, account)
    assert tuple(found[name] for name in names) == tuple(one if isinstance(one, str) else pytest.approx(one) for one in expected)


def test_a_renewal_is_not_known_before_its_day(mart: Path) -> None:
    found = [metrics(mart, "renewed.test", date(2026, 3, day)) for day in (9, 10, 11)]
    assert [(one["stage"], one["days_to_renewal"], one["arr"]) for one in found] == [
        ("renewing", 1, 600), ("mature", 365, 600), ("mature", 364, 600),
    ]  # fmt: skip


def test_who_was_deleted_is_scored_until_leaving_and_who_only_tried_has_not_left(mart: Path) -> None:
    with duckdb.connect(str(mart), read_only=True) as connection:
        days = connection.execute(
            "select as_of_date, arr from account_health_history where account_id = 'deleted.test' order by 1"
        ).fetchall()
        assert days == [(FIRST, 6000)]
        outcomes = mart.parents[2] / "lake" / "raw" / "account_outcomes"
        left = connection.execute(
            f"select account_id, cast(occurred_on as varchar) from read_parquet('{outcomes}/**/*.parquet')"
        ).fetchall()
    assert left == [("deleted.test", "2026-03-10")]
