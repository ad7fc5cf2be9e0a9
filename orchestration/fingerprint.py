"""Whether files are still the same: by their content, as their times say nothing after a checkout or a copy."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from orchestration.settings import DBT_PROJECT, PROJECT_ROOT


def fingerprint(files: Iterable[Path], *more: str) -> str:
    """Of the files' places, from the project on, and content, in whatever order they come, and of some strings."""
    found = hashlib.sha256("\0".join(more).encode())
    # The folder counts: a model's names its layer and its domain.
    for name, content in sorted((os.path.relpath(path, PROJECT_ROOT), path.read_bytes()) for path in files):
        found.update(f"\0{name} {len(content)} ".encode() + content)
    return found.hexdigest()


def dbt_files() -> list[Path]:
    """What dbt parses. Of the seeds it parses names and descriptions only."""
    files = [path for path in DBT_PROJECT.rglob("*") if path.suffix in (".sql", ".yml") and "target" not in path.parts]
    return [*files, *(PROJECT_ROOT / "seeds").glob("*.yml")]


def product_files() -> list[Path]:
    return [*dbt_files(), *Path(__file__).parent.rglob("*.py")]
