"""The command line of the pipeline."""

import logging
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.run import parse_range
from orchestration.settings import Settings, SettingsError, load_settings


def settings(folder: Path, end_date: str) -> Settings:
    config = folder / "health.toml"
    config.write_text(
        f"[pipeline]\nstart_date = 2026-01-01\nend_date = {end_date}\n[sources.accounts]\nconnector = 'files'\npath = 'a.csv'\n"
    )
    return load_settings(config)


def test_a_range_within_the_configured_days(tmp_path: Path) -> None:
    configured = settings(tmp_path, "2026-01-31")
    assert parse_range(None, configured) == (date(2026, 1, 1), date(2026, 1, 31))
    assert parse_range("2026-01-05...2026-01-07", configured) == (date(2026, 1, 5), date(2026, 1, 7))
    assert parse_range("2026-01-05", configured) == (date(2026, 1, 5), date(2026, 1, 5))


@pytest.mark.parametrize("text", ["2026-01-07...2026-01-05", "2025-12-31...2026-01-05", "2026-01-30...2026-02-01", "yesterday"])
def test_another_range_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"outside 2026-01-01\.\.\.2026-01-31|no range of days"):
        parse_range(text, settings(tmp_path, "2026-01-31"))


def test_a_last_day_that_is_not_over_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="end_date 2199-01-01 is not over yet"):
        parse_range("2026-01-05", settings(tmp_path, "2199-01-01"))


def test_a_command_keeps_warnings_and_leaves_failures_to_its_own_lines() -> None:
    import dagster as dg

    from orchestration.defs.common import command

    def kept(**said: object) -> bool:
        record = logging.makeLogRecord({"dagster_meta": said})
        return bool(command.logger_fn(dg.build_init_logger_context()).filter(record))

    failure, start = SimpleNamespace(is_failure=True), SimpleNamespace(is_failure=False)
    waiting = "Dependencies for step health_models failed: ['raw__accounts']. Not executing."
    assert [kept(dagster_event=failure), kept(dagster_event=None, orig_message=waiting)] == [False, False]
    assert [kept(dagster_event=start), kept(dagster_event=None, orig_message="late facts"), kept()] == [True] * 3
