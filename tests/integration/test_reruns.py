"""The whole pipeline, again and again: what is published depends on the raw data and the days, on nothing else."""

import random
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest

from orchestration.contract import EVENT_TABLE, TABLES
from orchestration.extract import extract_table
from orchestration.publish.generations import read_manifest
from orchestration.transform import prepare
from tests.company import (
    FIRST_DAY,
    LAST_DAY,
    LOOKBACK_DAYS,
    MIDDLE_DAY,
    NEXT_DAY,
    SCORE_TABLES,
    Company,
    Rows,
    differences,
    of_days,
    read_mart,
    revision_faults,
)

DAYS = (FIRST_DAY, MIDDLE_DAY, LAST_DAY)


def scored_accounts(company: Company, day: date) -> set[str]:
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        query = "select account_id from account_health_history where as_of_date = ?"
        return {account for (account,) in connection.execute(query, [day]).fetchall()}


def metric(company: Company, account: str, day: date, key: str) -> float | None:
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        query = "select value from metric_scores_history where account_id = ? and as_of_date = ? and metric_key = ?"
        [(value,)] = connection.execute(query, [account, day, key]).fetchall()
        return value


def with_event(events: pa.Table, account: str, user: str, at: str) -> pa.Table:
    row = {"event_id": f"added-{at}-{user}", "account_id": account, "user_id": user, "occurred_at": at}
    columns = {name: pa.array([row.get(name)]).cast(pa.string()) for name in events.column_names}
    added = pa.table([columns[field.name].cast(field.type) for field in events.schema], schema=events.schema)
    return pa.concat_tables([events, added])


def busy_account(company: Company) -> str:
    """The scored account with the most events on the first day."""
    accounts = company.read_events(FIRST_DAY)["account_id"].to_pylist()
    return max(sorted(scored_accounts(company, FIRST_DAY)), key=accounts.count)


def test_the_same_days_again_change_nothing(company: Company, first_mart: dict[str, Rows]) -> None:
    again = company.run(FIRST_DAY, LAST_DAY, "again")
    assert not differences(first_mart, read_mart(company.published))
    assert again.number == 2

    company.run(MIDDLE_DAY, run_id="middle")
    assert not differences(first_mart, read_mart(company.published))
    assert not revision_faults(company)


def test_day_by_day_is_the_same_as_a_range(company: Company, first_mart: dict[str, Rows]) -> None:
    company.forget()
    for day in DAYS:
        company.run(day, run_id=f"of {day}")
    assert not differences(first_mart, read_mart(company.published))
    assert not revision_faults(company)


def test_what_left_the_sources_leaves_no_rows(company: Company, first_mart: dict[str, Rows]) -> None:
    busy = busy_account(company)
    removed, ended = sorted(scored_accounts(company, FIRST_DAY) - {busy})[:2]
    assert company.edit("accounts", lambda row: None if row["account_id"] == removed else row) >= 1
    # In force on the first day, no longer on the second.
    ends = {"ended_on": MIDDLE_DAY.isoformat()}
    assert company.edit("subscriptions", lambda row: row | ends if row["account_id"] == ended else row) >= 1
    assert busy in company.read_events(LAST_DAY)["account_id"].to_pylist()
    assert metric(company, busy, LAST_DAY, "days_since_last_activity") == 0
    company.write_events(LAST_DAY, company.read_events(LAST_DAY).slice(0, 0))

    company.run(LAST_DAY, run_id="last")
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        known = connection.execute("select account_id, first_scored_on, last_scored_on, has_left from accounts").fetchall()
        names = dict(connection.execute("select account_id, account_name from accounts").fetchall())
    # Its row is no longer in the source, its name is not lost.
    assert all(names.values())
    assert {*known} >= {(account, FIRST_DAY, FIRST_DAY, True) for account in (removed, ended)}

    company.run(FIRST_DAY, LAST_DAY, "again")
    left = read_mart(company.published)
    assert {removed, ended} & scored_accounts(company, FIRST_DAY) == {ended}
    assert not {removed, ended} & (scored_accounts(company, MIDDLE_DAY) | scored_accounts(company, LAST_DAY))
    before = {row[:2]: row for row in first_mart["account_health_history"]}
    assert (removed, LAST_DAY) in before and (ended, LAST_DAY) in before
    assert metric(company, busy, LAST_DAY, "days_since_last_activity") >= 1

    company.forget()
    company.run(FIRST_DAY, LAST_DAY, "fresh")
    assert not differences(read_mart(company.published), left)


def test_late_events_are_restated_in_the_lookback_and_reported_before_it(company: Company, first_mart: dict[str, Rows]) -> None:
    account = busy_account(company)
    before = {day: utilization(company, account, day) for day in DAYS}
    one = 1 / seats_of(company, account)
    late = company.read_events(NEXT_DAY)
    late = with_event(late, account, "newcomer of the last day", f"{LAST_DAY} 12:00:00")
    late = with_event(late, account, "newcomer of the first day", f"{FIRST_DAY} 12:00:00")
    company.write_events(NEXT_DAY, late)

    landed = extract_table(company.settings, TABLES[EVENT_TABLE], NEXT_DAY, NEXT_DAY)
    assert FIRST_DAY in landed.late_days and LAST_DAY not in landed.late_days
    # A run that was killed after it landed them does not keep the news to itself.
    for run_id in ("killed", "killed again"):
        late_days = prepare(company.settings, run_id, NEXT_DAY, NEXT_DAY).late_days
        assert FIRST_DAY in late_days and LAST_DAY not in late_days
    # Publishing reads only what changed since the last run that passed.
    with duckdb.connect(str(company.settings.warehouse), read_only=True) as warehouse:
        [previous] = warehouse.execute("select previous_run_id from control.run_state").fetchone()
    assert previous == read_manifest(company.settings, 1).run_id
    company.run(NEXT_DAY, run_id="next")
    # Older than the lookback of one day: as they were.
    assert LOOKBACK_DAYS == 1
    untouched = (FIRST_DAY, MIDDLE_DAY)
    assert not differences(of_days(first_mart, *untouched), of_days(read_mart(company.published), *untouched))
    # Both newcomers are among the active users of the 28 days up to the last day.
    assert utilization(company, account, LAST_DAY) == pytest.approx(before[LAST_DAY] + 2 * one, abs=1e-12)

    company.run(FIRST_DAY, NEXT_DAY, "backfill")
    assert utilization(company, account, FIRST_DAY) == pytest.approx(before[FIRST_DAY] + 1 * one, abs=1e-12)
    assert utilization(company, account, MIDDLE_DAY) == pytest.approx(before[MIDDLE_DAY] + 1 * one, abs=1e-12)
    backfilled = read_mart(company.published)
    assert not revision_faults(company)

    company.forget()
    company.run(FIRST_DAY, NEXT_DAY, "fresh")
    assert not differences(read_mart(company.published), backfilled)


def utilization(company: Company, account: str, day: date) -> float:
    value = metric(company, account, day, "license_utilization_28d")
    assert value is not None
    return value


def seats_of(company: Company, account: str) -> int:
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        [(seats,)] = connection.execute("select seats from account_health where account_id = ?", [account]).fetchall()
        return seats


def test_raw_rows_in_another_order_and_delivered_twice_give_the_same_scores(company: Company, first_mart: dict[str, Rows]) -> None:
    rng = random.Random(11)
    for name in company.settings.sources:
        table = TABLES[name]
        if name == EVENT_TABLE:
            continue
        rows = company.read(name)
        # Rows of one key keep their order: the last one wins.
        place = {key: rng.random() for key in sorted({tuple(row[column] for column in table.key) for row in rows})}
        rows.sort(key=lambda row: place[tuple(row[column] for column in table.key)])
        company.write(name, rows + rows)
    for path in sorted((company.folder / "raw" / "events").iterdir()):
        day = date.fromisoformat(path.stem)
        if day <= LAST_DAY:
            events = company.read_events(day)
            order = list(range(events.num_rows))
            rng.shuffle(order)
            company.write_events(day, pa.concat_tables([events, events.take(pa.array(order, pa.int64()))]))

    company.forget()
    company.run(FIRST_DAY, LAST_DAY)
    expected = {name: rows for name, rows in first_mart.items() if name.removeprefix("parquet/") in SCORE_TABLES}
    assert not differences(expected, read_mart(company.published, SCORE_TABLES))


def test_a_killed_writer_s_log_is_never_merged_and_every_day_comes_back(company: Company, first_mart: dict[str, Rows]) -> None:
    log = company.settings.warehouse.with_name("warehouse.duckdb.wal")
    log.write_bytes(b"what a killed writer left")
    # Only the last day is asked for: the days before its lookback come from the list of days ever scored.
    assert LAST_DAY - timedelta(days=LOOKBACK_DAYS) > FIRST_DAY
    company.run(LAST_DAY, run_id="rebuild")
    assert not differences(first_mart, read_mart(company.published))
    assert not log.exists()
