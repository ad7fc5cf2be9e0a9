"""The files connector over a real S3 server (moto)."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import boto3
import pytest

from orchestration.contract import TABLES
from orchestration.extract import SourceUnavailable, land_table
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World
from tests.unit.extract.connectors.stripe.replay import Replay, replay_server

SECRET = "sesame-9921"
HEADER = "event_id,account_id,user_id,occurred_at\n"


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator["boto3.resources.base.ServiceResource"]:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    store = boto3.resource("s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key=SECRET, region_name="us-east-1")
    made = store.create_bucket(Bucket="raw")
    yield made
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replay_server() as server:
        yield server


def storage(endpoint: str) -> str:
    return (
        f'storage = {{ endpoint = "{endpoint}", region = "us-east-1", access_key_id = {{ env = "STORE_SECRET" }},'
        ' secret_access_key = { env = "STORE_SECRET" } }'
    )


def put(bucket, key: str, text: str) -> None:
    bucket.put_object(Key=key, Body=text.encode())


def test_deliveries_of_the_wanted_days_are_fetched_and_land_as_local_ones_would(world: World, bucket, endpoint: str) -> None:
    for day in ("2026-01-01", "2026-01-02", "2026-01-05"):
        put(bucket, f"logs/events/{day}.csv", f"{HEADER}e{day[-1]},a1,u1,{day} 10:00\n")
        world.write(f"logs/events/{day}.csv", f"{HEADER}e{day[-1]},a1,u1,{day} 10:00\n")
    put(bucket, "logs/events/readme.txt", "not a delivery")
    world.source("usage_events", f'path = "s3://raw/logs/events/{{day}}.csv"\n{storage(endpoint)}')
    world.land("usage_events", date(2026, 1, 1), date(2026, 1, 3))
    rows = world.rows("usage_events")
    assert [row[0] for row in rows] == ["e1", "e2"]
    assert list((world.settings.temp_dir / "fetched").rglob("*.csv")) == []
    world.source("usage_events", 'path = "logs/events/{day}.csv"')
    world.pipeline = 'data_dir = "other"'
    world.land("usage_events", date(2026, 1, 1), date(2026, 1, 3))
    assert world.rows("usage_events") == rows


def test_what_did_not_change_is_not_fetched_again_and_what_did_is(world: World, bucket, endpoint: str, monkeypatch) -> None:
    import orchestration.extract.files.deliveries as deliveries

    fetched: list[str] = []
    fetch = deliveries.fetch
    monkeypatch.setattr(deliveries, "fetch", lambda name, source, key, path: (fetched.append(key), fetch(name, source, key, path)))
    put(bucket, "f.csv", "feature,released_on\na,2026-01-01\n")
    world.source("feature_releases", f'path = "s3://raw/f.csv"\n{storage(endpoint)}')
    world.land("feature_releases")
    world.land("feature_releases")
    assert fetched == ["f.csv"]
    put(bucket, "f.csv", "feature,released_on\nb,2026-01-02\n")
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("b", date(2026, 1, 2))]


def test_a_bad_row_is_quarantined_under_the_objects_address(world: World, bucket, endpoint: str) -> None:
    put(bucket, "deep/f.csv", "feature,released_on\na,2026-01-01\nb,never\n")
    world.source("feature_releases", f'path = "s3://raw/**/f.csv"\nmax_bad_share = 1.0\n{storage(endpoint)}')
    world.land("feature_releases")
    assert world.quarantine("feature_releases") == [("s3://raw/deep/f.csv", 3, "released_on: not a date like 2026-01-31")]


def test_a_missing_bucket_leaves_the_table_and_says_so(world: World, bucket, endpoint: str) -> None:
    put(bucket, "f.csv", "feature,released_on\na,2026-01-01\n")
    world.source("feature_releases", f'path = "s3://raw/f.csv"\n{storage(endpoint)}')
    world.land("feature_releases")
    world.source("feature_releases", f'path = "s3://gone/f.csv"\n{storage(endpoint)}')
    day = date(2026, 1, 2)
    landed = land_table(world.settings, TABLES["feature_releases"], day, day)
    assert "sources.feature_releases: s3://gone cannot be read" in landed.unavailable
    assert SECRET not in landed.unavailable
    assert world.rows("feature_releases") == [("a", date(2026, 1, 1))]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("gone", "no file matches s3://raw/f.csv"),
        ("another table", "feature"),
        ("bad rows", "break the contract"),
        ("403", "403 Forbidden"),
        ("500", "500 Internal Server Error"),
    ],
)
def test_every_fault_of_a_store_leaves_the_table_and_says_so(
    world: World, bucket, endpoint: str, fault: str, said: str, replay: Replay
) -> None:
    put(bucket, "f.csv", "feature,released_on\na,2026-01-01\n")
    world.source("feature_releases", f'path = "s3://raw/f.csv"\n{storage(endpoint)}')
    world.land("feature_releases")
    if fault == "gone":
        bucket.objects.all().delete()
    elif fault == "another table":
        put(bucket, "f.csv", "name,born\na,2026-01-01\n")
    elif fault == "bad rows":
        put(bucket, "f.csv", "feature,released_on\nb,never\n")
    else:
        replay.before_answer = lambda _: replay.faults.append((int(fault[:3]), {}, "<Error/>"))
        world.sources = world.sources.replace(endpoint, replay.url)
    day = date(2026, 1, 2)
    landed = land_table(world.settings, TABLES["feature_releases"], day, day)
    assert said in landed.unavailable
    assert SECRET not in landed.unavailable
    assert world.rows("feature_releases") == [("a", date(2026, 1, 1))]


def test_a_path_that_matches_nothing_is_an_error_with_the_remedy(world: World, bucket, endpoint: str) -> None:
    world.source("feature_releases", f'path = "s3://raw/none*.csv"\n{storage(endpoint)}')
    with pytest.raises(ValueError, match=r"no file matches s3://raw/none\*\.csv") as raised:
        world.land("feature_releases")
    assert not isinstance(raised.value, SourceUnavailable)


def test_check_sources_fetches_what_is_small_and_leaves_nothing(world: World, bucket, endpoint: str, tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        put(bucket, f"events/{day}.csv", f"{HEADER}e{day[-1]},a1,u1,{day} 10:00\n,a1,u1,{day} 11:00\n")
    world.source("usage_events", f'path = "s3://raw/events/{{day}}.csv"\n{storage(endpoint)}')
    found = world.trial("usage_events")
    assert found.note == "2 files, the last s3://raw/events/2026-01-02.csv"
    assert (found.rows, found.newest, found.bad) == (4, datetime(2026, 1, 2, 10), 2)
    assert not world.settings.data_dir.exists()


def test_a_literal_secret_in_storage_is_refused_without_showing_it(world: World) -> None:
    world.source("feature_releases", f'path = "s3://raw/f.csv"\nstorage = {{ secret_access_key = "{SECRET}" }}')
    with pytest.raises(SettingsError, match="a secret must not be in the file") as raised:
        _ = world.settings
    assert SECRET not in str(raised.value)


def test_a_secret_that_a_store_repeats_in_a_long_message_is_not_shown_in_part(
    world: World, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore
    from obstore.exceptions import GenericError

    def refuse(*_: object) -> None:
        # Shown are three hundred characters, the last of them within the secret.
        raise GenericError(f"{'x' * 295}{SECRET}")

    monkeypatch.setenv("STORE_SECRET", SECRET)
    monkeypatch.setattr(obstore, "list", refuse)
    world.source("feature_releases", f'path = "s3://raw/f.csv"\n{storage(endpoint)}')
    with pytest.raises(SourceUnavailable) as raised:
        world.land("feature_releases")
    assert f"{'x' * 295}<STOR. Check endpoint" in str(raised.value)
