"""Sources that lost most of their rows: the mart keeps what it had, the loss is reported everywhere, and one line accepts it."""

import re
from datetime import timedelta

import duckdb

from orchestration.publish.alerts import preview_alerts
from tests.company import DELIVERED_UP_TO, NEXT_DAY, Company, Rows, read_mart
from tests.forked import health


def test_a_tenth_of_the_accounts_is_published_as_degraded_until_it_is_accepted(first_mart: dict[str, Rows], company: Company) -> None:
    accounts, few = company.read("accounts"), company.read("accounts")[:4]
    company.write("accounts", few)
    company.write("tickets", [])
    events = company.read_events(NEXT_DAY)
    company.write_events(NEXT_DAY, events.slice(0, len(events) // 10))

    # The newest day that is due: older ones are not news to anybody.
    text = company.config_file.read_text().replace(f"end_date = {DELIVERED_UP_TO}", f"end_date = {NEXT_DAY}")
    company.config_file.write_text(text)
    ran = health(company.config_file, "run", NEXT_DAY)
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    scored = len(first_mart["account_health"])
    [summary] = re.findall(rf"^{NEXT_DAY}: {scored} accounts scored: .*$", ran.stdout, re.MULTILINE)
    assert summary.endswith("; degraded: accounts, tickets not read")
    assert re.search(rf"^usage_events: less than a fifth of the usual events: {NEXT_DAY} \(\d+, usually \d+\)$", ran.stdout, re.MULTILINE)
    assert ran.stdout.count("less than a fifth of the usual events") == ran.stdout.count("sources.accounts: 4 rows came") == 1
    [accept] = re.findall(
        rf'^sources\.accounts: 4 rows came, .* has {len(accounts)}: .* (accept_smaller = ".*") below', ran.stdout, re.MULTILINE
    )

    current = company.published / "current"
    with duckdb.connect(str(current / "health.duckdb"), read_only=True) as mart:
        assert mart.execute("select raw_table, status from data_freshness where not_read_reason is not null order by all").fetchall() == [
            ("accounts", "not read"), ("tickets", "not read"),
        ]  # fmt: skip
        states = "select state from metric_scores_history where metric_key = 'tickets_per_10_users_28d' and as_of_date = ?"
        assert ("late",) in mart.execute(states, [NEXT_DAY]).fetchall()
        assert ("late",) not in mart.execute(states, [NEXT_DAY - timedelta(days=1)]).fetchall()
    assert "No longer scored" not in (current / "exports" / "crm_update.csv").read_text()
    board = (current / "board" / "index.html").read_text()
    assert re.search(r"2 of \d+ sources are not up to date", board) and "4 rows came" in board
    assert 'raw_table": "accounts' in "".join(message.body for message in preview_alerts(company.settings))

    company.config_file.write_text(text.replace("[sources.accounts]\n", f"[sources.accounts]\n{accept}\n"))
    company.run(NEXT_DAY, run_id="accepted")
    assert {row[0] for row in read_mart(company.published, {"account_health"})["account_health"]} <= {row["account_id"] for row in few}
