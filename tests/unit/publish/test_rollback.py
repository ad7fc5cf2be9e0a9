"""Rolling back, on the command line and from Python."""

import pytest

from orchestration.cli import main
from orchestration.publish import DamagedGeneration, PublishError, current_generation, rollback
from tests.writer import another_writer

from .conftest import DAY_1, days_from, read_current

SCORE = "select max(health_score) from account_health_history"


def test_rollback_goes_to_what_was_current_before(settings, publish_days):
    publish_days("run-1", [DAY_1])
    publish_days("run-2", [DAY_1], shift=1.0)
    assert rollback(settings) == 1
    assert read_current(settings, SCORE) == [(65.0,)]
    # Generation 2 was found wanting: going back from 3 leads to 1 again.
    publish_days("run-3", [DAY_1], shift=2.0)
    assert read_current(settings, SCORE) == [(67.0,)]
    assert rollback(settings) == 1


def test_after_a_rollback_the_next_run_publishes_what_the_warehouse_holds(settings, publish_days):
    first, second, third = days_from(DAY_1, 3)
    publish_days("run-1", [first, second, third])
    publish_days("run-2", [first], shift=1.0)
    rollback(settings)
    publish_days("run-3", [third], shift=2.0)
    query = "select health_score from account_health_history where account_id = 'a1' order by as_of_date"
    assert read_current(settings, query) == [(66.0,), (65.0,), (67.0,)]


def test_to_a_given_generation(settings, publish_days):
    for number in (1, 2, 3):
        publish_days(f"run-{number}", [DAY_1], shift=float(number))
    assert rollback(settings, to=1) == 1
    assert rollback(settings, to=3) == 3
    with pytest.raises(PublishError, match=r"there is no generation 9 to roll back to; on disk: 1, 2, 3"):
        rollback(settings, to=9)


def test_nothing_to_roll_back_to(settings, publish_days):
    with pytest.raises(PublishError, match="nothing is published yet"):
        rollback(settings)
    publish_days("run-1", [DAY_1])
    with pytest.raises(PublishError, match="there is no generation before the current 1 to roll back to"):
        rollback(settings)
    assert current_generation(settings) == 1


def test_a_damaged_generation_is_not_rolled_back_to(settings, publish_days):
    first = publish_days("run-1", [DAY_1]).path
    publish_days("run-2", [DAY_1], shift=1.0)
    database = first / "health.duckdb"
    database.chmod(0o644)
    with open(database, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    with pytest.raises(DamagedGeneration, match=r"1/health\.duckdb: is not what was published"):
        rollback(settings)
    assert current_generation(settings) == 2


def test_rollback_works_when_the_current_generation_is_lost(settings, publish_days):
    publish_days("run-1", [DAY_1])
    second = publish_days("run-2", [DAY_1], shift=1.0).path
    second.rename(second.with_name("lost"))
    assert rollback(settings) == 1
    assert read_current(settings, SCORE) == [(65.0,)]


def test_the_command(settings, publish_days, monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_CONFIG", str(settings.config_file))
    publish_days("run-1", [DAY_1])
    publish_days("run-2", [DAY_1], shift=1.0)
    assert main(["rollback"]) == 0
    assert capsys.readouterr().out == "generation 1 is current\n"
    assert main(["rollback"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_waits_for_the_writer(settings, publish_days, monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_CONFIG", str(settings.config_file))
    publish_days("run-1", [DAY_1])
    publish_days("run-2", [DAY_1])
    with another_writer(settings, "a long run"):
        assert main(["rollback"]) == 2
    assert "'a long run'" in capsys.readouterr().err
    assert current_generation(settings) == 2
