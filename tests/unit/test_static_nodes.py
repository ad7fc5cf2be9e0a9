"""Seeds and views are left out of a build only where the last whole build that passed has made them from the very same."""

import shutil
from datetime import date
from pathlib import Path

from orchestration.contract import TABLES
from orchestration.extract import extract_table
from orchestration.settings import PROJECT_ROOT, load_settings
from orchestration.transform import mark_passed, prepare

DAY = date(2026, 1, 5)


def test_they_are_made_again_after_any_change_and_after_a_run_that_did_not_pass(tmp_path: Path) -> None:
    seeds = shutil.copytree(PROJECT_ROOT / "seeds", tmp_path / "seeds")
    (tmp_path / "accounts.csv").write_text("account_id,account_name,created_at\na1,Acme,2025-01-01\n")
    config = tmp_path / "health.toml"
    config.write_text(
        f'[pipeline]\nstart_date = {DAY}\nseeds_dir = "seeds"\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
    )
    settings = load_settings(config)
    for table in TABLES.values():
        extract_table(settings, table, DAY, DAY)

    def leaves_out(passes: bool) -> bool:
        plan = prepare(settings, "run", DAY, DAY)
        if passes:
            mark_passed(settings, "run")
        return bool(plan.dbt_options)

    assert not leaves_out(passes=False)
    assert not leaves_out(passes=True)
    assert leaves_out(passes=False)
    assert leaves_out(passes=True)

    metrics = seeds / "metrics.csv"
    before = metrics.read_text()
    metrics.write_text(before.replace("Active", "Busy"))
    assert metrics.read_text() != before
    assert not leaves_out(passes=False)
    # The run in between may have made them from the changed file.
    metrics.write_text(before)
    assert not leaves_out(passes=True)
    assert leaves_out(passes=True)

    settings.warehouse.unlink()
    assert not leaves_out(passes=True)
