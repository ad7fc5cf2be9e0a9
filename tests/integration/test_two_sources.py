"""A company that delivers accounts, usage and subscriptions and nothing else: the shipped scorecards give it tiers."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orchestration.extract.connectors.demo import write_demo_files
from orchestration.settings import Demo
from tests.pipeline import run_pipeline

TABLES = {"accounts": "accounts.csv", "subscriptions": "subscriptions.csv", "usage_events": "events/{day}.parquet"}


@pytest.fixture(scope="module")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published mart of two weeks; the events name neither feature nor duration, as most product logs."""
    folder = tmp_path_factory.mktemp("two-sources")
    first_day, last_day = date(2026, 2, 15), date(2026, 2, 28)
    write_demo_files(Demo(accounts=150, seed=7), date(2026, 1, 1), last_day, folder / "all", events_per_account_day=1)
    (folder / "raw").mkdir()
    for name in ("accounts.csv", "subscriptions.csv", "events"):
        shutil.move(folder / "all" / name, folder / "raw" / name)
    for path in (folder / "raw" / "events").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["feature", "duration_seconds"]), path)
    config_file = folder / "health.toml"
    config_file.write_text(
        f'[pipeline]\nstart_date = {first_day}\nend_date = {last_day}\nmemory_limit = "512MB"\n'
        + "".join(f"[sources.{table}]\nconnector = 'files'\npath = 'raw/{path}'\n" for table, path in TABLES.items())
    )
    run_pipeline(config_file, first_day, last_day)
    return folder / "data" / "published" / "current" / "health.duckdb"


def test_it_has_a_tier_on_95_of_100_account_days_also_in_onboarding(mart: Path) -> None:
    with duckdb.connect(str(mart), read_only=True) as connection:
        shares = dict(
            connection.execute(
                "select coalesce(stage, 'all'), avg(cast(tier <> 'unknown' as integer)) from account_health_history group by rollup (stage)"
            ).fetchall()
        )
    assert shares.keys() == {"all", "onboarding", "renewing", "mature"}
    assert all(share >= 0.95 for share in shares.values()), shares


def test_only_who_never_used_the_product_in_the_first_30_days_has_none(mart: Path) -> None:
    """All that is known of such an account is its contract, which says nothing about its health."""
    with duckdb.connect(str(mart), read_only=True) as connection:
        unknown, others = connection.execute(
            """
            with usage_states as (
                select account_id, as_of_date, count(distinct state) = 1 and min(state) = 'not_applicable' as is_unused
                from metric_scores_history
                where metric_key in ('active_days_28d', 'days_since_last_activity')
                group by account_id, as_of_date
            )
            select count(*), coalesce(sum(cast(tenure_days > 30 or not is_unused or coverage > 0 as integer)), 0)
            from account_health_history
            inner join usage_states using (account_id, as_of_date)
            where tier = 'unknown'
            """
        ).fetchall()[0]
    assert unknown > 0 and others == 0
