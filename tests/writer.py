"""Another writer, as far as the writer lock can tell: a thread that holds it may take it again, so this one is a thread of its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from orchestration.locking import writer_lock
from orchestration.settings import Settings


@contextmanager
def another_writer(settings: Settings, holder: str) -> Iterator[None]:
    """Hold the writer lock elsewhere."""
    lock = writer_lock(settings, holder)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lock.__enter__).result()
        try:
            yield
        finally:
            thread.submit(lock.__exit__, None, None, None).result()
