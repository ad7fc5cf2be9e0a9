"""A long run is planned in parts: which days come next, and what another run makes of one that did not finish."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestration.contract import TABLES
from orchestration.extract import extract_table
from orchestration.settings import Settings, load_settings
from orchestration.transform import Plan, mark_passed, part_days, prepare
from orchestration.warehouse import copy_path

DAYS = tuple(date(2026, 1, 5) + timedelta(days=n) for n in range(6))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "accounts.csv").write_text("account_id,account_name,created_at\na1,Acme,2025-01-01\n")
    config = tmp_path / "health.toml"
    config.write_text(
        f'[pipeline]\nstart_date = {DAYS[0]}\nlookback_days = 0\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
    )
    settings = load_settings(config)
    land(settings)
    return settings


def land(settings: Settings) -> None:
    for table in TABLES.values():
        extract_table(settings, table, DAYS[0], DAYS[-1])


def plan(settings: Settings, start: date = DAYS[0], end: date = DAYS[4], passes: bool = False) -> Plan:
    found = prepare(settings, "run", start, end, most_days=2)
    if passes:
        mark_passed(settings, "run")
    return found


def kill(settings: Settings) -> None:
    settings.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"what a killed writer left")


def test_a_run_that_was_killed_is_gone_on_with(settings: Settings) -> None:
    first = plan(settings, passes=True)
    assert (first.as_of_days, first.rest, first.done) == (DAYS[:2], DAYS[2:5], ())
    second = plan(settings)
    assert (second.as_of_days, second.rest, second.done) == (DAYS[2:4], DAYS[4:5], DAYS[:2])
    kill(settings)
    land(settings)
    again = plan(settings, passes=True)
    assert (again.as_of_days, again.done, again.rebuilt, again.begins_anew) == (DAYS[2:4], DAYS[:2], None, False)
    last = plan(settings, passes=True)
    assert (last.as_of_days, last.rest, last.done) == (DAYS[4:5], (), DAYS[:4])
    assert not copy_path(settings).exists()
    # It is over: whoever asks for these days again means all of them.
    assert plan(settings).as_of_days == DAYS[:2]


def test_it_begins_anew_where_the_raw_data_have_changed(settings: Settings) -> None:
    plan(settings, passes=True)
    accounts = settings.config_file.parent / "accounts.csv"
    accounts.write_text(accounts.read_text().replace("2025-01-01", "2025-02-01"))
    land(settings)
    anew = plan(settings)
    assert (anew.as_of_days, anew.rest, anew.done, anew.begins_anew) == (DAYS[:2], DAYS[2:5], (), True)


def test_another_range_takes_only_what_a_rebuilt_warehouse_lacks(settings: Settings) -> None:
    plan(settings, passes=True)
    # Never scored, so nobody misses them.
    assert plan(settings, DAYS[5], DAYS[5], passes=True).as_of_days == DAYS[5:]

    settings.warehouse.unlink()
    rebuilt = plan(settings, DAYS[4], DAYS[4], passes=True)
    assert (rebuilt.as_of_days, rebuilt.rest) == (DAYS[:2], (DAYS[4], DAYS[5]))
    # Of the two that the rebuild has not come to, the last one was scored once; the other was asked for and never scored.
    assert plan(settings, DAYS[3], DAYS[3]).as_of_days == (DAYS[3], DAYS[5])


def test_a_part_has_a_bounded_number_of_accounts_and_days(settings: Settings, tmp_path: Path) -> None:
    assert part_days(settings) == 1_250_000
    rows = "".join(f"a{number},Acme,2025-01-01\n" for number in range(200_000))
    (tmp_path / "accounts.csv").write_text(f"account_id,account_name,created_at\n{rows}")
    land(settings)
    assert part_days(settings) == 7
    settings.config_file.write_text(settings.config_file.read_text().replace("[pipeline]", "[pipeline]\npart_days = 3"))
    assert part_days(load_settings(settings.config_file)) == 3


def test_accounts_without_a_subscription_make_no_part_shorter(settings: Settings, tmp_path: Path) -> None:
    """Nobody is scored without one, where there are any."""
    rows = "".join(f"a{number},Acme,2025-01-01\n" for number in range(10_000))
    (tmp_path / "accounts.csv").write_text(f"account_id,account_name,created_at\n{rows}")
    land(settings)
    all_of_them = part_days(settings)
    (tmp_path / "subscriptions.csv").write_text("subscription_id,account_id,started_on\ns1,a1,2025-01-01\ns2,a2,2025-01-01\n")
    settings.config_file.write_text(
        settings.config_file.read_text() + '[sources.subscriptions]\nconnector = "files"\npath = "subscriptions.csv"\n'
    )
    few = load_settings(settings.config_file)
    land(few)
    assert all_of_them is not None and part_days(few) == all_of_them * 5_000
