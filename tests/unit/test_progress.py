"""What is shown while a run is at work: a line for each step; between them signs of life, or a bar on a terminal."""

import io
import logging
import os
import re
import sys
import time
from pathlib import Path

import pytest

from orchestration import progress
from orchestration.progress import Display, now_at, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_step_is_a_line_with_the_longest_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    out = io.StringIO()
    display = Display(out, "daily_health 2026-03-10", 0.0)
    for number, takes in enumerate((1, 2, 30, 4, 5, 6, 7)):
        display.now_at("extract", f"table_{number}", 7, "")
        seconds[0] += takes
    for part, name, takes in (("staging", "one", 1), ("marts", "two", 2), ("staging", "three", 3)):
        display.now_at("dbt", part, 3, name)
        seconds[0] += takes
    display.close()
    assert out.getvalue().splitlines() == [
        "daily_health 2026-03-10",
        "start         0.0 s",
        "extract      55.0 s  table_2 30.0 s, table_6 7.0 s, table_5 6.0 s, 4 others 12.0 s",
        "dbt           6.0 s  staging 4.0 s, marts 2.0 s",
    ]


def test_nothing_is_silent_and_signs_of_life_take_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SIGN_OF_LIFE_SECONDS", 0.05)
    out = io.StringIO()
    display = Display(out, "first", time.monotonic())
    display.now_at("dbt", "marts", 104, "account_health")
    deadline = time.monotonic() + 20
    while out.getvalue().count(" .") < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    display.close()
    first, start, signs, last = out.getvalue().splitlines()
    assert (first, start[:5], last[:5]) == ("first", "start", "dbt  ") and re.fullmatch(r"dbt +1/104 marts( \.){3,}", signs), signs


def test_a_terminal_has_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    display = Display(out, "daily_health [2026-03-10]", time.monotonic())
    display.now_at("dbt", "marts", 104, "account_health")
    display._bar[0].refresh()
    shown = out.getvalue()
    assert "daily_health [2026-03-10]\n" in shown and "0/104" in shown and "marts account_health" in shown
    display.close()
    # The cursor is back.
    assert out.getvalue().rstrip("\x1b[2K\r").rpartition("\x1b[?25")[2].startswith("h")


def test_what_others_say_meanwhile_goes_to_the_log_and_each_warning_once_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # As in a process of its own: pytest has another way past the descriptor.
    monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
    now_at("extract", "nobody hears it")
    with shown(tmp_path / "target" / "run.log", "first", time.monotonic()) as display:
        os.write(1, b"what a library writes\n")
        for _ in range(2):
            logging.getLogger("orchestration.publish").warning("%s: written anew", "a file")
        now_at("publish", "board")
    said = capfd.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["first", "start", "publish"]
    assert list(display.warnings.said) == ["a file: written anew"]
    assert "what a library writes\n" in (tmp_path / "target" / "run.log").read_text()
