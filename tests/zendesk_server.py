"""A local server that answers like Zendesk's documented API, page by page, and fails on command."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.local_server import Fault, LocalServer, drip, next_fault

Object = dict[str, Any]
# A header of an answer that comes one byte at a time.
DRIPS = "X-Drips"


@dataclass(frozen=True)
class Seen:
    """One request."""

    path: str
    query: dict[str, str]
    authorization: str | None


@dataclass
class ZendeskServer(LocalServer):
    """`with ZendeskServer(tickets=[...]) as server:` then `server.url`; lists may change while it runs.

    `start_time` filters by `updated_at`. `audits` is by id of the ticket. Sideloads come where they are asked for.
    """

    tickets: list[Object] = field(default_factory=list)
    metric_sets: list[Object] = field(default_factory=list)
    organizations: list[Object] = field(default_factory=list)
    users: list[Object] = field(default_factory=list)
    ratings: list[Object] = field(default_factory=list)
    audits: dict[int, list[Object]] = field(default_factory=dict)
    page_size: int = 100
    has_sideloads: bool = True
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler(self._respond)

    def paths(self) -> list[str]:
        return [one.path for one in self.requests]

    def _respond(self, seen: Seen) -> tuple[int, str, Mapping[str, str]]:
        self.requests.append(seen)
        fault = next_fault(self.faults, seen.path)
        if fault is not None and fault.body is not None:
            return fault.status, fault.body, {**fault.headers, **({DRIPS: "yes"} if fault.drips else {})}
        if fault is not None:
            whole = json.dumps(self._answer(seen.path, seen.query))
            return fault.status, whole[: len(whole) // 2], fault.headers
        answer = self._answer(seen.path, seen.query)
        body = json.dumps(answer)
        return (404, '{"error": "RecordNotFound"}', {}) if answer is None else (200, body, {})

    def _answer(self, path: str, query: dict[str, str]) -> Object | None:
        parts = path.removesuffix(".json").strip("/").split("/")[2:]
        match parts:
            case ["incremental", "tickets", "cursor"]:
                return self._export(query)
            case ["satisfaction_ratings"]:
                return self._page("satisfaction_ratings", _since(self.ratings, query), query)
            case ["organizations"]:
                return self._page("organizations", self.organizations, query)
            case [("tickets" | "users") as kind, "show_many"]:
                wanted = query["ids"].split(",")
                alive = [one for one in getattr(self, kind) if one.get("status") != "deleted"]
                found = [one for one in alive if str(one["id"]) in wanted]
                return {kind: found} | (self._sideloads(found, query) if kind == "tickets" else {})
            case ["tickets", number, "metrics"]:
                found = [one for one in self.metric_sets if str(one["ticket_id"]) == number]
                return {"ticket_metric": found[0]} if found else None
            case ["tickets", number, "audits"]:
                return self._page("audits", self.audits.get(int(number), []), query)
        return None

    def _export(self, query: dict[str, str]) -> Object:
        # The real cursor too holds the start, so that it alone names a place.
        start, _, offset = query.get("cursor", f"{query.get('start_time')}.0").partition(".")
        everything = sorted(_since(self.tickets, {"start_time": start}), key=lambda one: one["updated_at"])
        end = int(offset) + self.page_size
        found = everything[int(offset) : end]
        cursor = f"{start}.{end}"
        return {
            "tickets": found,
            "after_cursor": cursor,
            "after_url": f"{self.url}/api/v2/incremental/tickets/cursor.json?cursor={cursor}",
            "before_cursor": None,
            "before_url": None,
            "end_of_stream": end >= len(everything),
        } | self._sideloads(found, query)

    def _sideloads(self, tickets: list[Object], query: dict[str, str]) -> Object:
        wanted = query.get("include", "").split(",") if self.has_sideloads else []
        numbers, people = {one["id"] for one in tickets}, {one.get("requester_id") for one in tickets}
        beside: Object = {}
        if "metric_sets" in wanted:
            beside["metric_sets"] = [one for one in self.metric_sets if one["ticket_id"] in numbers]
        if "users" in wanted:
            beside["users"] = [one for one in self.users if one["id"] in people]
        return beside

    def _page(self, name: str, everything: list[Object], query: dict[str, str]) -> Object:
        begin = int(query.get("page[after]", 0))
        end = begin + min(self.page_size, int(query["page[size]"]))
        has_more = end < len(everything)
        return {name: everything[begin:end], "meta": {"has_more": has_more, "after_cursor": str(end)}, "links": {}}


def _since(objects: list[Object], query: dict[str, str]) -> list[Object]:
    start = datetime.fromtimestamp(int(query.get("start_time", 0)), UTC)
    return [one for one in objects if datetime.fromisoformat(one["updated_at"]) >= start]


def _handler(respond: Callable[[Seen], tuple[int, str, Mapping[str, str]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            seen = Seen(parts.path, dict(parse_qsl(parts.query)), self.headers.get("Authorization"))
            status, body, headers = respond(seen)
            content = body.encode()
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | dict(headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):  # The client did not wait.
                drip(self.wfile, content) if DRIPS in headers else self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a test's output is its own."""

    return Handler
