"""Broken text files: the broken line goes to quarantine with its number, the others load."""

import gzip

import pyarrow as pa
import pytest

from orchestration.extract import QuarantineLimitExceeded, SourceError
from orchestration.extract.files.columns import MAX_COLUMNS
from orchestration.extract.files.lines import MAX_LINE_BYTES, NOT_JSON, NOT_OBJECT, Counted, count_records
from orchestration.extract.files.text import _batches

HEADER = "feature,released_on,note\n"


def land(world, content, name="t.csv", share=1.0):
    world.write(name, content)
    world.source("feature_releases", f'path = "{name}"\nmax_bad_share = {share}')
    return world.land("feature_releases")


def features(world):
    return [row[0] for row in world.rows("feature_releases", "feature")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'b,2026-01-01,"open', "unclosed quote"),
        (b'"b,2026-01-01,x', "unclosed quote"),
        (b'b,2026-01-01,"x"y', "text after a closing quote"),
        (b"b,2026-01-01,\xff", "invalid encoding"),
        (b"b,2026-01-01,x,y", "wrong number of fields"),
        (b"b", "released_on: missing"),
        (b"b,someday,x", "released_on: not a date like 2026-01-31"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_one_broken_csv_line_costs_one_row(world, line, reason, packed):
    content = HEADER.encode() + 'a,2026-01-01,"zwei\nZeilen für a"\n'.encode() + line + b'\nc,2026-01-01,"x, y"\nd,2026-01-01,z\n'
    landed = land(world, gzip.compress(content) if packed else content, "t.csv.gz" if packed else "t.csv")
    assert features(world) == ["a", "c", "d"]
    assert (landed.delivered, landed.loaded, landed.quarantined) == (4, 3, {reason: 1})
    assert world.quarantine("feature_releases") == [("t.csv.gz" if packed else "t.csv", 4, reason)]


def test_lines_are_physical_ones_behind_blank_and_quoted_lines(world):
    land(world, HEADER + '\na,2026-01-01,"1\n2\n\n3"\n\nb,never,\nc,2026-01-01,\nd,never,\n')
    assert world.quarantine("feature_releases") == [
        ("t.csv", 8, "released_on: not a date like 2026-01-31"),
        ("t.csv", 10, "released_on: not a date like 2026-01-31"),
    ]


CSV_LINE = b"b,2026-01-01,%s"
JSON_LINE = b'{"feature": "b", "released_on": "2026-01-01", "note": "%s"}'
# Longer than DuckDB's buffer: it reads none of such a line where it is the last one, and gives up where it is not.
LONG = b"x" * (5 * MAX_LINE_BYTES)


@pytest.mark.parametrize("where", ["alone", "last", "last, without a line end", "in the middle"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "jsonl, by a query", "csv.gz"])
def test_a_line_longer_than_a_buffer_is_quarantined_and_the_others_load(world, kind, where):
    is_json = kind.startswith("jsonl")
    line = JSON_LINE if is_json else CSV_LINE
    long, short = line % LONG, (line % b"1").replace(b"b", b"a", 1)
    lines = {"alone": [long], "in the middle": [short, long, short]}.get(where, [short, long])
    content = b"\n".join([*([] if is_json else [HEADER.encode().strip()]), *lines]) + (b"" if "without" in where else b"\n")
    name = f"t.{kind.partition(',')[0]}"
    world.write(name, gzip.compress(content, 1) if name.endswith("gz") else content)
    query = "query = \"select line->>'feature' as feature, line->>'released_on' as released_on from file\"" if "query" in kind else ""
    world.source("feature_releases", f'path = "{name}"\nmax_bad_share = 1.0\n{query}')
    landed = world.land("feature_releases")
    at = [number for number, one in enumerate(lines, start=1 if is_json else 2) if one is long]
    assert world.quarantine("feature_releases") == [(name, number, "line over 8 MB") for number in at]
    assert (landed.delivered, landed.loaded + landed.duplicates) == (len(lines), len(lines) - 1)


def test_batches_hold_few_long_rows_and_many_short_ones():
    schema = pa.schema([("line", pa.int64()), ("problem", pa.string()), ("text", pa.string())])
    long = [(number, None, "x" * MAX_LINE_BYTES) for number in range(9)]
    assert [batch.num_rows for batch in _batches(schema, iter(long))] == [4, 4, 1]
    short = [(number, None, "x") for number in range(60_000)]
    assert [batch.num_rows for batch in _batches(schema, iter(short))] == [50_000, 10_000]


@pytest.mark.parametrize(
    ("content", "quoted", "lines", "records"),
    [
        (b"", True, 0, 0),
        (b"a,b\n1,2", True, 2, 2),
        (b'\xef\xbb\xbf"a",b\r\n1,2\r\n', True, 2, 2),
        (b"\n\r\na,b\n\n1,2\n\n", True, 6, 2),
        (b'a,b\n1,"x\n\ny"\n3,"""\n"\n4,""\n', True, 7, 4),
        (b'a;b\n1;"x ""y""\n"\n', True, 3, 2),
        # Inches: a quote within a field opens nothing.
        (b'a,b\n1,5" pipe\n2,6\n3,"5"" pipe"\n', True, 4, 4),
        (b'{"a": 1}\n\n \t\r\n{"b": "\n', False, 4, 2),
        (b'{"a": 1}\n \x0c\n', False, 2, 2),
        (b"a,b\n" + LONG + b"\n\n1,2\n" + LONG, True, 5, 4),
    ],
)
def test_records_are_counted_from_the_bytes(tmp_path, content, quoted, lines, records):
    (tmp_path / "t").write_bytes(content)
    assert count_records(tmp_path / "t", quoted) == Counted(lines, records, LONG in content)


@pytest.mark.parametrize("broken", ["", 'z,2026-01-01,"x"y\n'])
@pytest.mark.parametrize("query", ["", "query = 'select feature, released_on from file'"])
def test_rows_of_blank_fields_are_none_and_fields_that_lack_at_the_end_are_blank(world, broken, query):
    """As Excel saves deleted rows and empty cells, in a file that DuckDB reads alone and in one that it cannot read."""
    rows = ["a,2026-01-01,x", ",,", "b,2026-01-02", ' ,\t,""', "c,2026-01-03,,,,", ",,,,,", "d", "   "]
    world.write("t.csv", HEADER + broken + "\r\n".join(rows) + "\r\n")
    world.source("feature_releases", f'path = "t.csv"\nmax_bad_share = 1.0\n{query}')
    landed = world.land("feature_releases")
    assert features(world) == ["a", "b", "c"]
    assert landed.notes == ("t.csv: 4 rows of nothing but blank fields left out",)
    assert landed.quarantined == {"released_on: missing": 1} | ({"text after a closing quote": 1} if broken else {})
    if not query:
        assert ("t.csv", 8 + bool(broken), "released_on: missing") in world.quarantine("feature_releases")


def test_blank_rows_alone_keep_the_fast_way_and_the_lines(world):
    landed = land(world, HEADER + ",,\na,never,x\n\n , ,\nb,2026-01-01,y\n")
    assert (landed.delivered, features(world), landed.notes) == (2, ["b"], ("t.csv: 2 rows of nothing but blank fields left out",))
    assert world.quarantine("feature_releases") == [("t.csv", 3, "released_on: not a date like 2026-01-31")]


def test_a_last_line_that_may_be_cut_off_is_not_filled_up(world):
    land(world, HEADER + "a,2026-01-01,x\nb,2026-01-0")
    assert world.quarantine("feature_releases") == [("t.csv", 3, "wrong number of fields")]


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 3, (1 << 20) + 1])
def test_records_are_counted_across_the_blocks_that_are_read(tmp_path, size):
    line = b'1,"x\r\n""y"\r\n'
    (tmp_path / "t").write_bytes(b"a" * (size - 5) + b",b\r\n" + line * 200_000)
    assert count_records(tmp_path / "t", True) == Counted(400_001, 200_001, False)


def test_blank_lines_before_the_header_of_a_csv_file(world):
    """DuckDB alone takes the header for a row."""
    landed = land(world, f"\n\n{HEADER}a,2026-01-01,\n")
    assert (features(world), landed.delivered, landed.quarantined) == (["a"], 1, {})


def test_a_file_with_thousands_of_columns_is_refused_by_name(world):
    def wide(columns):
        names = [f"c{number}" for number in range(columns - 3)]
        return f"{HEADER.strip()},{','.join(names)}\na,2026-01-01,{',1' * (columns - 3)}\n"

    assert land(world, wide(MAX_COLUMNS)).loaded == 1
    with pytest.raises(
        SourceError, match=r"t\.csv: 10000 columns, at most 1000 can be read\. Leave out those that feature_releases does not"
    ):
        land(world, wide(10_000))


def test_values_that_memory_does_not_hold_are_refused_by_file(world):
    world.pipeline = 'memory_limit = "128MB"'
    lines = [JSON_LINE % LONG[: 6 << 20]] * 24
    with pytest.raises(SourceError, match=r"t\.jsonl: reading takes more memory than pipeline\.memory_limit allows\. Raise memory_limit"):
        land(world, b"\n".join(lines), "t.jsonl")


def test_a_parquet_file_with_fewer_rows_than_its_footer_names_is_refused(world):
    path = world.write_parquet("t.parquet", "select 'a' || i as feature, date '2026-01-01' as released_on from range(3) as t (i)")
    whole = path.read_bytes()
    # The number of rows of the file (field 3, a 64 bit integer) before its list of row groups: three become four.
    before, found, after = whole.rpartition(b"\x16\x06\x19")
    assert found
    with pytest.raises(SourceError, match=r"t\.parquet: 4 rows by its footer, but 3 could be read"):
        land(world, before + b"\x16\x08\x19" + after, "t.parquet")


def test_a_text_of_a_megabyte_lands_unchanged(world):
    name = "n" * 1_000_000
    world.write("accounts.csv", f"account_id,account_name,created_at\na1,{name},2026-01-01\n")
    world.land("accounts")
    assert world.rows("accounts", "account_name") == [(name,)]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_byte_order_marks_line_ends_and_delimiters(world, ending, mark, delimiter):
    rows = (["released_on", "extra", "feature"], ["2026-01-01", "x", "a"], ["2026-01-02", "y", "b"])
    land(world, mark + "".join(delimiter.join(row) + ending for row in rows))
    assert features(world) == ["a", "b"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_quoted_header_is_read_with_its_own_delimiter(world, delimiter):
    rows = (["feature", "released_on"], ["a", "2026-01-01"])
    land(world, "".join(delimiter.join(f'"{cell}"' for cell in row) + "\n" for row in rows))
    assert features(world) == ["a"]


def test_hostile_text_lands_unchanged(world):
    name = "<script>\u202e=1+1\x00'; drop table accounts; --"
    world.write("accounts.csv", f'account_id,account_name,created_at\na1,"{name}",2026-01-01\n')
    world.land("accounts")
    assert world.rows("accounts", "account_name") == [(name,)]


@pytest.mark.parametrize("broken", [False, True])
def test_json_lines(world, broken):
    lines = [
        b'{"feature": "a", "released_on": "2026-01-01", "nested": {"x": [1]}}',
        b"",
        b'{"feature": "b", "released_on": "2026-01-01"',
        b'{"feature": "c", "feature": "c2", "released_on": "2026-01-01"}',
        b'["d"]',
        b'{"feature": "e"}',
        b'{"released_on": "2026-01-02", "feature": 7}',
        b'{"feature": null, "released_on": "2026-01-02"}',
    ]
    if broken:
        lines[0] = '{"feature": "a", "released_on": "2026-01-01", "note": "ü"}'.encode()
        lines.append(b'{"feature": "\xff", "released_on": "2026-01-01"}')
    landed = land(world, b"\n".join(lines) + b"\n", "t.jsonl")
    assert features(world) == ["7", "a"]
    assert landed.delivered == 7 + broken
    assert world.quarantine("feature_releases") == [
        ("t.jsonl", 3, NOT_JSON),
        ("t.jsonl", 4, "key twice in one JSON object"),
        ("t.jsonl", 5, NOT_OBJECT),
        ("t.jsonl", 6, "released_on: missing"),
        ("t.jsonl", 8, "feature: missing"),
        *([("t.jsonl", 9, "invalid encoding")] if broken else []),
    ]


def test_json_keys_may_hold_any_character(world):
    world.write("t.jsonl", '{"a/b~c \\"x\\"": "a", "released_on": "2026-01-01"}\n')
    world.source("feature_releases", 'path = "t.jsonl"\ncolumns = { feature = \'a/b~c "x"\' }')
    world.land("feature_releases")
    assert features(world) == ["a"]


@pytest.mark.parametrize("cut", [1, 9, 200])
def test_a_truncated_gzip_is_refused_and_the_old_data_stays(world, cut):
    rows = "".join(f"f{number},2026-01-01,{number * 7919}\n" for number in range(2000))
    whole = gzip.compress((HEADER + rows).encode())
    land(world, gzip.compress((HEADER + "old,2026-01-01,\n").encode()), "t.csv.gz")
    with pytest.raises(SourceError, match=r"t\.csv\.gz: truncated or damaged gzip"):
        land(world, whole[:-cut], "t.csv.gz")
    assert features(world) == ["old"]


def test_a_whole_gzip_loads_completely(world):
    rows = "".join(f"f{number},2026-01-01,\n" for number in range(2000))
    assert land(world, gzip.compress((HEADER + rows).encode()), "t.csv.gz").loaded == 2000


def test_too_many_bad_rows_land_nothing(world):
    land(world, HEADER + "old,2026-01-01,\n")
    before = world.files("feature_releases")
    rows = "".join(f"f{number},2026-01-01,\n" for number in range(9))
    with pytest.raises(QuarantineLimitExceeded) as raised:
        land(world, HEADER + rows + "bad,never,\n", share=0.05)
    assert str(raised.value) == (
        "feature_releases: 1 of 10 rows (10.0%) break the contract, more than max_bad_share 0.05 allows: "
        "1 x released_on: not a date like 2026-01-31. "
        "For example t.csv line 11: released_on: not a date like 2026-01-31 (found 'never'). "
        "Nothing was landed, the old data stays. Fix the source, or raise sources.feature_releases.max_bad_share; "
        'sources.feature_releases.date_format says how dates are written, for example "%d.%m.%Y", "%m/%d/%Y", or "epoch" for seconds'
        " or milliseconds since 1970; sources.feature_releases.nulls which words mean that there is none"
    )
    assert features(world) == ["old"]
    assert world.files("feature_releases") == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "t.csv",
            f"{HEADER}a,{'9' * 90},\nb,2026-01-01",
            f"(found '{'9' * 80}...'); t.csv line 3: wrong number of fields (found 'b,2026-01-01')",
        ),
        ("t.jsonl", "a\nb\n", f"t.jsonl line 1: {NOT_JSON} (found 'a'); t.jsonl line 2: {NOT_JSON} (found 'b'). Nothing"),
        ("t.jsonl", "[1, 2]", f"t.jsonl line 1: {NOT_OBJECT} (found '[1, 2]'). Nothing"),
        ("t.csv", f"{HEADER}\x1b[31m,soon,\u2028\n", "released_on: not a date like 2026-01-31 (found 'soon'). Nothing"),
        ("t.csv", f"{HEADER},never,\n", "line 2: feature: missing; released_on: not a date like 2026-01-31 (found 'never')"),
    ],
)
def test_where_every_row_is_bad_the_message_shows_values_on_one_line_and_does_not_advise_to_allow_them(world, name, content, said):
    with pytest.raises(QuarantineLimitExceeded) as raised:
        land(world, content, name, share=0.5)
    assert said in str(raised.value)
    assert "Fix the source" in str(raised.value) and "max_bad_share" not in str(raised.value).partition("Fix the source")[2]
    assert len(str(raised.value).splitlines()) == 1


def test_the_message_shows_no_value_of_a_file_outside_the_folder(world, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "t.csv"
    outside.write_text(f"{HEADER}secret,never,\n")
    (world.root / "t.csv").symlink_to(outside)
    world.source("feature_releases", 'path = "t.csv"')
    with pytest.raises(QuarantineLimitExceeded, match=r"t\.csv line 2: released_on: not a date like 2026-01-31\. Nothing"):
        world.land("feature_releases")


def test_bad_rows_up_to_the_limit_land(world):
    rows = "".join(f"f{number},2026-01-01,\n" for number in range(9))
    assert land(world, HEADER + rows + "bad,never,\n", share=0.1).loaded == 9


@pytest.mark.parametrize("content", [b"PAR1 is this not", b"\x15\x00\x15 nor this"])
def test_a_damaged_parquet_file_is_refused(world, content):
    with pytest.raises(SourceError, match=r"t\.parquet: cannot be read"):
        land(world, content, "t.parquet")


def test_files_without_rows(world):
    assert land(world, HEADER).delivered == 0
    assert world.rows("feature_releases") == []
    landed = land(world, "")
    assert (landed.delivered, landed.notes) == (0, ("t.csv: empty, taken as a delivery without rows",))
    world.write("t2.csv", HEADER + "a,2026-01-01,\n")
    world.source("feature_releases", 'path = "t*.csv"')
    assert world.land("feature_releases").loaded == 1
