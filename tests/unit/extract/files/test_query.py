"""Files that a query shapes: what it sees, what goes to quarantine before it, and that only the wanted days are read."""

import gzip
import json
from datetime import date

import pytest

from orchestration.extract import SourceError, preflight_sources
from orchestration.extract.files.lines import NOT_JSON
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World

EVENTS = """
query = '''
select line ->> '/id' as event_id, line ->> '/who/account' as account_id, line ->> '/who/user' as user_id, line ->> '/at' as occurred_at
from file
where line ->> '/who/account' is not null
'''
max_bad_share = 1.0
"""


def event(name: str, at: str, account: str | None = "a1") -> str:
    return json.dumps({"id": name, "who": {"account": account, "user": "u1"}, "at": at}) + "\n"


def test_nested_json_is_taken_apart_rows_are_left_out_and_broken_lines_keep_their_place(world: World) -> None:
    lines = event("e1", "2026-01-01T23:30:00-05:00") + "\n{broken\n" + event("e2", "2026-01-01", None) + event("e3", "yesterday")
    world.write("log/2026-01-02.json.gz", gzip.compress(lines.encode()))
    world.source("usage_events", f'path = "log/{{day}}.json.gz"{EVENTS}')
    landed = world.land("usage_events", date(2026, 1, 2))
    # e1 is of the second of January in UTC; e2 has no account; e3 is the second row that the query gives.
    assert world.rows("usage_events", "event_id, cast(occurred_at as varchar)") == [("e1", "2026-01-02 04:30:00")]
    assert world.quarantine("usage_events") == [
        ("log/2026-01-02.json.gz", 2, "occurred_at: not a timestamp like 2026-01-31 10:00:00"),
        ("log/2026-01-02.json.gz", 3, NOT_JSON),
    ]
    assert landed.delivered == 3


def test_each_delivery_keeps_its_day_and_only_wanted_ones_are_opened(world: World) -> None:
    world.source("usage_events", f'path = "log/{{day}}/*.jsonl"{EVENTS}')
    for day in (1, 2):
        for part in "ab":
            world.write(f"log/2026-01-0{day}/{part}.jsonl", event(f"e{day}{part}", f"2026-01-0{day} 10:00"))
    world.write("log/2026-01-04/a.jsonl", "nobody may open this yet")
    world.land("usage_events", date(2026, 1, 1), date(2026, 1, 2))
    assert world.rows("usage_events", "event_id") == [("e1a",), ("e1b",), ("e2a",), ("e2b",)]
    # The next run looks at its own day and the one before; what the second of January brings anew takes the place of what it brought.
    world.write("log/2026-01-02/a.jsonl", event("e2c", "2026-01-02 10:00"))
    landed = world.land("usage_events", date(2026, 1, 3))
    assert landed.changed_days == (date(2026, 1, 2),)
    assert world.rows("usage_events", "event_id") == [("e1a",), ("e1b",), ("e2b",), ("e2c",)]


def test_another_query_lands_the_same_files_anew(world: World) -> None:
    world.write("log.jsonl", event("e1", "2026-01-01"))
    world.source("usage_events", f'path = "log.jsonl"{EVENTS}')
    world.land("usage_events")
    world.source("usage_events", f'path = "log.jsonl"{EVENTS}'.replace("line ->> '/who/user' as", "'everybody' as"))
    world.land("usage_events")
    assert world.rows("usage_events", "user_id") == [("everybody",)]


@pytest.mark.parametrize("folder", ["1767312000000", "1767312000"])
def test_folders_named_by_the_unix_timestamp_of_their_day(world: World, folder: str) -> None:
    # 1767312000 is 2026-01-02 00:00 UTC; the name of the file does not say what it is.
    world.write(f"segment-logs/abc/{folder}/17673.gz", gzip.compress(event("e1", "2026-01-02 10:00").encode()))
    world.source("usage_events", f'path = "segment-logs/*/{{epoch_day}}/*.gz"\nformat = "jsonl"{EVENTS}')
    world.land("usage_events", date(2026, 1, 1))
    assert world.rows("usage_events", "event_id") == []
    world.land("usage_events", date(2026, 1, 2))
    assert world.rows("usage_events", "event_id") == [("e1",)]


def test_a_folder_that_is_not_a_timestamp_is_named(world: World) -> None:
    world.write("segment-logs/abc/20260102/1.gz", gzip.compress(b"{}"))
    world.source("usage_events", f'path = "segment-logs/*/{{epoch_day}}/*.gz"\nformat = "jsonl"{EVENTS}')
    with pytest.raises(SourceError, match="segment-logs/abc/20260102/1.gz holds no unix timestamp of a day"):
        world.land("usage_events")


def test_csv_comes_as_text_by_name_and_a_broken_record_costs_one_row(world: World) -> None:
    world.write("releases.csv", "Feature Name;Week;note\nchat;2026-W02;a\nboard;2026-W03;b;c\nwall;2026-W04;d\n")
    world.source(
        "feature_releases",
        'path = "releases.csv"\nmax_bad_share = 1.0\n'
        "query = '''select \"Feature Name\" as feature, strptime(Week || '-1', '%G-W%V-%u') as released_on from file'''",
    )
    world.land("feature_releases")
    # Mondays of the ISO weeks 2 and 4 of 2026.
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 5)), ("wall", date(2026, 1, 19))]
    assert world.quarantine("feature_releases") == [("releases.csv", 3, "wrong number of fields")]


@pytest.mark.parametrize("name", ["r.parquet.zst", "r.parquet.gz", "r.bin"])
def test_parquet_under_any_name(world: World, name: str) -> None:
    world.write_parquet(name, "select 'chat' as f, timestamp '2026-01-05 23:00' as moment")
    world.source(
        "feature_releases", f'path = "{name}"\nformat = "parquet"\nquery = \'select f as feature, moment as released_on from file\''
    )
    preflight_sources(world.settings)
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 5))]


def test_a_truncated_gzip_stream_lands_nothing(world: World) -> None:
    world.write("log.jsonl.gz", gzip.compress(b"".join(event(f"e{n}", "2026-01-01").encode() for n in range(5000)))[:-20])
    world.source("usage_events", f'path = "log.jsonl.gz"{EVENTS}')
    with pytest.raises(SourceError, match="log.jsonl.gz: truncated or damaged gzip stream"):
        world.land("usage_events")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select nonsense from file", "nonsense"),
        ("select 1 as feature from file", "column released_on of feature_releases is missing"),
        ("drop table file", "give one select statement"),
    ],
)
@pytest.mark.parametrize("path", ["releases.jsonl", "{day}.jsonl", "releases.csv"])
def test_queries_that_cannot_serve_are_found_before_anything_is_written(world: World, query: str, message: str, path: str) -> None:
    world.write(path.replace("{day}", "2026-01-01"), "{}\n")
    delivery = 'delivery = "changes"' if "{day}" in path else ""
    world.source("feature_releases", f'path = "{path}"\nquery = "{query}"\n{delivery}')
    with pytest.raises(SettingsError, match=message):
        preflight_sources(world.settings)


def test_a_query_that_fails_on_a_file_names_it(world: World) -> None:
    world.write("releases.jsonl", '{"at": "soon"}\n')
    world.source(
        "feature_releases",
        "path = \"releases.jsonl\"\nquery = \"select 'f' as feature, cast(line ->> '/at' as date) as released_on from file\"",
    )
    with pytest.raises(SourceError, match="sources.feature_releases.query: releases.jsonl: Conversion Error"):
        world.land("feature_releases")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "give path, query, or both"),
        ("query = 'select 1'\nformat = 'csv'", "format is for files that a path names"),
        ("path = '{day}/{epoch_day}.csv'", "give either {day} or {epoch_day}"),
        ("path = 'x'\nformat = 'xml'", "'csv', 'jsonl' or 'parquet'"),
    ],
)
def test_settings_that_contradict_themselves(world: World, lines: str, message: str) -> None:
    world.source("feature_releases", lines)
    with pytest.raises(SettingsError) as raised:
        world.land("feature_releases")
    assert message in str(raised.value)
