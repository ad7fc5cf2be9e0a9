"""A small Stripe that says what a test tells it to: any API shape, events, and every way of failing."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], str]


@dataclass
class Replay:
    """What the server holds.

    Attributes:
        lists: path -> objects, newest first.
        objects: path -> object, in answer to a single GET.
        expanded: path of a list -> its objects where `expand[]` is asked for.
        faults: answers to the next requests, before any other.
        asked: the requests so far: path and query.
        before_answer: called with each path before it is answered.
    """

    url: str = ""
    page_size: int = 100
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    expanded: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    before_answer: Callable[[str], None] = lambda path: None

    def answer(self, path: str, query: dict[str, list[str]]) -> Answer:
        self.asked.append((path, query))
        self.before_answer(path)
        if self.faults:
            return self.faults.pop(0)
        if path in self.objects:
            return 200, {}, json.dumps(self.objects[path])
        if path not in self.lists and path not in LISTS:
            return 404, {}, json.dumps({"error": {"message": "no such object"}})
        held = self.expanded if "expand[]" in query and path in self.expanded else self.lists
        found = [one for one in held.get(path, []) if _is_wanted(one, query)]
        after = query.get("starting_after", [None])[0]
        ids = [one.get("id") for one in found]
        begin = 0 if after is None else ids.index(after) + 1
        page = found[begin : begin + self.page_size]
        more = begin + self.page_size < len(found)
        return 200, {}, json.dumps({"object": "list", "data": page, "has_more": more, "url": path})


LISTS = ("/v1/customers", "/v1/subscriptions", "/v1/invoices", "/v1/events", "/v1/subscription_items")


def _is_wanted(one: dict[str, Any], query: dict[str, list[str]]) -> bool:
    since = int(query.get("created[gte]", ["0"])[0])
    return fnmatch(one.get("type", ""), query.get("type", ["*"])[0]) and one.get("created", since) >= since


@contextmanager
def replay_server() -> Iterator[Replay]:
    """A running server; ended at the end."""
    replay = Replay()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            replay.headers.append(dict(self.headers))
            status, headers, body = replay.answer(parts.path, parse_qs(parts.query))
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    replay.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
