"""What `make check-sources` finds in one source: what the first run would make of it, without writing below the data folder."""

import gzip
import sqlite3
from datetime import datetime

import pytest

from orchestration.extract import SourceError
from orchestration.extract.files.lines import NOT_JSON
from orchestration.extract.trial import Trial
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World


def test_a_csv_file_with_renamed_columns_and_bad_rows(world: World) -> None:
    world.write(
        "crm.csv",
        "id;account_name;created_at;owner\na1;Acme;2025-01-01;x\n;Nobody;2025-02-01;x\n"
        "a3;Bolt;2025-03-01 10:30;x\na4;one;2025-04-01;x;more\na5;C;soon;x\n",
    )
    world.source("accounts", 'path = "crm.csv"\ncolumns = { account_id = "id" }')
    assert world.trial("accounts") == Trial(
        rows=5,
        bad=3,
        is_whole=True,
        newest=datetime(2025, 3, 1, 10, 30),
        mapped=("account_id", "account_name", "created_at"),
        unmapped=("owner",),
        filled=("account_id", "account_name", "created_at"),
        note="crm.csv",
        refusal="3 of 5 rows would go to quarantine: 1 x account_id: missing, 1 x created_at: not a timestamp like 2026-01-31 10:00:00,"
        " 1 x wrong number of fields. For example crm.csv line 3: account_id: missing (found ''); crm.csv line 5: wrong number of fields"
        " (found 'a4;one;2025-04-01;x;more'); crm.csv line 6: created_at: not a timestamp like 2026-01-31 10:00:00 (found 'soon')."
        ' Remedy: sources.accounts.date_format says how dates are written, for example "%d.%m.%Y", "%m/%d/%Y", or "epoch" for seconds or'
        " milliseconds since 1970;"
        " sources.accounts.nulls which words mean that there is none. More than max_bad_share 0.05 allows",
    )
    world.source("accounts", 'path = "crm.csv"\ncolumns = { account_id = "id" }\nmax_bad_share = 0.6')
    found = world.trial("accounts")
    assert found.refusal is None
    assert [doubt.partition(": ")[0] for doubt in found.doubts] == ["3 of 5 rows would go to quarantine"]


def test_a_required_column_that_is_missing_is_named(world: World) -> None:
    world.write("crm.csv", "id,account_name\na1,Acme\n")
    world.source("accounts", 'path = "crm.csv"')
    with pytest.raises(SettingsError, match=r"crm\.csv: column account_id, created_at of accounts is missing"):
        world.trial("accounts")


def test_json_lines(world: World) -> None:
    world.write(
        "t.jsonl.gz",
        gzip.compress(
            b'{"touchpoint_id": 1, "account_id": "a1", "occurred_at": "2026-01-05T10:00:00+02:00", "channel": "call", "responded": true,'
            b' "who": {"name": "Ann"}}\n{"touchpoint_id": 2\n[1]\n{"touchpoint_id": 3, "account_id": "a1"}\n'
        ),
    )
    world.source("touchpoints", 'path = "t.jsonl.gz"')
    found = world.trial("touchpoints")
    # Of the four: no direction, broken, no object, nearly nothing.
    assert (found.rows, found.bad) == (4, 4) and f"t.jsonl.gz line 2: {NOT_JSON}" in found.refusal
    assert found.mapped == ("touchpoint_id", "account_id", "occurred_at", "channel", "responded")
    assert found.unmapped == ("who.name",)
    assert found.newest is None


def test_files_are_read_whole_up_to_a_size_the_newest_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2, 3):
        world.write_parquet(
            f"events/2026-01-0{day}.parquet",
            f"select 'e{day}-' || n as event_id, 'a1' as account_id, 'u1' as user_id,"
            f" timestamp '2026-01-0{day}' + n * interval '1 second' as occurred_at, {{'a': n}} as properties from range(5000) as r(n)",
        )
    world.source("usage_events", 'path = "events/{day}.parquet"')
    found = world.trial("usage_events")
    assert (found.rows, found.bad, found.is_whole) == (15_000, 0, True)
    assert found.note == "3 files, the last events/2026-01-03.parquet"
    assert found.unmapped == ("properties",)
    size = sum(path.stat().st_size for path in world.root.glob("events/*.parquet"))
    monkeypatch.setattr("orchestration.extract.trial._BYTES", size - 1)
    found = world.trial("usage_events")
    assert (found.rows, found.is_whole, found.newest) == (10_000, False, datetime(2026, 1, 3, 1, 23, 19))
    assert found.note == "the newest 2 of 3 files, the last events/2026-01-03.parquet"


def test_of_several_files_of_one_delivery_the_newest_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9, 12):
        world.write(f"f_{number}.csv", f"feature,released_on\nf{number},2026-01-{number:02}\n")
    world.source("feature_releases", 'path = "f_*.csv"')
    monkeypatch.setattr("orchestration.extract.trial._BYTES", 1)
    found = world.trial("feature_releases")
    assert (found.rows, found.newest, found.note) == (1, datetime(2026, 1, 11), "the newest 1 of 3 files, the last f_11.csv")


def test_a_query(world: World) -> None:
    world.write("subs.csv", "id,customer,since,places\ns1,a1,2025-05-01,12\ns2,a1,2025-06-01,-1\n")
    world.source(
        "subscriptions",
        'query = "select id as subscription_id, customer as account_id, since as started_on, places as seats, 1 as extra'
        " from 'subs.csv' -- all\"",
    )
    found = world.trial("subscriptions")
    assert (found.rows, found.newest, found.unmapped) == (2, datetime(2025, 5, 1), ("extra",))
    assert found.bad == 1 and "query line 2: seats: below 0 (found '-1')" in found.refusal


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
    found = world.trial("usage_events")
    # Of the three: broken, no user.
    assert (found.rows, found.bad) == (3, 2) and f"2026-01-02.jsonl line 2: {NOT_JSON}" in found.refusal
    assert (found.newest, found.unmapped, found.note) == (datetime(2026, 1, 2, 10), ("extra",), "2026-01-02.jsonl")


def test_the_demo_company_up_to_a_day(world: World) -> None:
    world.pipeline = "end_date = 2026-01-31\n[demo]\naccounts = 3\ndirt = false"
    world.sources = '[sources.feature_releases]\nconnector = "demo"'
    found = world.trial("feature_releases")
    assert found.mapped == ("feature", "released_on") and found.unmapped == ()
    assert 0 < found.rows <= 100 and found.bad == 0
    assert found.newest <= datetime(2026, 1, 31)


def test_a_table_of_a_database_is_read_up_to_a_number_of_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(world.root / "desk.db") as desk:
        desk.execute("create table calls (id integer, account_id text, occurred_at text, channel text, direction text, weight real)")
        desk.executemany(
            "insert into calls values (?, 'a1', ?, ?, 'inbound', 0.5)",
            [(n, f"2026-01-01 10:00:{n % 60:02}", "fax" if n == 7 else "call") for n in range(120)] * 2,
        )
    monkeypatch.setenv("DESK_URL", f"sqlite:///{world.root / 'desk.db'}")
    world.sources = (
        '[sources.touchpoints]\nconnector = "sql"\nurl = { env = "DESK_URL" }\ntable = "calls"\ncolumns = { touchpoint_id = "id" }'
    )
    found = world.trial("touchpoints")
    assert (found.rows, found.bad, found.is_whole, found.newest) == (240, 2, True, datetime(2026, 1, 1, 10, 0, 59))
    assert (found.mapped, found.unmapped) == (("touchpoint_id", "account_id", "occurred_at", "channel", "direction"), ("weight",))
    assert (found.note, found.refusal) == ("", None)
    assert found.doubts[0].startswith(
        "2 of 240 rows would go to quarantine: 2 x channel: none of email, chat, call, meeting, campaign. For example sql line 8:"
    )
    # The columns that it lacks are another matter.
    assert found.doubts[1:2] == ("119 more rows have the key of a later row, which alone counts, for example 0, 1, 10",)
    assert found.remarks == ("one value in all rows: account_id (a1), channel (call), direction (inbound)",)
    monkeypatch.setattr("orchestration.extract.trial._ROWS", 50)
    found = world.trial("touchpoints")
    assert (found.rows, found.is_whole, found.note) == (50, False, "the first 50 rows")


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
    with pytest.raises((SourceError, SettingsError)) as raised:
        world.trial("feature_releases")
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "rows", "doubts"),
    [
        ("f.csv", b"", 0, ("f.csv: empty, taken as a delivery without rows",)),
        ("f.json", b'[\n {"feature": "a", "released_on": "2026-01-02"}\n]', 1, ()),
        (
            "f.csv", "\ufefffeature,released_on\n,\na,2026-01-02\n".encode("utf-16-le"), 1,
            ("f.csv: 1 row of nothing but blank fields left out",),
        ),
    ],
    ids=["empty", "array", "utf-16"],
)  # fmt: skip
def test_a_file_is_read_as_a_run_reads_it(world: World, name: str, content: bytes, rows: int, doubts: tuple[str, ...]) -> None:
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"')
    found = world.trial("feature_releases")
    assert (found.rows, found.bad, found.note, found.doubts) == (rows, 0, name, doubts)


def test_nothing_is_written_below_the_data_folder(world: World) -> None:
    world.write("f.csv", "feature,released_on\na,2026-01-01\n")
    world.source("feature_releases", 'path = "f.csv"')
    world.trial("feature_releases")
    assert not world.settings.data_dir.exists()


def test_a_feed_that_stopped_and_a_fact_of_the_future(world: World) -> None:
    world.write("e.csv", "event_id,account_id,user_id,occurred_at\ne1,a1,u1,2026-01-01\n")
    world.source("usage_events", 'path = "e.csv"')
    world.pipeline = "end_date = 2026-01-04"
    said = "the newest fact is 3 days before 2026-01-04, more than late_after_days 2: its metrics would be late"
    assert world.trial("usage_events").doubts == (said,)
    world.pipeline = "end_date = 2026-01-03"
    assert world.trial("usage_events").doubts == ()
    world.write("e.csv", "event_id,account_id,user_id,occurred_at\ne1,a1,u1,2126-01-01\n")
    assert world.trial("usage_events").doubts == ("the newest fact is of 2126-01-01, which is still to come",)


def test_columns_that_look_wrong(world: World) -> None:
    rows = "".join(f"i{n},a{n % 3},2026-01-01,2026-02-01,,{amount},{currency}\n" for n, (amount, currency) in enumerate(
        [(f"{n}9", "USD") for n in range(1, 9)] + [(f"{n}9000", "USD") for n in range(1, 9)] + [(f"{n}00", "JPY") for n in range(1, 9)]
    ))  # fmt: skip
    world.write("i.csv", "invoice_id,account_id,issued_on,due_on,paid_on,amount,currency\n" + rows)
    world.source("invoices", 'path = "i.csv"')
    (world.root / "seeds").mkdir(exist_ok=True)
    world.write("seeds/fx_rates.csv", "currency,valid_from,rate\nJPY,2000-01-01,0.01\n")
    found = world.trial("invoices")
    assert found.doubts == ("two scales in amount of USD? 8 of 16 values are at most 89, the others at least 19000",)
    assert found.remarks == ("no value in any row: paid_on", "one value in all rows: issued_on (2026-01-01), due_on (2026-02-01)")
    world.write("accounts.csv", "account_id,account_name,created_at,segment\na1,1001,2025-01-01,x\na2,1002,2025-01-02,4\n")
    assert world.trial("accounts").doubts == ("all 2 account_name are numbers, such as 1001: is it the right column?",)
