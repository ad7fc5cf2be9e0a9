"""Text from the data, made harmless for a spreadsheet: whoever names an account must not run a formula on a colleague's machine."""

import re

# Characters that a cell of Excel can hold, counted as it does, in units of UTF-16.
CELL_LIMIT = 32_767

_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
# Control characters; the marks that turn the direction of text round, so that it reads as something else; what XML cannot hold.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
# How a formula begins, also in full-width letters and behind blanks that a program may trim. A semicolon begins a new cell where
# that is the separator of the reader's country, whatever quotes stand around it (OWASP, CSV injection).
_FORMULA = re.compile("(?:^|(?<=;))(?=[\\s\u200b-\u200f\u2060\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20])")


def clean(text: str) -> str:
    """The text in one line, without what cannot be seen, cut to what a cell holds. Enough where a cell is typed as text."""
    text = _INVISIBLE.sub("", _BREAKS.sub(" ", text))
    if 2 * len(text) > CELL_LIMIT:
        # A pair that the cut would split is left out whole.
        text = text.encode("utf-16-le")[: 2 * CELL_LIMIT].decode("utf-16-le", "ignore")
    return text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that guesses types would take a cleaned text for a formula, or a part of it."""
    return _FORMULA.search(text) is not None


def neutralise(text: str) -> str:
    """A text for CSV, whose cells have no type: cleaned, and with an apostrophe before whatever would begin a formula."""
    safe = _FORMULA.sub("'", clean(text))
    if text[:1] in ("\t", "\r", "\n") and not safe.startswith("'"):
        safe = f"'{safe}"
    return clean(safe)
