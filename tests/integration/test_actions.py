"""What to do, for whom, and who owes what: the small demo company, against plain SQL on its mart and its raw files."""

import csv
from datetime import date, timedelta

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from tests.company import LAST_DAY, Company


def query(company: Company, sql: str, *parameters: object) -> list[tuple]:
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as mart:
        return mart.execute(sql, list(parameters)).fetchall()


def test_every_account_below_healthy_has_an_action_on_every_day(company: Company) -> None:
    weak = "from account_health_history where tier in ('poor', 'at_risk')"
    assert query(company, f"select count(*) > 3 {weak}") == [(True,)]
    assert query(company, f"select account_id, as_of_date {weak} except select account_id, as_of_date from account_actions") == []


def test_the_fallback_holds_where_nothing_else_does_and_names_what_costs_most(company: Company) -> None:
    beside = """
        select fallback.account_id from account_actions as fallback
        inner join account_actions as other using (account_id, as_of_date)
        where fallback.playbook_key = 'ease_weakest_point' and other.playbook_key <> 'ease_weakest_point'
    """
    assert query(company, beside) == []
    named = """
        select starts_with(reason, concat(rtrim(negative_1_label, '.'), ': ', negative_1_value, ' (')), negative_1_points < 0
        from account_actions inner join account_health using (account_id, as_of_date)
        where playbook_key = 'ease_weakest_point'
    """
    found = query(company, named)
    assert found and set(found) == {(True, True)}


def test_nobody_with_an_escalation_a_detractor_or_a_review_is_asked_for_a_review(company: Company) -> None:
    after = str(LAST_DAY + timedelta(days=1))

    def within(days: int, at: str) -> bool:
        return str(date.fromisoformat(after) - timedelta(days=days)) <= at < after

    answers = sorted((row for row in company.read("survey_responses") if row["survey"] == "nps"), key=lambda row: row["responded_at"])
    latest = {(row["account_id"], row["user_id"]): row for row in answers if within(180, row["responded_at"])}
    held_back = {row["account_id"] for row in latest.values() if float(row["score"]) <= 6}
    reviews = (row for row in company.read("advocacy_events") if row["kind"] == "review")
    held_back |= {row["account_id"] for row in reviews if within(365, row["occurred_at"])}
    held_back |= {row["account_id"] for row in company.read("tickets") if row["escalated_at"] and within(90, row["escalated_at"])}
    fans = """
        select account_id from metric_scores_history as metrics inner join account_health as health using (account_id, as_of_date)
        where metric_key = 'nps_180d' and value >= 50 and health.tier = 'healthy' and health.trend <> 'declining'
    """
    asks = "select account_id from account_actions where playbook_key = 'ask_review' and as_of_date = ?"
    asked = {account for (account,) in query(company, asks, LAST_DAY)}
    wanted = {account for (account,) in query(company, fans)}
    assert asked and wanted & held_back
    assert asked == wanted - held_back


def test_receivables_are_the_unpaid_claims_of_the_raw_invoices(company: Company) -> None:
    """Of the raw rows of a key the last one counts; rates as the last ones in fx_rates.csv, since all of it is from then on."""
    rates = {row["currency"]: float(row["rate"]) for row in csv.DictReader((PROJECT_ROOT / "seeds" / "fx_rates.csv").open())}
    day = str(LAST_DAY)
    expected = {}
    for key, row in {row["invoice_id"]: row for row in company.read("invoices")}.items():
        owed = float(row["open_amount"] or row["amount"])
        is_over = any(row[column] and row[column] <= day for column in ("paid_on", "voided_on"))
        if row["issued_on"] <= day and float(row["amount"]) > 0 and owed > 0 and not is_over:
            rate = 1.0 if row["currency"] == "" else rates[row["currency"]]
            overdue = max((LAST_DAY - date.fromisoformat(row["due_on"])).days, 0)
            is_written_off = bool(row["written_off_on"]) and row["written_off_on"] <= day
            expected[key] = (row["account_id"], overdue, is_written_off, pytest.approx(owed * rate, abs=0.006))
    columns = "invoice_id, account_id, days_overdue, written_off_on is not null, owed"
    assert {key: tuple(rest) for key, *rest in query(company, f"select {columns} from receivables")} == expected
    assert any(overdue for _, overdue, _, _ in expected.values())
    left = "select account_id from receivables except select account_id from account_health"
    of_left = "select distinct account_id from receivables where not is_scored"
    assert sorted(query(company, of_left)) == sorted(query(company, left))
