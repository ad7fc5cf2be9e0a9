"""A local server for JSON APIs: answers what a function says, remembers what was asked, and fails on command.

`hubspot`, `intercom` and `chargebee` answer in the shapes that these products document, page by page, and refuse what they would refuse.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.local_server import Fault, LocalServer, drip, next_fault

Object = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request; `body` is its JSON, None without one."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any
    url: str


@dataclass(frozen=True)
class Answer:
    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class RestServer(LocalServer):
    """`with RestServer(answer) as server:` then `server.url`; `answer` gives an `Answer`, the JSON alone, or None for 404."""

    answer: Callable[[Asked], Any]
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_json = "json" in self.headers.get("Content-Type", "json")
                body = json.loads(content) if content and is_json else dict(parse_qsl(content.decode())) or None
                status, sent, headers, drips = outer._respond(
                    Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items()), body, f"http://{self.headers['Host']}")
                )
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # The client did not wait.
                    drip(self.wfile, sent) if drips else self.wfile.write(sent)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet: a test's output is its own."""

        return Handler

    def _respond(self, asked: Asked) -> tuple[int, bytes, Mapping[str, str], bool]:
        self.requests.append(asked)
        found = self.answer(asked)
        answer = found if isinstance(found, Answer) else Answer({"error": "none"}, 404) if found is None else Answer(found)
        sent = json.dumps(answer.body).encode()
        fault = next_fault(self.faults, asked.path)
        if fault is not None:
            body = sent[: len(sent) // 2] if fault.body is None else fault.body.encode()
            return fault.status, body, fault.headers, fault.drips
        return answer.status, sent, answer.headers, False


def hubspot(token: str, **lists: Sequence[Object]) -> Callable[[Asked], Any]:
    """CRM lists of version 3: `companies=[...]`; objects with id, properties, and the ids of what is associated with them, by its kind.

    Only the properties and associations that were asked for are given, at most 100 a page.
    """

    def answer(asked: Asked) -> Any:
        if asked.headers.get("Authorization") != f"Bearer {token}":
            return Answer({"status": "error", "category": "INVALID_AUTHENTICATION"}, 401)
        kind = asked.path.removeprefix("/crm/v3/objects/")
        limit = int(asked.query.get("limit", 10))
        if kind not in lists or asked.body is not None or limit > 100:
            return Answer({"status": "error"}, 404 if kind not in lists else 400)
        start = int(asked.query.get("after", 0))
        wanted = asked.query.get("properties", "").split(",")
        page = []
        for one in lists[kind][start : start + limit]:
            given = {
                "id": one["id"], "archived": False, "createdAt": "2019-10-30T03:30:17.883Z", "updatedAt": "2019-12-07T16:50:06.678Z",
                "properties": {"hs_object_id": one["id"], **{name: one["properties"].get(name) for name in wanted}},
            }  # fmt: skip
            for other in asked.query.get("associations", "").split(","):
                if ids := one.get(other, ()):
                    results = [{"id": found, "type": f"{kind}_to_{other}"} for found in ids]
                    given.setdefault("associations", {})[other] = {"results": results}
            page.append(given)
        more = start + limit < len(lists[kind])
        next_page = {"next": {"after": str(start + limit), "link": f"{asked.url}{asked.path}?after={start + limit}"}}
        return {"results": page, **({"paging": next_page} if more else {})}

    return answer


def intercom(
    token: str, conversations: Sequence[Object] = (), page_size: int = 150, contacts: Sequence[Object] = ()
) -> Callable[[Asked], Any]:
    """The list of contacts, and the search for conversations by `updated_at`, of version 2.15 and later: earlier ones name no company."""

    def answer(asked: Asked) -> Any:
        if asked.headers.get("Authorization") != f"Bearer {token}":
            return Answer({"type": "error.list", "errors": [{"code": "unauthorized"}]}, 401)
        if asked.path == "/contacts":
            size, start = min(page_size, int(asked.query.get("per_page", 50))), int(asked.query.get("starting_after", 0))
            after = {"next": {"per_page": size, "starting_after": str(start + size)}} if start + size < len(contacts) else {}
            return {"type": "list", "data": contacts[start : start + size], "pages": {"type": "pages", **after}}
        if asked.path != "/conversations/search":
            return None
        query, pagination = asked.body["query"], asked.body["pagination"]
        if (query["field"], query["operator"]) != ("updated_at", ">") or pagination["per_page"] > 150:
            return Answer({"type": "error.list", "errors": [{"code": "parameter_invalid"}]}, 400)
        found = [one for one in conversations if one["updated_at"] >= int(query["value"])]
        if tuple(map(int, asked.headers.get("Intercom-Version", "2.0").split("."))) < (2, 15):
            found = [{name: value for name, value in one.items() if name != "company"} for one in found]
        size = min(page_size, pagination["per_page"])
        start = int(pagination.get("starting_after", 0))
        pages: Object = {"type": "pages", "page": 1 + start // size, "per_page": size, "total_pages": -(-len(found) // size)}
        if start + size < len(found):
            pages["next"] = {"per_page": size, "starting_after": str(start + size)}
        return {"type": "conversation.list", "pages": pages, "total_count": len(found), "conversations": found[start : start + size]}

    return answer


def chargebee(
    key: str, subscriptions: Sequence[Object] = (), invoices: Sequence[Object] = (), page_size: int = 100
) -> Callable[[Asked], Any]:
    """The lists of version 2: each entry holds its object under its kind, a subscription its customer too."""
    basic = "Basic " + base64.b64encode(f"{key}:".encode()).decode()

    def answer(asked: Asked) -> Any:
        if asked.headers.get("Authorization") != basic:
            return Answer({"message": "Sorry, authentication failed", "api_error_code": "api_authentication_failed"}, 401)
        kind = asked.path.removeprefix("/api/v2/")
        everything = {"subscriptions": subscriptions, "invoices": invoices}.get(kind)
        if everything is None:
            return None
        if int(asked.query.get("limit", 10)) > 100:
            return Answer({"api_error_code": "invalid_request"}, 400)
        after = int(asked.query.get("updated_at[after]", -1))
        found = [one for one in everything if one.get("updated_at", 0) > after]
        if asked.query.get("include_deleted") != "true":
            found = [one for one in found if not one.get("deleted")]
        # The real offset is as odd to look at.
        start = int(json.loads(asked.query.get("offset", '["0"]'))[0])
        entries = [
            {kind.removesuffix("s"): one, **({"customer": {"id": one["customer_id"]}} if kind == "subscriptions" else {})} for one in found
        ]
        more = start + page_size < len(entries)
        return {"list": entries[start : start + page_size], **({"next_offset": json.dumps([str(start + page_size)])} if more else {})}

    return answer
