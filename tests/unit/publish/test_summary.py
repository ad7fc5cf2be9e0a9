"""Figures of a generation."""

from datetime import date

import pytest

from orchestration.publish.publishing import publish
from orchestration.publish.summary import summarize

from .conftest import DAY_1, PUBLISHED_AT, change_warehouse, days_from, score_days


def test_figures_of_the_last_day(settings):
    first, last = days_from(DAY_1, 2)
    score_days(settings, "run-1", [first])
    score_days(settings, "run-1", [last], accounts="a1 a3")
    change_warehouse(settings, "update marts.account_health_history set coverage = 0.6 where account_id = 'a3'")
    change_warehouse(settings, "insert into marts.quarantine_summary values ('tickets', 'a', 1), ('tickets', 'b', 2), ('invoices', 'c', 1)")
    summary = summarize(settings, publish(settings, "run-1", PUBLISHED_AT).path)

    assert list(summary.quarantined.items()) == [("tickets", (3, "b", 2)), ("invoices", (1, "c", 1))]
    assert (summary.first_as_of_date, summary.last_as_of_date, summary.accounts) == (first, last, 2)
    assert (summary.orphan_warnings, summary.value_warnings) == ({"usage_events": "no account for 3"}, {})
    assert summary.freshness == {"usage_events": (date(2026, 1, 5), "up to date")}
    assert summary.tiers == {"healthy": 0, "at_risk": 1, "poor": 1, "unknown": 0}
    # (65 + 15) / 2 and (0.8 + 0.6) / 2
    assert summary.mean_score == pytest.approx(40.0)
    assert summary.mean_coverage == pytest.approx(0.7)
    # Each day has its own.
    assert {day: figures.accounts for day, figures in summary.days.items()} == {first: 3, last: 2}
    # (0.8 + 0.8 + 0.6) / 3
    assert summary.days[first].mean_coverage == pytest.approx(2.2 / 3)


def test_an_empty_mart(settings, publish_days):
    summary = summarize(settings, publish_days("run-1", []).path)
    assert (summary.accounts, summary.mean_score, summary.last_as_of_date) == (0, None, None)
