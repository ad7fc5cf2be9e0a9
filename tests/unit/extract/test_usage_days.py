"""Usage counted by day: what lands, what is replaced, what is refused, and the queries that the documentation gives for it."""

import re
import tomllib
from collections.abc import Iterator
from datetime import date

import duckdb
import pytest
import sqlalchemy as sa
import sqlglot

from orchestration.extract import thin_event_days
from orchestration.settings import PROJECT_ROOT, SettingsError
from tests.pages import blocks
from tests.unit.extract.conftest import World

HEAD = "account_id,user_id,feature,activity_day,events,events_with_duration,duration_seconds\n"
DAY = [date(2026, 1, number) for number in range(1, 32)]
WAREHOUSES = ("snowflake", "databricks", "redshift", "postgres", "bigquery")


@pytest.fixture
def counted(world: World) -> World:
    world.source("usage_days", 'path = "days/{day}.csv"\nmax_bad_share = 1')
    return world


def rows(world: World) -> list[tuple]:
    return world.rows("usage_days", "activity_day, user_id, feature, events")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a1,u1,x,2026-01-01,0,,", "events: below 1"),
        ("a1,u1,x,2026-01-01,-2,,", "events: below 1"),
        ("a1,u1,x,2026-01-01,1.5,,", "events: not a whole number"),
        ("a1,u1,x,2026-01-01,1.000,,", "events: may be a thousand or a fraction"),
        ("a1,u1,x,2026-01-01,2000,1.000,9", "events_with_duration: may be a thousand or a fraction"),
        ("a1,u1,x,2026-01-01,,,", "events: missing"),
        ("a1,u1,x,soon,1,,", "activity_day: not a date like 2026-01-31"),
        ("a1,,x,2026-01-01,1,,", "user_id: missing"),
        ("a1,u1,x,2026-01-01,2,3,9", "events_with_duration: above events"),
        ("a1,u1,x,2026-01-01,2,-1,", "events_with_duration: below 0"),
        ("a1,u1,x,2026-01-01,2,1,", "duration_seconds: missing where events_with_duration is above 0"),
        ("a1,u1,x,2026-01-01,2,0,9", "duration_seconds: above 0 where events_with_duration is 0"),
        ("a1,u1,x,2026-01-01,2,,9", "duration_seconds: above 0 where events_with_duration is 0"),
        ("a1,u1,x,2026-01-01,2,1,-9", "duration_seconds: below 0"),
    ],
)
def test_a_row_that_counts_nothing_sensible_is_quarantined_with_its_reason(counted: World, row: str, reason: str) -> None:
    counted.write("days/2026-01-01.csv", f"{HEAD}{row}\na1,u2,,2026-01-01,2,0,0\n")
    assert counted.land("usage_days").quarantined == {reason: 1}
    assert rows(counted) == [(DAY[0], "u2", None, 2)]


def test_a_key_that_comes_twice_in_a_file_was_not_grouped_by(counted: World) -> None:
    hours = "a1,u1,,2026-01-01,1,,\n" * 2 + 'a1,u1,"x\ny",2026-01-01,1,,\na1,u1,,2026-01-01,4,,\na1,U1,,2026-01-01,1,,\n'
    counted.write("days/2026-01-01.csv", HEAD + hours)
    landed = counted.land("usage_days")
    assert landed.quarantined == {"account_id, user_id, feature, activity_day: has the key of a later row": 2}
    assert (landed.delivered, landed.loaded, landed.duplicates) == (5, 3, 0)
    assert [row[1:] for row in rows(counted)] == [("U1", None, 1), ("u1", "x\ny", 1), ("u1", None, 4)]
    [(lines,)] = counted.query(f"select list(line order by line) from '{counted.settings.lake}/quarantine/usage_days/*.parquet'")
    assert lines == [2, 3]

    counted.source("usage_days", 'path = "days/{day}.csv"')
    with pytest.raises(ValueError, match=r"2 of 5 rows .* Fix the source.*group by account_id, user_id, feature and activity_day alone"):
        counted.land("usage_days")


def test_the_last_delivery_of_a_day_holds_all_of_it(counted: World) -> None:
    counted.write("days/2026-01-01.csv", f"{HEAD}a1,u1,x,2026-01-01,1,,\na1,u2,x,2026-01-01,1,,\n")
    assert counted.land("usage_days", DAY[0]).loaded == 2
    # The correction of the next day's file lacks u2, and of the day of its own it has one row.
    later = counted.write("days/2026-01-02.csv", f"{HEAD}a1,u1,x,2026-01-01,3,,\na1,u1,x,2026-01-02,5,,\n")
    landed = counted.land("usage_days", DAY[1])
    assert (landed.loaded, landed.duplicates, landed.changed_days) == (2, 2, (DAY[0], DAY[1]))
    assert rows(counted) == [(DAY[0], "u1", "x", 3), (DAY[1], "u1", "x", 5)]
    later.unlink()
    counted.land("usage_days", DAY[1])
    assert rows(counted) == [(DAY[0], "u1", "x", 1), (DAY[0], "u2", "x", 1)]
    # The same file again, corrected.
    counted.write("days/2026-01-01.csv", f"{HEAD}a1,u3,,2026-01-01,7,,\n")
    counted.land("usage_days", DAY[1])
    assert rows(counted) == [(DAY[0], "u3", None, 7)]


@pytest.mark.parametrize("first_run", [1, 2])
def test_a_few_late_rows_that_take_the_place_of_a_day_are_said(counted: World, first_run: int) -> None:
    """Who delivers what is new, as of events, would lose days: a first run says so, and a daily one."""
    for number in (1, 2):
        late = "a1,u1,x,2026-01-01,1,,\n" if number == 2 else ""
        counted.write(f"days/2026-01-0{number}.csv", HEAD + late + "".join(f"a1,u{n},x,2026-01-0{number},3,,\n" for n in range(20)))
    for end in range(first_run, 3):
        said = counted.land("usage_days", DAY[0], DAY[end - 1]).losses
        assert said == (
            ()
            if end == 1
            else (
                "usage_days: a later delivery has far fewer rows of a day, and it alone counts: 2026-01-01 (1 of 20). "
                "Deliver all of a day, or nothing of it",
            )
        )
    assert counted.land("usage_days", DAY[0], DAY[1]).losses == ()


def test_the_files_of_a_day_are_not_the_whole_table(world: World) -> None:
    world.source("usage_days", 'path = "{day}.csv"\ndelivery = "full"')
    with pytest.raises(SettingsError, match=r"usage_days\.delivery: the files of a day hold that day's usage"):
        _ = world.settings


@pytest.mark.parametrize("settings", ["", 'timezone = "America/New_York"'])
def test_a_table_is_read_by_day(world: World, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
    """Days are days, whatever the zone of the source's times."""
    address = f"sqlite:///{world.root / 'app.db'}"
    monkeypatch.setenv("WAREHOUSE_URL", address)
    engine = sa.create_engine(address)
    days = ", ".join(f"('a1', 'u1', '{day}', 1)" for day in DAY[:4])
    with engine.begin() as database:
        database.exec_driver_sql("create table usage_days (account_id text, user_id text, activity_day date, events integer)")
        database.exec_driver_sql(f"insert into usage_days values {days}")
    world.sources = f'[sources.usage_days]\nconnector = "sql"\nurl = {{ env = "WAREHOUSE_URL" }}\ntable = "usage_days"\n{settings}'
    world.land("usage_days", DAY[0], DAY[1])
    assert [row[0] for row in rows(world)] == DAY[:2]
    with engine.begin() as database:
        database.exec_driver_sql("update usage_days set events = 2 where activity_day <= '2026-01-02'")
        database.exec_driver_sql("delete from usage_days where activity_day = '2026-01-03'")
    engine.dispose()
    # The lookback is one day: the first day is not asked for again.
    assert world.land("usage_days", DAY[2], DAY[3]).quarantined == {}
    assert [(row[0], row[3]) for row in rows(world)] == [(DAY[0], 1), (DAY[1], 2), (DAY[3], 1)]


def test_a_table_that_takes_the_place_of_the_other_leaves_no_thin_days(world: World) -> None:
    """Events end on the 24th, counts begin on the 25th; on the 29th a weekday has events in all four weeks before."""
    world.source("usage_events", 'path = "events/{day}.csv"')
    world.source("usage_days", 'path = "days/{day}.csv"')
    for number, day in enumerate(DAY, 1):
        events = "".join(f"{number}-{n},a1,u1,{day}\n" for n in range(50 if number <= 24 else 0))
        world.write(f"events/{day}.csv", f"event_id,account_id,user_id,occurred_at\n{events}")
        users = "".join(f"a1,u{n},,{day},10,,\n" for n in range(5 if number >= 25 else 0))
        world.write(f"days/{day}.csv", HEAD + users)
    for table in ("usage_events", "usage_days"):
        world.land(table, DAY[0], DAY[30])
    for table in ("usage_events", "usage_days"):
        assert thin_event_days(world.settings.lake, DAY[0], DAY[30], table) is None
    world.write(f"days/{DAY[28]}.csv", HEAD)
    world.land("usage_days", DAY[28], DAY[30])
    assert thin_event_days(world.settings.lake, DAY[28], DAY[30]) == (
        "usage_events: less than a fifth of the usual events: 2026-01-29 (0, usually 50)"
    )
    # And back: nobody is told that metrics are missing, which the events have.
    world.sources = ""
    world.source("usage_events", 'path = "events/{day}.csv"')
    assert world.land("usage_days", DAY[0], DAY[30]).losses == (
        "usage_days: not in the configuration any more; its 30 rows no longer count",
    )


def documented() -> Iterator[tuple[str, str]]:
    """Dialect and query: those of docs/sources.md, and those of the ready mappings in the dialects that their heads name."""
    for block in blocks("toml", "docs/sources.md"):
        if block.startswith("[sources.usage_days]"):
            query = tomllib.loads(block)["sources"]["usage_days"]["query"]
            yield from ((dialect, query) for dialect in WAREHOUSES if (dialect == "bigquery") == ("timestamp(:start)" in query))


def test_every_warehouse_is_asked_for_the_same() -> None:
    """The documented queries, each taken apart by the rules of its warehouse and asked of DuckDB in its words."""
    connection = duckdb.connect()
    connection.execute(
        "create schema product; create table product.events as select * from (values"
        " ('a1', 'u1', 'x', timestamp '2026-01-01 00:00', 0.1), ('a1', 'u1', 'x', timestamp '2026-01-01 23:59:59.999', 0.2),"
        " ('a1', 'u1', null, timestamp '2026-01-01 12:00', null), ('a1', 'u2', 'x', timestamp '2026-01-02 12:00', 7),"
        " ('a1', 'u2', 'x', timestamp '2025-12-31 23:59:59', 7), ('a1', 'u2', 'x', timestamp '2026-01-03 00:00', 7)"
        ") as found(account_id, user_id, feature, occurred_at, duration_seconds); set TimeZone = 'UTC'"
    )
    found = {}
    for dialect, query in documented():
        [asked] = sqlglot.transpile(query, read=dialect, write="duckdb")
        result = connection.execute(asked, {"start": DAY[0], "end": DAY[2]})
        names = [column[0] for column in result.description]
        found[dialect] = (names, sorted((*map(str, row),) for row in result.fetchall()))
    assert set(found) == set(WAREHOUSES)
    names, first = found["postgres"]
    assert names == HEAD.strip().split(",")
    assert [(*row[:4], *map(float, row[4:6]), row[6] and float(row[6].replace("None", "0"))) for row in first] == [
        ("a1", "u1", "None", "2026-01-01", 1, 0, 0),
        ("a1", "u1", "x", "2026-01-01", 2, 2, 0.3),
        ("a1", "u2", "x", "2026-01-02", 1, 1, 7),
    ]
    for dialect in WAREHOUSES:
        assert [row[:6] for row in found[dialect][1]] == [row[:6] for row in first], dialect
        assert [row[6] == "None" or float(row[6]) for row in found[dialect][1]] == [row[6] == "None" or float(row[6]) for row in first]


@pytest.mark.parametrize(
    ("name", "dialects"),
    [
        ("segment_usage_days", WAREHOUSES),
        ("posthog_usage_days", ("snowflake",)),
        ("amplitude_usage_days", ("snowflake",)),
    ],
)
def test_the_queries_of_ready_mappings_are_of_their_dialect(name: str, dialects: tuple[str, ...]) -> None:
    text = (PROJECT_ROOT / "examples" / "mappings" / f"{name}.toml").read_text(encoding="utf-8")
    query = tomllib.loads(text)["sources"]["usage_days"]["query"]
    for dialect in dialects:
        asked = sqlglot.parse_one(re.sub(r":(start|end)\b", r"timestamp(:\1)", query) if dialect == "bigquery" else query, read=dialect)
        assert {"account_id", "user_id", "feature", "activity_day", "events"} == {column.alias_or_name for column in asked.selects}


def test_amplitudes_query_reads_columns_that_its_export_has() -> None:
    """Those of "Event table schema", https://amplitude.com/docs/data/destination-catalog/snowflake."""
    documented_columns = {
        *("amplitude_attribution_ids", "amplitude_id", "app", "city", "client_event_time", "client_upload_time", "country", "data"),
        *("device_carrier", "device_family", "device_id", "device_type", "dma", "event_id", "event_properties", "event_time", "event_type"),
        *("group_properties", "groups", "ip_address", "language", "library", "location_lat", "location_lng", "os_name", "os_version"),
        *("paying", "platform", "processed_time", "region", "sample_rate", "server_received_time", "server_upload_time", "session_id"),
        *("start_version", "user_id", "user_properties", "uuid", "version_name"),
    }
    text = (PROJECT_ROOT / "examples" / "mappings" / "amplitude_usage_days.toml").read_text(encoding="utf-8")
    query = sqlglot.parse_one(tomllib.loads(text)["sources"]["usage_days"]["query"], read="snowflake")
    [events] = query.find_all(sqlglot.exp.CTE)
    read = {column.name for column in events.find_all(sqlglot.exp.Column)}
    assert "groups" in read and read <= documented_columns
