"""What the local servers of the tests share: they run on a free port while a `with` lasts, and fail on command."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler, TCPServer
from types import TracebackType
from typing import BinaryIO, ClassVar, Self


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one.

    Attributes:
        path: part of the path that it strikes.
        passes: how many requests it lets pass before it strikes.
        times: how often; None: for ever.
        body: what is answered; None: the right answer, cut off half-way.
        drips: one byte of the body comes every 20 ms.
    """

    path: str = ""
    status: int = 200
    body: str | None = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = 1
    passes: int = 0
    drips: bool = False


class LocalServer:
    """`with Server() as server:` then `server.url`."""

    server_type: ClassVar[type[TCPServer]] = ThreadingHTTPServer

    def handler(self) -> type[BaseRequestHandler]:
        """What answers a request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._server = self.server_type(("127.0.0.1", 0), self.handler())
        self._server.daemon_threads = True
        # A client may have gone away from an answer that takes long.
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


def next_fault(faults: list[Fault], path: str) -> Fault | None:
    """The fault that strikes a request; it is counted down in the list."""
    for place, fault in enumerate(faults):
        if fault.path in path:
            if fault.passes:
                faults[place] = replace(fault, passes=fault.passes - 1)
                continue
            if fault.times is not None:
                left = fault.times - 1
                faults[place : place + 1] = [replace(fault, times=left)] if left else []
            return fault
    return None


def drip(stream: BinaryIO, content: Iterable[int]) -> None:
    """Write one byte every 20 ms, until the client goes away."""
    for byte in content:
        stream.write(bytes([byte]))
        stream.flush()
        time.sleep(0.02)
