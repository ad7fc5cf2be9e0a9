"""Tables for people in Markdown, as the Dagster UI shows them. What comes from data is text in them, never markup or a link.

The UI shows Markdown of less than 1,000 characters in its place, anything longer behind *Show Markdown*.
"""

from collections.abc import Iterable, Sequence

from orchestration.plain_text import one_line


def verbatim(text: str, length: int = 200) -> str:
    """Text from data as a code span: nothing in it is markup, HTML or a link, it stays on one line and in its cell."""
    # The two characters that would end the code span or the cell: a backslash before them does not work in both.
    shown = one_line(text, length).replace("`", "'").replace("|", "¦")
    return f"`{shown}`" if shown else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; text from data goes through `verbatim` first."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
