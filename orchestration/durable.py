"""What must survive a crash of the machine. Small files of state are replaced in one step: the old text or the new one is left, never a
part."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Give a file this text, in UTF-8; its folder is made where it is missing.

    Raises:
        OSError: it cannot be written; the old text stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp.{path.name}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    # Without this the rename itself may be lost.
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
