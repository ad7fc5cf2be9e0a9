"""Text from the data, made harmless for a spreadsheet: whoever names an account must not run a formula on a colleague's machine."""

import re

from orchestration.plain_text import without_hidden

# Characters that a cell of Excel can hold, counted as it does, in units of UTF-16.
CELL_LIMIT = 32_767

# How a formula begins, also in full-width letters and behind blanks that a program may trim. A semicolon begins a new cell where
# that is the separator of the reader's country, whatever quotes are around it (OWASP, CSV injection). For a cleaned text; the
# board's page has it from here, so it is in the form that JavaScript (flag u) reads too.
FORMULA = r"(?:^|(?<=;))(?=[\s\u200c\u200d]*[=+\-@\uff1d\uff0b\uff0d\uff20])"

_FORMULA = re.compile(FORMULA)


def clean(text: str) -> str:
    """The text in one line, without what cannot be seen, cut to what a cell holds. Enough where a cell is typed as text."""
    text = without_hidden(text)
    if 2 * len(text) > CELL_LIMIT:
        # A pair that the cut would split is left out whole.
        text = text.encode("utf-16-le")[: 2 * CELL_LIMIT].decode("utf-16-le", "ignore")
    return text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that guesses types would take a cleaned text for a formula, or a part of it."""
    # Most texts begin with a letter or digit, and have no cell within.
    if text[:1].isalnum() and ";" not in text:
        return False
    return _FORMULA.search(text) is not None


def neutralise(text: str) -> str:
    """A text for CSV, whose cells have no type: cleaned, and with an apostrophe before whatever would begin a formula."""
    safe = clean(text)
    if is_formula(safe):
        safe = _FORMULA.sub("'", safe)
    if text[:1] in ("\t", "\r", "\n") and not safe.startswith("'"):
        safe = f"'{safe}"
    return clean(safe)
