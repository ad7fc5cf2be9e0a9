"""CHANGELOG.md, the version in pyproject.toml and the formats of what is stored say the same."""

import re
import tomllib
from itertools import pairwise

from orchestration.extract.lake import manifest
from orchestration.publish import generations
from orchestration.settings import PROJECT_ROOT
from orchestration.transform import WAREHOUSE_FORMAT

ENTRY = re.compile(r"^## \[(\d+\.\d+)\.\d+\] – \d{4}-\d\d-\d\d\n\nFormats: warehouse (\d+), lake (\d+), mart (\d+)\.$", re.MULTILINE)


def test_the_newest_entry_names_the_version_and_the_formats() -> None:
    text = (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, *_ = entries = ENTRY.findall(text)
    assert len(entries) == text.replace("\n## [Unreleased]\n", "").count("\n## ")
    version = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert version.rpartition(".")[0] == newest[0]
    assert newest[1:] == (str(WAREHOUSE_FORMAT), str(manifest.FORMAT), str(generations.FORMAT)), (
        "a format changed: begin a new entry in CHANGELOG.md and raise the second number of the version in pyproject.toml"
    )
    for (later, *after), (earlier, *before) in pairwise(entries):
        assert later != earlier or after == before
