"""Looks for secrets in everything that a run leaves: also where bytes are compressed, and in the forms that secrets travel in."""

import base64
import gzip
import io
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq


def find_leaks(folder: Path, secrets: Mapping[str, str], texts: Mapping[str, str] | None = None) -> list[str]:
    """Where a secret is, as `name of the secret in place`.

    Args:
        folder: every file below it is searched, links are not followed.
        secrets: name -> value.
        texts: what else is searched, by a name for it.
    """
    sought = {name: forms_of(value) for name, value in secrets.items()}
    places = [*((name, text.encode()) for name, text in (texts or {}).items()), *_contents(folder)]
    return [f"{name} in {place}" for place, content in places for name, forms in sought.items() if any(form in content for form in forms)]


def forms_of(secret: str) -> set[bytes]:
    """As it is, encoded for a URL or for JSON, and as a part of anything in base64 (basic authentication)."""
    raw = secret.encode()
    forms = {raw, quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    for before in range(3):
        # Characters at both ends also depend on what is around the secret.
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        encoded = base64.b64encode(b"\0" * before + raw)[first:end]
        forms |= {encoded, encoded.replace(b"+", b"-").replace(b"/", b"_")}
    return forms


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            place = path.relative_to(folder).as_posix()
            content = path.read_bytes()
            yield place, place.encode() + b"\n" + content
            if path.suffix == ".parquet":
                yield place, str(pq.ParquetFile(path).read().to_pydict()).encode("utf-8", "surrogatepass")
            elif path.suffix == ".duckdb":
                yield from ((f"{place} {table}", rows) for table, rows in _duckdb_tables(path))
            elif content.startswith(b"SQLite format 3\0"):
                yield from ((f"{place} {table}", rows) for table, rows in _sqlite_tables(path))
            else:
                yield from ((f"{place} unpacked", inner) for inner in _unpacked(content))


def _duckdb_tables(path: Path) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as database:
        tables = database.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        for schema, table in tables:
            yield table, str(database.execute(f'from "{schema}"."{table}"').fetchall()).encode("utf-8", "surrogatepass")
        for listing in ("duckdb_tables()", "duckdb_views()", "duckdb_columns()"):
            yield listing, str(database.execute(f"from {listing}").fetchall()).encode()


def _sqlite_tables(path: Path) -> Iterator[tuple[str, bytes]]:
    # Dagster keeps some of its values compressed. Opened to write, and closed: who only reads leaves files beside it.
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            values = [value for row in database.execute(f'select * from "{table}"') for value in row]
            texts = [value.encode() for value in values if isinstance(value, str)]
            blobs = [value for value in values if isinstance(value, bytes)]
            yield table, b"\n".join([*texts, *blobs, *(inner for blob in blobs for inner in _unpacked(blob))])


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif content.startswith((b"\x78\x01", b"\x78\x9c", b"\x78\xda")):
        yield zlib.decompress(content)
