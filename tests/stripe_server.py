"""A Stripe of one's own for tests: localstripe as a process on a free port, empty at the start."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

# localstripe as it is, with a clock that is behind.
_WITH_ITS_CLOCK = (
    "import runpy, sys, time; now = time.time; behind = float(sys.argv.pop(1)); time.time = lambda: now() - behind;"
    " runpy.run_module('localstripe', run_name='__main__', alter_sys=True)"
)
# localstripe takes any key that looks like one.
KEY = "sk_test_sesame7431"
_START_SECONDS = 20


class StripeServer:
    """A running localstripe, by its address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {KEY}"

    def create(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST to `/v1/<path>`; what the server answers."""
        return self._answer("POST", path, fields)

    def delete(self, path: str) -> dict[str, Any]:
        return self._answer("DELETE", path)

    def clear(self) -> None:
        self._session.delete(f"{self.url}/_config/data", timeout=10).raise_for_status()

    def _answer(self, method: str, path: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._session.request(method, f"{self.url}/v1/{path}", json=fields, timeout=10)
        if not response.ok:
            raise AssertionError(f"localstripe: {method} {path} answers {response.status_code} {response.text[:300]}")
        return response.json()


@contextmanager
def stripe_server(folder: Path, days_behind: int = 0) -> Iterator[StripeServer]:
    """Start localstripe; ended at the end.

    Args:
        folder: for its log.
        days_behind: how far its clock is behind; what it dates itself (invoices, payments) then lies in the past.

    Raises:
        RuntimeError: it does not answer.
    """
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _WITH_ITS_CLOCK, str(days_behind * 86_400), "--port", str(port), "--from-scratch"]
    with (folder / "localstripe.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _await(process, port)
            yield StripeServer(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(10)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("localstripe does not start; see localstripe.log")
