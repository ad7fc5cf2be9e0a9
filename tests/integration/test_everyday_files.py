"""One company whose files come as everyday tools write them: one run reads them all, and the days are right."""

import gzip
import io
import json
import sqlite3
import zipfile
from datetime import date
from pathlib import Path

import duckdb
import openpyxl

from tests.forked import health

DAYS = [date(2026, 3, number) for number in range(1, 8)]
ACCOUNTS = {"a1": "Müller & Söhne", "a2": "Zoë – Café", "a3": "Łódź"}


def accounts_of(day: date) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["account_id", "account_name", "created_at"])
    for account, name in ACCOUNTS.items():
        # a3 is in no list from 4 March on; its subscription goes on.
        if account != "a3" or day.day < 4:
            book.active.append([account, name, date(2025, 1, 1)])
    book.active.append([None, " ", None])
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def subscriptions_of(day: date) -> bytes:
    seats = 10 if day.day < 6 else 40
    rows = [f"s1,a1,Größe M,{seats},{50 * seats},2025-01-05", "s3,a3,Größe S,5,100,2025-01-05"]
    # a2 leaves on 5 March.
    if day.day < 5:
        rows.append("s2,a2,Größe S,5,100,2025-01-05")
    return "\r\n".join(["subscription_id,account_id,plan,seats,mrr,started_on,ended_on", *rows, ",,,,,,", ""]).encode("cp1252")


def events_of(day: date) -> bytes:
    if day.day == 3:
        return b""
    rows = "".join(f"{day}-{account}-{user},{account},u{user},{day} 10:00\n" for account in ACCOUNTS for user in range(4))
    return gzip.compress(f"event_id,account_id,user_id,occurred_at\n{rows}".encode())


def has_checks(database: Path) -> bool:
    with sqlite3.connect(database) as found:
        tables = {name for (name,) in found.execute("select name from sqlite_master")}
        return "asset_check_executions" in tables and found.execute("select count(*) from asset_check_executions").fetchone() > (0,)


def test_files_of_everyday_tools_give_the_right_days(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for table, suffix, content in (("accounts", "xlsx", accounts_of), ("subs", "csv", subscriptions_of), ("events", "csv", events_of)):
        (raw / table).mkdir(parents=True)
        for day in DAYS:
            (raw / table / f"{day}.{suffix}").write_bytes(content(day))
    tickets = [
        {"ticket_id": f"t{number}", "account_id": "a1", "opened_at": "2026-03-02 09:00", "priority": "critical"} for number in range(2)
    ]
    (raw / "tickets.json").write_text(json.dumps(tickets, indent=2))
    with zipfile.ZipFile(raw / "nps.zip", "w") as archive:
        archive.writestr("nps.csv", "response_id\taccount_id\tsurvey\tscore\tresponded_at\nr1\ta1\tnps\t10\t2026-03-02\n".encode("utf-16"))
    for name, amount in (("invoices.csv", 100), ("invoices (9).csv", 90), ("invoices (10).csv", 0)):
        (raw / name).write_text(f"invoice_id,account_id,issued_on,due_on,amount,open_amount\ni1,a1,2026-01-01,2026-02-01,100,{amount}\n")
    by_day = {"accounts": "accounts/{day}.xlsx", "subscriptions": "subs/{day}.csv", "usage_events": "events/{day}.csv"}
    lines = {"accounts": 'delivery = "full"', "subscriptions": 'delivery = "full"\nencoding = "windows-1252"'}
    paths = by_day | {"tickets": "tickets.json", "survey_responses": "nps.zip", "invoices": "invoices*.csv"}
    sources = "".join(
        f'[sources.{table}]\nconnector = "files"\npath = "raw/{path}"\n{lines.get(table, "")}\n\n' for table, path in paths.items()
    )
    config = tmp_path / "health.toml"
    config.write_text(f"[pipeline]\nstart_date = {DAYS[0]}\nend_date = {DAYS[-1]}\nthreads = 1\n\n{sources}")
    ran = health(config, "run")
    assert ran.returncode == 0, ran.stderr
    with duckdb.connect(str(tmp_path / "data/published/current/health.duckdb"), read_only=True) as mart:
        days = mart.sql(
            "select account_id, min(as_of_date), max(as_of_date), count(*) from account_health_history group by all order by all"
        ).fetchall()
        values = dict(mart.sql(
            "select (as_of_date, metric_key), value from metric_scores_history where account_id = 'a1' and state = 'measured'"
        ).fetchall())  # fmt: skip
        assert mart.sql("select account_name from account_health").fetchall() == [("Müller & Söhne",)]
        assert mart.sql("select sum(quarantined_rows), sum(orphan_rows) from data_freshness").fetchall() == [(0, 0)]
    assert days == [("a1", DAYS[0], DAYS[6], 7), ("a2", DAYS[0], DAYS[3], 4), ("a3", DAYS[0], DAYS[2], 3)]
    assert [values[day, "license_utilization_28d"] for day in DAYS[3:6]] == [0.4, 0.4, 0.1]
    assert (values[DAYS[6], "active_days_28d"], values[DAYS[2], "critical_open_tickets"], values[DAYS[6], "nps_180d"]) == (6, 2, 100)
    # The last of the three files says that nothing is owed.
    assert values[DAYS[6], "days_overdue_oldest"] == 0
    [history] = [path for path in (tmp_path / "data").rglob("*.db") if has_checks(path)]
    with sqlite3.connect(history) as found:
        failed = found.execute(
            "select asset_key from asset_check_executions where check_name = 'files_are_in_order' and execution_status = 'FAILED'"
        )
        assert {json.loads(key)[1] for (key,) in failed} == {"accounts", "subscriptions", "usage_events", "invoices"}
    notes = [line for line in ran.stdout.splitlines() if line.partition(": ")[0] in paths]
    assert notes[0] == "accounts: raw/accounts/2026-03-01.xlsx: 1 row of nothing but blank fields left out"
    assert "usage_events: raw/events/2026-03-03.csv: empty, taken as a delivery without rows" in ran.stdout
    assert len(notes) == len(set(notes)) == 10 and "and 6 more such notes about files" in ran.stdout
