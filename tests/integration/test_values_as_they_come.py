"""A company whose exports are plausible but not as the contract has them: what its mart says, and what is reported to people."""

from pathlib import Path

import duckdb

from tests.forked import health

FILES = {
    # NULL for "no parent"; the second account's subscription ends on a local midnight.
    "accounts.csv": (
        "account_id,account_name,parent_account_id,created_at\n"
        "Nord-01,Nord,NULL,2025-01-01\nsued,Süd,NULL,2025-01-01\nost,Ost,N/A,2025-01-01\n"
    ),
    "subscriptions.csv": (
        "subscription_id;account_id;seats;mrr;started_on;ended_on\n"
        "s1;Nord-01;10;500;2025-01-05;\ns1;Nord-01;4;1.000;2025-12-01;\n"
        "s2;sued;5;99,50;2025-03-01T00:00:00+01:00;2026-03-09T00:00:00+01:00\ns3;ost;5;100;2025-01-05;\\N\n"
    ),
    "invoices.csv": (
        "invoice_id;account_id;issued_on;due_on;paid_on;amount\ni1;sued;02.01.2026;01.02.2026;;1.194\ni2;ost;02.01.2026;01.02.2026;None;0\n"
    ),
    "surveys.csv": (
        "response_id,account_id,user_id,survey,score,responded_at\n"
        "n1,Nord-01,NULL,nps,9,2026-02-10\nn2,Nord-01,NULL,nps,9,2026-02-11\nn3,Nord-01,NULL,nps,3,2026-02-12\n"
        "c1,sued,x,csat,55,2026-02-25\nc2,sued,y,csat,80,2026-02-26\n"
    ),
    "tickets.csv": (
        "ticket_id,account_id,opened_at,first_replied_at,priority\n"
        "t1,nord_1,2026-03-01 10:00,,critical\nt2,sued,2026-03-02 10:00,2026-03-02 08:00,low\n"
        "t3,sued,2026-03-02 11:00,2026-03-02 09:00,low\n"
    ),
    "events.csv": (
        "event_id,account_id,user_id,occurred_at\n"
        "e1,Nord-01,Ann@nord.example,2026-03-06 10:00\ne2,Nord-01,ann@nord.example,2026-03-07 10:00\ne3,sued,u1,2026-03-08 10:00\n"
        # In Berlin it is the next day already.
        "e4,ost,u1,2026-03-09 00:30\ne5,ost,,2026-03-08 10:00\n"
    ),
    # Their user_id are those of the CRM; the first one is in two roles at a time.
    "contacts.csv": (
        "contact_id,account_id,user_id,role,joined_on\n"
        "Zoe Quill,Nord-01,crm-1,champion,2025-01-05\nZoe Quill,Nord-01,crm-1,billing,2025-12-01\nk2,Nord-01,crm-2,champion,2025-01-05\n"
        "k3,sued,crm-3,decision_maker,2025-01-05\nk4,sued,crm-4,user,2025-01-05\nk5,ost,crm-5,user,2025-01-05\n"
    ),
}
SETTINGS = {
    "accounts": 'path = "accounts.csv"',
    "subscriptions": 'path = "subscriptions.csv"\ndecimal = ","\nthousands = "."',
    "invoices": 'path = "invoices.csv"\ndecimal = ","\nthousands = "."\ndate_format = "%d.%m.%Y"',
    "survey_responses": 'path = "surveys.csv"\nscales = { csat = [0, 100] }',
    "tickets": 'path = "tickets.csv"',
    "usage_events": 'path = "events.csv"\ntimezone = "Europe/Berlin"\nmax_bad_share = 0.2',
    "contacts": 'path = "contacts.csv"',
}
ORPHANS = "tickets: no account for 1 of 3 rows (33%), which count for nothing, for example nord_1 (did you mean Nord-01?)"
OVERLAP = "subscriptions: 1 row overlaps the next row of the same subscription_id, for example s1 of 2025-01-05 with that of 2025-12-01"
EARLY = "tickets: 2 of 2 first_replied_at lie before opened_at"
ROLES = "contacts: 1 row overlaps the next row of the same contact_id and account_id: each ends where the next one begins"
UNHEARD = "nobody of 5 people was heard of in a year: are their user_id those of usage, and their contact_id those of touchpoints?"


def command(folder: Path, *arguments: str) -> str:
    done = health(folder / "health.toml", *arguments, variables={"COLUMNS": "1000"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_values_as_they_come_give_the_right_numbers_and_what_is_odd_is_reported(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    sources = "\n".join(f'[sources.{table}]\nconnector = "files"\n{lines}' for table, lines in SETTINGS.items())
    (tmp_path / "health.toml").write_text(f'[pipeline]\nstart_date = 2026-03-08\nmemory_limit = "512MB"\n{sources}\n', encoding="utf-8")

    checked = command(tmp_path, "check")
    for told in (ORPHANS, OVERLAP, EARLY, ROLES):
        assert told.partition(": ")[2].partition(",")[0] in checked
    assert not (tmp_path / "data").exists()
    card = checked.partition("scorecard standard: ")[2].partition("scorecard")[0].splitlines()
    expected_to_miss = {key for line in card if "missing without" in line for key in line.partition(": ")[2].split(", ")}

    said = command(tmp_path, "run", "2026-03-08").splitlines()
    for told in (ORPHANS, OVERLAP, EARLY, f"{ROLES}; {UNHEARD}"):
        assert [line for line in said if line.startswith(told)], said[-20:]
    assert "in quarantine: 1 row of usage_events (user_id: missing); quarantine_summary counts all reasons" in said

    current = tmp_path / "data" / "published" / "current"
    with duckdb.connect(str(current / "health.duckdb"), read_only=True) as mart:
        values = {
            (account, metric): round(value, 4)
            for account, metric, value in mart.execute(
                "select account_id, metric_key, value from metric_scores_history where value is not null"
            ).fetchall()
        }
        # Which metrics no account will have was said before the run.
        missed = mart.execute(
            "select metric_key from metric_scores_history where nominal_weight > 0 group by all having bool_and(state = 'missing')"
        ).fetchall()
        assert {key for (key,) in missed} == expected_to_miss and "feature_breadth_90d" in expected_to_miss
        [(coverage,)] = mart.execute("select max(coverage) from account_health").fetchall()
        assert coverage <= int(card[0].partition("coverage up to ")[2].partition("%")[0]) / 100 + 0.005
        assert {account for account, _ in values} == {"Nord-01", "sued", "ost"}
        assert mart.execute("from parent_health").fetchall() == []
        warnings = mart.execute("select raw_table, orphan_rows, orphan_warning, value_warning from data_freshness order by 1").fetchall()
    # Three respondents without a name, not one who is called NULL: two promoters and a detractor.
    assert values["Nord-01", "nps_180d"] == 33.3333
    # One person under two spellings, on the 4 seats of the later row.
    assert values["Nord-01", "license_utilization_28d"] == 0.25
    # 1194 owed of a fee of 99.50, since 1 February.
    assert (values["sued", "overdue_ratio"], values["sued", "days_overdue_oldest"]) == (12, 35)
    # 55% and 80% are 3.2 and 4.2 of 5.
    assert values["sued", "csat_180d"] == 3.7
    # Replies before the opening took no time.
    assert values["sued", "median_first_reply_hours_90d"] == 0
    # Half past midnight in Berlin is the evening before in UTC.
    assert values["ost", "days_since_last_activity"] == 0
    assert {table: orphans for table, orphans, *_ in warnings if orphans} == {"tickets": 1}
    assert [f"{table}: {warning}" for table, _, warning, _ in warnings if warning] == [ORPHANS]
    assert {table for table, *_, warning in warnings if warning} == {"subscriptions", "tickets", "contacts"}
    board = (current / "board" / "index.html").read_text(encoding="utf-8")
    assert "did you mean Nord-01?" in board and "1 row overlaps the next row" in board
