"""Zendesk into the lake: what changed replaces what was there, what was deleted goes, an outage leaves the table."""

from datetime import date

import pytest

from orchestration.contract import TABLES
from orchestration.extract import land_table
from tests.company import content
from tests.local_server import Fault
from tests.unit.extract.conftest import World
from tests.zendesk_server import ZendeskServer

TOKEN = "sesame-5512"


def ticket(number: int, updated: str, **more: object) -> dict:
    return {
        "id": number, "status": "open", "created_at": "2026-01-01T08:00:00Z", "updated_at": updated, "organization_id": 7,
        "requester_id": 1, "priority": "normal", "type": "question", "tags": [], "custom_fields": [], **more,
    }  # fmt: skip


def zendesk(world: World, url: str) -> None:
    world.sources = (
        f'[sources.tickets]\nconnector = "zendesk"\nbase_url = "{url}"\nemail = "a@b.c"\n'
        'api_token = { env = "DESK_TOKEN" }\nmax_attempts = 2\nmax_retry_delay_seconds = 0.1'
    )


def test_a_later_run_brings_changes_and_takes_out_what_was_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    organizations = [{"id": 7, "external_id": "a1", "name": "Acme"}]
    first = [ticket(n, "2026-01-01T09:00:00Z") for n in (1, 2, 3)]
    with ZendeskServer(tickets=first, organizations=organizations) as server:
        zendesk(world, server.url)
        world.land("tickets", date(2026, 1, 1))
        assert world.rows("tickets", "ticket_id, priority") == [("1", "normal"), ("2", "normal"), ("3", "normal")]
        server.tickets = [
            first[0],
            ticket(2, "2026-01-04T09:00:00Z", status="deleted"),
            ticket(3, "2026-01-04T10:00:00Z", priority="urgent"),
        ]
        landed = world.land("tickets", date(2026, 1, 4))
        assert world.rows("tickets", "ticket_id, priority") == [("1", "normal"), ("3", "critical")]
        assert landed.loaded == 2
        server.faults = [Fault("/api/v2/incremental/tickets/cursor.json", status=503, times=None)]
        day = date(2026, 1, 5)
        unread = land_table(world.settings, TABLES["tickets"], day, day)
        assert "sources.tickets" in unread.unavailable
        assert TOKEN not in unread.unavailable
        assert world.rows("tickets", "ticket_id") == [("1",), ("3",)]


def test_tickets_of_nobodys_organization_may_be_half_and_one_that_is_merged_later_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    organizations = [{"id": 7, "external_id": "a1", "name": "Acme"}]
    tickets = [ticket(n, "2026-01-01T09:00:00Z", organization_id=7 if n < 4 else None) for n in range(1, 6)]
    with ZendeskServer(tickets=tickets, organizations=organizations) as server:
        zendesk(world, server.url)
        landed = world.land("tickets", date(2026, 1, 1))
        assert (world.rows("tickets", "ticket_id"), landed.quarantined) == ([("1",), ("2",), ("3",)], {"account_id: missing": 2})
        tickets[1] = ticket(2, "2026-01-04T09:00:00Z", status="closed", tags=["closed_by_merge"])
        world.land("tickets", date(2026, 1, 4))
        assert world.rows("tickets", "ticket_id") == [("1",), ("3",)]


@pytest.mark.parametrize("is_first_landing", [True, False])
def test_what_a_ticket_last_was_within_one_reading_counts(world: World, monkeypatch: pytest.MonkeyPatch, is_first_landing: bool) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    organizations = [{"id": 7, "external_id": "a1", "name": "Acme"}]
    with ZendeskServer(organizations=organizations, page_size=2) as server:
        zendesk(world, server.url)
        if not is_first_landing:
            server.tickets = [ticket(n, "2026-01-01T09:00:00Z") for n in (1, 2)]
            world.land("tickets", date(2026, 1, 1))
        # The export lists a ticket again where it changes while it is read.
        server.tickets = [
            ticket(1, "2026-01-02T09:00:00Z", status="deleted"),
            ticket(2, "2026-01-02T09:10:00Z"),
            ticket(3, "2026-01-02T09:20:00Z"),
            ticket(1, "2026-01-02T09:30:00Z", priority="urgent"),
            ticket(2, "2026-01-02T09:40:00Z", status="deleted"),
        ]
        world.land("tickets", date(2026, 1, 2))
    assert world.rows("tickets", "ticket_id, priority") == [("1", "critical"), ("3", "normal")]


@pytest.mark.parametrize("before", ["nothing", "an outage", "too many bad rows"])
def test_tickets_follow_an_organization_whose_key_changed(world: World, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    tickets = [ticket(1, "2026-01-01T09:00:00Z"), ticket(2, "2026-01-01T09:00:00Z", organization_id=8)]
    organizations = [{"id": 7, "external_id": "a1"}, {"id": 8, "external_id": "a2"}]
    with ZendeskServer(tickets=tickets, organizations=organizations) as server:
        zendesk(world, server.url)
        world.land("tickets", date(2026, 1, 1))
        server.organizations = [{"id": 7, "external_id": "b1"}, {"id": 9, "external_id": "a9"}]
        if before != "nothing":
            if before == "an outage":
                server.faults = [Fault("/api/v2/incremental/tickets/cursor.json", status=503, times=None)]
            else:
                server.tickets = [*tickets, ticket(None, "2026-01-08T09:00:00Z")]
            day = date(2026, 1, 9)
            assert land_table(world.settings, TABLES["tickets"], day, day).unavailable is not None
            server.faults = []
        # The second organization is gone: its ticket has none any more, as Zendesk tells by changing it.
        server.tickets = [tickets[0], {**tickets[1], "organization_id": 9, "updated_at": "2026-01-08T09:00:00Z"}]
        world.land("tickets", date(2026, 1, 9))
        assert world.rows("tickets", "ticket_id, account_id") == [("1", "b1"), ("2", "a9")]
        # Then nothing leads elsewhere, and the export is asked for what is new only.
        server.organizations.append({"id": 10, "external_id": "a10"})
        server.requests.clear()
        world.land("tickets", date(2026, 1, 19))
        [start] = [one.query["start_time"] for one in server.requests if "start_time" in one.query]
        assert int(start) > 1


def test_a_bad_row_that_is_delivered_again_is_in_the_quarantine_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    organizations = [{"id": 7, "external_id": "a1", "name": "Acme"}]
    nameless = [ticket(None, "2026-01-01T09:00:00Z"), ticket(" 2", "2026-01-01T09:00:00Z")]
    changed = {**nameless[0], "created_at": "2025-12-31T08:00:00Z"}
    with ZendeskServer(tickets=[*nameless, ticket(1, "2026-01-01T09:00:00Z")], organizations=organizations) as server:
        zendesk(world, server.url)
        world.sources += "\nmax_bad_share = 1.0"
        reasons = ["ticket_id: missing", "ticket_id: white space around it"]
        for day in (1, 1, 2, 2):
            landed = world.land("tickets", date(2026, 1, day))
            assert sorted(row[2] for row in world.quarantine("tickets")) == reasons
            assert (landed.delivered, landed.loaded) == (3, 1)
        # Another row without a key is another row.
        server.tickets = [*server.tickets, changed]
        assert world.land("tickets", date(2026, 1, 2)).quarantined == {reasons[0]: 2, reasons[1]: 1}


@pytest.mark.parametrize("table", ["tickets", "survey_responses"])
def test_a_reading_that_breaks_off_and_another_leave_the_lake_of_an_undisturbed_one(
    world: World, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    days = date(2026, 1, 1), date(2026, 1, 4)
    path = "incremental" if table == "tickets" else "satisfaction"

    def rating(number: int, updated: str, score: str) -> dict:
        return {"id": number, "ticket_id": 1, "requester_id": 1, "score": score, "created_at": updated, "updated_at": updated}

    def runs(server: ZendeskServer, folder: str, breaks_off: bool) -> dict[str, bytes | str]:
        zendesk(world, server.url)
        world.sources = world.sources.replace("sources.tickets", f"sources.{table}")
        world.pipeline = f'data_dir = "{folder}"'
        server.tickets = [ticket(n, "2026-01-01T09:00:00Z") for n in range(1, 4)]
        server.ratings = [rating(n, "2026-01-01T09:00:00Z", "good") for n in range(1, 4)]
        assert land_table(world.settings, TABLES[table], days[0], days[0]).unavailable is None
        server.tickets += [ticket(n, f"2026-01-04T09:0{n}:00Z", status="deleted" if n == 2 else "open") for n in range(1, 6)]
        server.ratings += [rating(n, f"2026-01-04T09:0{n}:00Z", "bad") for n in range(2, 7)]
        if breaks_off:
            before = world.kept()
            server.requests.clear()
            # The first page comes, the second one is cut off for ever.
            server.faults = [Fault(path, body=None, passes=1, times=None)]
            unread = land_table(world.settings, TABLES[table], days[1], days[1])
            assert "truncated or damaged JSON" in unread.unavailable
            assert sum(path in asked for asked in server.paths()) == 3
            assert world.kept() == before
            server.faults = []
        assert land_table(world.settings, TABLES[table], days[1], days[1]).unavailable is None
        return content(world.settings.lake)

    with ZendeskServer(organizations=[{"id": 7, "external_id": "a1"}], page_size=2) as server:
        assert runs(server, "disturbed", True) == runs(server, "undisturbed", False)
    key, expected = ("ticket_id", "1345") if table == "tickets" else ("response_id", "123456")
    assert [number for (number,) in world.rows(table, key)] == list(expected)
