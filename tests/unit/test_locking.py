"""The writer lock: one holder, a bounded wait, a name, and no lock outlives its process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.locking import WriterBusy, writer_lock
from orchestration.settings import PROJECT_ROOT, Settings, load_settings

HOLD = """
import sys
from orchestration.locking import writer_lock
from orchestration.settings import load_settings
with writer_lock(load_settings({config!r}), "daily_health 2026-01-05"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = tmp_path / "health.toml"
    config.write_text(
        '[pipeline]\nstart_date = 2026-01-01\nlock_timeout_seconds = 0.3\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
    )
    return load_settings(config)


@pytest.fixture
def holder(settings):
    """Another process that holds the lock."""
    code = HOLD.format(config=str(settings.config_file))
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_second_writer_learns_who_writes(settings, holder):
    before = sorted(settings.data_dir.iterdir())
    with pytest.raises(WriterBusy) as busy, writer_lock(settings, "second"):
        pytest.fail("two writers")
    message = str(busy.value)
    assert f"'daily_health 2026-01-05' (process {holder.pid}, since 20" in message
    assert "within 0.3 s" in message
    assert "\n" not in message
    assert sorted(settings.data_dir.iterdir()) == before


def test_a_waiting_writer_says_so_and_gets_the_lock_when_it_is_free(settings, holder):
    patient = load_settings(_with_timeout(settings, 30))
    said = []

    def say(message: str) -> None:
        said.append(message)
        holder.stdin.close()

    with writer_lock(patient, "second", say):
        assert json.loads((settings.data_dir / "writer.lock.json").read_text())["holder"] == "second"

    [message] = said
    assert f"'daily_health 2026-01-05' (process {holder.pid}, since 20" in message and "at most 30 s" in message


def test_who_holds_the_lock_may_take_it_again(settings):
    with writer_lock(settings, "a run"):
        with writer_lock(settings, "a part of it", lambda message: pytest.fail(message)):
            pass
        assert json.loads((settings.data_dir / "writer.lock.json").read_text())["holder"] == "a run"
    assert not (settings.data_dir / "writer.lock.json").exists()


def test_a_killed_holder_leaves_no_lock(settings, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with writer_lock(settings, "second"):
        note = json.loads((settings.data_dir / "writer.lock.json").read_text())
    assert (note["holder"], note["pid"]) == ("second", os.getpid())
    assert not (settings.data_dir / "writer.lock.json").exists()


def test_it_is_free_again_after_an_error(settings):
    with pytest.raises(ZeroDivisionError), writer_lock(settings, "first"):
        _ = 1 / 0
    with writer_lock(settings, "second"):
        pass


@pytest.mark.parametrize(
    "note",
    ["", "{", "[]", '{"pid": "x", "holder": "h", "since": ""}', '{"pid": 4194305, "holder": "h", "since": ""}', None],
)
def test_a_stale_note_is_not_believed(settings, holder, note):
    path = settings.data_dir / "writer.lock.json"
    path.unlink()
    if note is not None:
        path.write_text(note)
    with pytest.raises(WriterBusy, match="another command is writing"), writer_lock(settings, "second"):
        pytest.fail("two writers")


def _with_timeout(settings: Settings, seconds: int) -> Path:
    path = settings.config_file
    path.write_text(path.read_text().replace("lock_timeout_seconds = 0.3", f"lock_timeout_seconds = {seconds}"))
    return path
