"""The search for secrets finds one wherever and however it is written; else its silence would mean nothing."""

import base64
import gzip
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.leaks import find_leaks

SECRET = 'se/same+"99=21 x'
# Enough around it that a compressed file cannot hold it in clear.
FILLER = "".join(f"{number % 7}-" for number in range(5000))

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in a basic authentication": lambda secret: base64.b64encode(f"bot@x.io/token:{secret}".encode()).decode(),
    "as its user": lambda secret: base64.b64encode(f"{secret}:".encode()).decode(),
    "in a basic authentication of another length": lambda secret: base64.b64encode(f"bots@x.io/token:{secret}!".encode()).decode(),
    "in base64 for a URL": lambda secret: base64.urlsafe_b64encode(f"~~?{secret}".encode()).decode(),
}


def parquet(path: Path, text: str) -> None:
    pq.write_table(pa.table({"note": [FILLER] * 20 + [text]}), path.with_suffix(".parquet"), compression="zstd")


def duckdb_file(path: Path, text: str) -> None:
    with duckdb.connect(str(path.with_suffix(".duckdb"))) as database:
        database.execute("create schema s")
        database.execute("create table s.t as select ? as note from range(3000)", [FILLER])
        database.execute("insert into s.t values (?)", [text])


def sqlite_blob(path: Path, text: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table t (body blob)")
        database.execute("insert into t values (?)", [zlib.compress((FILLER + text).encode())])
    database.close()


def zipped(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", FILLER + text)


PLACES: dict[str, Callable[[Path, str], None]] = {
    "a text file": lambda path, text: path.write_text(FILLER + text),
    "a gzip file": lambda path, text: path.write_bytes(gzip.compress((FILLER + text).encode())),
    "a zip file": zipped,
    "a Parquet file": parquet,
    "a DuckDB file": duckdb_file,
    "a compressed value in SQLite": sqlite_blob,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    assert find_leaks(tmp_path, {"TOKEN": SECRET}, {"log": f"before{FORMS[form](SECRET)}after"}) == ["TOKEN in log"]


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_found_in_every_place_and_nothing_else_is(tmp_path: Path, place: str) -> None:
    (tmp_path / "deep").mkdir()
    PLACES[place](tmp_path / "deep" / "file", "harmless")
    assert find_leaks(tmp_path, {"TOKEN": SECRET}) == []
    for file in (tmp_path / "deep").iterdir():
        file.unlink()
    PLACES[place](tmp_path / "deep" / "file", SECRET)
    [found] = {leak.partition(" in ")[0] for leak in find_leaks(tmp_path, {"TOKEN": SECRET})}
    assert found == "TOKEN"


def test_a_secret_is_found_in_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "sesame9921.txt").write_text("x")
    assert find_leaks(tmp_path, {"TOKEN": "sesame9921"}) == ["TOKEN in sesame9921.txt"]
