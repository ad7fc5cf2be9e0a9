"""The working file: opened under limits, waited for, and removed when in doubt."""

import logging
import subprocess
import sys

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import WarehouseBusy, connect, discard_if_broken, scan

# A transform that is killed in the middle: its last transaction is in the log only.
DIES = """
import duckdb, os
connection = duckdb.connect({path!r})
connection.execute("create table results (i integer)")
connection.execute("checkpoint")
connection.execute("insert into results values (1)")
os._exit(9)
"""
HOLDS = """
import duckdb, sys
connection = duckdb.connect({path!r})
print("open", flush=True)
sys.stdin.readline()
"""


def child(settings, code: str) -> subprocess.Popen:
    settings.data_dir.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", code.format(path=str(settings.warehouse))],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_limits_of_the_settings_hold_and_nothing_is_loaded_from_outside(settings):
    names = ("memory_limit", "threads", "temp_directory", "autoinstall_known_extensions", "TimeZone")
    with connect(settings, settings.warehouse) as connection:
        found = {name: connection.execute(f"select current_setting('{name}')").fetchall()[0][0] for name in names}
    assert found == {
        # 512,000,000 bytes
        "memory_limit": "488.2 MiB",
        "threads": 2,
        "temp_directory": str(settings.temp_dir),
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
    }


def test_it_is_closed_after_an_error(settings):
    with pytest.raises(ZeroDivisionError), connect(settings, settings.warehouse) as connection:
        connection.execute("create table t as select 1")
        _ = 1 / 0
    assert [path.name for path in settings.data_dir.iterdir() if path.is_file()] == ["warehouse.duckdb"]
    with connect(settings, settings.warehouse) as connection:
        assert connection.execute("select count(*) from t").fetchall() == [(1,)]


def test_a_reader_cannot_write(settings):
    with connect(settings, settings.warehouse) as connection:
        connection.execute("create table t as select 1")
    with connect(settings, settings.warehouse, read_only=True) as connection, pytest.raises(duckdb.Error):
        connection.execute("insert into t values (2)")


def test_an_orphan_in_the_file_is_named_after_the_wait(settings):
    orphan = child(settings, HOLDS)
    orphan.stdout.readline()
    try:
        refused = pytest.raises(WarehouseBusy, match=f"process {orphan.pid} has the file open.*within 0.3 s")
        with refused as busy, connect(settings, settings.warehouse):
            pytest.fail("two writers")
        assert "\n" not in str(busy.value)
        with pytest.raises(WarehouseBusy):
            discard_if_broken(settings)
    finally:
        orphan.communicate("\n")
    with connect(settings, settings.warehouse):
        pass


def test_a_sound_file_stays(settings):
    assert discard_if_broken(settings) is None
    with connect(settings, settings.warehouse) as connection:
        connection.execute("create table t as select 1 as i")
    assert discard_if_broken(settings) is None
    assert scan(settings) is None
    assert settings.warehouse.exists()


def test_a_file_whose_writer_died_is_rebuilt(settings, caplog):
    child(settings, DIES).communicate()
    assert settings.warehouse.with_name("warehouse.duckdb.wal").exists()
    with caplog.at_level(logging.WARNING):
        reason = discard_if_broken(settings)
    assert reason == "warehouse.duckdb.wal was left beside it: its last writer did not finish"
    assert reason in caplog.text
    assert [path.name for path in settings.data_dir.iterdir() if path.is_file()] == []


def test_a_log_without_its_file_goes_too(settings):
    log = settings.warehouse.with_name("warehouse.duckdb.wal")
    log.parent.mkdir()
    log.write_bytes(b"old rows")
    assert discard_if_broken(settings) is not None
    assert not log.exists()


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_a_file_that_is_not_a_database(settings, content):
    settings.data_dir.mkdir()
    settings.warehouse.write_bytes(content)
    assert "not a valid DuckDB database file" in discard_if_broken(settings)
    assert not settings.warehouse.exists()


def test_truncation_is_found_by_a_scan(settings):
    with connect(settings, settings.warehouse) as connection:
        connection.execute("create table t as select hash(i) as h from range(500000) as r(i)")
    with open(settings.warehouse, "r+b") as file:
        file.truncate(settings.warehouse.stat().st_size // 2)
    assert discard_if_broken(settings) is not None or scan(settings) is not None
