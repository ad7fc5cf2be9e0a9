"""A local server that takes webhooks, remembers them, and fails on command."""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local_server import LocalServer, drip

SECRET = "T0SECRETTOKEN"


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0
    # One byte every 20 ms, of a header that never ends.
    drips: bool = False


@dataclass(frozen=True)
class Posted:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebhookServer(LocalServer):
    """`with WebhookServer() as server:` then `server.url`; `answers` are given in turn, then `always`."""

    answers: list[Answer] = field(default_factory=list)
    always: Answer = Answer()
    posts: list[Posted] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append(Posted(self.path, dict(self.headers.items()), body))
                answer = outer.answers.pop(0) if outer.answers else outer.always
                time.sleep(answer.after_seconds)
                try:
                    if answer.drips:
                        drip(self.wfile, itertools.chain(b"HTTP/1.1 200 OK\r\nX-Slow: ", itertools.repeat(ord("a"))))
                    self.send_response(answer.status)
                    for name, value in {"Content-Length": "0", **answer.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except OSError:
                    pass  # The client did not wait.

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    @property
    def url(self) -> str:
        """With a secret in it, as Slack's addresses have."""
        return f"{super().url}/services/{SECRET}"

    def take(self) -> list[Posted]:
        """What came since the last call."""
        taken, self.posts[:] = list(self.posts), []
        return taken
