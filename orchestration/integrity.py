"""How damage on the disk shows: files are compared with the size and hash that were noted when they were written."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
# Takes the place of a stamped file's own hash until that is known.
_UNSTAMPED = "0" * 64


class Damaged(ValueError):
    """A stamped file is not what was written; the message says how it differs, not which file it is."""


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and content hash of a file."""

    bytes: int
    sha256: str


def hash_file(path: Path) -> FileEntry:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        return FileEntry(bytes=file.tell(), sha256=digest.hexdigest())


def copy_hashed(source: Path, target: Path) -> FileEntry | None:
    """Copy a file and return the entry of the copy; None where there is no such file."""
    try:
        # Within the kernel, for half of what it takes to hash what passes through.
        shutil.copyfile(source, target)
    except FileNotFoundError:
        return None
    return hash_file(target)


def hash_files(paths: Mapping[str, Path], threads: int) -> dict[str, FileEntry]:
    """The entries of files, by the same names."""
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(paths, pool.map(hash_file, paths.values()), strict=True))


def find_damaged(folder: Path, files: Mapping[str, FileEntry], threads: int) -> set[str]:
    """The names of those files that are missing or differ in size or hash."""

    def is_damaged(name: str) -> bool:
        path = folder / name
        try:
            return path.stat().st_size != files[name].bytes or hash_file(path).sha256 != files[name].sha256
        except OSError:
            return True

    with ThreadPoolExecutor(threads) as pool:
        return {name for name, damaged in zip(files, pool.map(is_damaged, files), strict=True) if damaged}


def stamped(content: Mapping[str, Any]) -> str:
    """JSON text of the content that holds a hash of itself, as `sha256`."""
    text = json.dumps({**content, "sha256": _UNSTAMPED}, indent=1, sort_keys=True)
    # The last one: the content's own values may look like it, and come before.
    return hashlib.sha256(text.encode()).hexdigest().join(text.rsplit(_UNSTAMPED, 1))


def read_stamped(path: Path) -> Any:
    """The content of a JSON file, without its stamp; a file that never had one is taken as it is.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is not JSON, or not what was written.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error
    stamp = content.pop("sha256", None) if isinstance(content, dict) else None
    if stamp is None:
        return content
    unstamped = _UNSTAMPED.join(text.rsplit(str(stamp) or _UNSTAMPED, 1))
    if hashlib.sha256(unstamped.encode()).hexdigest() != stamp:
        raise Damaged("its hash is not the one noted in it")
    return content
