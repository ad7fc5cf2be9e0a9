"""The Zendesk connector against a local server: rows worked out by hand, what is asked for, and every fault."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract import SourceUnavailable
from orchestration.extract.connectors.base import Window
from orchestration.extract.connectors.zendesk import ZendeskSource
from orchestration.sources import Secret
from tests.local_server import Fault
from tests.zendesk_server import ZendeskServer

TOKEN = "sesame-7431"
# All that a reading takes of the settings is the place of the lake.
SETTINGS = SimpleNamespace()
EVER = Window(None, date(2026, 3, 31))
ORGANIZATION = {
    "id": 7, "external_id": "a1", "name": "Acme", "domain_names": ["Acme.com", "acme.org"],
    "organization_fields": {"crm": "c-9"},
}  # fmt: skip
REQUESTER = {"id": 70, "organization_id": 7, "email": "ann@acme.org"}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENDESK_TOKEN", TOKEN)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZendeskServer]:
    monkeypatch.setattr(SETTINGS, "lake", tmp_path / "lake", raising=False)
    with ZendeskServer(organizations=[ORGANIZATION], users=[REQUESTER], page_size=2) as running:
        yield running


def ticket(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "status": "open", "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-02T10:00:00Z",
        "organization_id": 7, "requester_id": 70, "priority": "normal", "type": None, "tags": [], "custom_fields": [],
        "subject": "Help",
    } | changes  # fmt: skip


def measured(number: int, replied: int | None = None, solved: str | None = None) -> dict[str, Any]:
    return {"ticket_id": number, "reply_time_in_minutes": {"calendar": replied, "business": 1}, "solved_at": solved}


def rating(number: int, score: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "score": score, "ticket_id": 1, "requester_id": 70, "created_at": "2026-03-03T10:00:00Z",
        "updated_at": "2026-03-04T10:00:00Z",
    } | changes  # fmt: skip


def source(server: ZendeskServer, **options: Any) -> ZendeskSource:
    access = {} if "oauth_token" in options else {"email": "bot@x.io", "api_token": Secret(env="ZENDESK_TOKEN")}
    return ZendeskSource(connector="zendesk", base_url=server.url, max_attempts=3, max_retry_delay_seconds=0.05, **access | options)


def read(server: ZendeskServer, table: str = "tickets", window: Window = EVER, **options: Any) -> list[dict[str, Any]]:
    batches = source(server, **options).read(SETTINGS, TABLES[table], window)
    return [row for batch in batches for row in batch.to_pylist()]


def one(server: ZendeskServer, **options: Any) -> dict[str, Any]:
    [row] = read(server, **options)
    return row


def test_a_solved_ticket(server: ZendeskServer) -> None:
    server.tickets = [ticket(1, status="solved", priority="urgent", type="incident")]
    server.metric_sets = [measured(1, 95, "2026-03-02T09:00:00Z")]
    assert read(server) == [{
        "ticket_id": "1", "account_id": "a1", "opened_at": "2026-03-01T10:00:00Z",
        "first_replied_at": "2026-03-01T11:35:00Z", "resolved_at": "2026-03-02T09:00:00Z",
        "priority": "critical", "topic": "bug", "escalated_at": None, "_deleted": False,
    }]  # fmt: skip


def test_a_reopened_ticket_is_not_resolved_and_one_closed_by_import_is(server: ZendeskServer) -> None:
    server.tickets = [ticket(1), ticket(2, status="closed")]
    server.metric_sets = [measured(1, solved="2026-03-01T12:00:00Z"), measured(2)]
    rows = read(server)
    assert [row["resolved_at"] for row in rows] == [None, "2026-03-02T10:00:00Z"]
    assert [row["first_replied_at"] for row in rows] == [None, None]


def test_metrics_within_the_ticket_and_of_its_own_address(server: ZendeskServer) -> None:
    server.has_sideloads = False
    server.tickets = [ticket(1, metric_set=measured(1, 5)), ticket(2), ticket(3)]
    server.metric_sets = [measured(2, 6)]
    assert [row["first_replied_at"] for row in read(server)] == ["2026-03-01T10:05:00Z", "2026-03-01T10:06:00Z", None]
    assert "/api/v2/tickets/1/metrics.json" not in server.paths()


def test_pages_deletions_and_the_window(server: ZendeskServer) -> None:
    server.tickets = [ticket(number) for number in range(1, 6)]
    server.tickets[4] |= {"status": "deleted"}
    server.tickets[0] |= {"updated_at": "2026-02-27T23:59:59Z"}
    server.metric_sets = [measured(number) for number in range(1, 6)]
    rows = read(server, window=Window(date(2026, 2, 28), date(2026, 3, 2)))
    assert [(row["ticket_id"], row["account_id"], row["_deleted"]) for row in rows] == [
        ("2", "a1", False), ("3", "a1", False), ("4", "a1", False), ("5", None, True),
    ]  # fmt: skip
    first, second = [seen.query for seen in server.requests if "incremental" in seen.path]
    assert first == {"start_time": "1772236800", "include": "metric_sets,users"}  # 2026-02-28 00:00 UTC
    assert second == {"cursor": "1772236800.2", "include": "metric_sets,users"}
    assert server.paths().count("/api/v2/organizations.json") == 1
    read(server)
    assert [s.query["start_time"] for s in server.requests if "start_time" in s.query][-1] == "1"


def test_a_window_that_begins_now_is_old_enough_for_zendesk(server: ZendeskServer) -> None:
    read(server, window=Window(date(2999, 1, 1), date(2999, 1, 1)))
    [start] = [seen.query["start_time"] for seen in server.requests if "start_time" in seen.query]
    assert int(start) <= datetime.now(UTC).timestamp() - 60


@pytest.mark.parametrize(
    ("key", "account"),
    [("external_id", "a1"), ("id", "7"), ("name", "Acme"), ("domain", "acme.com"), ("field.crm", "c-9")],
)
def test_account_keys(server: ZendeskServer, key: str, account: str) -> None:
    server.tickets = [ticket(1, metric_set=measured(1))]
    assert one(server, account_key=key)["account_id"] == account


def test_tickets_without_organization(server: ZendeskServer) -> None:
    server.users += [{"id": 71, "organization_id": None, "email": "bob@ACME.org"}, {"id": 72, "email": "eve@new.io"}]
    server.tickets = [
        ticket(number, organization_id=organization, requester_id=user, metric_set=measured(number))
        for number, organization, user in ((1, None, 70), (2, None, 71), (3, None, 72), (4, 99, 70), (5, None, 98))
    ]
    assert [row["account_id"] for row in read(server)] == ["a1", None, None, None, None]
    by_domain = ["acme.com", "acme.com", "new.io", None, None]
    assert [row["account_id"] for row in read(server, account_key="domain")] == by_domain
    server.has_sideloads = False
    assert [row["account_id"] for row in read(server, account_key="domain")] == by_domain


def test_public_mail_domains_lead_to_no_account(server: ZendeskServer) -> None:
    # An agent added the private address of a colleague; gmx.net is on its own.
    server.organizations[0] |= {"domain_names": ["GMail.com", "acme.test"]}
    server.organizations += [{"id": 8, "domain_names": ["gmx.net"]}]
    server.users = [
        {"id": n, "organization_id": None, "email": mail} for n, mail in ((71, "a@acme.test"), (72, "b@gmail.com"), (73, "c@Yahoo.co.uk"))
    ]
    wanted = {1: (7, 71, "acme.test"), 2: (None, 71, "acme.test"), 3: (None, 72, None), 4: (None, 73, None), 5: (8, 71, None)}
    server.tickets = [
        ticket(n, organization_id=organization, requester_id=user, metric_set=measured(n)) for n, (organization, user, _) in wanted.items()
    ]
    found = {int(row["ticket_id"]): row["account_id"] for row in read(server, account_key="domain")}
    assert found == {n: account for n, (*_, account) in wanted.items()}


def test_a_merged_ticket_is_none_and_a_follow_up_of_it_is_one(server: ZendeskServer) -> None:
    follow_up = {"via": {"channel": "web", "source": {"rel": "follow_up"}}}
    server.tickets = [
        ticket(1, status="closed", tags=["vip", "Closed_by_merge"], organization_id=None),
        ticket(2, status="closed", tags=["closed_by_merge"], metric_set=measured(2), **follow_up),
        ticket(3, status="open", tags=["closed_by_merge"], metric_set=measured(3), via=None),
    ]
    assert [(row["ticket_id"], row["opened_at"], row["_deleted"]) for row in read(server)] == [
        ("1", None, True), ("2", "2026-03-01T10:00:00Z", False), ("3", "2026-03-01T10:00:00Z", False),
    ]  # fmt: skip
    assert not any(path.endswith("tickets/1/metrics.json") for path in server.paths())


def test_priorities_are_overridden_and_unknown_ones_left_to_the_contract(server: ZendeskServer) -> None:
    values = ["low", "urgent", "P9", None]
    server.tickets = [ticket(n, priority=value, metric_set=measured(n)) for n, value in enumerate(values, 1)]
    assert [row["priority"] for row in read(server, priorities={"low": "normal"})] == ["normal", "critical", "P9", None]


@pytest.mark.parametrize(
    ("changes", "options", "topic"),
    [
        ({"tags": ["b", "a"]}, {"topics": {"A": "billing", "b": "complaint"}}, "billing"),
        (
            {"custom_fields": [{"id": 5, "value": "b"}], "tags": ["a"]},
            {"topics": {"a": "billing", "b": "bug"}, "topic_field": 5},
            "bug",
        ),
        ({"type": "question"}, {"topics": {"a": "billing"}}, "question"),
        ({"type": "problem"}, {}, "bug"),
        ({"type": "task"}, {}, "other"),
        ({"type": None}, {}, None),
    ],
)  # fmt: skip
def test_topics(server: ZendeskServer, changes: dict[str, Any], options: dict[str, Any], topic: str | None) -> None:
    server.tickets = [ticket(1, metric_set=measured(1), **changes)]
    assert one(server, **options)["topic"] == topic


def audit(at: str, name: str, value: Any, before: Any = None, kind: str = "Change") -> dict[str, Any]:
    return {"created_at": at, "events": [{"type": kind, "field_name": name, "value": value, "previous_value": before}]}


def test_escalation_is_dated_by_the_first_audit(server: ZendeskServer) -> None:
    server.tickets = [
        ticket(1, tags=["escalated"], metric_set=measured(1)),
        ticket(2, custom_fields=[{"id": 5, "value": True}], metric_set=measured(2)),
        ticket(3, tags=["escalation"], metric_set=measured(3)),
        ticket(4, custom_fields=[{"id": 5, "value": False}], metric_set=measured(4)),
    ]
    server.audits = {
        1: [
            audit("2026-03-01T10:00:00Z", "tags", "vip", kind="Create"),
            audit("2026-03-01T12:00:00Z", "tags", ["vip", "escalated"], ["vip"]),
            audit("2026-03-01T13:00:00Z", "tags", ["escalated", "x"], ["vip", "escalated"]),
            audit("2026-03-01T14:00:00Z", "tags", ["escalated"], []),
        ],
        2: [audit("2026-03-01T10:00:00Z", "5", "0", kind="Create"), audit("2026-03-01T15:00:00Z", "5", "1", "0")],
    }
    expected = ["2026-03-01T12:00:00Z", "2026-03-01T15:00:00Z", "2026-03-02T10:00:00Z", None]
    assert [row["escalated_at"] for row in read(server, escalation_field=5)] == expected
    assert not any("tickets/4/audits" in path for path in server.paths())


def test_refused_audits_leave_the_last_change_and_are_not_asked_for_again(server: ZendeskServer) -> None:
    server.tickets = [ticket(n, tags=["escalated"], metric_set=measured(n)) for n in (1, 2)]
    server.faults = [Fault("audits", 403, times=None)]
    assert [row["escalated_at"] for row in read(server)] == ["2026-03-02T10:00:00Z"] * 2
    assert sum("audits" in path for path in server.paths()) == 1


def test_ratings(server: ZendeskServer) -> None:
    server.tickets = [ticket(1), ticket(2, organization_id=None)]
    server.ratings = [
        rating(1, "good"), rating(2, "bad_with_comment", ticket_id=2), rating(3, "offered"), rating(4, "unoffered"),
        rating(5, "fine", ticket_id=99), rating(6, "good", ticket_id=99, requester_id=98),
    ]  # fmt: skip
    rows = read(server, "survey_responses", survey_scores={"good": 10, "bad": 2})
    assert rows[0] == {
        "response_id": "1", "account_id": "a1", "user_id": "70", "survey": "csat", "score": "10.0",
        "responded_at": "2026-03-04T10:00:00Z", "_deleted": False,
    }  # fmt: skip
    found = [(row["response_id"], row["account_id"], row["score"]) for row in rows[1:]]
    assert found == [("2", "a1", "2.0"), ("5", "a1", "fine"), ("6", None, "10.0")]
    assert server.paths().count("/api/v2/tickets/show_many.json") == 2


def test_ratings_of_a_window_include_answers_to_earlier_offers(server: ZendeskServer) -> None:
    read(server, "survey_responses", Window(date(2026, 3, 31), date(2026, 3, 31)))
    [asked] = [seen.query for seen in server.requests if "satisfaction" in seen.path]
    assert asked == {"start_time": "1772323200", "page[size]": "100"}  # 2026-03-01 00:00 UTC


def test_credentials(server: ZendeskServer) -> None:
    read(server)
    assert server.requests[-1].authorization == "Basic " + base64.b64encode(f"bot@x.io/token:{TOKEN}".encode()).decode()
    read(server, oauth_token=Secret(env="ZENDESK_TOKEN"))
    assert server.requests[-1].authorization == f"Bearer {TOKEN}"


FAULTS = {
    "too many": Fault("incremental", 429, headers={"Retry-After": "1"}),
    "down": Fault("incremental", 503),
    "html": Fault("incremental", 200, "<html>Hold on</html>", {"Content-Type": "text/html"}),
    "truncated": Fault("incremental", 200, None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_is_survived_and_a_lasting_one_is_one_clear_error(server: ZendeskServer, name: str) -> None:
    server.tickets = [ticket(1, metric_set=measured(1))]
    server.faults = [Fault(**{**vars(FAULTS[name]), "times": 2})]
    assert one(server)["ticket_id"] == "1"
    server.requests.clear()
    server.faults = [Fault(**{**vars(FAULTS[name]), "times": None})]
    with pytest.raises(SourceUnavailable, match=r"^sources\.tickets: ") as raised:
        read(server)
    assert TOKEN not in f"{raised.value!r}"
    assert sum("incremental" in path for path in server.paths()) == 3


def test_an_answer_that_comes_one_byte_at_a_time_is_given_up(server: ZendeskServer) -> None:
    body = '{"tickets": [], "after_cursor": null, "end_of_stream": true}'
    server.faults = [Fault("incremental", body=body + 5000 * " ", times=None, drips=True)]
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="gives no answer in time"):
        read(server, timeout_seconds=0.5)
    # All of it would take 100 seconds for each attempt.
    assert time.monotonic() - began < 20
    server.faults = [Fault("incremental", body=body, times=1, drips=True)]
    assert read(server, timeout_seconds=10) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"tickets": [], "after_cursor": "x", "end_of_stream": false}', "same pages for ever"),
        ('{"tickets": [], "after_cursor": null, "end_of_stream": false}', "neither an end nor a next page"),
        ('{"error": "odd"}', "without tickets"),
    ],
)
def test_an_export_that_leads_nowhere_is_an_error(server: ZendeskServer, body: str, said: str) -> None:
    server.faults = [Fault("incremental", body=body, times=None)]
    with pytest.raises(SourceUnavailable, match=said):
        read(server)


def test_cursors_that_lead_in_a_circle_are_an_error(server: ZendeskServer) -> None:
    places = [f'{{"tickets": [], "after_cursor": "{place}", "end_of_stream": false}}' for place in "abcdefg"]
    server.faults = [Fault("incremental", body=body) for _ in range(9) for body in places]
    with pytest.raises(SourceUnavailable, match="same pages for ever"):
        read(server)
    # The eighth place is remembered, the fifteenth is the same: no memory of all places, and not for ever.
    assert sum("incremental" in path for path in server.paths()) == 15


def test_refused_credentials_are_said_at_once(server: ZendeskServer) -> None:
    server.faults = [Fault(status=401, times=None)]
    with pytest.raises(SourceUnavailable, match="refuses the credentials") as raised:
        read(server)
    assert TOKEN not in f"{raised.value!r}" and len(server.requests) == 1


def test_preview_shows_one_page(server: ZendeskServer) -> None:
    server.tickets = [ticket(n, organization_id=99, metric_set=measured(n)) for n in (1, 2, 3)]
    shown = source(server).preview(None, TABLES["tickets"])
    [batch] = shown.batches
    assert batch.column("opened_at").to_pylist() == ["2026-03-01T10:00:00Z"] * 2
    assert shown.mapped == ("ticket_id", "opened_at", "priority")
    assert shown.unmapped == ("custom_fields", "subject")
    assert shown.note.startswith("nothing changed in the last 30 days; first page of all; 2 of 2 rows have no account")
    assert source(server).preview(None, TABLES["survey_responses"]).batches == []
