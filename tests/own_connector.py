"""The documented example of a connector of one's own, and a server that answers like the API that it reads."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.pages import blocks

NAME = "acme_health.hubspot"
# Two pages.
PAGES = {
    "": (["Anvil & Sons", "Bolt AG"], "2"),
    "2": (["Cog, Inc."], None),
}


def example(language: str) -> str:
    """The documented code of one language that is about the connector."""
    [found] = [text for text in blocks(language) if "acme_health" in text]
    return found


def write_package(folder: Path) -> None:
    package = folder / "acme_health"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "hubspot.py").write_text(example("python"), encoding="utf-8")


@contextmanager
def companies(token: str) -> Iterator[str]:
    """Serves the companies of `PAGES`, numbered, to whoever has the token; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if self.headers["Authorization"] != f"Bearer {token}":
                self._answer(401, {"message": f"no access with {self.headers['Authorization']}"})
                return
            assert asked.path == "/crm/v3/objects/companies"
            names, after = PAGES[dict(parse_qsl(asked.query)).get("after", "")]
            results = [
                {"id": f"hs-{name[0].lower()}", "createdAt": "2025-05-01T10:00:00Z", "properties": {"name": name, "industry": "tools"}}
                for name in names
            ]
            self._answer(200, {"results": results, **({"paging": {"next": {"after": after}}} if after else {})})

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
