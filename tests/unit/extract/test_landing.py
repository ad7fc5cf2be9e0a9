"""Landing modes: what a run takes, what it replaces, what stays, and what a crash leaves."""

import json
import os
import re
import sqlite3
from datetime import date, datetime

import pytest

from orchestration.contract import TABLES
from orchestration.extract import (
    LakeError,
    SourceError,
    event_day_fingerprints,
    extract_table,
    lake_select,
    land_table,
    landing_stats,
    thin_event_days,
)
from orchestration.extract import land_files as landing
from orchestration.extract.lake import manifest as lake_module
from orchestration.extract.lake.manifest import manifest_copy, unavailable_tables
from orchestration.extract.staging import stage_files
from orchestration.settings import SettingsError

JAN = [date(2026, 1, day) for day in range(1, 32)]
IDS = "event_id"


def day(number: int) -> date:
    return JAN[number - 1]


def ids(world) -> list[str]:
    return [row[0] for row in world.rows("usage_events", IDS)]


def test_a_snapshot_replaces_the_table(world):
    world.write("t.csv", "feature,released_on\na,2026-01-01\nb,2026-01-02\n")
    world.source("feature_releases", 'path = "t.csv"')
    assert world.land("feature_releases").newest_fact == datetime(2026, 1, 2)
    world.write("t.csv", "feature,released_on\na,2026-01-05\n")
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("a", date(2026, 1, 5))]
    world.write("t.csv", "feature,released_on\n")
    world.land("feature_releases")
    assert world.rows("feature_releases") == []
    assert len([file for file in world.files("feature_releases") if file.endswith(".parquet")]) == 1


def test_the_last_row_of_a_key_wins_by_file_name_then_position(world):
    world.write("t2.csv", "feature,released_on\na,2026-01-02\nb,2026-01-05\n")
    world.write("t1.csv", "feature,released_on\na,2026-01-09\nb,2026-01-08\nc,2026-01-03\nc,2026-01-01\n")
    world.source("feature_releases", 'path = "t*.csv"')
    landed = world.land("feature_releases")
    assert world.rows("feature_releases") == [("a", day(2)), ("b", day(5)), ("c", day(1))]
    assert (landed.delivered, landed.loaded, landed.duplicates) == (6, 3, 3)


def test_a_quarantined_row_replaces_nothing(world):
    world.write("t.csv", "feature,released_on\na,2026-01-02\na,never\n")
    world.source("feature_releases", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("feature_releases")
    assert world.rows("feature_releases") == [("a", day(2))]
    assert (landed.duplicates, landed.quarantined) == (0, {"released_on: not a date like 2026-01-31": 1})


def test_a_key_of_two_columns(world):
    world.write(
        "t.csv",
        "subscription_id,account_id,started_on,seats\ns,a1,2026-01-01,1\ns,a1,2026-01-02,2\ns,a1,2026-01-01,3\n",
    )
    world.source("subscriptions", 'path = "t.csv"')
    landed = world.land("subscriptions")
    assert landed.duplicates == 1
    assert landed.notes == ("t.csv: 1 key is there twice or more, with different values (s / 2026-01-01); the last row of each counts",)
    assert world.rows("subscriptions", "started_on, seats") == [(day(1), 3), (day(2), 2)]


@pytest.mark.parametrize("table", ["feature_releases", "usage_events"])
def test_an_identical_rerun_changes_nothing(world, table):
    world.write("f.csv", "feature,released_on\na,2026-01-01\nb,never\n")
    world.source("feature_releases", 'path = "f.csv"\nmax_bad_share = 1.0')
    world.write("e.csv", "event_id,account_id,user_id,occurred_at\ne1,a1,u1,2026-01-01\ne2,a1,u1,2026-01-02\n")
    world.source("usage_events", 'path = "e.csv"')
    first = world.land(table)
    manifest, files = world.manifest_bytes(table), world.files(table)
    inode = os.stat(world.settings.lake / "raw" / table / "_manifest.json").st_ino
    again = world.land(table)
    assert (world.manifest_bytes(table), world.files(table)) == (manifest, files)
    assert os.stat(world.settings.lake / "raw" / table / "_manifest.json").st_ino == inode
    assert (again.delivered, again.loaded, again.quarantined) == (first.delivered, first.loaded, first.quarantined)
    assert again.changed_days == ()


def test_the_same_rows_in_another_order_change_no_data_file(world):
    world.source("usage_events", 'path = "e.csv"')
    rows = ["e1,a1,u1,2026-01-01", "e2,a1,u1,2026-01-02", "e3,a1,u2,2026-01-02"]
    world.write("e.csv", "\n".join(["event_id,account_id,user_id,occurred_at", *rows]))
    world.land("usage_events")
    files = world.files("usage_events")
    world.write("e.csv", "\n".join(["event_id,account_id,user_id,occurred_at", *reversed(rows)]))
    assert world.land("usage_events").changed_days == ()
    assert world.files("usage_events") == files


def test_a_source_without_days_is_synchronised_by_event_day(world):
    world.source("usage_events", 'path = "e.csv"')
    header = "event_id,account_id,user_id,occurred_at\n"
    world.write("e.csv", header + "e1,a1,u1,2026-01-01\ne2,a1,u1,2026-01-02T23:59:59\ne3,a1,u1,2026-01-03\n")
    first = world.land("usage_events", day(1), day(3))
    assert (first.changed_days, first.late_days) == ((day(1), day(2), day(3)), ())
    kept = [file for file in world.files("usage_events") if "event_day=2026-01-02" in file]
    world.write("e.csv", header + "e1,a1,u1,2026-01-01T10:00\ne2,a1,u1,2026-01-02T23:59:59\ne5,a1,u1,2026-01-05\n")
    second = world.land("usage_events", day(5))
    assert second.changed_days == (day(1), day(3), day(5))
    # The run's first day is the 5th and the lookback 1 day: the 1st and the 3rd are older than the 4th.
    assert second.late_days == (day(1), day(3))
    assert ids(world) == ["e1", "e2", "e5"]
    assert [file for file in world.files("usage_events") if "event_day=2026-01-02" in file] == kept
    assert list(event_day_fingerprints(world.settings.lake)) == [day(1), day(2), day(5)]


def test_first_run_takes_every_delivery_up_to_its_last_day(events, delivery):
    for number in range(1, 7):
        delivery(events, f"2026-01-0{number}", f"e{number},2026-01-0{number}")
    landed = events.land("usage_events", day(4), day(5))
    assert ids(events) == ["e1", "e2", "e3", "e4", "e5"]
    assert (landed.mode, landed.delivered, landed.late_days) == ("events", 5, ())


def test_only_wanted_deliveries_are_opened(events, delivery):
    for number in range(1, 5):
        delivery(events, f"2026-01-0{number}", f"e{number},2026-01-0{number}")
    events.land("usage_events", day(4))
    for number in (1, 2, 5):
        delivery(events, f"2026-01-0{number}").write_bytes(b"\xff\xfe no csv")
    # Wanted are the 3rd (lookback) and the 4th; the 1st and 2nd have landed, the 5th lies ahead.
    assert events.land("usage_events", day(4)).delivered == 2
    assert ids(events) == ["e1", "e2", "e3", "e4"]


def test_an_early_delivery_that_never_landed_is_caught_up(events, delivery):
    delivery(events, "2026-01-05", "e5,2026-01-05")
    events.land("usage_events", day(5))
    delivery(events, "2026-01-01", "e1,2026-01-01")
    delivery(events, "2026-01-09", "e9,2026-01-09")
    landed = events.land("usage_events", day(9))
    assert ids(events) == ["e1", "e5", "e9"]
    assert landed.changed_days == (day(1), day(9))
    assert landed.late_days == (day(1),)


def test_late_events_join_their_own_day(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    delivery(events, "2026-01-02", "e2,2026-01-02", "late,2026-01-01T23:00")
    landed = events.land("usage_events", day(2))
    assert landed.changed_days == (day(1), day(2))
    assert landed.late_days == ()
    select = lake_select(events.settings.lake, TABLES["usage_events"], {day(1)})
    assert events.query(f"select event_id from ({select}) order by all") == [("e1",), ("late",)]


def test_a_delivery_brought_again_replaces_exactly_what_it_brought(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    delivery(events, "2026-01-02", "e2,2026-01-02", "late,2026-01-01")
    events.land("usage_events", day(2))
    delivery(events, "2026-01-02", "e3,2026-01-02")
    events.land("usage_events", day(2))
    assert ids(events) == ["e1", "e3"]


@pytest.mark.parametrize("how", ["no rows", "no file"])
def test_a_day_that_becomes_empty_leaves_no_rows(events, delivery, how):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    path = delivery(events, "2026-01-02", "e2,2026-01-02")
    events.land("usage_events", day(2))
    if how == "no file":
        path.unlink()
    else:
        delivery(events, "2026-01-02")
    assert events.land("usage_events", day(2)).changed_days == (day(2),)
    assert ids(events) == ["e1"]


def test_an_old_delivery_whose_file_is_gone_stays(events, delivery):
    path = delivery(events, "2026-01-01", "e1,2026-01-01")
    delivery(events, "2026-01-05", "e5,2026-01-05")
    events.land("usage_events", day(5))
    path.unlink()
    events.land("usage_events", day(5))
    assert ids(events) == ["e1", "e5"]


def test_the_last_delivery_of_a_key_wins_across_event_days(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01", "e1,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02")
    landed = events.land("usage_events", day(2))
    assert events.rows("usage_events", "event_id, occurred_at") == [
        ("e1", datetime(2026, 1, 1)),
        ("x", datetime(2026, 1, 2)),
    ]
    assert (landed.delivered, landed.loaded, landed.duplicates) == (3, 2, 1)
    assert landing_stats(events.settings.lake)[0].loaded == 2


def test_a_key_that_moves_changes_both_days(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    delivery(events, "2026-01-05", "x,2026-01-05")
    landed = events.land("usage_events", day(5))
    assert landed.changed_days == (day(1), day(5))
    assert landed.late_days == (day(1),)


def test_a_key_comes_back_when_the_later_delivery_drops_it(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02")
    events.land("usage_events", day(2))
    before = event_day_fingerprints(events.settings.lake)
    delivery(events, "2026-01-02", "y,2026-01-02")
    events.land("usage_events", day(2))
    assert events.rows("usage_events", "event_id, occurred_at") == [
        ("x", datetime(2026, 1, 1)),
        ("y", datetime(2026, 1, 2)),
    ]
    after = event_day_fingerprints(events.settings.lake)
    assert before[day(1)] != after[day(1)]
    assert not any("superseded" in file for file in events.files("usage_events"))


def test_other_keys_stay_superseded_when_one_comes_back(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01", "y,2026-01-01", "z,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02", "y,2026-01-02")
    events.land("usage_events", day(2))
    delivery(events, "2026-01-02", "x,2026-01-02")
    delivery(events, "2026-01-03", "z,2026-01-03")
    events.land("usage_events", day(3))
    assert [(key, at.day) for key, at in events.rows("usage_events", "event_id, occurred_at")] == [("x", 2), ("y", 1), ("z", 3)]
    [stats] = landing_stats(events.settings.lake)
    assert (stats.loaded, stats.duplicates) == (3, 2)


def test_a_new_day_reads_no_rows_of_days_whose_ids_lie_elsewhere(events, delivery):
    delivery(events, "2026-01-01", "2026-01-01-a,2026-01-01")
    events.land("usage_events", day(1))
    [old] = (events.settings.lake / "raw" / "usage_events" / "event_day=2026-01-01").iterdir()
    content = old.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    unreadable = content[:4] + bytes(len(content) - footer - 4) + content[-footer:]
    old.write_bytes(unreadable)
    for number in (2, 3):
        # DuckDB itself passes over files as long as it looks for a few keys.
        delivery(events, f"2026-01-0{number}", *(f"2026-01-02-{number}-{key},2026-01-02" for key in range(500)))
        extract_table(events.settings, TABLES["usage_events"], day(number), day(number), {day(number)})
    # Had a row of it been asked for, it would have been found damaged and landed again.
    assert old.read_bytes() == unreadable


def test_an_older_delivery_brought_again_loses_against_a_later_one(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02")
    delivery(events, "2026-01-03", "x,2026-01-03T12:00")
    events.land("usage_events", day(3))
    delivery(events, "2026-01-02", "x,2026-01-02T05:00")
    events.land("usage_events", day(2))
    assert events.rows("usage_events", "event_id, occurred_at")[-1] == ("x", datetime(2026, 1, 3, 12))


def test_several_files_and_folders_for_one_delivery_day(events):
    header = "event_id,account_id,user_id,occurred_at\n"
    events.source("usage_events", 'path = "in/{day}/*-{day}.csv"')
    events.write("in/2026-01-01/b-2026-01-01.csv", header + "x,a1,last,2026-01-01\n")
    events.write("in/2026-01-01/a-2026-01-01.csv", header + "x,a1,first,2026-01-01\ny,a1,u,2026-01-01\n")
    landed = events.land("usage_events", day(1))
    assert events.rows("usage_events", "event_id, user_id") == [("x", "last"), ("y", "u")]
    assert landed.duplicates == 1


PARQUET = "select * from (values {rows}) as t(event_id, account_id, user_id, feature, occurred_at, duration_seconds)"
GOOD = "('{0}1', 'a1', 'u1', 'f', timestamp '{1} 10:00', 1.0::double), ('{0}2', 'a1', 'u1', null, timestamp '{1} 11:00', null)"


BOTH = ["a1", "a2", "b1", "b2"]


@pytest.mark.parametrize(
    ("third", "expected", "bad", "duplicates"),
    [
        (None, BOTH, {}, 0),
        ("'b1', 'a1', 'u9', null, timestamp '2026-01-02 12:00', null", BOTH, {}, 1),
        ("'b3', 'a1', 'u9', ' ', timestamp '2026-01-02 12:00', null", [*BOTH, "b3"], {}, 0),
        ("'b3', 'a1', 'u9', null, timestamp '2026-01-01 12:00', null", [*BOTH, "b3"], {}, 0),
        ("'b3', ' ', 'u9', null, timestamp '2026-01-02 12:00', null", BOTH, {"account_id: missing": 1}, 0),
        ("'b3', 'a1', 'u9', '', timestamp '2026-01-02', 'inf'", BOTH, {"duration_seconds: not a number like 1234.5": 1}, 0),
        ("'b3', 'a1', 'u9', null, timestamp '2026-01-02', 'nan'", [*BOTH, "b3"], {}, 0),
    ],
)
def test_parquet_events_whether_taken_as_they_are_or_not(events, third, expected, bad, duplicates):
    events.source("usage_events", 'path = "events/{day}.parquet"\nmax_bad_share = 1.0')
    source = events.write_parquet("events/2026-01-01.parquet", PARQUET.format(rows=GOOD.format("a", "2026-01-01")))
    rows = GOOD.format("b", "2026-01-02") + (f", ({third})" if third else "")
    events.write_parquet("events/2026-01-02.parquet", PARQUET.format(rows=rows))
    landed = events.land("usage_events", day(2))
    assert ids(events) == expected
    assert (landed.quarantined, landed.duplicates) == (bad, duplicates)
    assert {row[0] for row in events.rows("usage_events", "feature")} == {"f", None}
    copied = [file for file in events.files("usage_events") if "event_day=2026-01-01/2026-01-01" in file]
    assert (events.settings.lake / copied[0]).read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("last", "rows", "bad", "duplicates"),
    [
        (GOOD.format("c", "2026-01-01"), 6, {}, 0),
        # The key of another file of the day: the last file's row counts.
        (GOOD.format("a", "2026-01-01").replace("'u1'", "'u2'"), 4, {}, 2),
        (GOOD.format("c", "2026-01-01").replace("'a1'", "' '"), 4, {"account_id: missing": 2}, 0),
        (GOOD.format("c", "2026-01-02"), 6, {}, 0),
    ],
)
def test_a_day_of_many_parquet_files_is_judged_together(events, monkeypatch, last, rows, bad, duplicates):
    staged = []
    monkeypatch.setattr(landing, "stage_files", lambda *args: staged.append(args[3]) or stage_files(*args))
    events.source("usage_events", 'path = "events/{day}/*.parquet"\nmax_bad_share = 1.0')
    for name, content in (("a", GOOD.format("a", "2026-01-01")), ("b", GOOD.format("b", "2026-01-01")), ("c", last)):
        events.write_parquet(f"events/2026-01-01/{name}.parquet", PARQUET.format(rows=content))
    landed = events.land("usage_events", day(2))
    assert (landed.delivered, landed.loaded, landed.quarantined, landed.duplicates) == (6, rows, bad, duplicates)
    assert len(events.rows("usage_events")) == rows
    assert {row[0] for row in events.rows("usage_events", "user_id")} == ({"u1", "u2"} if duplicates else {"u1"})
    # Good rows are copied as they are, whatever is beside them.
    assert staged == []
    kept = {name: found for name, found in events.kept().items() if name.startswith("raw/usage_events/event_day=")}
    (events.root / "events/2026-01-01/c.parquet").rename(events.root / "events/2026-01-01/d.parquet")
    events.land("usage_events", day(2))
    assert kept == {name: found for name, found in events.kept().items() if name.startswith("raw/usage_events/event_day=")}


def test_days_with_values_that_land_as_others_send_no_other_day_the_slow_way(events, monkeypatch):
    staged = []
    monkeypatch.setattr(landing, "stage_files", lambda *args: staged.extend(one.file.label for one in args[3]) or stage_files(*args))
    events.source("usage_events", 'path = "events/{day}.parquet"\nmax_bad_share = 1.0')
    days = [f"2026-01-{number:02}" for number in range(1, 13)]
    for number, name in enumerate(days):
        rows = GOOD.format(name, name)
        events.write_parquet(f"events/{name}.parquet", PARQUET.format(rows=rows.replace("'f'", "' '") if number < 4 else rows))
    assert events.land("usage_events", day(12)).loaded == 24
    assert sorted(staged) == [f"events/{name}.parquet" for name in days[:4]]
    assert events.rows("usage_events", "feature").count(("f",)) == 8


def test_parquet_events_with_swapped_names_are_not_taken_as_they_are(events):
    swapped = 'columns = { account_id = "user_id", user_id = "account_id" }'
    events.source("usage_events", f'path = "{{day}}.parquet"\n{swapped}')
    events.write_parquet("2026-01-01.parquet", PARQUET.format(rows=GOOD.format("a", "2026-01-01")))
    events.land("usage_events", day(1))
    assert events.rows("usage_events", "account_id, user_id") == [("u1", "a1"), ("u1", "a1")]


def test_damaged_parquet_events_are_refused_by_name(events):
    events.source("usage_events", 'path = "{day}.parquet"')
    path = events.write_parquet("2026-01-01.parquet", PARQUET.format(rows=GOOD.format("a", "2026-01-01")))
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"2026-01-01\.parquet: cannot be read"):
        events.land("usage_events", day(1))


def test_tables_by_delivery_day_keep_the_last_row_of_a_key(world):
    header = "ticket_id,account_id,opened_at,priority\n"
    world.source("tickets", 'path = "tickets/{day}.csv"\ndelivery = "changes"')
    world.write("tickets/2026-01-01.csv", header + "t1,a1,2026-01-01,low\nt2,a1,2026-01-01,low\n")
    world.write("tickets/2026-01-02.csv", header + "t1,a1,2026-01-01,high\nt3,a1,2026-01-02,low\n")
    landed = world.land("tickets", day(2))
    assert world.rows("tickets", "ticket_id, priority") == [("t1", "high"), ("t2", "low"), ("t3", "low")]
    assert (landed.mode, landed.delivered, landed.loaded, landed.duplicates) == ("changes", 4, 3, 1)
    assert (landed.changed_days, landed.newest_fact) == ((), datetime(2026, 1, 2))
    world.write("tickets/2026-01-02.csv", header + "t3,a1,2026-01-02,low\n")
    assert world.land("tickets", day(2)).duplicates == 0
    assert world.rows("tickets", "ticket_id, priority") == [("t1", "low"), ("t2", "low"), ("t3", "low")]
    world.write("tickets/2026-01-03.csv", header + "t2,a1,2026-01-01,critical\n")
    world.land("tickets", day(3))
    assert world.rows("tickets", "ticket_id, priority")[1] == ("t2", "critical")
    stats = landing_stats(world.settings.lake)[0]
    assert (stats.delivered, stats.loaded, stats.duplicates) == (4, 3, 1)


def test_a_source_that_changes_its_mode_starts_anew(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    events.write("all.csv", "event_id,account_id,user_id,occurred_at\ne7,a1,u1,2026-01-07\n")
    events.source("usage_events", 'path = "all.csv"')
    landed = events.land("usage_events", day(7))
    assert ids(events) == ["e7"]
    assert landed.late_days == ()
    assert len([file for file in events.files("usage_events") if file.endswith(".parquet")]) == 1


class Killed(BaseException):
    """As good as `kill -9`: nothing of the landing runs after it."""


@pytest.mark.parametrize("moment", ["before the rename", "between rename and manifest", "within the manifest"])
def test_a_kill_leaves_the_old_data_and_the_next_landing_converges(events, delivery, monkeypatch, moment):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    before = events.manifest_bytes("usage_events")
    delivery(events, "2026-01-02", "e2,2026-01-02", "bad,never")

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        if moment == "before the rename":
            patched.setattr(lake_module, "keep", kill)
        elif moment == "between rename and manifest":
            patched.setattr(lake_module, "write_manifest", kill)
        else:
            patched.setattr(lake_module, "write_text", lambda path, _: (path.with_name(f".tmp.{path.name}").write_text("{"), kill()))
        sweeps = iter([lake_module.sweep])
        patched.setattr(lake_module, "sweep", lambda *args: next(sweeps, lambda *_: None)(*args))
        with pytest.raises(Killed):
            events.land("usage_events", day(2))
    assert events.manifest_bytes("usage_events") == before
    assert ids(events) == ["e1"]
    leftovers = set(events.files("usage_events"))
    events.land("usage_events", day(2))
    assert ids(events) == ["e1", "e2"]
    assert not any(".tmp" in file for file in events.files("usage_events"))
    assert leftovers - {"raw/usage_events/_manifest.json"}
    converged = events.manifest_bytes("usage_events")
    events.pipeline = 'data_dir = "elsewhere"'
    events.land("usage_events", day(2))
    assert events.manifest_bytes("usage_events") == converged


def test_a_lost_data_file_is_landed_again(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    next((events.settings.lake / "raw" / "usage_events").glob("event_day=*/*.parquet")).unlink()
    events.land("usage_events", day(9))
    assert ids(events) == ["e1"]


def test_a_lost_delivery_that_cannot_come_back_no_longer_supersedes(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01")
    path = delivery(events, "2026-01-02", "x,2026-01-02")
    delivery(events, "2026-01-09", "e9,2026-01-09")
    events.land("usage_events", day(9))
    path.unlink()
    next((events.settings.lake / "raw" / "usage_events" / "event_day=2026-01-02").iterdir()).unlink()
    events.land("usage_events", day(9))
    assert events.rows("usage_events", "event_id, occurred_at") == [
        ("e9", datetime(2026, 1, 9)),
        ("x", datetime(2026, 1, 1)),
    ]


def test_a_lost_list_of_superseded_rows_is_found_again(events, delivery):
    delivery(events, "2026-01-01", "x,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02")
    events.land("usage_events", day(2))
    next((events.settings.lake / "raw" / "usage_events").glob("superseded-*")).unlink()
    events.land("usage_events", day(2))
    assert events.rows("usage_events", "event_id, occurred_at") == [("x", datetime(2026, 1, 2))]


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_lost_or_damaged_manifest_comes_back_from_its_copy_with_days_that_the_source_no_longer_has(events, delivery, caplog, content):
    path = delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    path.unlink()
    manifest = events.settings.lake / "raw/usage_events/_manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    assert ids(events) == ["e1"]
    delivery(events, "2026-01-05", "e5,2026-01-05")
    events.land("usage_events", day(5))
    assert ids(events) == ["e1", "e5"]
    assert f"{manifest}: was lost or damaged, restored from" in caplog.text
    assert manifest.read_bytes() == manifest_copy(events.settings.lake, "usage_events").read_bytes()


def test_a_lost_or_stale_copy_is_made_anew(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    copy = manifest_copy(events.settings.lake, "usage_events")
    for content in (None, "", "{}"):
        copy.unlink() if content is None else copy.write_text(content)
        events.land("usage_events", day(1))
        assert copy.read_bytes() == events.manifest_bytes("usage_events")


def test_files_that_no_manifest_names_any_more_are_never_removed(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01")
    events.land("usage_events", day(1))
    folder = events.settings.lake / "raw" / "usage_events"
    for content in (None, "{", json.dumps({"format": 99})):
        for path in (folder / "_manifest.json", manifest_copy(events.settings.lake, "usage_events")):
            path.unlink(missing_ok=True) if content is None else path.write_text(content)
        before = events.files("usage_events")
        with pytest.raises(LakeError, match="run again, which lands what the source still has|Update this installation") as error:
            events.land("usage_events", day(1))
        assert "\n" not in str(error.value) and str(folder / "_manifest.json") in str(error.value)
        assert events.files("usage_events") == before
    # The remedy.
    folder.rename(folder.with_name("away"))
    manifest_copy(events.settings.lake, "usage_events").unlink()
    events.land("usage_events", day(1))
    assert ids(events) == ["e1"]


def test_a_killed_first_landing_is_not_taken_for_a_lost_manifest(events, delivery, monkeypatch):
    delivery(events, "2026-01-01", "e1,2026-01-01")

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(lake_module, "write_manifest", kill)
        sweeps = iter([lake_module.sweep])
        patched.setattr(lake_module, "sweep", lambda *args: next(sweeps, lambda *_: None)(*args))
        with pytest.raises(Killed):
            events.land("usage_events", day(1))
    assert [file for file in events.files("usage_events") if file.endswith(".parquet")]
    assert ids(events) == []
    delivery(events, "2026-01-01", "e2,2026-01-01")
    assert events.land("usage_events", day(1)).late_days == ()
    assert ids(events) == ["e2"]
    assert len([file for file in events.files("usage_events") if file.endswith(".parquet")]) == 1


def test_the_select_survives_special_characters_in_the_data_folder(events, delivery):
    events.pipeline = 'data_dir = "da\'ta [1], *"'
    delivery(events, "2026-01-01", "x,2026-01-01")
    delivery(events, "2026-01-02", "x,2026-01-02", "y,2026-01-02")
    events.land("usage_events", day(2))
    assert ids(events) == ["x", "y"]


# -- far fewer rows than before


def accounts_csv(rows: int) -> str:
    return "account_id,account_name,created_at\n" + "".join(f"a{n},Name,2025-01-01\n" for n in range(rows))


def tickets_csv(rows: int, first: int = 0) -> str:
    return "ticket_id,account_id,opened_at,priority\n" + "".join(f"t{n},a1,2026-01-01,low\n" for n in range(first, first + rows))


@pytest.fixture
def accounts(world):
    """`accounts(40)` delivers that many and lands them; `accounts(4, 'min_share = 0')` with keys of the source."""

    def deliver_and_land(rows: int, keys: str = ""):
        world.write("accounts.csv", accounts_csv(rows))
        world.source("accounts", f'path = "accounts.csv"\n{keys}')
        return land_table(world.settings, TABLES["accounts"], day(1), day(1))

    return deliver_and_land


def acceptance(message: str) -> str:
    [found] = re.findall(r'accept_smaller = ".*?"', message)
    return found


@pytest.mark.parametrize(
    ("before", "after", "keys", "taken"),
    [
        (40, 20, "", True),
        (40, 19, "", False),
        (40, 19, "min_share = 0.4", True),
        (40, 39, "min_share = 1.0", False),
        (19, 1, "", True),
        (20, 1, "", False),
        (20, 0, "", False),
        # Without accounts nobody is scored.
        (3, 0, "", False),
        (3, 0, "min_share = 0", True),
        (40, 0, "min_share = 0", True),
    ],
)
def test_a_table_that_lost_most_rows_stays_as_it_was(world, accounts, before, after, keys, taken):
    accounts(before)
    landed = accounts(after, keys)
    assert (landed.unavailable is None) == taken
    assert len(world.rows("accounts")) == (after if taken else before)
    if not taken:
        assert f"sources.accounts: {after} rows came, and the last landing of 2026-01-01 has {before}" in landed.unavailable
        assert "\n" not in landed.unavailable
        assert unavailable_tables(world.settings.lake) == {"accounts": landed.unavailable}
        # What is whole again is taken over, and the note goes.
        assert accounts(before, keys).unavailable is None
        assert unavailable_tables(world.settings.lake) == {}


def test_a_loss_is_accepted_once_and_not_a_larger_one(world, accounts):
    accounts(40)
    accept = acceptance(accounts(4).unavailable)
    assert accounts(3, accept).unavailable is not None
    assert accounts(5, accept).unavailable is None
    assert len(world.rows("accounts")) == 5
    # The 5 are what later landings are measured by, and what was whole before is not a way around it.
    assert accounts(4, accept).unavailable is None
    assert accounts(40, accept).unavailable is None
    again = accounts(4, accept).unavailable
    assert again is not None and acceptance(again) != accept
    assert accounts(4, acceptance(again)).unavailable is None


def test_a_code_that_nobody_gave_is_refused(world, accounts):
    with pytest.raises(SettingsError, match=r"sources\.accounts\.accept_smaller: copy the value from the message"):
        accounts(4, 'accept_smaller = "all"')


@pytest.mark.parametrize("first", ["glob", "query", "sql"])
def test_every_way_to_read_a_whole_table_keeps_it(world, monkeypatch, first):
    monkeypatch.setenv("DESK", f"sqlite:///{world.root / 'desk.db'}")
    for rows in (30, 3):
        world.write("t/1.csv", tickets_csv(1))
        world.write("t/2.csv", tickets_csv(rows))
        with sqlite3.connect(world.root / "desk.db") as desk:
            desk.execute("drop table if exists tickets")
            desk.execute("create table tickets (ticket_id text, account_id text, opened_at text, priority text)")
            desk.executemany("insert into tickets values (?, 'a1', '2026-01-01', 'low')", [(f"t{n}",) for n in range(rows)])
        if first == "sql":
            world.sources = '[sources.tickets]\nconnector = "sql"\nurl = { env = "DESK" }\ntable = "tickets"'
        else:
            world.source("tickets", 'path = "t/*.csv"' if first == "glob" else "query = \"from read_csv('t/2.csv', all_varchar = true)\"")
        landed = land_table(world.settings, TABLES["tickets"], day(1), day(1))
    assert "3 rows came" in landed.unavailable
    assert len(world.rows("tickets")) == 30


def test_what_became_empty_or_has_no_source_any_more_is_said(world):
    world.source("tickets", 'path = "t.csv"')
    for rows, said in ((30, ()), (19, ()), (0, ("tickets: no rows came, so it is empty now; the last landing had 19",))):
        world.write("t.csv", tickets_csv(rows))
        assert world.land("tickets").losses == said
    world.write("t.csv", tickets_csv(30))
    world.land("tickets")
    world.sources = ""
    assert world.land("tickets").losses == (
        "tickets: not in the configuration any more; its 30 rows no longer count, its metrics are missing",
    )
    assert world.land("tickets").losses == ()


def test_a_delivery_that_comes_again_with_far_fewer_rows_is_said(world):
    world.source("tickets", 'path = "{day}.csv"\ndelivery = "changes"')
    world.write("2026-01-01.csv", tickets_csv(30))
    world.write("2026-01-02.csv", tickets_csv(30, first=10))
    assert world.land("tickets", day(2)).losses == ()
    world.write("2026-01-02.csv", tickets_csv(3, first=10))
    assert world.land("tickets", day(2)).losses == ("tickets: came again with far fewer rows: 2026-01-02 (3 of 30)",)
    assert world.land("tickets", day(2)).losses == ()


def test_a_table_whose_files_were_lost_cannot_stay(world, accounts):
    accounts(40)
    next((world.settings.lake / "raw" / "accounts").glob("*.parquet")).unlink()
    with pytest.raises(LakeError, match=r"\.parquet: lost, .*4 rows came"):
        accounts(4)


def test_the_demo_company_and_what_follows_it_are_not_judged(world):
    world.sources = '[demo]\naccounts = 40\n\n[sources.accounts]\nconnector = "demo"'
    assert land_table(world.settings, TABLES["accounts"], day(1), day(1)).loaded >= 40
    world.write("own.csv", accounts_csv(2))
    world.sources = ""
    world.source("accounts", 'path = "own.csv"')
    assert land_table(world.settings, TABLES["accounts"], day(1), day(1)).loaded == 2


# The Thursdays of January 2026; the days after the 29th were not extracted.
@pytest.mark.parametrize(
    ("before", "rows", "thin"),
    [
        ({1: 50, 8: 50, 15: 50, 22: 50}, 10, None),
        ({1: 50, 8: 50, 15: 50, 22: 50}, 9, "2026-01-29 (9, usually 50)"),
        ({1: 50, 8: 50, 15: 50, 22: 50}, 0, "2026-01-29 (0, usually 50)"),
        # The median of 0, 10, 40 and 50.
        ({1: 50, 2: 1, 8: 10, 22: 40}, 4, "2026-01-29 (4, usually 25)"),
        # Two such days are too few, and below five events a fifth is not an event.
        ({14: 1, 15: 50, 22: 50}, 1, None),
        ({1: 4, 8: 4, 15: 4, 22: 4}, 0, None),
    ],
)
def test_days_with_few_events_for_their_weekday(events, delivery, before, rows, thin):
    for number, count in {**before, 29: rows}.items():
        at = f"2026-01-{number:02}"
        delivery(events, at, *(f"{number}-{n},{at}" for n in range(count)))
    events.land("usage_events", day(29))
    said = thin_event_days(events.settings.lake, day(28), day(31))
    assert said == (thin and f"usage_events: less than a fifth of the usual events: {thin}")
    assert thin_event_days(events.settings.lake, day(28), day(28)) is None
