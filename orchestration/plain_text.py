"""Text from data as people read it: on one line, without what cannot be seen or turns the direction of the writing.

The patterns are in the form that Python and JavaScript (flag u) both read; `for_duckdb` makes DuckDB's of them.
"""

import re
from collections.abc import Sequence

# What begins a new line, or another column.
BREAKS = r"[\t\n\v\f\r\x85\u2028\u2029]+"
# Control characters; the marks that turn direction, so that a text reads as something else; blanks without width (not the
# joiners, which emoji and some scripts need); what is not a character.
HIDDEN = r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"

_BREAKS, _HIDDEN = re.compile(BREAKS), re.compile(HIDDEN)


def without_hidden(text: str, mark: str = "") -> str:
    """The text in one line; `mark` replaces each character that is taken out."""
    # Neither pattern has a character that Python can print, and to ask for that takes a tenth of the time.
    if text.isprintable():
        return text
    return _HIDDEN.sub(mark, _BREAKS.sub(" ", text))


def one_line(text: str, limit: int, mark: str = "") -> str:
    """The text in one line without blanks at its ends, cut to `limit` characters, of which an ellipsis is the last."""
    # A part of a long text is enough to find the limit in it: a name may be a megabyte.
    shown = without_hidden(text[: 4 * limit], mark).strip()
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}\u2026"


def as_said(said: object) -> str:
    """What a program or a server said, in one line of at most 300 characters. Secrets are masked before: the cut may halve one."""
    return " ".join(str(said).split())[:300]


def shortened(texts: Sequence[str], limit: int, more: str = "more") -> list[str]:
    """The first strings, and how many more there are."""
    return [*texts[:limit], *([f"and {len(texts) - limit} {more}"] if len(texts) > limit else [])]


def for_duckdb(pattern: str) -> str:
    """A pattern in the form of RE2, as DuckDB has it."""
    return re.sub(r"\\u([0-9a-f]{4})", r"\\x{\1}", pattern)
