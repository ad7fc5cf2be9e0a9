"""What the product must survive: readers keep a whole mart, the next run converges, and the message says what to do."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.cli import main
from orchestration.contract import TABLES
from orchestration.locking import WriterBusy
from orchestration.settings import PROJECT_ROOT
from tests.company import NEXT_DAY, NOT_DATA, Company, Rows, content, differences, read_mart
from tests.forked import health
from tests.webhook_server import WebhookServer


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed `ready` and goes on when it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


HOLD_LOCK = """
import sys
from orchestration.locking import writer_lock
from orchestration.settings import load_settings
with writer_lock(load_settings(sys.argv[1]), "daily_health 2026-03-10"):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_waits_and_is_refused(company: Company) -> None:
    text = company.config_file.read_text()
    company.config_file.write_text(text.replace("threads = 1\n", "threads = 1\nlock_timeout_seconds = 0.5\n"))
    before = content(company.settings.data_dir, NOT_DATA)
    with another_process(HOLD_LOCK, str(company.config_file)) as holder:
        started = time.monotonic()
        with pytest.raises(WriterBusy) as busy:
            company.run(NEXT_DAY)
        assert 0.5 <= time.monotonic() - started < 10
        assert f"'daily_health 2026-03-10' (process {holder.pid}," in str(busy.value)
        assert "\n" not in str(busy.value)
    assert content(company.settings.data_dir, NOT_DATA) == before


KEEP_MART_OPEN = """
import sys
import duckdb
mart = duckdb.connect(sys.argv[1], read_only=True)
days = "select count(distinct as_of_date), max(as_of_date) from account_health_history"
first = mart.execute(days).fetchall()
print("ready", flush=True)
sys.stdin.readline()
assert mart.execute(days).fetchall() == first
with duckdb.connect(sys.argv[1], read_only=True) as reconnected:
    [(count, newest)] = reconnected.execute(days).fetchall()
print(first[0][0], first[0][1], count, newest, flush=True)
"""


def test_a_reader_keeps_its_generation_and_a_reconnect_sees_the_new_one(company: Company) -> None:
    mart = company.published / "current" / "health.duckdb"
    with another_process(KEEP_MART_OPEN, str(mart)) as reader:
        company.run(NEXT_DAY)
        said, _ = reader.communicate("\n")
    assert said == "3 2026-03-09 4 2026-03-10\n"


def test_the_zone_of_the_host_changes_nothing(next_mart: dict[str, Rows], company: Company) -> None:
    # Its libraries may ask for the zone when they are imported.
    ran = subprocess.run(
        [sys.executable, "-m", "orchestration", "run", str(NEXT_DAY)],
        cwd=PROJECT_ROOT,
        env=os.environ | {"HEALTH_CONFIG": str(company.config_file), "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not differences(next_mart, read_mart(company.published))


# -- a wrong configuration: refused in one message, before anything is written

CONFIG = """\
[pipeline]
start_date = 2026-01-01
end_date = 2026-01-31
seeds_dir = "seeds"

[sources.accounts]
connector = "files"
path = "accounts.csv"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a right configuration, which the commands use."""
    shutil.copytree(PROJECT_ROOT / "seeds", tmp_path / "seeds")
    (tmp_path / "accounts.csv").write_text("account_id,account_name,created_at\na1,One,2025-01-01\n")
    (tmp_path / "health.toml").write_text(CONFIG)
    monkeypatch.setenv("HEALTH_CONFIG", str(tmp_path / "health.toml"))
    return tmp_path


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


FIRST_KEY = "[pipeline]\n"
WRONG = {
    "unknown metric": (
        "seeds/scorecard_metrics.csv",
        "license_utilization_28d",
        "licence_utilization_28d",
        ("scorecard_metrics.csv line 2", "'licence_utilization_28d'", "license_utilization_28d"),
    ),
    "weight is not a number": (
        "seeds/scorecard_metrics.csv",
        "license_utilization_28d,3,",
        "license_utilization_28d,NaN,",
        ("scorecard_metrics.csv line 2", "weight", "NaN"),
    ),
    "doubled key": (
        "seeds/scorecard_dimensions.csv",
        "onboarding,commercial,13",
        "onboarding,adoption,13",
        ("scorecard_dimensions.csv line 3", "adoption"),
    ),
    "no lowest tier": (
        "seeds/tiers.csv",
        "onboarding,poor,red,0,0",
        "onboarding,poor,red,5,0",
        ("tiers.csv", "min_score"),
    ),
    "wrong path": ("health.toml", "accounts.csv", "acounts.csv", ("sources.accounts", "acounts.csv")),
    "unknown key": ("health.toml", "end_date", "last_date", ("health.toml", "pipeline.last_date", "unknown key")),
    "unknown table": (
        "health.toml",
        "[sources.accounts]",
        "[sources.account]",
        ("health.toml", "'account'", "accounts"),
    ),
    "unknown connector": (
        "health.toml",
        '"files"',
        '"excel"',
        ("health.toml", "sources.accounts", "unknown connector excel", "There is demo, files,"),
    ),
    "renamed column": (
        "accounts.csv",
        "created_at",
        "created",
        ("accounts.csv", "created_at", "account_id, account_name, created"),
    ),
    "blank currency": ("health.toml", FIRST_KEY, f'{FIRST_KEY}reporting_currency = " "\n', ("reporting_currency: blank",)),
    "name of a currency": (
        "health.toml",
        FIRST_KEY,
        f'{FIRST_KEY}reporting_currency = "US Dollar"\n',
        ("reporting_currency: give the code of a currency, such as USD, found 'US Dollar'",),
    ),
    "waits for ever": ("health.toml", FIRST_KEY, f"{FIRST_KEY}lock_timeout_seconds = inf\n", ("lock_timeout_seconds", "found inf")),
    "no memory": ("health.toml", FIRST_KEY, f'{FIRST_KEY}memory_limit = "0MB"\n', ('from "128MB"', "found '0MB'")),
    "absurd memory": ("health.toml", FIRST_KEY, f'{FIRST_KEY}memory_limit = "999999TB"\n', ('to "100TB"', "found '999999TB'")),
    "NUL in a path": ("health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "a\\u0000b"\n', ("data_dir: has the character NUL",)),
    "data folder is a file": ("health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "accounts.csv"\n', ("data_dir", "File exists")),
    "data folder in a file": ("health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "accounts.csv/data"\n', ("data_dir", "Not a directory")),
    # Nobody may write there, not even root.
    "data folder read-only": ("health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "/sys/data"\n', ("data_dir: /sys/data cannot be written",)),
    "data folder name": ("health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "{300 * "x"}"\n', ("data_dir", "File name too long")),
    "year 1": ("health.toml", "2026-01-01", "0001-01-01", ("start_date: give a day from 1990-01-01 to 2199-12-31", "found")),
    "tomorrow": ("health.toml", "2026-01-01\nend_date = 2026-01-31", "2199-01-01", ("start_date 2199-01-01 is after",)),
    "no toml": ("health.toml", "[pipeline]", "[pipeline", ("health.toml", "not valid TOML")),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_configuration_is_refused_before_anything_is_written(project: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    name, old, new, said = WRONG[fault]
    replace_once(project / name, old, new)
    before = content(project)
    assert main(["run"]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in said), message
    assert message.count("\n") == 1, message
    assert "Traceback" not in message
    assert content(project) == before


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-16", "byte order mark"), ("utf-8-sig", "byte order mark"), ("latin-1", "line 1: byte fc is not UTF-8")]
)
def test_a_configuration_in_another_encoding_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], encoding: str, said: str
) -> None:
    (project / "health.toml").write_text(f"# f\u00fcr Acme\n{CONFIG}", encoding=encoding)
    assert main(["run"]) == 2
    message = capsys.readouterr().err
    assert "health.toml" in message and said in message and "Save it as UTF-8" in message and message.count("\n") == 1, message


def test_a_disk_that_is_nearly_full_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = project / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("only root may mount the small disk of this test")
    try:
        replace_once(project / "health.toml", FIRST_KEY, f'{FIRST_KEY}data_dir = "disk/data"\n')
        assert main(["run"]) == 2
        message = capsys.readouterr().err
        assert "disk/data: 8 MB are free on its disk, and a run needs at least 100" in message and message.count("\n") == 1, message
        assert {path.name for path in (disk / "data").iterdir()} == {"writer.lock"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_refused_run_ends_with_an_error_code(project: Path) -> None:
    replace_once(project / "health.toml", "accounts.csv", "nowhere.csv")
    refused = subprocess.run(
        [sys.executable, "-m", "orchestration", "run", "2026-01-05"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1 and "nowhere.csv" in refused.stderr


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        monkeypatch.setenv("TEST_WEBHOOK", server.url)
        yield server


def test_errors_of_the_data_are_one_line_each_without_tracebacks_and_are_told(
    company: Company, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> list[tuple[str, str]]:
        alerts = [alert for post in webhook.take() for alert in post.content["alerts"] if alert["kind"] == "run_failed"]
        return [(alert["text"], alert["reason"]) for alert in alerts]

    raw = company.folder / "raw"
    whole = {table: company.read(table) for table in ("touchpoints", "csm_pulses", "tickets", "survey_responses")}
    (raw / "tickets.csv").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    (raw / "survey_responses.csv").write_bytes((raw / "survey_responses.csv").read_bytes().splitlines()[0] + b",gr\xf6\xdfe\n")
    company.edit("invoices", lambda row: row | {"currency": "XYZ"})
    company.edit("subscriptions", lambda row: row | {"started_on": "31.01.2026"})
    # Longer than DuckDB's buffer and the only row: it would be dropped without a word.
    (raw / "advocacy_events.csv").write_bytes(b"advocacy_id,account_id,occurred_at,kind,note\na1,a1,2026-01-01,review," + b"x" * (40 << 20))
    (raw / "csm_pulses.csv").write_text(",".join(f"column_{number}" for number in range(10_000)))
    (raw / "touchpoints.csv").unlink()
    (raw / "touchpoints.csv").symlink_to("/proc/cpuinfo")
    before = read_mart(company.published)

    # Headers are read before anything is written.
    watched = company.folder / "watched.toml"
    watched.write_text(company.config_file.read_text() + '\n[alerts]\nwebhook = { env = "TEST_WEBHOOK" }\n')
    monkeypatch.setenv("HEALTH_CONFIG", str(watched))
    assert main(["run", str(NEXT_DAY)]) == 2
    faults = [line.partition("watched.toml: ")[2] for line in capsys.readouterr().err.splitlines()]
    linked, wide, page, umlaut = sorted(faults, key=lambda fault: ["touch", "csm_p", "ticke", "surve"].index(fault[4:9]))
    assert page == "raw/tickets.csv: an HTML page, perhaps that of a login or of an error. Deliver the data itself"
    assert umlaut.startswith(
        "raw/survey_responses.csv line 1: not UTF-8. It is likely windows-1252 (it then reads 'größe'): write encoding = "
    )
    assert linked.startswith("raw/touchpoints.csv: column touchpoint_id, account_id, ") and "processor" not in linked
    assert "; wanted are touchpoint_id, account_id, " in linked and linked.endswith(
        ". Map renamed columns with sources.touchpoints.columns"
    )
    assert (
        wide
        == "raw/csm_pulses.csv: 10000 columns, at most 1000 can be read. Leave out those that csm_pulses does not need, or deliver Parquet"
    )
    what = f"daily_health {NEXT_DAY}...{NEXT_DAY} failed; what was published before is unchanged"
    [(text, reason)] = told()
    assert text == what and "raw/tickets.csv: an HTML page" in reason
    for table, rows in whole.items():
        (raw / f"{table}.csv").unlink()
        # Without repeated keys, of which a run would also tell.
        company.write(table, list({row[TABLES[table].key[0]]: row for row in rows}.values()))
    failed = health(watched, "run", NEXT_DAY)
    assert failed.returncode == 1
    *lines, last = failed.stderr.splitlines()
    said = {line.partition(": ")[0]: line for line in lines}
    tables = ("advocacy_events", "invoices", "subscriptions")
    assert said.keys() == {f"raw__{table}" for table in tables} and last.startswith("the run failed after ")
    assert "raw/advocacy_events.csv line 2: line over 8 MB (found 'a1,a1,2026-01-01,review,xxx" in said["raw__advocacy_events"]
    assert "raw/invoices.csv line 2: currency: no rate for XYZ on issued_on in fx_rates.csv (found 'XYZ')" in said["raw__invoices"]
    assert "raw/subscriptions.csv line 2: started_on: not a date like 2026-01-31 (found '31.01.2026')" in said["raw__subscriptions"]
    assert "or raise" not in "".join(said.values())
    assert not differences(before, read_mart(company.published))
    [(text, reason)] = told()
    assert text == what and "raw/invoices.csv line 2: currency: no rate for XYZ" in reason


@pytest.mark.parametrize("days", ["2025-12-31", "2026-01-05...2026-02-01", "2026-01-05...2026-01-04", "yesterday"])
def test_days_that_are_not_configured_are_refused(project: Path, capsys: pytest.CaptureFixture[str], days: str) -> None:
    before = content(project)
    assert main(["run", days]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{days}: ") and "2026-01-01...2026-01-31" in message and message.count("\n") == 1
    assert content(project) == before
