"""`make check-sources`: what it shows, how it ends, and that it leaves no trace."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.cli import main
from orchestration.locking import writer_lock
from orchestration.settings import PROJECT_ROOT, load_settings
from tests.company import content
from tests.local_server import Fault
from tests.zendesk_server import ZendeskServer

TOKEN = "sesame+9921"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files and a database that can be read."""
    folder = tmp_path / "company"
    folder.mkdir()
    header = "account_id,account_name,created_at,[red]tier\x1b[2J\u202e"
    (folder / "accounts.csv").write_text(f"{header}\na1,Acme,2025-01-01,x\n", encoding="utf-8")
    with sqlite3.connect(folder / "desk.db") as desk:
        desk.execute("create table pulses (pulse_id text, account_id text, rated_at text, rating integer)")
        desk.execute("insert into pulses values ('p1', 'a1', '2026-02-03 10:20', 4)")
    monkeypatch.setenv("DESK_URL", f"sqlite:///{folder / 'desk.db'}")
    monkeypatch.setenv("HEALTH_CONFIG", str(folder / "health.toml"))
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    configure(folder)
    return folder


def configure(folder: Path, more: str = "") -> None:
    (folder / "health.toml").write_text(
        "[pipeline]\nstart_date = 2026-01-01\n"
        '[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
        '[sources.csm_pulses]\nconnector = "sql"\nurl = { env = "DESK_URL" }\ntable = "pulses"\n' + more
    )


def zendesk(table: str, url: str) -> str:
    return f'[sources.{table}]\nconnector = "zendesk"\nbase_url = "{url}"\nemail = "bot@x.io"\napi_token = {{ env = "DESK_TOKEN" }}\n'


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, list[str]], str, str]:
    """Cells of the lines that begin a table's row; all of standard output; standard error."""
    said = capsys.readouterr()
    lines = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in said.out.splitlines() if line.startswith("│")]
    return {cells[0]: cells[1:] for cells in lines if cells[0]}, said.out, said.err


def test_it_shows_each_source_and_leaves_no_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    assert main(["check"]) == 0
    assert content(folder) == before
    assert not (folder / "data").exists()
    rows, said, errors = shown(capsys)
    assert rows["accounts"][:3] == ["files", "1", "2025-01-01 00:00"]
    assert rows["csm_pulses"][:3] == ["sql", "1", "2026-02-03 10:20"]
    # Nothing that came from a source steers the terminal.
    assert "[red]tier\N{REPLACEMENT CHARACTER}" in said and "\x1b" not in said and "\u202e" not in said
    [quiet] = [line for line in said.splitlines() if line.startswith("not configured")]
    assert "tickets" in said and "accounts" not in quiet
    assert errors == ""


def test_a_source_that_cannot_be_read_keeps_no_other_from_being_checked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ZendeskServer() as server:
        server.faults = [Fault("incremental", 503, times=None), Fault("satisfaction", 401, body=f'{{"error": "{TOKEN}"}}', times=None)]
        configure(folder, zendesk("tickets", server.url) + zendesk("survey_responses", server.url)
                  + '[sources.feature_releases]\nconnector = "files"\npath = "missing.csv"\n'
                  + '[sources.touchpoints]\nconnector = "sql"\nurl = { env = "UNSET_URL" }\ntable = "t"\n')  # fmt: skip
        monkeypatch.delenv("UNSET_URL", raising=False)
        before = content(folder)
        assert main(["check"]) == 1
        # A person waits: a source that is down is asked twice.
        assert sum("incremental" in path for path in server.paths()) == 2
    assert content(folder) == before
    rows, said, errors = shown(capsys)
    assert rows["accounts"][:2] == ["files", "1"]
    faults = dict(line.split(": cannot be read: ") for line in said.splitlines() if ": cannot be read: " in line)
    assert list(faults) == ["touchpoints", "feature_releases", "tickets", "survey_responses"]
    assert "answers 503" in faults["tickets"] and "refuses the credentials (401)" in faults["survey_responses"]
    assert "no file matches missing.csv" in faults["feature_releases"] and "variable UNSET_URL is not set" in faults["touchpoints"]
    assert errors == "4 of 6 sources cannot be read: touchpoints, feature_releases, tickets, survey_responses\n"
    assert TOKEN not in said + errors


def test_a_fault_that_no_connector_foresees_is_a_row_without_secrets(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise KeyError(f"strange {os.environ['DESK_URL']}")

    monkeypatch.setattr("orchestration.extract.connectors.sql.rows.preview", odd)
    assert main(["check"]) == 1
    rows, said, _ = shown(capsys)
    assert "csm_pulses: cannot be read: KeyError" in said
    assert "<DESK_URL>" in said and "desk.db" not in said
    assert rows["accounts"][1] == "1"


def test_what_a_run_would_not_take_over_is_shown_with_all_that_is_odd_across_tables(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tickets.csv").write_text(
        "ticket_id,account_id,opened_at\nt1,A1,2026-02-01\nt1,a2,2026-02-02\nt2,a1,soon\nt3,a1,2026-02-02\n"
    )
    (folder / "surveys.csv").write_text("response_id,account_id,survey,score,responded_at\nr1,a1,csat,55,2026-02-01\n")
    configure(folder, '[sources.tickets]\nconnector = "files"\npath = "tickets.csv"\nmax_bad_share = 0.3\n'
              '[sources.survey_responses]\nconnector = "files"\npath = "surveys.csv"\n')  # fmt: skip
    assert main(["check"]) == 1
    _, said, errors = shown(capsys)
    assert errors == "a run would refuse survey_responses\n"
    assert [line for line in said.splitlines() if line.startswith(("tickets:", "survey_responses:"))] == [
        "tickets: 1 of 4 rows would go to quarantine: 1 x opened_at: not a timestamp like 2026-01-31 10:00:00. For example tickets.csv"
        " line 4: opened_at: not a timestamp like 2026-01-31 10:00:00 (found 'soon'). Remedy: sources.tickets.date_format says how dates"
        ' are written, for example "%d.%m.%Y", "%m/%d/%Y", or "epoch" for seconds or milliseconds since 1970;'
        " sources.tickets.nulls which words mean that there is none",
        "tickets: 1 more row has the key of a later row, which alone counts, for example t1",
        "tickets: tickets.csv: 1 key is there twice or more, with different values (t1); the last row of each counts",
        "tickets: no account for 1 of 2 rows (50%), which count for nothing, for example a2",
        "survey_responses: a run would refuse it: 1 of 1 rows would go to quarantine: 1 x score: outside 1 to 5 for csat."
        " For example surveys.csv line 2: score: outside 1 to 5 for csat (found '55')."
        " Remedy: sources.survey_responses.scales gives the scale of a survey, for example { csat = [0, 100] }."
        " More than max_bad_share 0.05 allows",
    ]


def test_a_run_in_progress_is_not_waited_for_and_a_wrong_configuration_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writer_lock(load_settings(), "another run"):
        before = content(folder / "data")
        assert main(["check"]) == 0
        assert content(folder / "data") == before
    configure(folder, "[sources.nonsense]\nconnector = 'files'\npath = 'x'\n")
    assert main(["check"]) == 2
    assert "'nonsense' is not a raw table" in capsys.readouterr().err


def test_the_command_writes_nothing_to_the_home_of_its_user(folder: Path, tmp_path: Path) -> None:
    """Not even the libraries that it uses, in a process that has imported none of them."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    with ZendeskServer() as server:
        configure(folder, zendesk("tickets", server.url))
        before = content(folder)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DLT_"))}
        done = subprocess.run(
            [sys.executable, "-m", "orchestration", "check"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
            env=clean | {"HOME": str(home), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert content(folder) == before
    assert list(home.iterdir()) == list(scratch.iterdir()) == []
