"""What metrics.csv says that a metric needs, held against the plain reference, and the coverage that follows."""

import csv
from datetime import date
from pathlib import Path

import pytest

from orchestration.expected_coverage import expected_coverage, expected_state
from orchestration.scorecard import Row, Seeds
from orchestration.settings import PROJECT_ROOT
from tests.oracle.metrics import METRICS, measure
from tests.oracle.raw import clean

DAY = date(2024, 3, 31)
ROWS = {
    "usage_events": [
        {"event_id": f"e{day}", "user_id": "u1", "feature": "reports", "occurred_at": day, "duration_seconds": "60"}
        for day in ("2023-12-20", "2024-02-20", "2024-03-20", "2024-03-30")
    ],
    "feature_releases": [{"feature": "reports", "released_on": "2024-03-01"}],
    "subscriptions": [
        {"subscription_id": "s", "seats": "10", "mrr": "100", "started_on": "2023-12-06", "term_ends_on": "2024-12-31", "plan": "pro"}
    ],
    "invoices": [{"invoice_id": "i", "issued_on": "2024-01-01", "due_on": "2024-02-01", "paid_on": "2024-02-01", "amount": "100"}],
    "account_outcomes": [{"outcome_id": "o", "occurred_on": "2024-01-05", "kind": "expanded", "arr_delta": "1"}],
    "tickets": [
        {"ticket_id": "t", "opened_at": "2024-03-10", "first_replied_at": "2024-03-11", "resolved_at": "2024-03-12", "priority": "low"}
        | {"topic": "bug", "escalated_at": "2024-03-11"}
    ],
    "survey_responses": [
        {"response_id": survey, "user_id": "u1", "survey": survey, "score": "5", "responded_at": "2024-03-10"}
        for survey in ("nps", "csat", "product_rating")
    ],
    "contacts": [
        {"contact_id": role, "user_id": "u1", "name": "Ann", "email": "ann@x.example", "role": role, "joined_on": "2024-01-01"}
        for role in ("champion", "decision_maker")
    ],
    "touchpoints": [
        {"touchpoint_id": "p", "occurred_at": "2024-03-10", "channel": "call", "direction": direction, "duration_minutes": "5"}
        | {"responded": "true", "sentiment": "0.5", "contact_id": "champion"}
        for direction in ("outbound",)
    ],
    "advocacy_events": [{"advocacy_id": "v", "occurred_at": "2024-03-10", "kind": "review"}],
    "csm_pulses": [{"pulse_id": "c", "rated_at": "2024-03-10", "rating": "4"}],
    "account_goals": [{"goal_id": "g", "measured_on": "2024-03-10", "target_value": "10", "actual_value": "5", "value_delivered": "100"}],
}
OPTIONAL = {
    "usage_events": ("feature", "duration_seconds"),
    "subscriptions": ("seats", "mrr", "term_ends_on", "plan"),
    "invoices": ("paid_on",),
    "tickets": ("first_replied_at", "resolved_at", "priority", "topic", "escalated_at"),
    "survey_responses": ("user_id",),
    "contacts": ("user_id", "name", "email"),
    "touchpoints": ("duration_minutes", "responded", "sentiment", "contact_id"),
    "account_goals": ("target_value", "actual_value", "value_delivered"),
    "account_outcomes": ("arr_delta",),
}
CHOICES = {
    "survey_responses": ("survey", ("nps", "csat", "product_rating")),
    "touchpoints": ("direction", ("outbound",)),
    "contacts": ("role", ("champion", "decision_maker")),
}
Tables = dict[str, list[dict[str, str]]]


def without(what: str) -> Tables:
    """The rows without a table, a column (`table.column`) or a choice (`table.column=choice`)."""
    table, _, column = what.partition(".")
    column, _, choice = column.partition("=")
    rows = dict(ROWS)
    if not column:
        rows.pop(table, None)
    elif choice:
        other = {"direction": "inbound", "role": "other"}.get(column, "ces")
        rows[table] = [row | {column: other} if row[column] == choice else row for row in rows[table]]
    else:
        rows[table] = [{name: value for name, value in row.items() if name != column} for row in rows[table]]
    return rows


def filled(rows: Tables) -> dict[str, set[str]]:
    return {
        table: {name for row in found for name in row} | {f"{name}={value}" for row in found for name, value in row.items()}
        for table, found in rows.items()
    }


def catalogue() -> dict[str, str]:
    with (PROJECT_ROOT / "seeds" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return {row["metric_key"]: row["needs"] for row in csv.DictReader(stream)}


@pytest.mark.parametrize(
    "what",
    [
        "",
        *ROWS,
        *(f"{table}.{name}" for table, names in OPTIONAL.items() for name in names),
        *(f"{table}.{name}={choice}" for table, (name, choices) in CHOICES.items() for choice in choices),
    ],
)
def test_a_metric_needs_what_metrics_csv_says(what: str) -> None:
    rows = without(what)
    # 117 days old: young enough for the rate of onboarding, old enough for a baseline.
    accounts = [{"account_id": "a", "account_name": "A", "created_at": "2023-12-05"}]
    raw = clean({"accounts": accounts, **{table: [row | {"account_id": "a"} for row in found] for table, found in rows.items()}}, [])
    [account] = raw.all("accounts")
    states = {key: measure(raw, account, key, DAY).state for key in METRICS}
    assert {key: expected_state(needs, filled(rows))[0] for key, needs in catalogue().items()} == states
    assert what or set(states.values()) == {"measured"}


def seeds(**tables: list[dict[str, object]]) -> Seeds:
    return Seeds(Path("seeds"), {name: [Row(line, values) for line, values in enumerate(rows, 2)] for name, rows in tables.items()})


def test_coverage_is_the_share_of_the_base_weights_that_will_be_measured() -> None:
    card = {"config_version": "1", "scorecard_key": "s"}
    dimensions = {"a": "adoption", "b": "adoption", "c": "voice", "d": "voice", "e": "support", "f": "support"}
    needs = {"a": "x", "b": "y.z", "c": "w?", "d": None, "e": "y"}
    weights = {"a": 2.0, "b": 1.0, "c": 1.0, "d": 3.0, "e": 1.0, "f": 0.0}
    found = seeds(
        config_versions=[
            {"config_version": version, "valid_from": date(year, 1, 1), "status": status}
            for version, year, status in (("0", 2019, "active"), ("1", 2020, "active"), ("2", 2030, "active"), ("3", 2021, "candidate"))
        ],
        metrics=[{"metric_key": key, "dimension_key": dimension, "needs": needs.get(key)} for key, dimension in dimensions.items()],
        scorecards=[card | {"min_coverage": 0.4}, {"config_version": "2", "scorecard_key": "later", "min_coverage": 0.4}],
        scorecard_dimensions=[
            card | {"dimension_key": key, "weight": weight} for key, weight in (("adoption", 60.0), ("voice", 40.0), ("support", 0.0))
        ],
        scorecard_metrics=[card | {"metric_key": key, "weight": weight} for key, weight in weights.items()],
    )
    [expected] = expected_coverage(found, {"x": {"z"}, "y": {"v"}}, date(2026, 1, 1))
    # Adoption weighs 60, of which b has a third; c does not apply, so d has all of voice's 40; support weighs nothing.
    assert (expected.scorecard_key, expected.measured, expected.min_coverage) == ("s", ("a", "d"), 0.4)
    assert expected.coverage == pytest.approx(0.8)
    assert (expected.missing, expected.not_applicable) == ({"y.z": ("b",)}, {"w": ("c",)})
    assert expected_coverage(found, {}, date(2018, 1, 1)) == []


def test_usage_counted_by_day_gives_what_is_asked_of_events() -> None:
    needs = "usage_events.feature subscriptions.seats?"
    counted = {"usage_days": {"account_id", "feature"}, "subscriptions": {"seats"}}
    assert expected_state(needs, counted) == ("measured", "")
    assert expected_state(needs, counted | {"usage_days": {"account_id"}}) == ("missing", "usage_days.feature")
    assert expected_state(needs, {"subscriptions": {"seats"}}) == ("missing", "usage_events.feature")
