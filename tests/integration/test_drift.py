"""The guard against drift of definitions: a metric that jumps for most accounts at once is the instrumentation, not the customers."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from orchestration.extract.connectors.demo import demo_sources, write_demo_files
from orchestration.extract.connectors.demo.company import CORE_FEATURES
from orchestration.publish.summary import unexplained_drift
from orchestration.settings import Demo, load_settings
from tests.pipeline import run_pipeline

HISTORY_STARTS = date(2025, 9, 1)
FIRST_DAY = date(2026, 1, 1)
RENAMED_ON = date(2026, 2, 10)
DOUBLED_ON = date(2026, 2, 18)
LAST_DAY = date(2026, 2, 24)
# Everybody uses the first of the core features.
NEW_NAME = f"{CORE_FEATURES[0]}_v2"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo company whose tracking renames a feature for good on one day, and sends every event twice on another."""
    folder = tmp_path_factory.mktemp("drift")
    raw = folder / "raw"
    write_demo_files(Demo(accounts=120, seed=3, dirt=False), HISTORY_STARTS, LAST_DAY, raw, events_per_account_day=12)
    for path in sorted((raw / "events").iterdir()):
        day = date.fromisoformat(path.stem)
        events = pq.read_table(path)
        if day >= RENAMED_ON:
            features = events["feature"].cast(pa.string())
            renamed = pc.if_else(pc.equal(features, CORE_FEATURES[0]), NEW_NAME, features)
            events = events.set_column(events.column_names.index("feature"), "feature", renamed)
        if day == DOUBLED_ON:
            again = pc.binary_join_element_wise(events["event_id"].cast(pa.string()), "again", "-")
            events = pa.concat_tables([events, events.set_column(events.column_names.index("event_id"), "event_id", again)])
        pq.write_table(events, path)
    (folder / "health.toml").write_text(
        f'[pipeline]\nstart_date = {FIRST_DAY}\nend_date = {LAST_DAY}\nmemory_limit = "512MB"\nthreads = 1\n' + demo_sources("raw")
    )
    run_pipeline(folder / "health.toml", FIRST_DAY, LAST_DAY)
    return folder


def drift(company: Path, columns: str) -> list[tuple]:
    with duckdb.connect(str(company / "data" / "published" / "current" / "health.duckdb"), read_only=True) as connection:
        return connection.execute(f"select {columns} from metric_drift where explanation is null order by all").fetchall()


def test_a_renamed_feature_and_a_doubled_feed_are_found_and_nothing_else(company: Path) -> None:
    found = drift(company, "as_of_date, metric_key, direction")
    assert (RENAMED_ON, "feature_breadth_90d") in {row[:2] for row in found}
    assert (DOUBLED_ON, "events_per_active_user", "up") in found
    assert {day for day, *_ in found} == {RENAMED_ON, DOUBLED_ON}


def test_the_record_names_share_and_size(company: Path) -> None:
    for share, usual, before, after, change, accounts in drift(
        company, "share_of_accounts, usual_share, mean_before, mean_after, change, accounts"
    ):
        assert 0.5 <= share <= 1 and share >= usual + 0.2
        assert change == pytest.approx(after - before) and change != 0
        assert 60 <= accounts <= 150


def test_the_warning_is_a_sentence(company: Path) -> None:
    settings = load_settings(company / "health.toml")
    current = settings.published / "current"
    [(day, message)] = [
        row for row in unexplained_drift(settings, current, RENAMED_ON, RENAMED_ON + timedelta(days=3)) if "Breadth" in row[1]
    ]
    assert day == RENAMED_ON
    assert message.startswith("Breadth of features moved ")
    assert "% of " in message and NEW_NAME in message
    assert unexplained_drift(settings, current, FIRST_DAY, RENAMED_ON - timedelta(days=1)) == []
