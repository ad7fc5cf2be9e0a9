"""The day that is still running, scored provisionally beside the mart: `health run today`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import intraday
from orchestration.alert_rules import read_alert_rules
from orchestration.intraday import GaveWay, score_today
from orchestration.locking import writer_lock
from orchestration.publish.alerts.evaluate import find_alerts_of_today
from orchestration.publish.alerts.log import open_log
from orchestration.publish.alerts.mart import PublishedMart
from orchestration.settings import PROJECT_ROOT
from tests.company import LAST_DAY, NEXT_DAY, NOT_DATA, Company, Row, Rows, content, differences, read_mart, revision_faults

NOON = datetime(NEXT_DAY.year, NEXT_DAY.month, NEXT_DAY.day, 12, tzinfo=UTC)
SEEDS = PROJECT_ROOT / "seeds"
# What a provisional run may write.
OWN = ("today", "todays")


@contextmanager
def mart(company: Company) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        yield connection


def ask(company: Company, query: str, *parameters: Any) -> Rows:
    with mart(company) as connection:
        return connection.execute(query, parameters).fetchall()


def score(company: Company, hours: float = 0) -> None:
    score_today(company.settings, lambda: NOON + timedelta(hours=hours))


def critical(company: Company, account: str) -> float:
    query = "select value from metric_scores_today where account_id = ? and metric_key = 'critical_open_tickets'"
    [(value,)] = ask(company, query, account)
    return value


def a_customer(company: Company) -> str:
    """One that is well, without a critical ticket."""
    [(account,)] = ask(
        company,
        "select account_id from account_health inner join metric_scores_history using (account_id, as_of_date)"
        " where tier = 'healthy' and account_health.cap_key is null and metric_key = 'critical_open_tickets' and value = 0"
        " order by account_id limit 1",
    )
    return account


def alert(company: Company) -> list[tuple[str, str]]:
    """The rule and the account of every alert of the kind `today` that is news, each noted as told."""
    rules = [rule for rule in read_alert_rules(SEEDS) if rule.kind == "today"]
    with PublishedMart(company.settings, company.published / "current") as published, open_log(company.settings.alert_log) as log:
        news = [one for one in find_alerts_of_today(published, rules) if not log.is_known(one)]
        log.record(None, [], news, [])
    return [(one.rule.key, one.account.account_id) for one in news if one.account is not None]


def ticket(name: str, account: str, opened_at: str) -> Row:
    return {"ticket_id": name, "account_id": account, "opened_at": opened_at, "first_replied_at": "", "resolved_at": ""} | {
        "priority": "critical", "topic": "bug", "escalated_at": "",
    }  # fmt: skip


def of_the_daily_run(company: Company) -> dict[str, bytes | str]:
    """Everything that a daily run reads or writes."""
    data = content(company.settings.data_dir, without=(*NOT_DATA, "today"))
    return {name: found for name, found in data.items() if Path(name).parts[:2] not in [("published", own) for own in OWN]}


def test_an_hour_shows_and_the_daily_run_does_not_know_of_it(next_mart: dict[str, Rows], company: Company) -> None:
    before, account, tickets = of_the_daily_run(company), a_customer(company), company.read("tickets")
    assert ask(company, "select count(*) from account_health_today") == [(0,)]
    score(company)
    assert critical(company, account) == 0
    with mart(company) as reader:
        earlier = reader.execute("select health_score from account_health_today where account_id = ?", [account]).fetchall()
        company.write("tickets", [*tickets, ticket("now", account, f"{NEXT_DAY} 12:30:00")])
        score(company, hours=1)
        # Who has the mart open sees it, too.
        now = reader.execute("select health_score from account_health_today where account_id = ?", [account]).fetchall()
    assert now < earlier
    assert ask(
        company, "select as_of_date, is_provisional, read_until, tier, finished_on, change_so_far <= -1 from account_health_today"
        " where account_id = ?", account,
    ) == [(NEXT_DAY, True, datetime(2026, 3, 10, 13), "healthy", LAST_DAY, True)]  # fmt: skip
    assert ask(company, "select distinct read_until, not_read_reason from sources_today") == [(datetime(2026, 3, 10, 13), None)]
    # All points of every provisional score, and every account once.
    assert not ask(
        company,
        "select account_id from account_health_today left join metric_scores_today using (account_id) group by account_id, health_score"
        " having abs(50 + sum(points) - health_score) > 0.051",
    )
    assert ask(company, "select count(*), count(distinct account_id) from account_health_now") == ask(
        company, "select count(*), count(*) from (select account_id from account_health union select account_id from account_health_today)"
    )
    assert of_the_daily_run(company) == before
    # Told once, by how many runs of today it may be found.
    told = [alert(company), alert(company)]
    score(company, hours=2)
    told.append(alert(company))
    assert [[rule for rule, name in each if name == account] for each in told] == [["today_critical", "today_fell"], [], []]

    # Midnight comes while it runs: what is known by then is of the day that began it.
    ticking = iter([NOON + timedelta(hours=11.99)])
    score_today(company.settings, lambda: next(ticking, NOON + timedelta(hours=12.01)))
    assert ask(company, "select distinct as_of_date, read_until from account_health_today") == [(NEXT_DAY, datetime(2026, 3, 11))]
    company.write("tickets", tickets)
    company.run(NEXT_DAY, run_id="next")
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
    # A finished day is no longer provisional.
    assert ask(company, "select count(*) from account_health_today") == [(0,)]
    assert ask(company, "select distinct as_of_date, is_provisional from account_health_now") == [(NEXT_DAY, False)]
    assert not alert(company)
    score(company, hours=12.5)
    assert ask(company, "select distinct as_of_date, finished_on from account_health_today") == [(NEXT_DAY + timedelta(days=1), NEXT_DAY)]


def test_a_source_that_is_down_counts_as_it_was_read_last(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    account, tickets = a_customer(company), company.read("tickets")
    company.write("tickets", [*tickets, ticket("now", account, f"{NEXT_DAY} 11:30:00")])
    score(company)
    good = company.read("tickets")
    company.edit("tickets", lambda row: row | {"priority": "none of ours"})
    score(company, hours=1)
    assert "tickets: not read: " in capsys.readouterr().out
    assert critical(company, account) == 1
    times = dict(ask(company, "select raw_table, read_until from sources_today where raw_table in ('tickets', 'invoices')"))
    assert times == {"tickets": datetime(2026, 3, 10, 12), "invoices": datetime(2026, 3, 10, 13)}
    assert ask(company, "select distinct read_until from account_health_today") == [(times["tickets"],)]
    company.write("tickets", good)
    score(company, hours=2)
    assert ask(company, "select distinct read_until, not_read_reason from sources_today") == [(datetime(2026, 3, 10, 14), None)]


def test_the_day_is_that_of_utc_wherever_the_source_is(company: Company) -> None:
    account, config, tickets = a_customer(company), company.config_file.read_text(), company.read("tickets")
    # By UTC it is 11:00 of this day in Tokyo, and 03:00 of the next one in Los Angeles.
    company.write("tickets", [*tickets, ticket("local", account, f"{NEXT_DAY} 20:00:00")])
    found = {}
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        company.config_file.write_text(config.replace("[sources.tickets]\n", f'[sources.tickets]\ntimezone = "{zone}"\n'))
        score(company)
        found[zone] = critical(company, account)
        assert ask(company, "select distinct as_of_date, read_until from account_health_today") == [(NEXT_DAY, datetime(2026, 3, 10, 12))]
    company.config_file.write_text(config)
    assert found == {"Asia/Tokyo": 1, "America/Los_Angeles": 0}


def test_it_gives_way_to_whoever_writes(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(company.published)
    with writer_lock(company.settings, "daily_health"), pytest.raises(GaveWay, match="'daily_health'"):
        score(company)
    # One that begins while dbt is at work does not wait for it.
    begun = []

    def prepared(*arguments: Any) -> Any:
        begun.append(writer_lock(company.settings, "daily_health"))
        plan = intraday_prepare(*arguments)
        begun[0].__enter__()
        return plan

    intraday_prepare = intraday.prepare
    monkeypatch.setattr(intraday, "prepare", prepared)
    with pytest.raises(GaveWay, match="'daily_health'"):
        score(company)
    begun[0].__exit__(None, None, None)
    monkeypatch.undo()
    assert content(company.published) == before
    score(company)
    assert ask(company, "select distinct as_of_date from account_health_today") == [(NEXT_DAY,)]


MOMENTS = (
    "after orchestration.intraday:land_table",
    "before orchestration.intraday:prepare",
    # dbt is done and has the warehouse open.
    "before orchestration.engines.duckdb:DuckDB.close",
    "before orchestration.publish.today:point",
    "after orchestration.publish.today:point",
)


def test_killed_at_any_moment_it_leaves_the_state_before_or_after(company: Company, tmp_path: Path) -> None:
    before, environment = of_the_daily_run(company), os.environ | {"HEALTH_CONFIG": str(company.config_file)}
    score(company)
    runs = "select run_id from account_health_today union select run_id from metric_scores_today"
    [(first,)] = ask(company, runs)
    for place in MOMENTS:
        arguments = ["SIGKILL", place, str(tmp_path / "sent_at"), "today@2026-03-10T13:00:00+00:00"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.stopped_run", *arguments],
            cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, (place, done.stderr)
        [(run,)] = ask(company, runs)
        assert (run == first) == (not place.startswith("after orchestration.publish")), place
        assert of_the_daily_run(company) == before, place
    score(company, hours=2)
    assert ask(company, "select distinct read_until from account_health_today") == [(datetime(2026, 3, 10, 14),)]
    assert sorted(path.name for path in company.settings.data_dir.joinpath("today").iterdir()) == sorted(
        ["dbt", "lake", "tmp", "today.lock", "warehouse.duckdb"]
    )
