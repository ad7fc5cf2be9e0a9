"""Facts that find no account, and values that contradict each other."""

from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from orchestration.contract import TABLES
from orchestration.extract.doubts import Orphans, describe_playbooks, describe_values, find_orphans

TICKETS, EVENTS = TABLES["tickets"], TABLES["usage_events"]
DAYS = (date(2026, 1, 1), date(2026, 1, 9))


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def orphans(connection, facts, known=("1001", "acme-7", "Nord"), table=TICKETS, rows_by_day=None) -> Orphans:
    """facts: (account_id, day of January, rows)."""
    connection.execute("create or replace table accounts (account_id varchar)")
    connection.executemany("insert into accounts values (?)", [[one] for one in known])
    connection.execute("create or replace table facts (account_id varchar, day date, facts bigint)")
    connection.executemany("insert into facts values (?, ?, ?)", [[one, date(2026, 1, day), rows] for one, day, rows in facts])
    total = sum(rows for _, _, rows in facts)
    return find_orphans(connection, table, "facts", "accounts", total, DAYS, rows_by_day)


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("1001.0", "1001"), ("001001", "1001"), ("acct_1001", "1001"), ("7", "acme-7"), ("ACME_7", "acme-7"), ("acme 07", "acme-7"),
        ("acme/7", "acme-7"), ("crm:nord", "Nord"), ("nord ", "Nord"), ("10010", None), ("globex-7", None), ("north", None),
    ],
)  # fmt: skip
def test_an_unknown_id_is_shown_with_the_known_one_that_it_resembles(connection, unknown, nearest):
    """One such row is reported however few they are; an id that resembles none is a visitor's until there are many."""
    found = orphans(connection, [(unknown, 1, 1), ("1001", 1, 99)])
    meant = f"{unknown.strip()} (did you mean {nearest}?)"
    said = None if nearest is None else f"no account for 1 of 100 rows, which count for nothing, for example {meant}"
    assert found == Orphans(1, said)


@pytest.mark.parametrize(
    ("rows", "table", "is_reported"), [(19, TICKETS, False), (20, TICKETS, True), (49, EVENTS, False), (50, EVENTS, True)]
)
def test_many_orphans_are_reported(connection, rows, table, is_reported):
    found = orphans(connection, [("ghost", 20, rows), ("Nord", 20, 100 - rows)], table=table)
    said = f"no account for {rows} of 100 rows ({rows}%), which count for nothing, for example ghost"
    assert found == Orphans(rows, said if is_reported else None)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([("ghost", 5, 3)], "no account for all rows of 2026-01-05 (3), which count for nothing, for example ghost"),
        (
            [("ghost", 5, 2), ("wraith", 5, 1), ("spook", 20, 9)],
            "no account for all rows of 2026-01-05 (3), which count for nothing, for example ghost, wraith",
        ),
        ([("ghost", 5, 2)], None),  # So few may be so by chance.
        ([("ghost", 5, 3), ("Nord", 5, 1)], None),
        ([("ghost", 20, 3)], None),  # Not of the run's days.
    ],
)
def test_a_day_of_nothing_but_orphans_is_reported(connection, facts, said):
    assert orphans(connection, [*facts, ("Nord", 1, 1000)]).warning == said
    of_days = {date(2026, 1, day): sum(rows for _, other, rows in facts if other == day) for _, day, _ in facts}
    assert orphans(connection, [*facts, ("Nord", 1, 1000)], table=EVENTS, rows_by_day=of_days).warning == said


def values(connection, table, columns, *rows, duplicates=0, quarantined=None) -> str | None:
    connection.execute(f"create or replace table landed ({columns})")
    for row in rows:
        connection.execute(f"insert into landed values ({', '.join('?' * len(row))})", list(row))
    return describe_values(connection, TABLES[table], "landed", len(rows), duplicates, quarantined or {})


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (None, "s of 2025-01-05 with that of 2025-12-01"),
        (date(2025, 12, 2), "s of 2025-01-05 with that of 2025-12-01"),
        (date(2025, 12, 1), None),
        (date(2025, 11, 1), None),
    ],
)
def test_overlapping_rows_of_a_subscription_are_reported(connection, ended, said):
    rows = [("s", date(2025, 1, 5), ended), ("s", date(2025, 12, 1), None), ("other", date(2025, 1, 1), None)]
    found = values(connection, "subscriptions", "subscription_id varchar, started_on date, ended_on date", *rows)
    whole = f"1 row overlaps the next row of the same subscription_id, for example {said}: each ends where the next one begins"
    assert found == (whole if said else None)


def test_two_roles_of_a_person_at_a_time_are_reported_without_a_name(connection):
    """Each ends where the next begins, which may make a champion one who left. In two accounts a person has two."""
    rows = [("Ann", "a1", date(2025, 1, 5), None), ("Ann", "a1", date(2025, 12, 1), None), ("Ann", "a2", date(2025, 12, 1), None)]
    found = values(connection, "contacts", "contact_id varchar, account_id varchar, joined_on date, left_on date", *rows)
    assert found == "1 row overlaps the next row of the same contact_id and account_id: each ends where the next one begins"


def test_columns_that_no_row_fills_and_that_are_counted_are_reported(connection):
    columns = "responded boolean, duration_minutes double"
    assert values(connection, "touchpoints", columns, *[(None, 5)] * 20) == (
        "no row has a value of responded, which counts as none in response_rate_90d and two_way_touchpoints_90d: map the column, or take "
        "the metric off the scorecard"
    )
    assert values(connection, "touchpoints", columns, *[(None, 5)] * 19, (True, None)) is None
    assert values(connection, "touchpoints", columns, *[(None, 5)] * 19) is None


def test_rows_about_a_playbook_that_there_is_not_are_reported(connection):
    rows = "(from (values ('wake-up'), ('wake-up'), ('wake_up'), ('summer')) as log(playbook_key))"
    assert describe_playbooks(connection, rows, {"wake_up", "offer_upgrade"}) == (
        "3 of 4 rows name a playbook that is not in playbooks.csv, so they count for no action, for example wake-up (did you mean "
        "wake_up?), summer"
    )
    assert describe_playbooks(connection, rows, {"wake-up", "wake_up", "summer"}) is None


@pytest.mark.parametrize(("early", "all_", "is_reported"), [(1, 1, False), (2, 20, True), (2, 21, False)])
def test_replies_before_the_opening_are_reported_where_they_are_many(connection, early, all_, is_reported):
    columns = (
        "opened_at timestamp, first_replied_at timestamp, resolved_at timestamp, escalated_at timestamp, priority varchar, topic varchar"
    )
    first = ("2026-01-05 09:00", "2026-01-05 11:00")
    rows = [("2026-01-05 10:00", first[number >= early], None, None, "high", "bug") for number in range(all_)]
    found = values(connection, "tickets", columns, *rows)
    said = f"{early} of {all_} first_replied_at lie before opened_at: are they of one time zone? They count as at opened_at"
    assert found == (said if is_reported else None)


def test_more_open_than_was_invoiced_is_reported_where_it_is_many(connection):
    columns = "amount double, open_amount double"
    part, cents, credit = (100, 40), (100, 10_000), (-100, -100)
    assert values(connection, "invoices", columns, part, credit, cents) is None
    assert values(connection, "invoices", columns, part, credit, cents, (5, 500), (7, None)) == (
        "2 of 4 open_amount are above amount: are both in one unit, and of one date?"
    )


def test_doubled_accounts_and_other_scales_are_reported(connection):
    assert values(connection, "accounts", "account_id varchar", ("a",), duplicates=2) == (
        "2 more rows have the account_id of a later row, which alone counts"
    )
    assert values(connection, "tickets", "ticket_id varchar", duplicates=2) is None
    reasons = {"score: outside 1 to 5 for csat": 1, "score: missing": 4, "user_id: white space around it": 1}
    assert values(connection, "survey_responses", "response_id varchar", quarantined=reasons) == (
        "1 row in quarantine, score: outside 1 to 5 for csat: sources.survey_responses.scales gives the scale of a survey, for example { "
        "csat = [0, 100] }"
    )
    assert values(connection, "survey_responses", "response_id varchar", quarantined={"score: missing": 4}) is None
