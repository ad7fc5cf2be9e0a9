"""The pages of the documentation, as tests read them: README.md and what docs/ holds, and the code that they show."""

import re
from pathlib import Path

from orchestration.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"


def pages() -> dict[Path, str]:
    """Path -> text of each page."""
    found = [*PROJECT_ROOT.glob("*.md"), *DOCS.rglob("*.md"), PROJECT_ROOT / "tests" / "README.md"]
    return {path: path.read_text(encoding="utf-8") for path in found if path.exists()}


def blocks(language: str, page: str | None = None) -> list[str]:
    """The code of one language, in order: of one page (its path in the repository), or of all of them."""
    texts = pages().values() if page is None else [(PROJECT_ROOT / page).read_text(encoding="utf-8")]
    return [block for text in texts for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def headings(text: str) -> list[str]:
    """The headings of a page, as they are written."""
    return re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)


def anchor(heading: str) -> str:
    """How a link names a heading, as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
