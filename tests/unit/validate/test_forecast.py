"""Renewals by month and what may be lost, worked out by hand."""

import pytest

from orchestration.validate.forecast import forecast_renewals
from orchestration.validate.points import prepare
from tests.unit.validate.mart import add_outcomes, add_scores, day, empty_mart

# Day 0 is 2024-01-01: day 20 and 28 are in January, 40 in February, 80 in March, 260 in September.
TERMS = {"a0": 20, "a1": 28, "a2": 40, "a3": 80, "a4": 260}


def chances(horizon: int, reason: str | None = None) -> list[dict]:
    """The lowest tenth leaves with 0.5 (0.4 to 0.7), every other with 0.1 (0 to 0.2)."""
    rows = []
    for tenth in range(1, 11):
        low, middle, high = (None, None, None) if reason else (0.4, 0.5, 0.7) if tenth == 1 else (0.0, 0.1, 0.2)
        rows.append({"horizon_days": horizon, "tenth": tenth, "probability_low": low, "probability": middle, "probability_high": high})
        rows[-1] |= {"reason": reason, "base_rate": 0.15}
    return rows


@pytest.fixture
def mart():
    connection = empty_mart()
    connection.execute(
        "create or replace table account_health (account_id varchar, as_of_date date, config_version varchar, segment varchar, "
        "health_score double, tier varchar, arr double, currency varchar, term_ends_on date)"
    )
    names = [f"a{number}" for number in range(10)]
    add_scores(connection, [(name, 0, 10 * number, "poor", 100) for number, name in enumerate(names)])
    add_outcomes(connection, [(name, -50, "started_paying") for name in names])
    for number, name in enumerate(names):
        tier = "poor" if number < 4 else "healthy"
        term = day(TERMS[name]) if name in TERMS else None
        connection.execute(
            "insert into account_health values (?, ?, 'v1', 'smb', ?, ?, ?, 'EUR', ?)",
            [name, day(0), 10 * number, tier, 100 * (number + 1), term],
        )
    # A trial that never paid is up for no renewal.
    connection.execute("insert into account_health values ('trial', ?, 'v1', 'smb', 50, 'poor', 0, 'EUR', ?)", [day(0), day(20)])
    prepare(connection)
    return connection


def test_the_loss_is_the_chance_of_each_account_times_its_arr(mart):
    found = forecast_renewals(mart, [*chances(30), *chances(90, "the base rate halved"), *chances(180)])
    # January: a0 is the lowest of ten, 0.5 x 100 and 0.1 x 200. All of it lies within 30 days.
    january, february, march, september = found
    assert (january["month"].month, january["segment"], january["horizon_days"]) == (1, "smb", 30)
    assert (january["accounts"], january["arr"], january["currency"], january["poor_accounts"]) == (2, 300, "EUR", 2)
    assert january["poor_arr"] == 300
    losses = [january[f"expected_loss_{name}"] for name in ("low", "middle", "high")]
    assert losses == pytest.approx([40, 70, 110]) and january["reason"] is None
    # 40 and 80 days need the horizon of 90, whose chance is refused; the base rate is beside it.
    for row in (february, march):
        assert (row["horizon_days"], row["expected_loss_middle"], row["reason"], row["base_rate"]) == (
            90,
            None,
            "the base rate halved",
            0.15,
        )
    assert (september["healthy_arr"], september["horizon_days"], september["expected_loss_middle"]) == (500, None, None)
    assert september["reason"] == "the month ends more than 180 days ahead, the longest horizon"


def test_without_a_validation_the_renewals_are_listed_all_the_same(mart):
    january, *_ = forecast_renewals(mart, [])
    assert (january["accounts"], january["reason"]) == (2, "nothing was validated at this horizon")
