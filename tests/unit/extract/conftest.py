"""A small world for extraction: a folder with `health.toml`, sources to write, and what the lake then holds."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest

from orchestration.contract import TABLES
from orchestration.extract import LandedTable, extract_table, lake_select
from orchestration.extract.lake.manifest import quarantine_folder, raw_folder, read_manifest
from orchestration.extract.trial import Trial, try_source
from orchestration.settings import Settings, load_settings
from tests.company import content

ACCOUNTS = "account_id,account_name,created_at\na1,Acme,2025-01-01\n"
MEMORY = 'memory_limit = "1GB"'


@dataclass
class World:
    """Sources under `root`, landed below `root/data/lake`."""

    root: Path
    sources: str = ""
    pipeline: str = ""

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_parquet(self, name: str, select: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute(f"copy ({select}) to '{path}' (format parquet)")
        return path

    def source(self, table: str, lines: str) -> None:
        """Add or replace `[sources.<table>]`."""
        kept = [part for part in self.sources.split("\n\n") if part and not part.startswith(f"[sources.{table}]")]
        self.sources = "\n\n".join([*kept, f'[sources.{table}]\nconnector = "files"\n{lines}'])

    def trial(self, table: str) -> Trial:
        """What `make check-sources` finds in a source."""
        with TemporaryDirectory() as scratch:
            return try_source(self.settings, TABLES[table], Path(scratch))

    @property
    def settings(self) -> Settings:
        if not (self.root / "accounts.csv").exists():
            self.write("accounts.csv", ACCOUNTS)
        sources = (
            self.sources
            if "[sources.accounts]" in self.sources
            else (f'{self.sources}\n\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"')
        )
        self.write(
            "health.toml",
            '[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "seeds"\nlookback_days = 1\nthreads = 2\n'
            f"{'' if 'memory_limit' in self.pipeline else MEMORY}\n{self.pipeline}\n\n{sources}\n",
        )
        return load_settings(self.root / "health.toml")

    def land(self, table: str, start: date = date(2026, 1, 1), end: date | None = None) -> LandedTable:
        return extract_table(self.settings, TABLES[table], start, start if end is None else end)

    def rows(self, table: str, columns: str = "*", order: str = "all") -> list[tuple[Any, ...]]:
        return self.query(f"select {columns} from ({lake_select(self.settings.lake, TABLES[table])}) order by {order}")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            return connection.execute(sql).fetchall()

    def quarantine(self, table: str) -> list[tuple[str, int, str]]:
        """(file, line, reason) of the quarantined rows that the manifest names, in order."""
        manifest = read_manifest(self.settings.lake, table)
        files = [str(quarantine_folder(self.settings.lake, table) / file) for file in manifest.quarantine_files()]
        return self.query(f"select file, line, reason from read_parquet({files}) order by all") if files else []

    def files(self, table: str) -> list[str]:
        """All files below the table's two folders."""
        lake = self.settings.lake
        folders: Sequence[Path] = (raw_folder(lake, table), quarantine_folder(lake, table))
        return sorted(str(path.relative_to(lake)) for folder in folders for path in folder.rglob("*") if path.is_file())

    def kept(self) -> dict[str, Any]:
        """The files of the lake with their content; of a manifest all but why the last run left the table as it was."""
        found: dict[str, Any] = content(self.settings.lake)
        manifests = [name for name in found if name.startswith("manifests/") or name.endswith("_manifest.json")]
        # The stamp is a hash of all of it.
        return found | {name: json.loads(found[name]) | {"not_read": None, "sha256": None} for name in manifests}

    def manifest_bytes(self, table: str) -> bytes:
        return (raw_folder(self.settings.lake, table) / "_manifest.json").read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Tolerates any share of bad rows unless a test says otherwise."""
    return World(tmp_path)


@pytest.fixture
def events(world: World) -> World:
    """Usage events by delivery day, as CSV: `day("2026-01-02", rows)` writes a delivery."""
    world.source("usage_events", 'path = "events/{day}.csv"\nmax_bad_share = 1.0')
    return world


def deliver(world: World, day: str, *rows: str, name: str = "{day}") -> Path:
    """Write one delivery of events: rows of `event_id,occurred_at`; account a1, user u1."""
    lines = [",".join((row.split(",")[0], "a1", "u1", row.split(",")[1])) for row in rows]
    content = "\n".join(["event_id,account_id,user_id,occurred_at", *lines]) + "\n"
    return world.write(f"events/{name.replace('{day}', day)}.csv", content)


@pytest.fixture
def delivery():
    return deliver


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server (moto), by its address."""
    # Imported when first used: it takes seconds.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
