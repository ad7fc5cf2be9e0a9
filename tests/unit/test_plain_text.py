"""Text for people: the same from Python and from DuckDB. From the browser: tests/unit/board/test_browser.py."""

import re
import sys

import duckdb
import pytest

from orchestration.plain_text import BREAKS, HIDDEN, for_duckdb, one_line, without_hidden

CLEANED = [
    ("Ünïcode 日本 🙂 <b> 'x'", "Ünïcode 日本 🙂 <b> 'x'"),
    # A family is one picture of three that joiners hold together; a Persian word needs the non-joiner.
    ("👨\u200d👩\u200d👧 می\u200cخواهم", "👨\u200d👩\u200d👧 می\u200cخواهم"),
    ("one\r\ntwo\tthree\u2028four\u2029five\x85six\x0bseven\x0ceight", "one two three four five six seven eight"),
    ("nul\x00 bell\x07 escape\x1b[31m delete\x7f csi\x9b", "nul bell escape[31m delete csi"),
    ("\u202a\u202b\u202c\u202d\u202eabc\u2066\u2067\u2068\u2069", "abc"),
    ("\u061ca\u200eb\u200fc", "abc"),
    ("\ufeff\u200b\u2060a\ufffe\uffff", "a"),
]


@pytest.mark.parametrize(("text", "shown"), CLEANED)
def test_hidden_characters_are_taken_out(text, shown):
    assert without_hidden(text) == one_line(text, 120) == shown
    query = f"select regexp_replace(regexp_replace(?, '{for_duckdb(BREAKS)}', ' ', 'g'), '{for_duckdb(HIDDEN)}', '', 'g')"
    assert duckdb.execute(query, [text]).fetchone() == (shown,)


def test_no_character_that_can_be_printed_is_taken_out():
    printed = "".join(filter(str.isprintable, map(chr, range(sys.maxunicode + 1))))
    assert re.search(f"{BREAKS}|{HIDDEN}", printed) is None


def test_half_a_pair_which_no_file_can_hold_is_taken_out():
    assert one_line("a\ud83db", 9) == "ab"


def test_a_line_is_cut_and_its_ends_are_plain():
    assert one_line("  \0 abc \n", 9) == "abc"
    assert (one_line("abcd", 4), one_line("abcde", 4)) == ("abcd", "abc…")
    assert one_line("x" * 1_000_000, 3) == "xx…"
    assert one_line("a\0b", 9, mark="\ufffd") == "a\ufffdb"
