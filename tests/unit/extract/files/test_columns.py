"""Columns go by name, paths are only paths, and the preflight names every fault before anything is written."""

import traceback
from datetime import date

import openpyxl
import pytest

from orchestration.contract import TABLES
from orchestration.extract import SourceError, lake_select, preflight_sources
from orchestration.settings import SettingsError


def test_reordered_renamed_and_extra_columns(world):
    world.write("t.csv", "released_on,extra,Name of it,feature\n2026-01-01,x,chat,wrong\n")
    world.source("feature_releases", 'path = "t.csv"\ncolumns = { feature = "Name of it" }')
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 1))]


def test_files_of_one_glob_may_order_their_columns_differently(world):
    world.write("t1.csv", "feature,released_on\na,2026-01-01\n")
    world.write("t2.csv", "released_on,feature\n2026-01-02,b\n")
    world.write_parquet("t3.parquet", "select date '2026-01-03' as released_on, 'c' as feature")
    world.write_parquet("t4.parquet", "select 'd' as feature, '2026-01-04' as released_on")
    world.write("t5.jsonl", '{"released_on": "2026-01-05", "feature": "e"}\n')
    world.source("feature_releases", 'path = "t*"')
    world.land("feature_releases")
    assert world.rows("feature_releases") == [(name, date(2026, 1, day)) for day, name in enumerate("abcde", start=1)]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_missing_required_column_is_named_beside_those_found(world, name):
    world.write("t.csv", "feature,released\nchat,2026-01-01\n")
    world.write_parquet("t.parquet", "select 'chat' as feature, 1 as released")
    world.source("feature_releases", f'path = "{name}"')
    with pytest.raises(SourceError) as raised:
        world.land("feature_releases")
    assert f"{name}: column released_on of feature_releases is missing" in str(raised.value)
    assert "found are feature, released." in str(raised.value)


def test_a_header_below_a_title_is_pointed_at(world):
    world.write("t.csv", "Releases of 2026\nexported by ann; all regions\n\nfeature;released_on\nchat;2026-01-01\n")
    book = openpyxl.Workbook()
    for row in (["Releases of 2026"], [], ["feature", "released_on"], ["chat", "2026-01-01"]):
        book.active.append(row)
    book.save(world.root / "t.xlsx")
    for name, line in (("t.csv", 4), ("t.xlsx", 3)):
        world.source("feature_releases", f'path = "{name}"')
        with pytest.raises(
            SourceError, match=rf"^{name}: column feature, released_on .* remove the lines above line {line}, which has them$"
        ):
            world.land("feature_releases")


def test_columns_in_another_case_are_named_as_they_are_to_be_mapped(world):
    world.write("t.csv", "Feature,Released On\nchat,2026-01-01\n")
    world.source("feature_releases", 'path = "t.csv"')
    mapping = '{ feature = "Feature", released_on = "Released On" }'
    with pytest.raises(SourceError) as raised:
        world.land("feature_releases")
    assert str(raised.value).endswith(f"Map renamed columns with sources.feature_releases.columns = {mapping}")
    world.source("feature_releases", f'path = "t.csv"\ncolumns = {mapping}')
    assert world.land("feature_releases").loaded == 1


def test_a_column_that_is_there_twice_is_refused_where_it_is_read(world):
    world.write("t.csv", "feature,released_on,note,note\nchat,2026-01-01,x,y\n")
    world.source("feature_releases", 'path = "t.csv"')
    assert world.land("feature_releases").loaded == 1


def test_columns_that_no_known_delimiter_separates(world):
    world.write("t.csv", "feature^released_on\nchat^2026-01-01\n")
    world.source("feature_releases", 'path = "t.csv"')
    with pytest.raises(SourceError, match=r"^t.csv: the columns are not separated by comma, semicolon, tab or \|"):
        world.land("feature_releases")


def test_fields_within_others_are_mapped_by_their_path(world):
    """A name that has the point in it comes first."""
    world.write(
        "t.jsonl",
        '{"what": {"name": "chat", "at": {"on": "2026-01-01"}}}\n'
        '{"what.name": "mail", "what": {"name": "x", "at": {"on": "2026-01-02"}}}\n',
    )
    world.source("feature_releases", 'path = "t.jsonl"\ncolumns = { feature = "what.name", released_on = "what.at.on" }')
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 1)), ("mail", date(2026, 1, 2))]
    found = world.trial("feature_releases")
    assert (found.mapped, found.unmapped) == (("feature", "released_on"), ())


def test_a_path_that_is_a_folder(world):
    world.write("releases/t.csv", "feature,released_on\nchat,2026-01-01\n")
    world.source("feature_releases", 'path = "releases"')
    with pytest.raises(SourceError, match=r"no file matches releases .*It is a folder: write releases/\*$"):
        world.land("feature_releases")


SECRET = "root:$6$salt$hash:19000"


@pytest.mark.parametrize(
    "lines",
    [
        'path = "link.csv"',
        'path = "link.csv"\nquery = "select * from file"',
        'path = "../elsewhere/shadow"\nformat = "csv"',
        'path = "link.csv"\nquery = """select cast(columns(*) as integer) as feature, 1 as released_on from file"""',
        'path = "link.csv"\nformat = "jsonl"\nquery = """select cast(line as integer) as feature, 1 as released_on from file"""',
        'path = "link.csv"\nformat = "jsonl"',
    ],
)
def test_no_message_shows_what_a_file_outside_the_folder_of_the_configuration_holds(world, lines, tmp_path):
    inside = type(world)(tmp_path / "company")
    content = f'"{SECRET}"\n' * 3
    world.write("elsewhere/shadow", content)
    inside.root.mkdir()
    (inside.root / "link.csv").symlink_to("../elsewhere/shadow")
    inside.source("feature_releases", lines)
    with pytest.raises(ValueError, match="shadow|link.csv|query") as raised:
        inside.land("feature_releases")
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    if "columns(*)" not in lines and "jsonl" not in lines:
        assert "column feature, released_on of feature_releases is missing; wanted are feature, released_on." in str(raised.value)
        with pytest.raises(SettingsError) as refused:
            preflight_sources(inside.settings)
        assert SECRET not in str(refused.value)
        assert "wanted are feature, released_on" in str(refused.value)


def test_a_mapped_column_that_is_not_there_is_an_error_even_if_optional(world):
    world.write("accounts.csv", "account_id,account_name,created_at\na1,A,2026-01-01\n")
    world.source("accounts", 'path = "accounts.csv"\ncolumns = { segment = "tier" }')
    with pytest.raises(SourceError, match="column tier of accounts is missing"):
        world.land("accounts")


def test_a_doubled_column_is_an_error(world):
    world.write("t.csv", "feature,released_on,feature\na,2026-01-01,b\n")
    world.source("feature_releases", 'path = "t.csv"')
    with pytest.raises(SourceError, match="column feature is duplicated"):
        world.land("feature_releases")


def test_absent_optional_columns_are_null(world):
    world.land("accounts")
    assert world.rows("accounts", "account_id, segment, csm") == [("a1", None, None)]


@pytest.mark.parametrize("connector", ["path", "query"])
def test_folders_and_files_with_any_character(world, tmp_path, connector):
    odd = type(world)(tmp_path / "it's [a], 'b' * \"c\"")
    odd.write("x y;--/o'ne[1].csv", "feature,released_on\na,2026-01-01\n")
    odd.source(
        "feature_releases",
        'path = "x y;--/o\'ne[1].csv"'
        if connector == "path"
        else "query = '''select * from read_csv('x y;--/o*.csv', all_varchar = true) -- all\n;'''",
    )
    preflight_sources(odd.settings)
    odd.land("feature_releases")
    assert odd.rows("feature_releases", "feature") == [("a",)]


def test_a_query_maps_its_columns_by_name(world):
    world.write("raw/t.csv", "n,d\nchat,05.01.2026\nbad,\n")
    world.source(
        "feature_releases",
        "query = \"select strptime(d, '%d.%m.%Y') as released_on, n as name"
        " from read_csv('raw/t.csv', all_varchar = true)\"\n"
        'columns = { feature = "name" }\nmax_bad_share = 0.5',
    )
    landed = world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 5))]
    assert landed.quarantined == {"released_on: missing": 1}
    assert world.quarantine("feature_releases") == [("query", 2, "released_on: missing")]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select 1 as feature", "column released_on of feature_releases is missing"),
        ("select 1; select 2", "give one select statement"),
        ("create table x as select 1", "give one select statement"),
        ("select * from 'nowhere.csv'", "nowhere.csv"),
        ("selekt", "syntax error"),
    ],
)
def test_queries_that_cannot_serve(world, query, message):
    world.source("feature_releases", f'query = "{query}"')
    with pytest.raises(SettingsError, match=message):
        preflight_sources(world.settings)
    with pytest.raises(SourceError, match=message):
        world.land("feature_releases")


def test_the_preflight_lists_all_faults_and_writes_nothing(world):
    world.write("t.csv", "feature,released\n")
    world.source("feature_releases", 'path = "t.csv"')
    world.source("tickets", 'path = "tickets/*.csv"')
    world.source("usage_events", 'path = "events/{day}.parquet"')
    world.source("invoices", 'path = "health.toml"')
    world.source("csm_pulses", 'query = "selekt"')
    with pytest.raises(SettingsError) as raised:
        preflight_sources(world.settings)
    faults = str(raised.value).splitlines()
    assert len(faults) == 5
    assert all("health.toml: " in fault for fault in faults)
    assert any("sources.tickets.path: no file matches tickets/*.csv" in fault for fault in faults)
    assert any("health.toml is of no known format" in fault for fault in faults)
    assert not (world.root / "data").exists()


def test_the_preflight_accepts_good_sources(world):
    world.write("events/2026-01-01.parquet", b"never opened")
    world.source("usage_events", 'path = "events/{day}.parquet"')
    preflight_sources(world.settings)


def test_unconfigured_tables_land_as_typed_empty_ones(world):
    landed = world.land("invoices")
    assert (landed.mode, landed.delivered, landed.newest_fact) == ("snapshot", 0, None)
    described = world.query(f"describe {lake_select(world.settings.lake, TABLES['invoices'])}")
    assert [row[0:2] for row in described] == [
        ("invoice_id", "VARCHAR"),
        ("account_id", "VARCHAR"),
        ("issued_on", "DATE"),
        ("due_on", "DATE"),
        ("paid_on", "DATE"),
        ("amount", "DOUBLE"),
        ("open_amount", "DOUBLE"),
        ("currency", "VARCHAR"),
        ("voided_on", "DATE"),
        ("written_off_on", "DATE"),
    ]
    assert world.files("invoices") == ["raw/invoices/_manifest.json", "raw/invoices/empty.parquet"]


def test_a_table_that_never_landed_is_a_typed_empty_select(world):
    described = world.query(f"describe {lake_select(world.settings.lake, TABLES['feature_releases'])}")
    assert [row[0:2] for row in described] == [("feature", "VARCHAR"), ("released_on", "DATE")]


def test_a_query_that_gives_the_same_rows_changes_nothing(world):
    world.source("feature_releases", "query = \"select 'chat' as feature, date '2026-01-05' as released_on\"")
    world.land("feature_releases")
    manifest = world.manifest_bytes("feature_releases")
    world.land("feature_releases")
    assert world.manifest_bytes("feature_releases") == manifest
