"""The SQL connector against a real Postgres: what lands, what a later run adds, what a broken database leaves."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

import orchestration.extract.connectors.sql.database as connections
import orchestration.extract.connectors.sql.rows as connector
from orchestration.contract import TABLES
from orchestration.extract import LakeError, SourceUnavailable, extract_table, land_table, preflight_sources
from orchestration.extract.lake.manifest import read_manifest
from orchestration.settings import SettingsError
from tests.company import content
from tests.damage import flip_bit
from tests.local_server import drip
from tests.pages import blocks
from tests.unit.extract.conftest import World

SECRET = "sesame-7431"


@pytest.fixture
def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_url)
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    yield engine
    engine.dispose()


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def sql_source(world: World, table: str, lines: str) -> None:
    world.source(table, lines)
    world.sources = world.sources.replace(
        f'[sources.{table}]\nconnector = "files"', f'[sources.{table}]\nconnector = "sql"\nurl = {{ env = "WAREHOUSE_URL" }}'
    )


EVENTS = "create table events (event_id text, account_id text, user_id text, occurred_at timestamptz)"


def test_a_table_lands_with_its_columns_mapped_and_others_left_alone(world: World, database: sa.Engine) -> None:
    run(
        database,
        "create table crm (id uuid, name text, born timestamptz, extra jsonb, tier text)",
        "insert into crm values ('11111111-1111-1111-1111-111111111111', 'Acme', '2025-01-01 01:00+02', '{}', 'big'),"
        " (null, 'Nobody', '2025-01-01', null, null)",
    )
    sql_source(
        world, "accounts",
        'table = "public.crm"\ncolumns = { account_id = "id", account_name = "name", created_at = "born", segment = "tier" }\n'
        "max_bad_share = 1.0",
    )  # fmt: skip
    landed = world.land("accounts")
    assert (landed.delivered, landed.loaded, landed.quarantined) == (2, 1, {"account_id: missing": 1})
    assert world.rows("accounts", "account_id, account_name, segment, cast(created_at as varchar)") == [
        ("11111111-1111-1111-1111-111111111111", "Acme", "big", "2024-12-31 23:00:00")
    ]


def test_events_are_read_by_day_and_a_late_one_is_read_within_the_lookback(world: World, database: sa.Engine) -> None:
    run(database, EVENTS, "insert into events values ('e1', 'a1', 'u1', '2025-11-30 10:00Z'), ('e2', 'a1', 'u1', '2026-01-01 23:59:59Z'),"
        " ('e3', 'a1', 'u1', '2026-01-03 00:00Z')")  # fmt: skip
    sql_source(world, "usage_events", 'table = "events"')
    assert world.land("usage_events", date(2026, 1, 1), date(2026, 1, 2)).loaded == 2
    assert world.rows("usage_events", "event_id") == [("e1",), ("e2",)]
    # Two days after: e4 is within the lookback of one day, e5 is older and stays unseen.
    run(database, "insert into events values ('e4', 'a1', 'u1', '2026-01-02 08:00Z'), ('e5', 'a1', 'u1', '2025-12-01 08:00Z')")
    landed = world.land("usage_events", date(2026, 1, 3))
    assert landed.changed_days == (date(2026, 1, 2), date(2026, 1, 3))
    assert world.rows("usage_events", "event_id") == [("e1",), ("e2",), ("e3",), ("e4",)]


def test_days_between_two_runs_are_read_by_the_later_one(world: World, database: sa.Engine) -> None:
    run(database, EVENTS, *(f"insert into events values ('e{day}', 'a1', 'u1', '2026-01-0{day} 10:00Z')" for day in range(1, 8)))
    sql_source(world, "usage_events", 'table = "events"')
    world.land("usage_events", date(2026, 1, 1))
    world.land("usage_events", date(2026, 1, 7))
    assert world.rows("usage_events", "count(*)", "1") == [(7,)]


def test_runs_day_by_day_leave_the_same_lake_as_one_run(world: World, database: sa.Engine) -> None:
    run(database, EVENTS, *(f"insert into events values ('e{day}', 'a1', 'u1', '2026-01-0{day} 10:00Z')" for day in range(1, 6)))
    sql_source(world, "usage_events", 'table = "events"')
    for day in range(1, 6):
        world.land("usage_events", date(2026, 1, day))
    step_by_step = [one for one in world.files("usage_events") if one.endswith(".parquet")]
    world.pipeline = 'data_dir = "other"'
    world.land("usage_events", date(2026, 1, 1), date(2026, 1, 5))
    assert [one for one in world.files("usage_events") if one.endswith(".parquet")] == step_by_step


def test_only_days_with_rows_have_a_delivery_however_far_apart_they_are(world: World, sqlite: sa.Engine) -> None:
    days = ("1970-01-01", "2026-01-02", "2026-01-05", "2099-01-01")
    run(sqlite, EVENTS, *(f"insert into events values ('e{n}', 'a1', 'u1', '{day} 10:00')" for n, day in enumerate(days)))
    sql_source(world, "usage_events", 'table = "events"')
    world.land("usage_events", date(2026, 1, 5))
    assert list(read_manifest(world.settings.lake, "usage_events").deliveries) == ["1970-01-01", "2026-01-02", "2026-01-05"]
    run(sqlite, "delete from events where event_id = 'e2'")
    landed = world.land("usage_events", date(2026, 1, 5), date(2026, 1, 9))
    assert landed.changed_days == (date(2026, 1, 5),)
    assert list(read_manifest(world.settings.lake, "usage_events").deliveries) == ["1970-01-01", "2026-01-02"]
    assert world.rows("usage_events", "event_id") == [("e0",), ("e1",)]


def test_another_mapping_in_a_run_of_earlier_days_reads_as_far_as_was_read(world: World, sqlite: sa.Engine) -> None:
    run(sqlite, EVENTS, *(f"insert into events values ('e{day}', 'a1', 'u1', '2026-01-0{day} 10:00')" for day in (1, 5, 6)))
    sql_source(world, "usage_events", 'table = "events"')
    world.land("usage_events", date(2026, 1, 5))
    sql_source(world, "usage_events", 'table = "events"\ncolumns = { user_id = "account_id" }')
    world.land("usage_events", date(2026, 1, 2))
    assert world.rows("usage_events", "event_id, user_id") == [("e1", "a1"), ("e5", "a1")]
    assert read_manifest(world.settings.lake, "usage_events").through == "2026-01-05"


TICKETS = (
    'query = "select id as ticket_id, account as account_id, opened as opened_at, priority from t where changed >= :start and changed < '
    ':end"\n'
    "max_bad_share = 1.0"
)


def test_a_query_with_start_and_end_replaces_the_rows_it_brings_again(world: World, database: sa.Engine) -> None:
    run(
        database,
        "create table t (id int, account text, opened timestamp, priority text, changed timestamp)",
        "insert into t values (1, 'a1', '2026-01-01 08:00', 'low', '2026-01-01 08:00'), (2, 'a1', '2026-01-01 09:00', 'bad', '2026-01-01 "
        "09:00'), (3, 'a1', '2026-01-01 10:00', 'wrong', '2026-01-01 10:00')",
    )
    sql_source(world, "tickets", TICKETS)
    world.land("tickets", date(2026, 1, 1))
    assert len(world.quarantine("tickets")) == 2
    run(
        database,
        "update t set priority = 'high', changed = '2026-01-05 12:00' where id in (1, 2)",
        "insert into t values (4, 'a1', '2026-01-05 13:00', null, '2026-01-05 13:00')",
    )
    landed = world.land("tickets", date(2026, 1, 5))
    assert world.rows("tickets", "ticket_id, priority") == [("1", "high"), ("2", "high"), ("4", None)]
    # Ticket 3 did not come again: it stays where it was.
    assert [reason for _, _, reason in world.quarantine("tickets")] == ["priority: none of low, normal, high, critical"]
    assert (landed.delivered, landed.loaded) == (4, 3)


def test_another_mapping_lands_everything_anew(world: World, database: sa.Engine) -> None:
    run(database, EVENTS, "insert into events values ('e1', 'a1', 'u1', '2025-11-30 10:00Z'), ('e2', 'a1', 'u2', '2026-01-02 10:00Z')")
    sql_source(world, "usage_events", 'table = "events"')
    world.land("usage_events", date(2026, 1, 1), date(2026, 1, 3))
    sql_source(world, "usage_events", 'table = "events"\ncolumns = { user_id = "account_id" }')
    world.land("usage_events", date(2026, 1, 3))
    assert world.rows("usage_events", "event_id, user_id") == [("e1", "a1"), ("e2", "a1")]


def test_the_session_only_reads(world: World, database: sa.Engine) -> None:
    run(database, "create sequence counter", EVENTS)
    sql_source(world, "feature_releases", "query = \"select 'f' || nextval('counter') as feature, date '2026-01-01' as released_on\"")
    with pytest.raises(SourceUnavailable, match="read-only transaction"):
        world.land("feature_releases")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('table = "nowhere"', "nowhere"),
        ('query = "select nonsense from nothing"', "nothing"),
        ('query = "select 1 as feature"', "released_on of feature_releases is missing"),
        ('query = "select *, int4range(1, 2) as span from f"', "column span is of a type that cannot be read"),
    ],
)
def test_what_the_database_refuses_is_one_clear_error_and_leaves_the_table(
    world: World, database: sa.Engine, lines: str, said: str
) -> None:
    run(database, "create table f (feature text, released_on date)", "insert into f values ('a', '2026-01-01')")
    sql_source(world, "feature_releases", 'table = "f"')
    world.land("feature_releases")
    sql_source(world, "feature_releases", lines)
    landed = land_table(world.settings, TABLES["feature_releases"], date(2026, 1, 2), date(2026, 1, 2))
    assert said in landed.unavailable
    assert "Traceback" not in landed.unavailable
    assert world.rows("feature_releases") == [("a", date(2026, 1, 1))]
    assert read_manifest(world.settings.lake, "feature_releases").through == "2026-01-01"


def test_a_database_that_is_down_is_named_without_its_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"postgresql+psycopg://reader:{SECRET}@127.0.0.1:9/db")
    sql_source(world, "tickets", 'table = "t"')
    landed = land_table(world.settings, TABLES["tickets"], date(2026, 1, 1), date(2026, 1, 1))
    assert "sources.tickets: the database says" in landed.unavailable
    assert SECRET not in landed.unavailable


@pytest.mark.parametrize("shown", ["postgresql+psycopg://reader:se%2Fsame%2B1@127.0.0.1:9/db", "se/same+1", "se%2Fsame%2B1"])
def test_what_no_connector_foresees_is_said_without_address_and_password(world: World, monkeypatch: pytest.MonkeyPatch, shown: str) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql+psycopg://reader:se%2Fsame%2B1@127.0.0.1:9/db")
    sql_source(world, "tickets", 'table = "t"')

    def odd(*_: Any) -> Iterator[pa.RecordBatch]:
        raise RuntimeError(f"odd: {shown}")
        yield

    monkeypatch.setattr(connector, "read", odd)
    with pytest.raises(ValueError, match="odd: <WAREHOUSE_URL>$") as raised:
        land_table(world.settings, TABLES["tickets"], date(2026, 1, 1), date(2026, 1, 1))
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_without_accounts_ever_landed_a_database_that_is_down_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"postgresql+psycopg://reader:{SECRET}@127.0.0.1:9/db")
    sql_source(world, "accounts", 'table = "t"')
    with pytest.raises(SourceUnavailable) as raised:
        land_table(world.settings, TABLES["accounts"], date(2026, 1, 1), date(2026, 1, 1))
    assert SECRET not in str(raised.value)


def test_a_secret_in_the_file_is_refused_without_showing_it(world: World) -> None:
    world.sources = f'[sources.tickets]\nconnector = "sql"\nurl = "postgresql://u:{SECRET}@h/db"\ntable = "t"'
    with pytest.raises(SettingsError, match=r"sources\.tickets\.url: a secret must not be in the file") as raised:
        _ = world.settings
    assert SECRET not in str(raised.value)


def test_a_reading_that_breaks_off_and_another_leave_the_lake_of_an_undisturbed_one(
    world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql_source(world, "usage_events", 'table = "events"')
    read = connector.read

    def cut_off(*arguments: Any) -> Iterator[pa.RecordBatch]:
        """The server ends the session after the first batch, as when it is restarted."""
        batches = read(*arguments)
        yield next(batches)
        others = "pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
        run(database, f"select pg_terminate_backend(pid) from {others}")
        yield from batches

    def fill(first: int, last: int) -> None:
        run(database, "insert into events select 'e' || n, 'a1', 'u1', timestamp '2026-01-01' + n * interval '1 second'"
            f" from generate_series({first}, {last}) as s(n)")  # fmt: skip

    def runs(folder: str, breaks_off: bool) -> dict[str, bytes | str]:
        world.pipeline = f'data_dir = "{folder}"'
        run(database, "drop table if exists events", EVENTS)
        fill(1, 10)
        world.land("usage_events", date(2026, 1, 1))
        fill(11, 60_000)
        if breaks_off:
            before = world.kept()
            with monkeypatch.context() as patch:
                patch.setattr(connector, "read", cut_off)
                unread = land_table(world.settings, TABLES["usage_events"], date(2026, 1, 2), date(2026, 1, 2))
            assert "sources.usage_events: the database says" in unread.unavailable
            assert world.kept() == before
        world.land("usage_events", date(2026, 1, 2))
        return content(world.settings.lake)

    assert runs("disturbed", True) == runs("undisturbed", False)
    assert world.rows("usage_events", "count(*)", "1") == [(60_000,)]


def test_a_mistyped_sqlite_file_is_not_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{world.root / 'no?where.db'}")
    sql_source(world, "tickets", 'table = "t"')
    landed = land_table(world.settings, TABLES["tickets"], date(2026, 1, 1), date(2026, 1, 1))
    assert "unable to open database file" in landed.unavailable
    assert not list(world.root.glob("no*"))


def test_unset_variables_are_all_named_before_anything_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAREHOUSE_URL", "DESK_TOKEN", "STORE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORE_SECRET", " ")
    sql_source(world, "tickets", 'table = "t"')
    keys = 'access_key_id = { env = "STORE_KEY" }, secret_access_key = { env = "STORE_SECRET" }'
    world.source("invoices", f'path = "s3://raw/i.csv"\nstorage = {{ {keys} }}')
    world.sources += (
        '\n\n[sources.survey_responses]\nconnector = "zendesk"\nsubdomain = "acme"\nemail = "a@b.c"\napi_token = { env = "DESK_TOKEN" }'
    )
    settings = world.settings
    with pytest.raises(SettingsError) as raised:
        preflight_sources(settings)
    unset = "the environment variable {} is not set. Set it to the secret, then run again"
    assert str(raised.value).splitlines() == [
        f"{settings.config_file}: sources.{key}: {unset.format(variable)}"
        for key, variable in (
            ("tickets.url", "WAREHOUSE_URL"),
            ("invoices.storage.access_key_id", "STORE_KEY"),
            ("invoices.storage.secret_access_key", "STORE_SECRET"),
            ("survey_responses.api_token", "DESK_TOKEN"),
        )
    ]
    assert not settings.data_dir.exists()


def test_the_documented_rights_are_enough_and_no_more(world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    [grants] = blocks("sql", "docs/sources.md")
    run(
        database,
        "drop schema if exists crm cascade",
        "create schema crm",
        "create table crm.calls (id int, account_id text, called_at timestamptz, channel text, direction text, salary int)",
        "insert into crm.calls values (1, 'a1', '2026-01-01 10:00Z', 'call', 'inbound', 9)",
        "create table crm.tickets (id int)",
        grants.replace("database app", f"database {database.url.database}"),
    )
    try:
        reader = database.url.set(username="health_reader").render_as_string(hide_password=False)
        monkeypatch.setenv("WAREHOUSE_URL", reader)
        sql_source(world, "touchpoints", 'table = "crm.calls"\ncolumns = { touchpoint_id = "id", occurred_at = "called_at" }')
        found = world.trial("touchpoints")
        assert (found.rows, found.bad, found.unmapped) == (1, 0, ("salary",))
        assert world.land("touchpoints").loaded == 1
        engine = sa.create_engine(reader)
        for refused in ("select salary from crm.calls", "delete from crm.tickets", "create table crm.mine (id int)"):
            with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
                connection.execute(sa.text(refused))
        engine.dispose()
    finally:
        run(database, "drop schema crm cascade", "drop owned by health_reader", "drop role health_reader")


@pytest.fixture
def sqlite(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    address = f"sqlite:///{world.root / 'app.db'}"
    monkeypatch.setenv("WAREHOUSE_URL", address)
    engine = sa.create_engine(address)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "lines",
    [
        'table = "events"',
        'query = "select * from events where occurred_at >= :start and occurred_at < :end"',
        'query = "select * from events where datetime(occurred_at) >= datetime(:start) and datetime(occurred_at) < datetime(:end)"',
    ],
)
def test_days_as_text_in_sqlite_are_read_day_by_day(world: World, sqlite: sa.Engine, lines: str) -> None:
    run(sqlite, EVENTS.replace("timestamptz", "date"),
        *(f"insert into events values ('e{day}', 'a1', 'u1', '2026-01-0{day}')" for day in range(1, 6)))  # fmt: skip
    sql_source(world, "usage_events", lines)
    for day in range(1, 6):
        world.land("usage_events", date(2026, 1, day))
    assert world.rows("usage_events", "event_id") == [("e1",), ("e2",), ("e3",), ("e4",), ("e5",)]


def test_times_as_text_in_sqlite_belong_to_their_day_in_utc(world: World, sqlite: sa.Engine) -> None:
    """All spellings that the contract reads; a time that it does not is quarantined by the first reading."""
    of_the_4th = (
        "2026-01-04", "2026-01-04T00:00:00Z", "2026-01-04 10:00", "2026-01-04 23:59:59.999", "2026-01-05T01:00+02:00",
        "2026-01-05 01:00:00+02", "2026-01-05 01:00:00+0200", "2026-01-03T23:00:00-01:30", "2026-01-04 10:00:00 UTC", " 2026-01-04 ",
    )  # fmt: skip
    others = ("2026-01-03 23:59:59", "2026-01-05", "2026-01-04T23:00-02")
    run(sqlite, EVENTS, "insert into events values ('bad', 'a1', 'u1', 'soon')")
    sql_source(world, "usage_events", 'table = "events"\nmax_bad_share = 1.0')
    assert world.land("usage_events", date(2026, 1, 2)).quarantined == {"occurred_at: not a timestamp like 2026-01-31 10:00:00": 1}
    with sqlite.begin() as connection:
        for number, moment in enumerate(of_the_4th + others):
            values = {"name": f"e{number:02}", "moment": moment}
            connection.execute(sa.text("insert into events values (:name, 'a1', 'u1', :moment)"), values)
    landed = world.land("usage_events", date(2026, 1, 4))
    assert landed.quarantined == {}
    days = dict(world.rows("usage_events", "event_id, cast(cast(occurred_at as date) as varchar)"))
    assert days == {**{f"e{number:02}": "2026-01-04" for number in range(len(of_the_4th))}, "e10": "2026-01-03"}


def test_values_as_a_database_writes_them(world: World, sqlite: sa.Engine) -> None:
    run(
        sqlite,
        "create table bills (invoice_id, account_id, issued_on, due_on, paid_on, amount)",
        "insert into bills values ('i1', 'a1', '05.01.2026', '05.02.2026', 'NULL', '1.200,50'), ('i2', 'a1', '06.01.2026', '06.02.2026', "
        "'', '900')",
    )
    sql_source(world, "invoices", 'table = "bills"\ndate_format = "%d.%m.%Y"\ndecimal = ","\nthousands = "."')
    world.land("invoices")
    assert world.rows("invoices", "invoice_id, issued_on, paid_on, amount") == [
        ("i1", date(2026, 1, 5), None, 1200.5), ("i2", date(2026, 1, 6), None, 900),
    ]  # fmt: skip


def test_events_in_local_time_belong_to_their_day_in_utc(world: World, sqlite: sa.Engine) -> None:
    run(sqlite, "create table events (event_id, account_id, user_id, occurred_at)")
    times = ("2026-01-02 00:30:00", "2026-01-03 00:30:00", "2026-01-03 01:30:00")
    run(sqlite, "insert into events values " + ", ".join(f"('e{number}', 'a1', 'u1', '{time}')" for number, time in enumerate(times)))
    sql_source(world, "usage_events", 'table = "events"\ntimezone = "Europe/Berlin"')
    world.land("usage_events", date(2026, 1, 1))
    landed = world.land("usage_events", date(2026, 1, 2))
    assert (landed.loaded, landed.quarantined) == (2, {})
    assert world.rows("usage_events", "event_id, cast(occurred_at as varchar)") == [
        ("e0", "2026-01-01 23:30:00"),
        ("e1", "2026-01-02 23:30:00"),
    ]


def unread(world: World, table: str) -> str:
    """Why a table could not be read; another one lands all the same."""
    day = date(2026, 1, 1)
    reason = land_table(world.settings, TABLES[table], day, day).unavailable
    assert world.land("accounts").loaded == 1
    return reason


def test_a_server_that_takes_the_call_and_says_nothing_is_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_ATTEMPTS", 1)
    sql_source(world, "tickets", 'table = "t"')
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WAREHOUSE_URL", f"postgresql://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2")
        began = time.monotonic()
        assert "sources.tickets: the database says: " in unread(world, "tickets")
        # The two seconds of the address, not the thirty that hold without.
        assert time.monotonic() - began < 15


def test_a_statement_that_takes_too_long_is_ended(world: World, database: sa.Engine) -> None:
    query = "select 'f' as feature, date '2026-01-01' as released_on from pg_sleep(60)"
    sql_source(world, "feature_releases", f'query = "{query}"\ntimeout_seconds = 1')
    began = time.monotonic()
    assert "canceling statement due to statement timeout" in unread(world, "feature_releases")
    assert time.monotonic() - began < 15


def test_a_stream_may_take_longer_than_one_statement(world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "_ROWS_PER_BATCH", 1)
    query = "select 'f' || n as feature, date '2026-01-01' as released_on from generate_series(1, 3) as s(n), pg_sleep(0.5 + n * 0)"
    sql_source(world, "feature_releases", f'query = "{query}"\ntimeout_seconds = 1')
    assert world.land("feature_releases").loaded == 3


def test_a_server_that_falls_silent_in_the_middle_is_given_up(world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_GRACE_SECONDS", 1)
    run(database, "create table f (feature text, released_on date)")
    sql_source(world, "feature_releases", 'table = "f"\ntimeout_seconds = 1')
    stopped: list[int] = []
    statement_of = connector._statement

    def stop(connection: sa.Connection, *arguments: Any) -> sa.Executable:
        statement = statement_of(connection, *arguments)
        stopped.append(connection.scalar(sa.text("select pg_backend_pid()")))
        connection.rollback()
        os.kill(stopped[0], signal.SIGSTOP)
        return statement

    monkeypatch.setattr(connector, "_statement", stop)
    try:
        assert "the database says: no complete answer within 2 seconds. Check the address" in unread(world, "feature_releases")
    finally:
        os.kill(stopped[0], signal.SIGCONT)


@contextmanager
def dripping_on_demand(engine: sa.Engine) -> Iterator[tuple[int, threading.Event]]:
    """The port of a server that passes everything on to a Postgres, and its answers one byte at a time once the event is set."""
    drips = threading.Event()

    def pass_on(source: socket.socket, target: socket.socket, may_drip: bool) -> None:
        try:
            while received := source.recv(65536):
                if may_drip and drips.is_set():
                    drip(target.makefile("wb", buffering=0), received)
                else:
                    target.sendall(received)
        except OSError:
            pass  # One side has gone away.

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            postgres = socket.socket(socket.AF_UNIX)
            postgres.connect(f"{engine.url.query['host']}/.s.PGSQL.5432")
            for pair in ((client, postgres, False), (postgres, client, True)):
                threading.Thread(target=pass_on, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], drips
        listening.shutdown(socket.SHUT_RDWR)


def test_a_server_that_answers_one_byte_at_a_time_is_given_up(world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_GRACE_SECONDS", 1)
    run(database, "create table f (feature text, released_on date)", "insert into f select repeat('x', 9000), null")
    sql_source(world, "feature_releases", 'table = "f"\ntimeout_seconds = 1')
    statement_of = connector._statement
    with dripping_on_demand(database) as (port, drips):

        def begin_to_drip(*arguments: Any) -> sa.Executable:
            statement = statement_of(*arguments)
            drips.set()
            return statement

        monkeypatch.setattr(connector, "_statement", begin_to_drip)
        url = database.url.set(host="127.0.0.1", port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        monkeypatch.setenv("WAREHOUSE_URL", url.render_as_string(hide_password=False))
        began = time.monotonic()
        assert "the database says: no complete answer within 2 seconds. Check the address" in unread(world, "feature_releases")
        # All of it would take three minutes.
        assert time.monotonic() - began < 60


SETTINGS = (
    "query = \"select date '2026-01-01' as released_on, setting from pg_settings where name in ('statement_timeout', 'lock_timeout')\""
    '\ncolumns = { feature = "setting" }'
)


@pytest.mark.parametrize(
    ("lines", "options", "in_force"),
    [
        ("", "", {"600000", "60000"}),
        ("\ntimeout_seconds = 5", "", {"5000"}),
        ("", "-c statement_timeout=900000", {"900000", "60000"}),
        ("", "-c statement_timeout=900000 -c lock_timeout=0", {"900000", "0"}),
    ],
)
def test_the_limits_hold_but_for_those_that_the_address_sets(
    world: World, database: sa.Engine, monkeypatch: pytest.MonkeyPatch, lines: str, options: str, in_force: set[str]
) -> None:
    if options:
        url = database.url.update_query_dict({"options": options})
        monkeypatch.setenv("WAREHOUSE_URL", url.render_as_string(hide_password=False))
    sql_source(world, "feature_releases", SETTINGS + lines)
    world.land("feature_releases")
    assert {feature for (feature,) in world.rows("feature_releases", "feature")} == in_force


def test_a_shorter_limit_of_the_servers_own_stays(world: World, database: sa.Engine) -> None:
    run(database, "alter role current_user set statement_timeout = '7s'", "alter role current_user set lock_timeout = '3s'")
    try:
        sql_source(world, "feature_releases", SETTINGS)
        world.land("feature_releases")
    finally:
        run(database, "alter role current_user reset all")
    assert world.rows("feature_releases", "feature") == [("3000",), ("7000",)]


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("sqlite:///app.db", {"timeout": 5}),
        ("sqlite:///app.db?timeout=9", {}),
        ("postgresql://h/d?keepalives=0&connect_timeout=3", {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}),
    ],
)
def test_the_driver_gets_limits_but_for_those_that_the_address_sets(address: str, arguments: dict[str, float]) -> None:
    assert connections._connect_arguments(sa.make_url(address), 5) == arguments


@pytest.mark.parametrize("driver", ["pymysql", "mysqldb"])
def test_a_driver_of_mysql_waits_no_longer_for_an_answer(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """No driver of MySQL is installed: what it is given, by the names that both of them document."""
    monkeypatch.setattr(sa.URL, "get_driver_name", lambda _: driver)
    limits = connections._connect_arguments(sa.make_url("mysql://h/d?write_timeout=7"), 4.5)
    assert limits == {"connect_timeout": 30, "read_timeout": 5}


def test_times_that_no_calendar_of_the_contract_has_cost_their_row_only(world: World, database: sa.Engine) -> None:
    values = ("infinity", "-infinity", "0044-03-15 BC", "12026-01-01", "2026-01-01")
    run(database, "create table f (feature text, released_on date)", *(f"insert into f values ('{one[:4]}', '{one}')" for one in values))
    sql_source(world, "feature_releases", 'table = "f"\nmax_bad_share = 1.0')
    landed = world.land("feature_releases")
    assert (landed.delivered, landed.loaded, landed.quarantined) == (5, 1, {"released_on: not a date like 2026-01-31": 4})
    assert world.rows("feature_releases") == [("2026", date(2026, 1, 1))]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_moments_land_to_the_microsecond_in_utc_and_endless_ones_do_not(world: World, database: sa.Engine, kind: str) -> None:
    """Also where database and session have another style and zone."""
    run(
        database,
        "do $$ begin execute format('alter database %I set datestyle = ''German, DMY''', current_database()); end $$",
        "do $$ begin execute format('alter database %I set timezone = ''Asia/Kolkata''', current_database()); end $$",
        f"create table s (id text, at {kind})",
        "insert into s values ('s1', '2026-01-05 23:59:59.123456Z'), ('s2', '-infinity'), ('s3', '12026-01-01'), ('s4', '0044-03-15 BC')",
    )
    try:
        sql_source(
            world, "touchpoints",
            "query = \"select id as touchpoint_id, 'a1' as account_id, at as occurred_at, 'email' as channel, 'inbound' as direction "
            "from s\"\n"
            "max_bad_share = 1.0",
        )  # fmt: skip
        landed = world.land("touchpoints")
    finally:
        run(database, "do $$ begin execute format('alter database %I reset all', current_database()); end $$")
    assert landed.quarantined == {"occurred_at: not a timestamp like 2026-01-31 10:00:00": 3}
    assert world.rows("touchpoints", "touchpoint_id, cast(occurred_at as varchar)") == [("s1", "2026-01-05 23:59:59.123456")]


def test_an_end_at_infinity_is_an_open_end(world: World, database: sa.Engine) -> None:
    run(
        database,
        "create table s (id text, account text, started date, till date, term date)",
        "insert into s values ('s1', 'a1', '2026-01-01', 'infinity', '2027-01-01'), ('s2', 'a1', '2026-01-01', '2026-03-01', 'infinity'),"
        " ('s3', 'a1', '2026-01-01', '-infinity', null), ('s4', 'a1', 'infinity', null, null)",
    )
    sql_source(
        world, "subscriptions",
        'table = "s"\nmax_bad_share = 1.0\ncolumns = { subscription_id = "id", account_id = "account", started_on = "started",'
        ' ended_on = "till", term_ends_on = "term" }',
    )  # fmt: skip
    landed = world.land("subscriptions")
    assert landed.quarantined == {"ended_on: not a date like 2026-01-31": 1, "started_on: not a date like 2026-01-31": 1}
    assert world.rows("subscriptions", "subscription_id, ended_on, term_ends_on") == [
        ("s1", None, date(2027, 1, 1)),
        ("s2", date(2026, 3, 1), None),
    ]


def test_a_column_that_is_also_a_start_keeps_its_infinity(world: World, database: sa.Engine) -> None:
    run(database, "create table s (id text, account text, day date)", "insert into s values ('s1', 'a1', 'infinity')")
    sql_source(
        world, "subscriptions",
        'table = "s"\nmax_bad_share = 1.0\n'
        'columns = { subscription_id = "id", account_id = "account", started_on = "day", ended_on = "day" }',
    )  # fmt: skip
    assert world.land("subscriptions").quarantined == {"started_on: not a date like 2026-01-31": 1}


def test_a_damaged_event_day_is_read_again_and_days_that_the_database_dropped_since_stay(world: World, sqlite: sa.Engine) -> None:
    days = ("2025-12-01", "2025-12-02", "2025-12-03", "2026-01-02")
    run(sqlite, EVENTS, *(f"insert into events values ('e{n}', 'a1', 'u1', '{day} 10:00')" for n, day in enumerate(days)))
    sql_source(world, "usage_events", 'table = "events"')
    world.land("usage_events", date(2026, 1, 2))
    rows = world.rows("usage_events")
    run(sqlite, "delete from events where event_id = 'e2'")

    def read_again(damaged: date) -> None:
        [path] = world.settings.lake.glob(f"raw/usage_events/event_day={damaged}/*.parquet")
        flip_bit(path, random.Random(1))
        extract_table(world.settings, TABLES["usage_events"], date(2026, 1, 2), date(2026, 1, 2), event_days=[damaged])

    read_again(date(2025, 12, 1))
    assert world.rows("usage_events") == rows
    with pytest.raises(LakeError, match="damaged, and the source no longer has the delivery 2025-12-03"):
        read_again(date(2025, 12, 3))
    assert len(read_manifest(world.settings.lake, "usage_events").deliveries) == 4


def test_a_driver_that_misses_a_file_names_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """BigQuery's reads its key when it is set up; it is not installed here."""

    def create_engine(*_: object, **__: object) -> sa.Engine:
        raise FileNotFoundError(2, "No such file or directory", "/run/reader.json")

    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:////tmp/any.db")
    monkeypatch.setattr(sa, "create_engine", create_engine)
    world.sources = '[sources.touchpoints]\nconnector = "sql"\nurl = { env = "WAREHOUSE_URL" }\ntable = "calls"'
    with pytest.raises(
        SettingsError, match=r"cannot be used: /run/reader.json: No such file or directory. Name a file that this user may read$"
    ):
        preflight_sources(world.settings)
