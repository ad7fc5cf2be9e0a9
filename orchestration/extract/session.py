"""DuckDB as the extraction uses it: bounded, offline, in memory, closed when done."""

import glob
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from orchestration.settings import Settings
from orchestration.warehouse import SAFE_OPTIONS, literal

# Parquet writers, Arrow batches and Python itself are outside DuckDB's own accounting.
_SHARE_OF_MEMORY = 0.6
# Hashes of so many rows are sorted at a time: 256 MB, and as much while they leave DuckDB.
_SORTED_ROWS = 2**25
# A comma ends an entry of DuckDB's search path, the others make a pattern of it; none can be escaped there.
_SPECIAL = set(",*?[]'\"")


@contextmanager
def connect(settings: Settings, temp_dir: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty in-memory database with the limits of the run, closed at the end whatever happens.

    Relative paths in queries are relative to the folder of the configuration file. It spills to `temp_dir`, by default below the
    data folder.
    """
    config = SAFE_OPTIONS | {
        "memory_limit": _part_of(settings.pipeline.memory_limit),
        "temp_directory": str(temp_dir or settings.temp_dir / "extract"),
        "threads": settings.pipeline.threads,
    }
    with _plain_folder(settings.config_file.parent) as folder, duckdb.connect(config=config) as connection:
        connection.execute("set TimeZone = 'UTC'")
        # A narrow partition limit would cut a partition into several files.
        connection.execute("set partitioned_write_max_open_files = 10000")
        connection.execute("set file_search_path = ?", [str(folder)])
        yield connection


def scratch_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """Where the connection spills to: also the place for what else is needed while it works."""
    return Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0])


@contextmanager
def _plain_folder(folder: Path) -> Iterator[Path]:
    """The folder, or a temporary link to it where its name has characters that a search path cannot hold."""
    if not _SPECIAL & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as links:
        link = Path(links) / "sources"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def _part_of(memory_limit: str) -> str:
    """`3GB` -> `1800MB`-like: the part of the run's memory that DuckDB may manage."""
    number, unit = re.findall(r"^([\d.]+)\s?(\w+)$", memory_limit)[0]
    return f"{float(number) * _SHARE_OF_MEMORY:.3f}{unit}"


def load_batches(connection: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Load Arrow batches into the temporary table `loaded`; what their maker raises comes through as it is."""
    raised: list[Exception] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            raised.append(error)
            raise

    connection.register("incoming", pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        connection.execute("create or replace temp table loaded as select * from incoming")
    except duckdb.Error:
        # DuckDB makes an error of its own, with a traceback as text, of what a batch's maker raised.
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.unregister("incoming")


def literals(values: Iterable[str]) -> str:
    """Texts as an SQL list literal."""
    return "[" + ", ".join(literal(value) for value in values) + "]"


def path_literals(paths: Iterable[Path]) -> str:
    """Paths as an SQL list literal in which DuckDB's readers see no patterns."""
    return literals(glob.escape(str(path)) for path in paths)


def find_repeated(connection: duckdb.DuckDBPyConnection, relation: str, columns: str, rows: int) -> bool:
    """Fill the temporary table `repeated` with the hashes (`key_hash`) of columns that a relation has more than once; whether any are.

    DuckDB groups by them; numpy sorts them in a fifth of the time. Hashes decide cheaply which few rows need an exact answer.

    Args:
        rows: of the relation, about: bounds the memory.
    """
    parts = rows // _SORTED_ROWS + 1
    found: list[np.ndarray] = []
    for part in range(parts):
        of_part = "" if parts == 1 else f" where key_hash % {parts} = {part}"
        hashed = f"select key_hash from (select hash({columns}) as key_hash from {relation}) as hashed{of_part}"
        hashes = connection.execute(hashed).fetchnumpy()["key_hash"]
        hashes.sort()
        found.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    connection.register("found", pa.table({"key_hash": pa.array(np.concatenate(found), pa.uint64())}))
    connection.execute("create or replace temp table repeated as select key_hash from found")
    connection.unregister("found")
    return any(len(hashes) for hashes in found)


def fingerprint(columns: str) -> str:
    """SQL for an aggregate that is the same for the same rows in any order, under one version of DuckDB."""
    row = f"hash({columns})"
    total = f"cast(sum(cast({row} as hugeint)) % {2**64} as ubigint)"
    return f"format('{{:016x}}{{:016x}}', {total}, bit_xor({row}))"
