"""The day that is still running, scored provisionally beside the mart: `health run today`."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from orchestration import intraday
from orchestration.alert_rules import read_alert_rules
from orchestration.contract import TABLES
from orchestration.intraday import GaveWay, score_today
from orchestration.locking import writer_lock
from orchestration.publish.alerts import send_alerts
from orchestration.publish.alerts.evaluate import find_alerts_of_today
from orchestration.publish.alerts.log import open_log
from orchestration.publish.alerts.mart import PublishedMart
from orchestration.publish.postgres import copy_to_postgres
from orchestration.settings import PROJECT_ROOT
from tests.company import LAST_DAY, NEXT_DAY, NOT_DATA, Company, Row, Rows, content, differences, read_mart, revision_faults
from tests.forked import run as run_module
from tests.webhook_server import WebhookServer

NOON = datetime(NEXT_DAY.year, NEXT_DAY.month, NEXT_DAY.day, 12, tzinfo=UTC)
SEEDS = PROJECT_ROOT / "seeds"
# What a provisional run may write.
OWN = ("today", "todays")


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


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
    rules = read_alert_rules(SEEDS)
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

    # An hour after the other, each with one more ticket: the tenth run is that of midnight.
    for hour in range(3, 9):
        company.write("tickets", [*tickets, *(ticket(f"now-{n}", account, f"{NEXT_DAY} {12 + n}:30:00") for n in range(hour))])
        score(company, hours=hour)
        assert critical(company, account) == hour
    assert {name: found for name, found in of_the_daily_run(company).items() if not name.startswith("alerts/")} == before

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


def test_two_companies_whose_sources_are_in_two_time_zones(company: Company, tmp_path: Path) -> None:
    account, tickets, config = a_customer(company), company.read("tickets"), company.config_file.read_text()
    other = Company(shutil.copytree(company.folder, tmp_path / "other", symlinks=True))
    # By UTC it is 11:00 of this day in Tokyo, and 03:00 of the next one in Los Angeles.
    for one, zone in ((company, "Asia/Tokyo"), (other, "America/Los_Angeles")):
        one.config_file.write_text(config.replace("[sources.tickets]\n", f'[sources.tickets]\ntimezone = "{zone}"\n'))
        one.write("tickets", [*tickets, ticket("local", account, f"{NEXT_DAY} 20:00:00")])
        score(one)
    found = [
        duckdb.execute(
            f"select value, as_of_date, read_until from read_parquet('{one.published}/today/metric_scores_today.parquet') as metrics"
            f" inner join read_parquet('{one.published}/today/account_health_today.parquet') as accounts using (account_id, as_of_date)"
            " where account_id = $1 and metric_key = 'critical_open_tickets'", [account],
        ).fetchall() for one in (company, other)
    ]  # fmt: skip
    assert found == [[(critical_tickets, NEXT_DAY, datetime(2026, 3, 10, 12))] for critical_tickets in (1, 0)]


def test_a_champion_who_leaves_and_a_payment_that_does_not_come_show_within_the_hour_and_are_told_once(
    company: Company, webhook: WebhookServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_WEBHOOK", webhook.url)
    monkeypatch.setenv("MART_URL", postgres_url)
    # The mart is as new as it can be: nothing is history that is being loaded.
    config = company.config_file.read_text().replace("end_date = 2026-03-14", f"end_date = {NEXT_DAY}")
    exports = '[exports.postgres]\nurl = { env = "MART_URL" }\nschema = "of_today"\n'
    company.config_file.write_text(config + '\n[alerts]\nwebhook = { env = "TEST_WEBHOOK" }\n' + exports)
    copy_to_postgres(company.settings)

    def copied() -> Rows:
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
            return connection.execute(
                "select as_of_date, health_score, (select count(*) from of_today.account_health_now where account_id = %(account)s)"
                " from of_today.account_health_today where account_id = %(account)s", {"account": left},
            ).fetchall()  # fmt: skip

    joined_lately = {row["account_id"] for row in company.read("contacts") if row["role"] == "champion" and row["joined_on"] >= "2025-12"}
    well = ask(
        company,
        "select account_id from account_health inner join metric_scores_history using (account_id, as_of_date)"
        " where tier = 'healthy' and account_health.cap_key is null and health_score > 70"
        " group by account_id having max(value) filter (metric_key = 'overdue_ratio') = 0 order by account_id",
    )
    left, unpaid, paid, left_later = [account for (account,) in well if account not in joined_lately][:4]
    contact = dict.fromkeys(TABLES["contacts"].by_name, "") | {"role": "champion", "joined_on": "2025-06-01"}
    gone = [contact | {"contact_id": f"of-{name}", "account_id": name} for name in (left, left_later)]
    invoice = dict.fromkeys(TABLES["invoices"].by_name, "") | {"amount": "500", "issued_on": "2026-02-23", "due_on": str(LAST_DAY)}
    bills = [invoice | {"invoice_id": f"of-{unpaid}", "account_id": unpaid}]
    bills += [invoice | {"invoice_id": f"of-{paid}", "account_id": paid, "paid_on": str(NEXT_DAY)}]
    company.write("invoices", [*company.read("invoices"), *bills])
    contacts = company.read("contacts")
    company.write("contacts", [*contacts, *gone])
    score(company)

    def told() -> set[tuple[str, str]]:
        send_alerts(company.settings)
        given = [alert for post in webhook.take() for alert in post.content["alerts"]]
        return {(alert["rule"], alert["account"]["account_id"]) for alert in given if alert["account"]} & {
            (rule, account) for rule in ("today_champion", "champion_left", "today_unpaid") for account in (left, unpaid, paid, left_later)
        }

    assert told() == {("today_unpaid", unpaid)}

    gone[0]["left_on"] = str(NEXT_DAY)
    company.write("contacts", [*contacts, *gone])
    score(company, hours=1)
    [(champions, score_of_today, cap, fell)] = ask(
        company,
        "select value, health_score, cap_key, change_so_far <= -1"
        " from account_health_today inner join metric_scores_today using (account_id)"
        " where account_id = ? and metric_key = 'champions_left_90d'", left,
    )  # fmt: skip
    assert (champions, cap, fell) == (1, "champion_left", True)
    # The badge of the board.
    assert f'["{left}", {score_of_today}]' in (company.published / "today" / "today.js").read_text()
    assert copied() == [(NEXT_DAY, score_of_today, 1)]
    assert told() == {("today_champion", left)}
    score(company, hours=2)
    assert told() == set()

    # The day ends; the second champion left too late for a run of today.
    gone[1]["left_on"] = str(NEXT_DAY)
    company.write("contacts", [*contacts, *gone])
    entry = {"entry_id": "slip", "account_id": left, "playbook_key": "find-new-champion", "logged_at": f"{NEXT_DAY} 09:00", "state": "done"}
    company.write("action_log", [*company.read("action_log"), dict.fromkeys(TABLES["action_log"].by_name, "") | entry])
    company.run(NEXT_DAY, run_id="next")
    [(warning,)] = ask(company, "select value_warning from data_freshness where raw_table = 'action_log'")
    assert "name a playbook that is not in playbooks.csv" in warning and "find-new-champion (did you mean find_new_champion?)" in warning
    copy_to_postgres(company.settings)
    assert copied() == []
    assert told() == {("champion_left", left_later)}
    assert ask(
        company, "select account_id, state from account_actions where playbook_key = 'find_new_champion' and account_id in (?, ?)"
        " order by account_id", left, left_later,
    ) == sorted([(left, "open"), (left_later, "open")])  # fmt: skip


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
    before = of_the_daily_run(company)
    score(company)
    runs = "select run_id from account_health_today union select run_id from metric_scores_today"
    [(first,)] = ask(company, runs)
    for place in MOMENTS:
        arguments = ["SIGKILL", place, str(tmp_path / "sent_at"), "today@2026-03-10T13:00:00+00:00"]
        done = run_module("tests.stopped_run", *arguments, config=company.config_file)
        assert done.returncode == -signal.SIGKILL, (place, done.stderr)
        [(run,)] = ask(company, runs)
        assert (run == first) == (not place.startswith("after orchestration.publish")), place
        assert of_the_daily_run(company) == before, place
    score(company, hours=2)
    assert ask(company, "select distinct read_until from account_health_today") == [(datetime(2026, 3, 10, 14),)]
    assert sorted(path.name for path in company.settings.data_dir.joinpath("today").iterdir()) == sorted(
        ["dbt", "lake", "tmp", "today.lock", "warehouse.duckdb"]
    )
