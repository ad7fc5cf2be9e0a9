"""The first page of files, of the demo company and of databases, judged as a run would judge it."""

import gzip
from datetime import datetime
from pathlib import Path

import pytest

from orchestration.contract import TABLES
from orchestration.extract import SourceError
from orchestration.extract.files.lines import NOT_JSON
from orchestration.extract.preview import FirstPage, first_page
from tests.unit.extract.conftest import World


def page(world: World, table: str) -> FirstPage:
    scratch = world.root / "scratch"
    scratch.mkdir(exist_ok=True)
    return first_page(world.settings, TABLES[table], world.settings.sources[table], scratch)


def test_a_csv_file_with_renamed_columns_and_bad_rows(world: World) -> None:
    world.write(
        "crm.csv",
        "id;account_name;created_at;owner\na1;Acme;2025-01-01;x\n;Nobody;2025-02-01;x\n"
        "a3;Bolt;2025-03-01 10:30;x\na4;one;2025-04-01;x;more\na5;C;soon;x\n",
    )
    world.source("accounts", 'path = "crm.csv"\ncolumns = { account_id = "id" }')
    assert page(world, "accounts") == FirstPage(
        rows=5,
        newest=datetime(2025, 3, 1, 10, 30),
        mapped=("account_id", "account_name", "created_at"),
        unmapped=("owner",),
        note="crm.csv",
        bad=3,
        first_reason="line 5: wrong number of fields",
    )


def test_a_required_column_that_is_missing_is_named(world: World) -> None:
    world.write("crm.csv", "id,account_name\na1,Acme\n")
    world.source("accounts", 'path = "crm.csv"')
    with pytest.raises(SourceError, match=r"crm\.csv: column account_id, created_at of accounts is missing"):
        page(world, "accounts")


def test_json_lines(world: World) -> None:
    world.write(
        "t.jsonl.gz",
        gzip.compress(
            b'{"touchpoint_id": 1, "account_id": "a1", "occurred_at": "2026-01-05T10:00:00+02:00", "channel": "call", "responded": true,'
            b' "who": {"name": "Ann"}}\n{"touchpoint_id": 2\n[1]\n{"touchpoint_id": 3, "account_id": "a1"}\n'
        ),
    )
    world.source("touchpoints", 'path = "t.jsonl.gz"')
    found = page(world, "touchpoints")
    # Of the four: no direction, broken, no object, nearly nothing.
    assert (found.rows, found.bad, found.first_reason) == (4, 4, f"line 2: {NOT_JSON}")
    assert found.unmapped == ("who",)
    assert found.newest is None


def test_the_last_delivery_of_several_is_read_and_no_more_than_a_page(world: World) -> None:
    for day in (1, 2):
        world.write_parquet(
            f"events/2026-01-0{day}.parquet",
            f"select 'e' || n as event_id, 'a1' as account_id, 'u1' as user_id, timestamp '2026-01-0{day}' + n * interval '1 second' as"
            " occurred_at, {'a': n} as properties from range(5000) as r(n)",
        )
    world.source("usage_events", 'path = "events/{day}.parquet"')
    found = page(world, "usage_events")
    assert (found.rows, found.bad, found.newest) == (100, 0, datetime(2026, 1, 2, 0, 1, 39))
    assert found.unmapped == ("properties",)
    assert found.note == "events/2026-01-02.parquet, the last of 2 files, first rows only"


def test_a_query(world: World) -> None:
    world.write("subs.csv", "id,customer,since,places\ns1,a1,2025-05-01,12\ns2,a1,2025-06-01,-1\n")
    world.source(
        "subscriptions",
        'query = "select id as subscription_id, customer as account_id, since as started_on, places as seats, 1 as extra'
        " from 'subs.csv' -- all\"",
    )
    found = page(world, "subscriptions")
    assert (found.rows, found.newest, found.unmapped) == (2, datetime(2025, 5, 1), ("extra",))
    assert (found.bad, found.first_reason) == (1, "row 2: seats: below 0")


def test_a_query_over_the_files_of_a_path(world: World) -> None:
    world.write(
        "2026-01-02.jsonl",
        '{"id": 1, "who": {"company": "a1", "user": "u1"}, "at": "2026-01-02T10:00:00Z"}\n{"id": 2\n'
        '{"id": 3, "who": {"company": "a1"}, "at": "2026-01-02T11:00:00Z"}\n',
    )
    world.source(
        "usage_events",
        "path = '{day}.jsonl'\nquery = \"\"\"select line ->> '$.id' as event_id, line ->> '$.who.company' as account_id,"
        " line ->> '$.who.user' as user_id, line ->> '$.at' as occurred_at, 1 as extra from file\"\"\"",
    )
    found = page(world, "usage_events")
    # Of the three: broken, no user.
    assert (found.rows, found.bad, found.first_reason) == (3, 2, f"line 2: {NOT_JSON}")
    assert (found.newest, found.unmapped, found.note) == (datetime(2026, 1, 2, 10), ("extra",), "2026-01-02.jsonl")


def test_the_demo_company_up_to_a_day(world: World) -> None:
    world.pipeline = "end_date = 2026-01-31\n[demo]\naccounts = 3\ndirt = false"
    world.sources = '[sources.feature_releases]\nconnector = "demo"'
    found = page(world, "feature_releases")
    assert found.mapped == ("feature", "released_on") and found.unmapped == ()
    assert 0 < found.rows <= 100 and found.bad == 0
    assert found.newest <= datetime(2026, 1, 31)


def test_a_table_of_a_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    with sqlite3.connect(world.root / "desk.db") as desk:
        desk.execute("create table calls (id integer, account_id text, occurred_at text, channel text, direction text, weight real)")
        desk.executemany(
            "insert into calls values (?, 'a1', ?, ?, 'inbound', 0.5)",
            [(n, f"2026-01-01 10:00:{n:02}", "fax" if n == 7 else "call") for n in range(60)] * 2,
        )
    monkeypatch.setenv("DESK_URL", f"sqlite:///{world.root / 'desk.db'}")
    world.sources = (
        '[sources.touchpoints]\nconnector = "sql"\nurl = { env = "DESK_URL" }\ntable = "calls"\ncolumns = { touchpoint_id = "id" }'
    )
    assert page(world, "touchpoints") == FirstPage(
        rows=100,
        newest=datetime(2026, 1, 1, 10, 0, 59),
        mapped=("touchpoint_id", "account_id", "occurred_at", "channel", "direction"),
        unmapped=("weight",),
        note="first rows only",
        bad=2,
        first_reason="row 8: channel: none of email, chat, call, meeting, campaign",
        account_ids={"a1": 98},
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.parquet", b"PAR1 torn", "f.parquet: cannot be read"),
        ("f.csv", b"feature,released_on\n\xfc,2026-01-01\n", "f.csv line 2: not UTF-8. It is likely windows-1252 (it then reads 'ü')"),
        ("f.csv.gz", gzip.compress(b"feature,released_on\n" * 50, mtime=0)[:20], "f.csv.gz: truncated or damaged gzip stream"),
    ],
    ids=["parquet", "csv", "gzip"],
)
def test_a_damaged_file_is_one_clear_error(world: World, name: str, content: bytes, said: str) -> None:
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"')
    with pytest.raises(SourceError) as raised:
        page(world, "feature_releases")
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "rows", "note"),
    [
        ("f.csv", b"", 0, "f.csv; f.csv: empty, taken as a delivery without rows"),
        ("f.json", b'[\n {"feature": "a", "released_on": "2026-01-02"}\n]', 1, "f.json"),
        ("f.csv", "\ufefffeature,released_on\n,\na,2026-01-02\n".encode("utf-16-le"), 1, "f.csv"),
    ],
    ids=["empty", "array", "utf-16"],
)  # fmt: skip
def test_the_page_is_that_of_the_file_as_it_is_read(world: World, name: str, content: bytes, rows: int, note: str) -> None:
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"')
    found = page(world, "feature_releases")
    assert (found.rows, found.bad, found.note) == (rows, 0, note)


def test_nothing_is_written_below_the_data_folder(world: World, tmp_path: Path) -> None:
    world.write("f.csv", "feature,released_on\na,2026-01-01\n")
    world.source("feature_releases", 'path = "f.csv"')
    page(world, "feature_releases")
    assert not world.settings.data_dir.exists()
    assert list((tmp_path / "scratch").iterdir()) == []
