"""The `rest` connector against a local server: what is asked for, what comes of an answer, and every fault."""

import base64
import json
import re
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract import LandedTable, land_table, preflight_sources
from orchestration.settings import SettingsError
from tests.local_server import Fault
from tests.rest_server import Answer, Asked, RestServer
from tests.unit.extract.conftest import World

TOKEN = "sesame/7431="
DAY = date(2026, 3, 2)
TICKET = {"ticket_id": "1", "account_id": "a1", "opened_at": "2026-03-01T10:00:00Z"}
PEOPLE = [{"ticket_id": str(number), "account_id": "a1", "opened_at": "2026-03-01T10:00:00Z"} for number in range(1, 6)]
SINGLE = 'paginator = { type = "single_page" }'


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    monkeypatch.setenv("API_USER", "sesame-user")


def use(world: World, server: RestServer | str, lines: str = SINGLE, table: str = "tickets", records: str = "items") -> World:
    url = server if isinstance(server, str) else server.url
    world.sources = (
        f'[sources.{table}]\nconnector = "rest"\nbase_url = "{url}"\nmax_attempts = 3\nmax_retry_delay_seconds = 0.05\n'
        f'records = "{records}"\n' + ("" if re.search("^path = ", lines, re.MULTILINE) else 'path = "/list"\n') + lines
    )
    return world


def land(world: World, day: date = DAY, table: str = "tickets") -> LandedTable:
    preflight_sources(world.settings)
    return land_table(world.settings, TABLES[table], day, day)


def keys(world: World) -> list[str]:
    return [key for (key,) in world.rows("tickets", "ticket_id")]


def listing(*items: Any) -> Callable[[Asked], Any]:
    return lambda asked: {"items": list(items)}


def paged(turn: Callable[[Asked, int], Any]) -> Callable[[Asked], Any]:
    """Answers of two records each; `turn` says where a page begins and what is beside its records."""

    def answer(asked: Asked) -> Any:
        start, beside, headers = turn(asked, 2)
        return Answer({"items": PEOPLE[start : start + 2], **beside}, headers=headers)

    return answer


def number_of(asked: Asked, name: str) -> int:
    return int(asked.query.get(name) or (asked.body or {}).get(name) or 0)


def by_cursor(asked: Asked, size: int) -> tuple[int, Any, Any]:
    start = number_of(asked, "after")
    return start, {"page": {"next": str(start + size) if start + size < 5 else None}}, {}


def by_link(asked: Asked, size: int) -> tuple[int, Any, Any]:
    start = number_of(asked, "after")
    # Some link to nothing, others leave the link out.
    return start, {"next": f"/list?after={start + size}" if start + size < 5 else ""}, {}


def by_header(asked: Asked, size: int) -> tuple[int, Any, Any]:
    start = number_of(asked, "after")
    return (
        start,
        {},
        {"Link": f'<{asked.url}/list?after={start + size}>; rel="next"', "X-Next": str(start + size)} if start + size < 5 else {},
    )


def by_offset(asked: Asked, size: int) -> tuple[int, Any, Any]:
    assert number_of(asked, "limit") == size
    return number_of(asked, "offset"), {"total": 5, "more": number_of(asked, "offset") + size < 5}, {}


def by_page(asked: Asked, size: int) -> tuple[int, Any, Any]:
    return (number_of(asked, "page") - 1) * size, {"pages": 4}, {}


PAGES = {
    "cursor": (by_cursor, 'type = "cursor", cursor_path = "page.next", cursor_param = "after"', "", 3),
    "cursor in the body": (by_cursor, 'type = "cursor", cursor_path = "page.next", cursor_body_path = "after"', "json = {}", 3),
    "link": (by_link, 'type = "json_link", next_url_path = "next"', "", 3),
    "link in a header": (by_header, 'type = "header_link"', "", 3),
    "cursor in a header": (by_header, 'type = "header_cursor", cursor_key = "X-Next", cursor_param = "after"', "", 3),
    "offset with a total": (
        by_offset,
        'type = "offset", limit = 2, offset_param = "offset", limit_param = "limit", total_path = "total"',
        "",
        3,
    ),
    "offset with more": (
        by_offset,
        'type = "offset", limit = 2, offset_param = "offset", limit_param = "limit", has_more_path = "more"',
        "",
        3,
    ),
    # Without either an empty page is the end.
    "offset": (by_offset, 'type = "offset", limit = 2, offset_body_path = "offset", limit_body_path = "limit"', "json = {}", 4),
    "page": (by_page, 'type = "page_number", base_page = 1, page_param = "page"', "", 4),
    "page with a total": (by_page, 'type = "page_number", base_page = 1, page_param = "page", total_path = "pages"', "", 4),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages(world: World, name: str) -> None:
    turn, paginator, more, requests = PAGES[name]
    with RestServer(paged(turn)) as server:
        landed = land(use(world, server, f"paginator = {{ {paginator} }}\n{more}"))
        assert (landed.unavailable, keys(world)) == (None, ["1", "2", "3", "4", "5"])
        assert len(server.requests) == requests
        assert {asked.body is None for asked in server.requests} == {not more}


def test_fewer_records_than_the_limit_asks_for_would_skip_some(world: World) -> None:
    def answer(asked: Asked) -> Any:
        return {"items": PEOPLE[int(asked.query["offset"]) :][:2]}

    with RestServer(answer) as server:
        paginator = 'paginator = { type = "offset", limit = 3, offset_param = "offset", limit_param = "limit" }'
        landed = land(use(world, server, paginator))
    assert landed.unavailable == (
        "sources.tickets: /list gives 2 records where limit asks for 3, so others would be skipped. Write limit = 2"
    )


AUTH = {
    'type = "bearer", token = { env = "API_TOKEN" }': lambda asked: asked.headers["Authorization"] == f"Bearer {TOKEN}",
    'type = "api_key", name = "X-Key", api_key = { env = "API_TOKEN" }': lambda asked: asked.headers["X-Key"] == TOKEN,
    'type = "api_key", name = "key", location = "query", api_key = { env = "API_TOKEN" }': lambda asked: (
        asked.query == {"key": TOKEN, "of": "all"}
    ),
    'type = "http_basic", username = { env = "API_TOKEN" }': lambda asked: (
        asked.headers["Authorization"] == "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()
    ),
    'type = "http_basic", username = "zoë", password = { env = "API_TOKEN" }': lambda asked: (
        asked.headers["Authorization"] == "Basic " + base64.b64encode(f"zoë:{TOKEN}".encode()).decode()
    ),
}


@pytest.mark.parametrize("auth", AUTH)
def test_credentials(world: World, auth: str) -> None:
    with RestServer(lambda asked: {"items": [TICKET]} if AUTH[auth](asked) else Answer({}, 401)) as server:
        landed = land(use(world, server, f'{SINGLE}\nparams = {{ of = "all" }}\nauth = {{ {auth} }}'))
    assert (landed.unavailable, keys(world)) == (None, ["1"])


def test_headers_may_be_secrets(world: World) -> None:
    with RestServer(listing(TICKET)) as server:
        land(use(world, server, f'{SINGLE}\nheaders = {{ X-Version = "7", X-Key = {{ env = "API_TOKEN" }} }}'))
    assert (server.requests[0].headers["X-Version"], server.requests[0].headers["X-Key"]) == ("7", TOKEN)


def client_credentials(server: RestServer) -> str:
    return (
        f"{SINGLE}\nauth = "
        f'{{ type = "oauth2_client_credentials", access_token_url = "{server.url}/token", client_id = {{ env = "API_USER" }},'
        ' client_secret = { env = "API_TOKEN" }, access_token_request_data = { scope = "read" } }\npath = ["/list", "/more"]'
    )


def test_client_credentials(world: World) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/token":
            return {"access_token": "fresh", "expires_in": 600}
        return {"items": [TICKET]} if asked.headers.get("Authorization") == "Bearer fresh" else Answer({}, 401)

    with RestServer(answer) as server:
        server.faults = [Fault("/token", 503)]
        landed = land(use(world, server, client_credentials(server)))
        assert (landed.unavailable, keys(world)) == (None, ["1"])
        # The fault is repeated; one token serves both lists.
        assert [asked.path for asked in server.requests] == ["/token", "/token", "/list", "/more"]
        wanted = {"client_id": "sesame-user", "client_secret": TOKEN, "grant_type": "client_credentials", "scope": "read"}
        assert server.requests[0].body == wanted


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": TOKEN}, "answers 401. Check auth.client_id and auth.client_secret"),
        (503, {}, "answers 503. Try again later"),
        (200, {"token": TOKEN}, "gives no token. Check auth.access_token_url, or try again later"),
        (200, [TOKEN], "gives no token. Check auth.access_token_url, or try again later"),
    ],
)
def test_a_token_that_is_refused(world: World, status: int, body: Any, said: str) -> None:
    with RestServer(lambda asked: Answer(body, status)) as server:
        landed = land(use(world, server, client_credentials(server)))
        assert landed.unavailable == f"sources.tickets: {server.url}/token {said}"


def test_columns_are_json_paths(world: World) -> None:
    one = {
        "id": 12345678901234567890, "open": True, "customer": {"ids": ["x", "a1"], "the key": {"a.b": "2026-03-01 08:00"}},
        "stages": [{"name": "new"}, {"name": "done", "at": "2026-03-02T09:30:00+02:00"}], "priority": "high",
    }  # fmt: skip
    columns = (
        'columns = { ticket_id = "id", account_id = "customer.ids[1]", opened_at = \'$.customer."the key"."a.b"\','
        ' resolved_at = "/stages/1/at" }'
    )
    with RestServer(lambda asked: [one]) as server:
        landed = land(use(world, server, f"{SINGLE}\n{columns}", records="$"))
    assert landed.unavailable is None
    assert world.rows("tickets", "ticket_id, account_id, cast(opened_at as varchar), cast(resolved_at as varchar), priority, topic") == [
        ("12345678901234567890", "a1", "2026-03-01 08:00:00", "2026-03-02 07:30:00", "high", None)
    ]


def test_a_query_shapes_the_records_of_all_lists(world: World) -> None:
    people = [{"mail": "ann@acme.io", "org": "a1"}, {"mail": "bob@bolt.io", "org": "b2"}]
    cases = [
        {"n": 1, "who": "ann@acme.io", "at": 1772359200, "ms": 1772359200500, "level": 3, "is_test": False},
        {"n": 2, "who": "bob@bolt.io", "at": "1772359200", "ms": None, "level": 1, "is_test": False},
        {"n": 3, "who": "bob@bolt.io", "at": "soon", "ms": None, "level": 1, "is_test": False},
        {"n": 4, "who": "bob@bolt.io", "at": 1772359200, "ms": None, "level": 1, "is_test": True},
    ]
    query = """
        with people as (select record ->> '/mail' as mail, record ->> '/org' as account_id from records where path = '/people')
        select
            record -> '/n' as ticket_id, account_id, from_epoch_s(record ->> '/at') as opened_at,
            from_epoch_ms(record -> '/ms') as resolved_at, 'bug' as topic,
            case record ->> '/level' when '3' then 'critical' else 'low' end as priority,
            cast(record -> '/is_test' as boolean) as _deleted
        from records inner join people on record ->> '/who' = mail where path = '/cases'
    """.replace("record ->> '/who' =", "(record ->> '/who') =")
    with RestServer(lambda asked: {"items": people if asked.path == "/people" else cases}) as server:
        landed = land(use(world, server, f'{SINGLE}\npath = ["/people", "/cases"]\nmax_bad_share = 0.5\nquery = """{query}"""'))
    assert landed.unavailable is None
    assert world.rows("tickets", "ticket_id, account_id, cast(opened_at as varchar), cast(resolved_at as varchar), priority, topic") == [
        ("1", "a1", "2026-03-01 10:00:00", "2026-03-01 10:00:00.5", "critical", "bug"),
        ("2", "b2", "2026-03-01 10:00:00", None, "low", "bug"),
    ]
    # What cannot be converted is shown as it came.
    [(_, _, reason)] = world.quarantine("tickets")
    assert reason.startswith("opened_at: ")
    [(raw,)] = world.query(f"select row from read_parquet('{world.settings.lake}/quarantine/tickets/**/*.parquet')")
    assert json.loads(raw)["opened_at"] == "soon"


def test_amounts_are_in_units_of_their_currency(world: World) -> None:
    bills = [("1", 1999, "usd"), ("2", "1999", "JPY"), ("3", 1999, "KWD"), ("4", -5, None)]
    items = [{"id": key, "cents": cents, "money": money} for key, cents, money in bills]
    query = """query = \"\"\"
        select record ->> '/id' as invoice_id, 'a1' as account_id, date '2026-03-01' as issued_on, date '2026-03-09' as due_on,
            full_units(record ->> '/cents', record ->> '/money') as amount
        from records\"\"\""""
    with RestServer(listing(*items)) as server:
        land(use(world, server, f"{SINGLE}\n{query}", "invoices"), table="invoices")
    assert world.rows("invoices", "invoice_id, amount") == [("1", 19.99), ("2", 1999.0), ("3", 1.999), ("4", -0.05)]


WINDOWS = {
    "iso": ("2026-02-28T00:00:00Z", "2026-03-02T00:00:00Z", "1970-01-01T00:00:00Z"),
    "epoch_s": (1772236800, 1772409600, 0),
    "epoch_ms": (1772236800000, 1772409600000, 0),
    # A day is asked for as a whole.
    "date": ("2026-02-28", "2026-03-01", "1970-01-01"),
}


@pytest.mark.parametrize("time_format", WINDOWS)
def test_what_is_new_is_asked_for(world: World, time_format: str) -> None:
    start, end, beginning = WINDOWS[time_format]
    asks = (
        f'{SINGLE}\ntime_format = "{time_format}"\npath = "/since/{{start}}"\n'
        f'params = {{ q = "changed>{{start}}", until = "{{end}}", all = true }}\n'
        'json = { filter = [{ value = "{start}" }], n = 1 }'
    )
    with RestServer(listing(TICKET)) as server:
        land(use(world, server, asks), date(2026, 2, 28))
        assert (server.requests[0].path, server.requests[0].query["q"]) == (f"/since/{beginning}", f"changed>{beginning}")
        # The day after the last run, less a day of lookback.
        land(world, date(2026, 3, 1))
    asked = server.requests[1]
    assert (asked.path, asked.query) == (f"/since/{start}", {"q": f"changed>{start}", "until": str(end), "all": "true"})
    assert asked.body == {"filter": [{"value": start}], "n": 1}


def test_what_changed_replaces_its_row_and_what_is_gone_goes(world: World) -> None:
    def case(number: int, changed: str, **values: Any) -> dict[str, Any]:
        return {"ticket_id": number, "account_id": "a1", "opened_at": "2026-03-01", "changed": changed, **values}

    cases = [case(1, "2026-03-01"), case(2, "2026-03-01"), case(3, "2026-03-01")]
    query = "select record ->> '/ticket_id' as ticket_id, record ->> '/account_id' as account_id, record ->> '/opened_at' as opened_at,"
    query += " record ->> '/priority' as priority, (record ->> '/status') = 'spam' as _deleted from records"
    lines = f'{SINGLE}\ntime_format = "date"\nparams = {{ since = "{{start}}" }}\nquery = "{query}"'
    with RestServer(lambda asked: {"items": [one for one in cases if one["changed"] >= asked.query["since"]]}) as server:
        use(world, server, lines)
        land(world)
        assert keys(world) == ["1", "2", "3"]
        cases[0] |= {"changed": "2026-03-05", "priority": "high"}
        cases[1] |= {"changed": "2026-03-05", "status": "spam"}
        land(world, date(2026, 3, 5))
    assert world.rows("tickets", "ticket_id, priority") == [("1", "high"), ("3", None)]


def test_events_are_read_by_day(world: World) -> None:
    events = [
        {"event_id": f"e{day}", "account_id": "a1", "user_id": "u1", "occurred_at": f"2026-03-0{day}T23:30:00Z"} for day in range(1, 6)
    ]

    def answer(asked: Asked) -> Any:
        return {"items": [one for one in events if asked.query["from"] <= one["occurred_at"] < asked.query["to"]]}

    with RestServer(answer) as server:
        use(world, server, f'{SINGLE}\nparams = {{ from = "{{start}}", to = "{{end}}" }}', "usage_events")
        assert land(world, date(2026, 3, 3), "usage_events").loaded == 3
        landed = land(world, date(2026, 3, 4), "usage_events")
        assert (landed.loaded, landed.quarantined) == (2, {})
        assert [key for (key,) in world.rows("usage_events", "event_id")] == ["e1", "e2", "e3", "e4"]
        use(world, server, f'{SINGLE}\nparams = {{ from = "{{start}}" }}', "usage_events")
        with pytest.raises(SettingsError, match=r"sources.usage_events: usage is read by day: write \{end\} as well"):
            land(world, date(2026, 3, 4), "usage_events")


FAULTS = {
    "too many": Fault("list", 429, headers={"Retry-After": "1"}),
    "down": Fault("list", 503),
    "html": Fault("list", 200, "<html>Hold on</html>", {"Content-Type": "text/html"}),
    "truncated": Fault("list", 200, None),
    "text": Fault("list", 200, '"soon"'),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_is_survived_and_a_lasting_one_leaves_the_table_as_it_was(world: World, name: str) -> None:
    with RestServer(listing(TICKET)) as server:
        use(world, server, f'{SINGLE}\nauth = {{ type = "bearer", token = {{ env = "API_TOKEN" }} }}')
        server.faults = [Fault(**{**vars(FAULTS[name]), "times": 2})]
        assert (land(world).unavailable, len(server.requests)) == (None, 3)
        server.faults = [Fault(**{**vars(FAULTS[name]), "times": None})]
        unavailable = land(world).unavailable
        assert unavailable is not None and unavailable.startswith("sources.tickets: /list ") and TOKEN not in unavailable
        assert (len(server.requests), keys(world)) == (6, ["1"])


def test_an_answer_that_comes_one_byte_at_a_time_is_given_up(world: World) -> None:
    with RestServer(listing(TICKET)) as server:
        server.faults = [Fault("list", body='{"items": []}' + 5000 * " ", times=None, drips=True)]
        began = time.monotonic()
        unavailable = land(use(world, server, f"{SINGLE}\ntimeout_seconds = 0.2")).unavailable
    assert unavailable == "sources.tickets: /list gives no answer in time. Check the address and the network, or try again later"
    assert time.monotonic() - began < 10


def moved(asked: Asked) -> Any:
    return Answer({}, 302, {"Location": "http://localhost:9/list"})


def elsewhere(asked: Asked) -> Any:
    return {"items": [TICKET], "next": "http://localhost:9/list"}


def in_a_circle(asked: Asked) -> Any:
    return {"items": [TICKET], "next": "/list?page=1"}


ANSWERS = {
    "no list": (lambda asked: {"errors": ["no"]}, "/list answers without items. Check the address, or try again later"),
    "no records": (listing(1, 2), "/list answers items that are not JSON objects. Check the settings of the source"),
    "moved": (moved, "/list answers 302 Found: it is at another address now. Change the address"),
    "elsewhere": (elsewhere, "/list links to its next page at http://localhost:9, and the credentials are for {url} only. Check base_url"),
    "in a circle": (in_a_circle, "/list gives the same pages for ever. Try again later, or ask its provider"),
    "refused": (lambda asked: Answer({}, 403), "/list refuses the credentials (403). Check the key and what it may read"),
    "not accepted": (
        lambda asked: Answer({}, 422),
        "/list answers 422 Unprocessable Entity. Check the settings of the source: what it asks for is not accepted",
    ),
    "no such list": (lambda asked: None, "/list answers 404 Not Found. Check the address: base_url or subdomain"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_what_was_asked_for(world: World, name: str) -> None:
    answer, said = ANSWERS[name]
    with RestServer(answer) as server:
        landed = land(use(world, server, 'paginator = { type = "json_link" }'))
        assert landed.unavailable == f"sources.tickets: {said.format(url=server.url)}"


def test_an_empty_list_is_an_empty_table(world: World) -> None:
    for empty in ([], None):
        with RestServer(lambda asked: {"items": empty}) as server:  # noqa: B023
            landed = land(use(world, server))
        assert (landed.unavailable, landed.loaded) == (None, 0)


def test_a_value_that_a_query_cannot_take_leaves_the_table_as_it_was(world: World) -> None:
    query = "query = \"select cast(record ->> '/id' as integer) as ticket_id, 'a1' as account_id, '2026-03-01' as opened_at from records\""
    with RestServer(listing({"id": 1}, {"id": "x"})) as server:
        landed = land(use(world, server, f"{SINGLE}\n{query}"))
    assert landed.unavailable is not None
    assert (
        landed.unavailable.startswith("sources.tickets: ")
        and "'x'" in landed.unavailable
        and landed.unavailable.endswith(". Check its query")
    )


def test_text_that_is_not_unicode_does_not_end_a_reading(world: World) -> None:
    broken = '{"items": [{"ticket_id": "1", "account_id": "a1", "opened_at": "2026-03-01", "subject": "\\ud800"}]}'
    with RestServer(listing()) as server:
        server.faults = [Fault(body=broken, times=None)]
        assert land(use(world, server)).loaded == 1


BEARER = 'auth = { type = "bearer", token = { env = "API_TOKEN" } }'
WRONG = {
    "paginator is missing": ("", "paginator: required, but missing"),
    "paginator of no type": ("paginator = {}", "paginator: type is missing. There is single_page, json_link"),
    "paginator of unknown type": ('paginator = { type = "next" }', "paginator: unknown type next. There is single_page, json_link"),
    "paginator without place": (
        'paginator = { type = "cursor", cursor_path = "next" }', "paginator: give either cursor_param (in the query) or cursor_body_path"
    ),
    "paginator without body": (
        'paginator = { type = "cursor", cursor_path = "next", cursor_body_path = "after" }',
        "the paginator writes into the JSON of the request"
    ),
    "paginator with an unknown key": ('paginator = { type = "header_link", links = "next" }', "paginator.links: unknown key"),
    "no path": (f'{SINGLE}\npath = "https://elsewhere.io/list"', "path: give a path that begins with /"),
    "no auth": (f'{SINGLE}\nauth = {{ type = "digest" }}', "auth: unknown type digest. There is bearer, api_key"),
    "a literal token": (f'{SINGLE}\nauth = {{ type = "bearer", token = "{TOKEN}" }}', "auth.token: a secret must not be in the file"),
    "a literal user": (f'{SINGLE}\nauth = {{ type = "http_basic", username = "{TOKEN}" }}',
    "auth: without a password the user name is the secret"),
    "a literal header": (f'{SINGLE}\nheaders = {{ X-Api-Key = "{TOKEN}" }}', "headers: X-Api-Key: a secret must not be in the file"),
    "a literal parameter": (f'{SINGLE}\nparams = {{ api_key = "{TOKEN}" }}', "params: api_key: a secret must not be in the file"),
    "a token in the path": (f'{SINGLE}\npath = "/list?token={TOKEN}"',
    "path: give a path that begins with /, such as /v1/customers, without parameters"),
    "end alone": (f'{SINGLE}\nparams = {{ until = "{{end}}" }}', "{end} needs {start} as well"),
    "columns and query": (f'{SINGLE}\ncolumns = {{ ticket_id = "id" }}\nquery = "select 1"', "give either columns or query"),
    "an unknown column": (f'{SINGLE}\ncolumns = {{ ticket = "id" }}', "tickets.columns: ticket is not a column of tickets"),
    "no JSON path": (f'{SINGLE}\ncolumns = {{ ticket_id = "a[" }}', "sources.tickets.columns: "),
    "a query without a column": (f"{SINGLE}\nquery = \"select 1 as ticket_id, 'a1' as account_id from records\"",
    "column opened_at of tickets is missing"),
    "a query with a fault": (f'{SINGLE}\nquery = "select nothing from records"',
    'sources.tickets.query: Binder Error: Referenced column "nothing" not found'),
    "no list of records": (f"{SINGLE}", "sources.tickets.records: 'a[[' is not a JSON path"),
    "no cursor path": ('paginator = { type = "json_link", next_url_path = "a[[" }',
    "sources.tickets.paginator.next_url_path: 'a[[' is not a JSON path"),
    "a variable that is not set": (
        f'{SINGLE}\nauth = {{ type = "bearer", token = {{ env = "NOT_SET" }} }}',
        "sources.tickets.auth.token: the environment variable NOT_SET is not set"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_one_line_before_anything_is_asked(world: World, name: str) -> None:
    lines, said = WRONG[name]
    with RestServer(listing(TICKET)) as server, pytest.raises(SettingsError) as raised:
        use(world, server, lines, records="a[[" if name == "no list of records" else "items")
        preflight_sources(world.settings)
    assert said in str(raised.value) and TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value) and str(raised.value).startswith(f"{world.root / 'health.toml'}: ")
    assert not server.requests


def test_preview_is_the_first_page_of_each_list_and_says_what_no_column_takes(world: World) -> None:
    items = [TICKET | {"priority": "urgent", "who": {"name": "Ann", "id": 7, "tags": []}, "note": None}]
    with RestServer(lambda asked: {"items": items, "next": "/list?page=2"}) as server:
        use(world, server, 'columns = { topic = "who.topic" }\npaginator = { type = "json_link" }\npath = ["/list", "/other"]')
        page = world.trial("tickets")
        assert [asked.path for asked in server.requests] == ["/list", "/other"]
    assert (page.rows, page.bad, page.note) == (2, 2, "first page only")
    assert page.mapped == ("ticket_id", "account_id", "opened_at", "priority")
    assert page.unmapped == ("who.id", "who.name")
    assert not (world.root / "data").exists()


def test_preview_asks_for_what_changed_lately_and_else_for_all(world: World) -> None:
    def answer(asked: Asked) -> Any:
        return {"items": [TICKET | {"subject": "Help"}] if asked.query["since"] == "1970-01-01" else []}

    query = (
        "select record ->> '/ticket_id' as ticket_id, record ->> '$.account_id' as account_id, record ->> 'opened_at' as opened_at "
        "from records"
    )
    with RestServer(answer) as server:
        use(world, server, f'{SINGLE}\ntime_format = "date"\nparams = {{ since = "{{start}}" }}\nquery = "{query}"')
        page = world.trial("tickets")
    assert len(server.requests) == 2
    assert (page.rows, page.bad, page.note, page.unmapped) == (1, 0, "first page only", ("subject",))
