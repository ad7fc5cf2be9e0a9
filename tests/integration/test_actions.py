"""What to do, for whom: the shipped playbooks on the small demo company, against plain SQL on its mart and its raw files."""

from datetime import date, timedelta

import duckdb

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
