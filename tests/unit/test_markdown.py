"""Text from data in Markdown, read by a parser that knows tables as the Dagster UI's does."""

import pytest
from markdown_it import MarkdownIt

from orchestration.markdown import table, verbatim

HOSTILE = {
    "html": "<img src=x onerror=alert(1)>",
    "script": "<script>alert(1)</script>",
    "link": "[click](javascript:alert(1)) https://example.com www.example.com",
    "cells": "a | b \\| c \\\\| d",
    "code": "`code` ``more`` ```",
    "lines": "one\n\n# two\r\n| three |",
    "marks": "abc\u202edef\u2066ghi\u0000jkl",
    "emphasis": "*a* _b_ ~~c~~ \\",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_data_is_one_cell_of_plain_text(text: str) -> None:
    parsed = MarkdownIt("commonmark").enable("table").parse(table(["name", "score"], [[verbatim(text), "1"]]))
    types = [token.type for token in parsed]
    # One row of headers and one of two cells, and nothing but code in the first.
    assert types.count("th_open") == 2 and types.count("td_open") == 2
    assert not {"html_block", "fence", "heading_open"} & set(types)
    cells = [parsed[n + 1].children for n, kind in enumerate(types) if kind == "td_open"]
    assert [[token.type for token in cell] for cell in cells] == [["code_inline"], ["text"]]
    shown = cells[0][0].content
    assert not any(mark in shown for mark in "\u202e\u2066\0\n\r|`")


def test_ordinary_text_is_not_changed() -> None:
    assert verbatim('Müller & Söhne, "Ltd" <EU> 日本') == '`Müller & Söhne, "Ltd" <EU> 日本`'


def test_long_text_is_cut() -> None:
    assert verbatim("x" * 1_000_000, 32) == f"`{'x' * 31}…`"
    assert verbatim("x" * 32, 32) == f"`{'x' * 32}`"


def test_nothing_is_nothing() -> None:
    assert verbatim(" \n\0") == ""
