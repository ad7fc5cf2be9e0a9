"""A source that cannot be read: the others land, its metrics are late on the days that it lacks, and the next run makes up for it.

And one that fell silent, behind a fact of the far future.
"""

import sqlite3
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.company import differences, read_mart
from tests.forked import health
from tests.pipeline import run_pipeline

FIRST, DAY_BEFORE, OUTAGE, RECOVERY = date(2026, 3, 1), date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 9)


def company(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root.mkdir()
    days = [FIRST - timedelta(days=30) + timedelta(days=n) for n in range(60)]
    (root / "accounts.csv").write_text("account_id,account_name,created_at\na1,Acme,2025-01-01\na2,Bolt,2025-01-01\n")
    (root / "usage.csv").write_text(
        "event_id,account_id,user_id,occurred_at\n"
        + "".join(f"{account}-{day},{account},u1,{day} 10:00\n" for account in ("a1", "a2") for day in days)
        + "far,a1,u1,2099-01-01 10:00\n"
    )
    # Silent since the fourth day; but for an account that nobody knows, and a typo.
    (root / "calls.csv").write_text(
        "touchpoint_id,account_id,occurred_at,channel,direction\n"
        f"c1,a1,{DAY_BEFORE} 09:00,call,inbound\nc2,nobody,{RECOVERY} 09:00,call,inbound\nc3,a1,2099-06-01 09:00,call,inbound\n"
    )
    with sqlite3.connect(root / "desk.db") as desk:
        desk.execute("create table tickets (ticket_id text, account_id text, opened_at text, priority text)")
        desk.executemany("insert into tickets values (?, 'a1', ?, 'normal')", [(f"t{n}", f"{day} 09:00:00") for n, day in enumerate(days)])
    monkeypatch.setenv("DESK_URL", f"sqlite:///{root / 'desk.db'}")
    config = root / "health.toml"
    config.write_text(
        f"[pipeline]\nstart_date = {FIRST}\nlookback_days = 1\nthreads = 2\nmemory_limit = '1GB'\n"
        "[sources.accounts]\nconnector = 'files'\npath = 'accounts.csv'\n"
        "[sources.usage_events]\nconnector = 'files'\npath = 'usage.csv'\n"
        "[sources.touchpoints]\nconnector = 'files'\npath = 'calls.csv'\nlate_after_days = 2\n"
        "[sources.tickets]\nconnector = 'sql'\nurl = { env = 'DESK_URL' }\ntable = 'tickets'\n"
    )
    return config


def states(config: Path) -> dict[date, set[str]]:
    """State of the ticket counts by day."""
    database = config.parent / "data" / "published" / "current" / "health.duckdb"
    with duckdb.connect(str(database), read_only=True) as mart:
        rows = mart.execute("select as_of_date, state from metric_scores_history where metric_key = 'tickets_per_10_users_28d'").fetchall()
    found: dict[date, set[str]] = {}
    for day, state in rows:
        found.setdefault(day, set()).add(state)
    return found


def run_command(config: Path, start: date, end: date) -> str:
    """`health run`; what it said."""
    done = health(config, "run", f"{start}...{end}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def freshness(config: Path) -> dict[str, tuple]:
    database = config.parent / "data" / "published" / "current" / "health.duckdb"
    with duckdb.connect(str(database), read_only=True) as mart:
        rows = mart.execute(
            "select raw_table, status, late_since, newest_fact_at, later_rows, last_fact_at from data_freshness where later_rows > 0"
        ).fetchall()
    return {name: tuple(rest) for name, *rest in rows}


def test_an_outage_makes_its_metrics_late_and_the_next_run_makes_up_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = company(tmp_path / "disturbed", monkeypatch)
    run_pipeline(config, FIRST, DAY_BEFORE)
    (config.parent / "desk.db").rename(config.parent / "away.db")
    (config.parent / "desk.db").mkdir()
    run_pipeline(config, OUTAGE, OUTAGE)
    assert states(config)[OUTAGE] == {"late"}
    assert states(config)[DAY_BEFORE] == {"measured"}
    (config.parent / "desk.db").rmdir()
    (config.parent / "away.db").rename(config.parent / "desk.db")
    # The outage lies further back than the lookback.
    said = run_command(config, OUTAGE + timedelta(days=1), RECOVERY)
    assert set().union(*states(config).values()) == {"measured"}

    # Facts count from their own day on: a later one keeps no source up to date. The sources hold 21 days after the run's last one.
    far = datetime(2099, 1, 1, 10)
    assert freshness(config) == {
        "usage_events": ("up to date", None, datetime.combine(RECOVERY, time(10)), 2 * 21 + 1, far),
        "touchpoints": ("late", DAY_BEFORE + timedelta(days=3), datetime.combine(DAY_BEFORE, time(9)), 1, datetime(2099, 6, 1, 9)),
        "tickets": ("up to date", None, datetime.combine(RECOVERY, time(9)), 21, datetime(2026, 3, 30, 9)),
    }
    assert f"usage_events: rows dated after {RECOVERY}: 43, the last of them 2099-01-01, which is still to come" in said
    assert f"touchpoints: rows dated after {RECOVERY}: 1, the last of them 2099-06-01" in said
    assert "tickets: rows dated" not in said

    undisturbed = company(tmp_path / "undisturbed", monkeypatch)
    run_pipeline(undisturbed, FIRST, RECOVERY)
    assert differences(read_mart(undisturbed.parent / "data" / "published"), read_mart(config.parent / "data" / "published")) == []
