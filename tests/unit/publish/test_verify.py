"""Reading everything that is stored: what is damaged is named with what to do, and doing it repairs it."""

import random
import shutil

from orchestration import verify
from orchestration.cli import main
from orchestration.publish.publishing import publish
from orchestration.publish.revision_log import FOLDER
from tests.damage import flip_bit

from .conftest import DAY_1, PUBLISHED_AT, days_from, read_current, score_days

DAYS = days_from(DAY_1, 3)


def damaged(settings) -> list[str]:
    return verify.verify_everything(settings).damaged


def test_a_linked_file_that_is_damaged_in_silence_is_named_and_written_anew_once_it_is_removed(settings, publish_days):
    first = publish_days("run-1", DAYS).path
    path = first / "parquet" / "wide" / "account_scores" / f"as_of_month={DAY_1:%Y-%m}" / "from-25.parquet"
    flip_bit(path, random.Random(1))
    current = publish_days("run-2", DAYS[2:]).path
    shared = current / path.relative_to(first)
    assert set(damaged(settings)) == {
        f"{path}: damaged. Remove the folder {first}: nobody can roll back to it",
        f"{shared}: damaged. Remove the file and run again: it is written anew",
    }
    shutil.rmtree(first)
    shared.unlink()
    publish_days("run-3", DAYS[2:])
    shutil.rmtree(current)
    assert damaged(settings) == []
    assert read_current(settings, f"select count(*) from metric_scores_history_in('{settings.published}/current/parquet')") == [(18,)]


def test_whatever_bit_of_the_published_database_flips_it_is_not_built_upon(settings, publish_days):
    publish_days("run-1", DAYS)
    chosen = random.Random(5)
    for number in range(2, 8):
        flip_bit(settings.published / "current" / "health.duckdb", chosen)
        score_days(settings, f"run-{number}", DAYS[2:])
        done = publish(settings, f"run-{number}", PUBLISHED_AT)
        assert not [line for line in damaged(settings) if str(done.path) in line]
        assert read_current(settings, "select count(*), sum(health_score) from account_health_history") == [(9, 375.0)]


def test_the_command(settings, publish_days, monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_CONFIG", str(settings.config_file))
    assert main(["verify"]) == 0
    path = publish_days("run-1", DAYS[:1]).path
    assert main(["verify"]) == 0
    [log] = settings.revisions.iterdir()
    flip_bit(log, random.Random(1))
    (settings.published / "current" / "board" / "index.html").unlink()
    capsys.readouterr()
    assert main(["verify"]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("looked at")] == [
        f"damaged: {log}: lost or damaged. The next run restores it from {path / FOLDER / log.name}",
        f"damaged: {path / 'board' / 'index.html'}: lost. Run again: it is written anew",
        "2 damaged",
    ]
