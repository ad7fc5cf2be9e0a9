"""Files of the lake that are damaged or lost: landed again where the source has them, else named."""

import json
import random
from datetime import date

import pytest

from orchestration.contract import TABLES
from orchestration.extract import LakeError, SourceError, extract_table, land_table
from orchestration.extract.connectors.stripe.journal import Record, append, read_journal
from orchestration.extract.lake.manifest import find_faults, read_manifest
from tests.damage import flip_bit

FLIPS = 40


def lake_file(world, pattern: str):
    [path] = world.settings.lake.glob(pattern)
    return path


@pytest.fixture
def features(world):
    world.write("t.csv", "feature,released_on\na,2026-01-01\nb,2026-01-02\n,never\n")
    world.source("feature_releases", 'path = "t.csv"\nmax_bad_share = 1.0')
    world.land("feature_releases")
    return world


@pytest.fixture
def two_days(events, delivery):
    delivery(events, "2026-01-01", "e1,2026-01-01", "x,2026-01-01")
    delivery(events, "2026-01-02", "e2,2026-01-02", "x,2026-01-02")
    events.land("usage_events", date(2026, 1, 9))
    return events


@pytest.mark.parametrize("pattern", ["raw/feature_releases/*.parquet", "quarantine/feature_releases/*.parquet"])
def test_whatever_bit_of_a_table_flips_it_is_landed_again(features, pattern, caplog):
    rows, bad = features.rows("feature_releases"), features.quarantine("feature_releases")
    chosen = random.Random(7)
    for _ in range(FLIPS):
        path = lake_file(features, pattern)
        flip_bit(path, chosen)
        caplog.clear()
        features.land("feature_releases")
        assert f"{path}: was damaged and is landed again" in caplog.text
        assert (features.rows("feature_releases"), features.quarantine("feature_releases")) == (rows, bad)


def test_whatever_bit_of_a_manifest_flips_it_comes_back_from_its_copy(features, caplog):
    path = lake_file(features, "raw/feature_releases/_manifest.json")
    whole, chosen = path.read_bytes(), random.Random(7)
    for _ in range(FLIPS):
        place = flip_bit(path, chosen)
        caplog.clear()
        features.land("feature_releases")
        assert f"{path}: was lost or damaged, restored from" in caplog.text, f"the flip at byte {place} was not noticed"
        assert path.read_bytes() == whole


def test_an_event_day_is_compared_when_it_is_read(two_days):
    damaged = lake_file(two_days, "raw/usage_events/event_day=2026-01-01/*.parquet")
    rows = two_days.rows("usage_events")
    flip_bit(damaged, random.Random(3))
    manifest, lake = read_manifest(two_days.settings.lake, "usage_events"), two_days.settings.lake
    name = str(damaged.relative_to(lake))
    assert find_faults(lake, manifest, 1, [date(2026, 1, 2)]) == {}
    assert find_faults(lake, manifest, 1, [date(2026, 1, 1)]) == find_faults(lake, manifest, 1) == {name: "damaged"}
    land_table(two_days.settings, TABLES["usage_events"], date(2026, 1, 9), date(2026, 1, 9), event_days=[date(2026, 1, 1)])
    assert two_days.rows("usage_events") == rows
    assert find_faults(lake, read_manifest(lake, "usage_events"), 1) == {}


def test_a_day_that_its_source_no_longer_has_is_named_and_stays_until_it_is_removed(two_days, caplog):
    damaged = lake_file(two_days, "raw/usage_events/event_day=2026-01-01/*.parquet")
    flip_bit(damaged, random.Random(3))
    (two_days.root / "events" / "2026-01-01.csv").unlink()

    def land():
        day = date(2026, 1, 9)
        return extract_table(two_days.settings, TABLES["usage_events"], day, day, event_days=[date(2026, 1, 1)])

    with pytest.raises(
        LakeError, match=r"damaged, and the source no longer has the delivery 2026-01-01 .* without its 1 rows, remove the file"
    ) as error:
        land()
    assert str(error.value).startswith(f"{damaged}: ") and "\n" not in str(error.value)
    assert damaged.exists()
    damaged.unlink()
    land()
    assert "its 1 rows no longer count" in caplog.text
    assert two_days.rows("usage_events", "event_id") == [("e2",), ("x",)]


def test_a_day_that_cannot_be_read_at_all_is_found_though_it_was_not_asked_for(two_days, delivery):
    """Keys of all days are looked up when a new delivery comes."""
    damaged = lake_file(two_days, "raw/usage_events/event_day=2026-01-01/*.parquet")
    damaged.write_bytes(bytes(damaged.stat().st_size))
    delivery(two_days, "2026-01-03", "e3,2026-01-03")
    two_days.land("usage_events", date(2026, 1, 9))
    assert two_days.rows("usage_events", "event_id") == [("e1",), ("e2",), ("e3",), ("x",)]


def test_the_list_of_superseded_rows_is_written_again(two_days):
    rows = two_days.rows("usage_events")
    chosen = random.Random(7)
    for _ in range(5):
        flip_bit(lake_file(two_days, "raw/usage_events/superseded-*.parquet"), chosen)
        two_days.land("usage_events", date(2026, 1, 9))
        assert two_days.rows("usage_events") == rows


def test_a_lake_of_an_older_version_gets_its_checksums_once(features, caplog):
    path, copy = lake_file(features, "raw/feature_releases/_manifest.json"), lake_file(features, "manifests/feature_releases.json")
    written = path.read_bytes()
    content = json.loads(written)
    del content["sha256"], content["checksums"]
    path.write_text(json.dumps(content | {"format": 1}))
    copy.unlink()
    features.land("feature_releases")
    assert (path.read_bytes(), copy.read_bytes(), caplog.text) == (written, written, "")


def test_whatever_bit_of_the_journal_flips_the_file_is_named(tmp_path):
    append(tmp_path, [], [Record(f"seats-{n}", n, "observed", "sub_1", f'{{"object": {{"quantity": {n}}}}}') for n in range(9)])
    [path] = tmp_path.glob("*.parquet")
    whole, chosen, records = path.read_bytes(), random.Random(7), read_journal(tmp_path)
    for _ in range(FLIPS):
        flip_bit(path, chosen)
        # A flip in what no reader looks at (the name of the writer) changes no record.
        try:
            assert read_journal(tmp_path) == records
        except SourceError as error:
            assert str(error).startswith(f"{path} cannot be read")
        path.write_bytes(whole)
