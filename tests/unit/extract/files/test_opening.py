"""What a file is, is seen from its first bytes: it is read where it can be, else the error says what it is and what to do."""

import gzip
import io
import json
import re
import sqlite3
import zipfile
from datetime import date, datetime

import openpyxl
import pytest

from orchestration.extract import SourceError, preflight_sources
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World

HEADER = "feature,released_on,note\n"


def zipped(**files: bytes | str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def workbook(**sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def row(feature: str) -> str:
    return f"{feature},2026-01-05,ü\n"


def line(feature: str) -> str:
    return json.dumps({"feature": feature, "released_on": "2026-01-05", "nested": {"x": ["a,b", "}"]}})


def features(world: World) -> list[str]:
    return [name for (name,) in world.rows("feature_releases", "feature")]


def land(world: World, name: str, content: bytes | str, more: str = ""):
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"\n{more}')
    preflight_sources(world.settings)
    return world.land("feature_releases")


def test_files_are_read_as_what_they_are_whatever_their_names(world: World) -> None:
    parquet = world.write_parquet("written.parquet", "select 'parquet' as feature, date '2026-01-05' as released_on").read_bytes()
    pretty = json.dumps([json.loads(line("array-1")), json.loads(line("array-2"))], indent=2)
    sheet = [["feature", "released_on", "note"], [None], ["sheet", datetime(2026, 1, 5), 7.0], [4711, "2026-01-06"], [None, None, None]]
    files: dict[str, bytes | str] = {
        "gzip.csv": gzip.compress(mtime=0, data=(HEADER + row("gzip")).encode()),
        "plain.csv.gz": HEADER + row("plain"),
        "zip.csv": zipped(**{"out/zip.csv": HEADER + row("zip"), "__MACOSX/out/._zip.csv": b"\x00\x05"}),
        "lines.zip": zipped(**{"lines.json": line("zipped-line")}),
        "sheet.xlsx": workbook(Data=sheet, Notes=[["not", "this"]]),
        "excel-unicode.txt": (HEADER + row("unicode-text")).replace(",", "\t").encode("utf-16"),
        "utf-32.csv.gz": gzip.compress(mtime=0, data=(HEADER + row("utf-32")).encode("utf-32")),
        "utf-16-without-mark.csv": (HEADER + row("utf-16")).encode("utf-16-be"),
        "old-mac.csv": (HEADER + row("old-mac")).replace("\n", "\r"),
        "names-its-delimiter.csv": ("\ufeffsep=;\r\n" + (HEADER + row("sep")).replace(",", ";")).encode(),
        "parquet.csv": parquet,
        "csv.parquet": HEADER + row("csv"),
        "lines.csv": line("line-1") + "\n" + line("line-2") + "\n",
        "array.json": pretty,
        "array-on-a-line.jsonl.gz": gzip.compress(mtime=0, data=f"[{line('flat-1')},{line('flat-2')}]".encode("utf-8-sig")),
        "pages.json": f"[{line('page-1')}]\n[]\n[{line('page-2')}]",
        "pretty.ndjson": json.dumps(json.loads(line("pretty-1")), indent=1) + "\n" + json.dumps(json.loads(line("pretty-2")), indent=1),
        "nothing.json": "[]",
    }
    for name, content in files.items():
        world.write(f"in/{name}", content)
    world.source("feature_releases", 'path = "in/*"')
    preflight_sources(world.settings)
    landed = world.land("feature_releases")
    assert features(world) == sorted([
        "gzip", "plain", "zip", "zipped-line", "sheet", "4711", "unicode-text", "utf-32", "utf-16", "old-mac", "sep", "parquet", "csv",
        "line-1", "line-2",
        "array-1", "array-2", "flat-1", "flat-2", "page-1", "page-2", "pretty-1", "pretty-2",
    ])  # fmt: skip
    assert landed.quarantined == {} and landed.delivered == landed.loaded == 23
    assert not [path for path in world.settings.temp_dir.rglob("*") if path.is_file()]


def test_the_named_sheet_is_read_and_a_cell_keeps_its_value(world: World) -> None:
    rows = [
        ["account_id", "account_name", "created_at", "segment", "csm"],
        [1001, "Zoë & Co", datetime(2025, 1, 1, 9, 30), True, "two\nlines"],
        [1002.0, "Acme", date(2025, 1, 2), 0.5],
        [1.5, "Half an id", date(2025, 1, 2)],
    ]
    world.write("crm.xlsx", workbook(Summary=[["no", "rows"]], Accounts=rows))
    world.source("accounts", 'path = "crm.xlsx"\nsheet = "Accounts"\nmax_bad_share = 0.5')
    world.land("accounts")
    assert world.rows("accounts", "account_id, account_name, created_at, segment, csm") == [
        ("1001", "Zoë & Co", datetime(2025, 1, 1, 9, 30), "true", "two\nlines"),
        ("1002", "Acme", datetime(2025, 1, 2), "0.5", None),
    ]
    assert [(file, reason) for file, _, reason in world.quarantine("accounts")] == [
        ("crm.xlsx", "account_id: a fraction or in scientific notation, not an id")
    ]
    world.source("accounts", 'path = "crm.xlsx"\nsheet = "Customers"')
    with pytest.raises(SettingsError, match=r"crm\.xlsx: no sheet Customers; there is Summary, Accounts\. Fix the source's sheet"):
        preflight_sources(world.settings)


def database() -> bytes:
    with sqlite3.connect(":memory:") as found:
        found.execute("create table t (x)")
        return found.serialize()


CSV = (HEADER + row("a")).encode()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on",
         "an old Excel file (.xls), or one with a password, which cannot be read. Save it as .xlsx"),
        ("t.xls", "<html><table><tr><td>feature</td></tr></table></html>",
         "an HTML page, perhaps that of a login or of an error. Deliver the data"),
        ("t.csv", "\n<!DOCTYPE html>\n<title>Sign in</title>", "an HTML page"),
        ("t.json", "<?xml version='1.0'?><rows/>", "XML, which cannot be read. Save it as .xlsx or CSV"),
        ("t.csv", database(), "an SQLite database, which cannot be read. Read it with connector = \"sql\""),
        ("t.csv", b"%PDF-1.7", "a PDF, which cannot be read. Export the data as CSV"),
        ("t.parquet", b"\x28\xb5\x2f\xfd\x00more", "packed with Zstandard, which cannot be read. Pack it with gzip"),
        ("t.csv.gz", gzip.compress(mtime=0, data=gzip.compress(mtime=0, data=CSV)),
         "packed with gzip a second time, which cannot be read. Pack it once"),
        ("t.zip", zipped(**{"t.xlsx": workbook(Sheet=[["feature"]])}),
         "an Excel or zip file within an archive, which cannot be read. Deliver it unpacked"),
        ("t.csv.gz", gzip.compress(mtime=0, data=b"t.csv".ljust(257, b"\0") + b"ustar\0"),
         "a tar archive, which cannot be read. Deliver the files in it"),
        ("t.zip", zipped(**{"a.csv": CSV, "b.csv": CSV}),
         "a zip file with 2 files in it (a.csv, b.csv); one can be read. Deliver them unpacked"),
        ("t.zip", b"PK\x03\x04 torn", "truncated or damaged zip file"),
        ("t.zip", zipped(**{"t.csv": CSV})[:-30], "truncated or damaged zip file"),
        ("t.ods", zipped(**{"content.xml": "<x/>", "mimetype": "y"}),
         "a spreadsheet other than .xlsx, which cannot be read. Save it as .xlsx or CSV"),
        ("t.xlsx", zipped(**{"xl/workbook.xml": "<x/>"}), "an Excel file that cannot be read"),
        ("t.csv.gz", gzip.compress(mtime=0, data=CSV)[:-9], "truncated or damaged gzip stream"),
        ("t.json", "[" + line("a") + ",\n" + line("b"), "line 2: not valid JSON (the array is not closed), or cut off. Deliver it again"),
        ("t.json", "[" + line("a") + ",\n{feature: 1}]", "line 2: not valid JSON (Expecting property name enclosed in double quotes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_a_remedy(world: World, name: str, content: bytes | str, said: str) -> None:
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"\nmax_bad_share = 1.0')
    with pytest.raises(SourceError, match=rf"^{re.escape(name)}( line 2)?: .*{re.escape(said.removeprefix('line 2: '))}"):
        world.land("feature_releases")


def test_the_answer_of_an_api_is_refused_with_a_query_that_reads_it(world: World) -> None:
    answer = json.dumps({"object": "list", "has_more": False, "data": [json.loads(line("a")), json.loads(line("b"))]}, indent=2)
    with pytest.raises(SourceError) as raised:
        land(world, "t.json", answer)
    query = str(raised.value).partition('query = "')[2].partition('"')[0]
    assert query == "select row ->> '$.feature' as feature, ... from (select unnest(cast(line -> '$.data' as json[])) as row from file)"
    whole = query.replace("...", "row ->> '$.released_on' as released_on")
    land(world, "t.json", answer, f'query = "{whole}"')
    assert features(world) == ["a", "b"]
    # A row of its own may hold a list of objects.
    world.write("t.json", json.dumps(json.loads(line("c")) | {"owners": [{"name": "x"}]}))
    world.source("feature_releases", 'path = "t.json"')
    world.land("feature_releases")
    assert features(world) == ["c"]


def test_bad_elements_of_an_array_keep_their_lines(world: World) -> None:
    elements = ",\n".join([line("a"), json.dumps({"feature": "b", "released_on": "soon"}, indent=2), '"text"', line("c")])
    land(world, "t.json", f"[\n{elements}\n]\n", "max_bad_share = 0.5")
    assert features(world) == ["a", "c"]
    assert [(at, reason.partition(",")[0]) for _, at, reason in world.quarantine("feature_releases")] == [
        (3, "released_on: not a date like 2026-01-31"),
        (7, "not a JSON object"),
    ]


def test_an_array_larger_than_what_is_held_of_it(world: World) -> None:
    many = [{"feature": f"f{number}", "released_on": "2026-01-05", "note": "ü" * 200} for number in range(12_000)]
    assert land(world, "t.json", json.dumps(many, indent=1, ensure_ascii=False)).loaded == 12_000
    with pytest.raises(SettingsError, match=r"t\.json line 1: a JSON value over 8 MB\. Deliver one object on each line"):
        land(world, "t.json", json.dumps({"data": many * 6}).replace("{", "{\n", 1))


UMLAUTS = HEADER + "Müller GmbH,2026-01-05,10–20 €\n" + "".join(row(f"plain{number}").replace("ü", "") for number in range(60))


@pytest.mark.parametrize(("encoding", "found"), [("cp1252", "windows-1252"), ("mac-roman", "mac-roman")])
def test_a_file_that_is_not_utf_8_is_refused_with_its_likely_encoding(world: World, encoding: str, found: str) -> None:
    """Also where the few bad rows would be below max_bad_share: they would be just the customers with an umlaut."""
    with pytest.raises(SourceError) as raised:
        land(world, "t.csv", UMLAUTS.encode(encoding))
    assert str(raised.value) == (
        f"t.csv line 2: not UTF-8. It is likely {found} (it then reads 'Müller GmbH'): write encoding = \"{found}\" in the source's "
        f"section, "
        "or save the file as UTF-8"
    )
    land(world, "t.csv", UMLAUTS.encode(encoding), f'encoding = "{found}"')
    assert features(world)[0] == "Müller GmbH" and len(features(world)) == 61


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "feature,released_on,größe\na,2026-01-05,1\n".encode("latin-1")),
        ("t.jsonl", b'{"feature": "a", "released_on": "2026-01-05"}\n{"feature": "gr\xfc\xdfe", "released_on": "2026-01-05"}\n'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("query", ["", "query = 'select {} from file'"])
def test_other_encodings_are_seen_in_headers_json_and_before_a_query(world: World, name: str, content: bytes, query: str) -> None:
    columns = "feature, released_on" if name == "t.csv" else "line ->> ''$.feature'' as feature, line ->> ''$.released_on'' as released_on"
    with pytest.raises((SourceError, SettingsError), match="not UTF-8. It is likely windows-1252"):
        land(world, name, content, query.format(columns).replace("''", "'").replace("'select", "'''select").replace("file'", "file'''"))


def test_one_broken_line_of_a_file_in_utf_8_costs_one_row(world: World) -> None:
    content = HEADER.encode() + row("a").encode() + b"b,2026-01-05,\xc3\n" + row("c").encode()
    assert land(world, "t.csv", content, "max_bad_share = 0.5").quarantined == {"invalid encoding": 1}
    assert features(world) == ["a", "c"]


def test_a_configured_encoding_that_is_not_the_file_s(world: World) -> None:
    with pytest.raises(SettingsError, match=r"t\.csv line 2: byte 0x81 is not a character of windows-1252 .*Fix the source's encoding"):
        land(world, "t.csv", HEADER.encode() + b"a\x81,2026-01-05,\n", 'encoding = "windows-1252"')
    # A mark at the beginning says more, and so do characters that are UTF-8.
    for encoding in ("utf-8-sig", "utf-8"):
        land(world, "t.csv", (HEADER + row("Süd")).encode(encoding), 'encoding = "windows-1252"')
        assert features(world) == ["Süd"]


@pytest.mark.parametrize(
    ("encoding", "name"), [("shift-jis", "株式会社テスト"), ("koi8-r", "Компания"), ("windows-1251", "Компания"), ("cp850", "Müller")]
)
def test_other_encodings_are_seen(world: World, encoding: str, name: str) -> None:
    with pytest.raises(SourceError, match=rf"It is likely {encoding} .it then reads '{name}'.: write encoding"):
        land(world, "t.csv", f"{HEADER}{name},2026-01-05,\n".encode(encoding))


def test_the_message_about_an_encoding_shows_nothing_of_a_file_outside_the_folder(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "t.csv"
    outside.write_bytes(UMLAUTS.encode("cp1252"))
    (world.root / "t.csv").symlink_to(outside)
    world.source("feature_releases", 'path = "t.csv"')
    with pytest.raises(SourceError, match="It is likely windows-1252: write"):
        world.land("feature_releases")


def test_empty_files_are_deliveries_without_rows_in_any_run(events: World, delivery) -> None:
    delivery(events, "2026-01-01", "e1,2026-01-01 10:00")
    for name in ("02.csv", "03.parquet", "04.csv.gz", "05.jsonl"):
        events.write(f"events/2026-01-{name}", "")
    events.write("events/2026-01-06.csv.gz", gzip.compress(mtime=0, data=b""))
    events.source("usage_events", 'path = "events/{day}.*"')
    by_day = [events.land("usage_events", date(2026, 1, day)).notes for day in range(1, 7)]
    assert by_day[1] == ("events/2026-01-02.csv: empty, taken as a delivery without rows",)
    assert [len(notes) for notes in by_day] == [0, 1, 2, 2, 2, 2]  # lookback_days = 1
    lake = events.kept()
    fresh = World(events.root / "again")
    fresh.root.mkdir()
    (fresh.root / "events").symlink_to(events.root / "events")
    fresh.source("usage_events", 'path = "events/{day}.*"')
    landed = fresh.land("usage_events", date(2026, 1, 1), date(2026, 1, 6))
    assert (landed.loaded, len(landed.notes)) == (1, 5)
    assert {name: value["deliveries"] for name, value in fresh.kept().items() if "usage_events/_man" in name} == {
        name: value["deliveries"] for name, value in lake.items() if "usage_events/_man" in name
    }
