"""The ready mappings in `examples/mappings`, each file unchanged, against data in the shape that its product documents.

Only the place of the data is set: the variables with secrets, and for files the path.
"""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import boto3
import pytest
import sqlalchemy as sa

from orchestration.contract import TABLES
from orchestration.extract import LandedTable, land_table, preflight_sources
from orchestration.settings import PROJECT_ROOT
from tests.unit.extract.conftest import World

MAPPINGS = PROJECT_ROOT / "examples" / "mappings"
JANUARY = (date(2026, 1, 1), date(2026, 1, 3))


@pytest.fixture
def warehouse(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    for name in ("SEGMENT", "POSTHOG", "STRIPE", "ZENDESK"):
        monkeypatch.setenv(f"{name}_WAREHOUSE_URL", postgres_url)
    engine = sa.create_engine(postgres_url)
    yield engine
    with engine.begin() as connection:
        for schema in ("production", "posthog_exports", "stripe", "zendesk"):
            connection.execute(sa.text(f"drop schema if exists {schema} cascade"))
    engine.dispose()


def fill(engine: sa.Engine, script: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("set time zone 'America/New_York'")
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)


def use(world: World, name: str, **replaced: str) -> None:
    """Configure a mapping: the file unchanged, but for the line that a key of `replaced` begins."""
    text = (MAPPINGS / name).read_text(encoding="utf-8")
    for key, line in replaced.items():
        text, times = re.subn(rf"^{key} = .*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
        assert times == 1, key
    world.sources = text


def land(world: World, table: str, start: date = JANUARY[0], end: date = JANUARY[1]) -> LandedTable:
    landed = land_table(world.settings, TABLES[table], start, end)
    assert landed.unavailable is None
    return landed


def usage(world: World) -> list[tuple]:
    return world.rows("usage_events", "event_id, account_id, user_id, feature, cast(occurred_at as varchar)")


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.toml")), ids=lambda path: path.stem)
def test_each_file_says_what_it_is_and_is_documented(path: Path) -> None:
    head = path.read_text(encoding="utf-8").partition("[sources.")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert all(word in head for word in ("->", "https://", "health.toml", "account"))
    assert f"`{path.name}`" in (PROJECT_ROOT / "docs" / "sources.md").read_text(encoding="utf-8")


def test_mappings_are_combined_by_writing_one_after_the_other(world: World) -> None:
    world.sources = "\n".join(
        (MAPPINGS / name).read_text(encoding="utf-8") for name in ("segment_tracks.toml", "fivetran_stripe.toml", "fivetran_zendesk.toml")
    )
    assert set(world.settings.sources) == {
        *("accounts", "subscriptions", "invoices", "account_outcomes"), "tickets", "survey_responses", "usage_events",
    }  # fmt: skip


SEGMENT = """
create schema production;
create table production.groups (id text, anonymous_id text, user_id text, group_id text, name text, received_at timestamptz,
    sent_at timestamptz, original_timestamp timestamptz, timestamp timestamptz, uuid_ts timestamptz);
create table production.tracks (id text, anonymous_id text, user_id text, event text, event_text text, context_ip text,
    received_at timestamptz, sent_at timestamptz, original_timestamp timestamptz, timestamp timestamptz, uuid_ts timestamptz);
insert into production.groups (id, user_id, group_id, timestamp) values
    ('g2', 'u1', 'bolt', '2026-01-03 12:00Z'), ('g1', 'u1', 'acme', '2026-01-01 10:00Z'), ('g3', null, 'acme', '2026-01-01 10:00Z');
insert into production.tracks (id, anonymous_id, user_id, event, event_text, timestamp) values
    ('t1', 'x', 'u1', 'report_exported', 'Report Exported', '2026-01-01 08:00Z'),
    ('t2', 'x', 'u1', 'signed_in', 'Signed In', '2026-01-03 11:59:59.999Z'),
    ('t3', 'x', 'u1', 'signed_in', 'Signed In', '2026-01-03 12:00Z'),
    ('t4', 'x', null, 'signed_in', 'Signed In', '2026-01-03 12:00Z'),
    ('t5', 'y', 'u9', 'signed_in', 'Signed In', '2026-01-03 12:00Z'),
    ('t6', 'x', 'u1', 'signed_in', 'Signed In', '2026-01-03 23:30-05');
"""


def test_segment_tracks_in_the_warehouse(world: World, warehouse: sa.Engine) -> None:
    fill(warehouse, SEGMENT)
    use(world, "segment_tracks.toml")
    landed = land(world, "usage_events")
    # t1 happened before the first group call, t3 at the second one; nobody knows the accounts of t4 and t5.
    expected = [
        ("t1", "acme", "u1", "Report Exported", "2026-01-01 08:00:00"),
        ("t2", "acme", "u1", "Signed In", "2026-01-03 11:59:59.999"),
        ("t3", "bolt", "u1", "Signed In", "2026-01-03 12:00:00"),
    ]
    assert usage(world) == expected
    assert (landed.delivered, landed.quarantined) == (3, {})
    # 23:30 in New York is the fourth of January in UTC.
    land(world, "usage_events", date(2026, 1, 4), date(2026, 1, 4))
    assert usage(world) == [*expected, ("t6", "bolt", "u1", "Signed In", "2026-01-04 04:30:00")]


def test_segment_tracks_counted_by_day_in_the_warehouse(world: World, warehouse: sa.Engine) -> None:
    fill(warehouse, SEGMENT)
    use(world, "segment_usage_days.toml")
    landed = land(world, "usage_days", JANUARY[0], date(2026, 1, 4))
    # The same events and accounts as above.
    assert world.rows("usage_days", "account_id, user_id, feature, cast(activity_day as varchar), events") == [
        ("acme", "u1", "Report Exported", "2026-01-01", 1),
        ("acme", "u1", "Signed In", "2026-01-03", 1),
        ("bolt", "u1", "Signed In", "2026-01-03", 1),
        ("bolt", "u1", "Signed In", "2026-01-04", 1),
    ]
    assert (landed.delivered, landed.quarantined) == (4, {})


def call(name: str, at: str, group: str | None = "acme", user: str | None = "u1", kind: str = "track") -> dict:
    """As in https://segment.com/docs/connections/spec/common/, group id in the context."""
    return {
        "anonymousId": "507f191e810c19729de860ea",
        "context": {"app": {"name": "Acme", "version": "1.0"}, "ip": "8.8.8.8", **({"groupId": group} if group else {})},
        "event": "Report Exported",
        "integrations": {},
        "messageId": name,
        "originalTimestamp": at,
        "properties": {"format": "pdf"},
        "receivedAt": "2026-01-02T10:00:00.000Z",
        "sentAt": at,
        "timestamp": at,
        "type": kind,
        "userId": user,
        "version": 2,
    }


def gzipped(*rows: dict) -> bytes:
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


def test_segment_archive_in_s3(world: World, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENT_S3_KEY", "key")
    monkeypatch.setenv("SEGMENT_S3_SECRET", "sesame-5521")
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="sesame-5521"
    )
    client.create_bucket(Bucket="my-bucket")
    # 1767312000000 is 2026-01-02 00:00 UTC, 1767398400000 the day after.
    archive = {
        "1767312000000/1767313.a.gz": gzipped(
            call("m1", "2026-01-01T23:59:59.999Z"),
            call("m2", "2026-01-02T09:00:00.000+02:00", user=None),
            call("m3", "2026-01-02T09:00:00Z", group=None),
        ),
        "1767312000000/1767316.b.gz": gzipped(call("m4", "2026-01-02T10:00:00Z", kind="identify")),
        "1767398400000/1767400.a.gz": gzipped(call("m1", "2026-01-01T23:59:59.999Z"), call("m5", "2026-01-03T01:00:00Z", group="bolt")),
    }
    for name, body in archive.items():
        client.put_object(Bucket="my-bucket", Key=f"segment-logs/aBc123/{name}", Body=body)
    use(
        world, "segment_archive.toml",
        storage=f'storage = {{ endpoint = "{endpoint}", region = "us-east-1", access_key_id = {{ env = "SEGMENT_S3_KEY" }},'
        ' secret_access_key = { env = "SEGMENT_S3_SECRET" } }',
    )  # fmt: skip
    expected = [
        ("m1", "acme", "u1", "Report Exported", "2026-01-01 23:59:59.999"),
        ("m2", "acme", "507f191e810c19729de860ea", "Report Exported", "2026-01-02 07:00:00"),
    ]
    land(world, "usage_events", date(2026, 1, 2), date(2026, 1, 2))
    assert usage(world) == expected
    # A message that was delivered twice counts once.
    land(world, "usage_events", date(2026, 1, 3), date(2026, 1, 3))
    assert usage(world) == [*expected, ("m5", "bolt", "u1", "Report Exported", "2026-01-03 01:00:00")]


# uuid, event, distinct_id, properties, timestamp; the zones are those that the products write.
POSTHOG = [
    ("0194-1", "report exported", "u1", {"$group_0": "acme", "$lib": "web"}, "2026-01-01 23:59:59.5+00"),
    ("0194-2", "$pageview", "u1", {"$group_0": "acme", "$current_url": "https://x"}, "2026-01-02 00:00:00+00"),
    ("0194-3", "$identify", "u1", {"$group_0": "acme"}, "2026-01-02 00:00:01+00"),
    ("0194-4", "report exported", "u2", {"$group_1": "project-7"}, "2026-01-02 00:00:02+00"),
]
POSTHOG_USAGE = [
    ("0194-1", "acme", "u1", "report exported", "2026-01-01 23:59:59.5"),
    ("0194-2", "acme", "u1", None, "2026-01-02 00:00:00"),
]
INTERVAL = "2026-01-01T00:00:00+00:00-2026-01-02T00:00:00+00:00"


def test_posthog_parquet(world: World) -> None:
    rows = ", ".join(
        f"('{uuid}', '{event}', '{user}', '{json.dumps(properties)}', timestamptz '{at}')" for uuid, event, user, properties, at in POSTHOG
    )
    world.write_parquet(
        f"posthog/{INTERVAL}.parquet.zst",
        f"select *, '00-p' as person_id, '{{}}' as person_properties, 1 as team_id from (values {rows}) as"
        " events (uuid, event, distinct_id, properties, timestamp)",
    )
    use(world, "posthog_events.toml", path='path = "posthog/{day}T*.parquet*"', storage="")
    preflight_sources(world.settings)
    land(world, "usage_events")
    assert usage(world) == POSTHOG_USAGE


def test_posthog_json_lines(world: World) -> None:
    lines = gzipped(
        *(
            {"uuid": uuid, "event": event, "distinct_id": user, "properties": properties, "timestamp": at, "team_id": 1}
            for uuid, event, user, properties, at in POSTHOG
        )
    )
    world.write(f"posthog/{INTERVAL}.jsonl.gz", lines)
    use(world, "posthog_jsonl.toml", path='path = "posthog/{day}T*.jsonl*"', storage="")
    preflight_sources(world.settings)
    land(world, "usage_events")
    assert usage(world) == POSTHOG_USAGE


def test_posthog_in_postgres(world: World, warehouse: sa.Engine) -> None:
    rows = ",\n".join(
        f"('{uuid}', '{event}', '{json.dumps(properties)}', '{user}', 1, '{at}')" for uuid, event, user, properties, at in POSTHOG
    ).replace("%", "%%")
    fill(
        warehouse,
        f"""
        create schema posthog_exports;
        create table posthog_exports.events (uuid varchar(200), event varchar(200), properties jsonb, elements jsonb, set jsonb,
            set_once jsonb,
            distinct_id varchar(200), team_id integer, ip varchar(200), site_url varchar(200), timestamp timestamptz);
        insert into posthog_exports.events (uuid, event, properties, distinct_id, team_id, timestamp) values {rows}
        """,
    )
    use(world, "posthog_postgres.toml")
    land(world, "usage_events")
    assert usage(world) == POSTHOG_USAGE


def amplitude(uuid: str, at: str, groups: dict, user: str | None = "u1") -> dict:
    """As in https://amplitude.com/docs/apis/analytics/export; times are UTC without a zone."""
    return {
        "$insert_id": "5f0adeff", "amplitude_id": 123456789012345678, "app": 187520, "city": "San Francisco", "device_id": "d",
        "event_id": 12, "event_properties": {"format": "pdf"}, "event_time": at, "event_type": "report exported", "group_properties": {},
        "groups": groups, "platform": "Web", "server_upload_time": "2026-01-02 00:00:10.000000", "session_id": 1, "user_id": user,
        "user_properties": {}, "uuid": uuid,
    }  # fmt: skip


def test_amplitude_export_unpacked_as_its_comment_says(world: World) -> None:
    hours = {
        "187520/187520_2026-01-01_23#0.json.gz": gzipped(
            amplitude("c1", "2026-01-01 23:59:59.999000", {"company": ["acme", "other"]}), amplitude("c2", "2026-01-01 23:00:00.000000", {})
        ),
        "187520/187520_2026-01-02_0#12.json.gz": gzipped(
            amplitude("c3", "2026-01-02 00:00:00.000000", {"company": "bolt"}, user=None),
            amplitude("c4", "2026-01-02 00:00:01.000000", {"team": ["red"]}),
        ),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, body in hours.items():
            packed.writestr(name, body)
    zipfile.ZipFile(archive).extractall(world.root / "amplitude")
    use(world, "amplitude_export.toml")
    preflight_sources(world.settings)
    land(world, "usage_events")
    assert usage(world) == [
        ("c1", "acme", "u1", "report exported", "2026-01-01 23:59:59.999"),
        ("c3", "bolt", "123456789012345678", "report exported", "2026-01-02 00:00:00"),
    ]


STRIPE = """
create schema stripe;
create table stripe.customer (id text, name text, description text, email text, address_country text, created timestamptz, livemode boolean,
    is_deleted boolean, metadata text);
insert into stripe.customer values
    ('cus_1', 'Acme', null, 'a@acme.com', 'US', '2025-01-01 23:30-05', true, false, '{"account_id": "a1"}'),
    ('cus_2', 'Bolt', null, null, null, '2025-02-01Z', true, true, '{}'),
    ('cus_3', null, null, 'c@core.io', 'DE', '2025-03-01Z', true, null, '{}'),
    ('cus_4', 'Drum', null, null, null, '2025-03-01Z', true, false, '{}'),
    ('cus_5', 'Test', null, null, null, '2025-03-01Z', false, false, '{}'),
    ('cus_8', 'Gold', null, null, null, '2025-03-01Z', true, true, '{}'), ('cus_9', 'Hall', null, null, null, '2025-03-01Z', true, false,
        '{}'),
    ('cus_6', 'Even', null, null, null, '2025-03-01Z', true, false, '{}'), ('cus_7', 'Fern', null, null, null, '2025-03-01Z', true, false,
        '{}');
create table stripe.price (id text, billing_scheme text, currency text, nickname text, product_id text, recurring_interval text,
    recurring_interval_count integer, recurring_usage_type text, transform_quantity_divide_by integer, transform_quantity_round text,
    unit_amount bigint, unit_amount_decimal text);
insert into stripe.price values
    ('monthly', 'per_unit', 'usd', 'Team', 'prod_1', 'month', 1, 'licensed', null, null, 2999, '2999'),
    ('yearly', 'per_unit', 'usd', 'Archive', 'prod_2', 'year', 1, 'licensed', null, null, 120000, '120000'),
    ('metered', 'per_unit', 'usd', 'Calls', 'prod_3', 'month', 1, 'metered', null, null, 5, '5'),
    ('yen', 'per_unit', 'jpy', null, 'prod_4', 'month', 1, 'licensed', null, null, 5000, '5000'),
    ('weekly', 'per_unit', 'eur', 'Weekly', 'prod_5', 'week', 1, 'licensed', null, null, 1000, '1000'),
    ('quarterly', 'per_unit', 'kwd', 'Quarter', 'prod_6', 'month', 3, null, null, null, 90000, '90000'),
    ('tiered', 'tiered', 'usd', 'Tiers', 'prod_7', 'month', 1, 'licensed', null, null, null, null),
    ('packs', 'per_unit', 'usd', 'Packs', 'prod_8', 'month', 1, 'licensed', 10, 'up', null, '1000.5');
create table stripe.subscription_history (id text, _fivetran_active boolean, _fivetran_start timestamptz, _fivetran_end timestamptz,
    customer_id text, status text, livemode boolean, start_date timestamptz, ended_at timestamptz, trial_start timestamptz,
    trial_end timestamptz, current_period_end timestamptz, current_period_start timestamptz, pause_collection_behavior text,
    pause_collection_resumes_at timestamptz);
insert into stripe.subscription_history (id, _fivetran_active, customer_id, status, livemode, start_date, ended_at, trial_start, trial_end,
    current_period_end) values
    ('several', true, 'cus_1', 'active', true, '2026-01-10 23:30-05', null, null, null, null),
    ('several', false, 'cus_1', 'past_due', true, '2026-01-10 23:30-05', '2026-01-20Z', null, null, null),
    ('yen', true, 'cus_1', 'canceled', true, '2026-01-01Z', '2026-03-01 10:00Z', '2026-01-01Z', '2026-01-15Z', '2026-04-01Z'),
    ('weekly', null, 'cus_3', 'active', true, '2026-01-05Z', null, null, null, '2026-01-12Z'),
    ('never', true, 'cus_3', 'incomplete_expired', true, '2026-01-05Z', null, null, null, null),
    ('before', true, 'cus_4', 'canceled', true, '2025-03-01Z', '2026-02-01 08:00Z', null, null, null),
    ('after', true, 'cus_4', 'canceled', true, '2026-02-01 07:00Z', '2026-05-01Z', null, null, null),
    ('paused', true, 'cus_4', 'paused', true, '2026-03-01Z', null, '2026-03-01Z', '2026-03-15Z', null),
    ('brief', true, 'cus_3', 'canceled', true, '2026-02-03 08:00Z', '2026-02-03 20:00Z', '2026-02-03 08:00Z', '2026-02-10Z', null),
    ('test', true, 'cus_5', 'active', false, '2026-01-05Z', null, null, null, null);
create table stripe.subscription_item (id text, subscription_id text, plan_id text, quantity integer, current_period_end timestamptz,
    current_period_start timestamptz);
insert into stripe.subscription_history (id, _fivetran_active, customer_id, status, livemode, start_date, ended_at, trial_start, trial_end,
    current_period_start,
    pause_collection_behavior, pause_collection_resumes_at) values
    ('break', true, 'cus_6', 'active', true, '2026-01-05Z', null, null, null, '2026-02-05Z', 'void', '2026-02-15Z'),
    ('tried', true, 'cus_7', 'canceled', true, '2026-01-05Z', '2026-01-19Z', '2026-01-05Z', '2026-01-19Z', null, null, null);
insert into stripe.subscription_history (id, _fivetran_active, customer_id, status, livemode, start_date, current_period_end) values
    ('loyal', true, 'cus_6', 'active', true, '2024-06-15Z', '2026-06-15Z');
insert into stripe.subscription_history (id, _fivetran_active, customer_id, status, livemode, start_date, ended_at, trial_start, trial_end,
    current_period_end,
    pause_collection_behavior) values
    ('turned', true, 'cus_8', 'active', true, '2025-01-05Z', null, '2025-01-05Z', '2025-01-19Z', '2027-01-19Z', 'mark_uncollectible'),
    ('unpaid', true, 'cus_9', 'canceled', true, '2026-01-05Z', '2026-03-05Z', '2026-01-05Z', '2026-01-19Z', null, null);
insert into stripe.subscription_item values
    ('si_14', 'turned', 'yearly', 1, '2027-01-19Z', '2026-01-19Z'), ('si_15', 'unpaid', 'monthly', 2, null, null);
insert into stripe.subscription_item values
    ('si_1', 'several', 'monthly', 3, '2026-02-11Z'), ('si_2', 'several', 'yearly', 2, '2027-01-11Z'), ('si_3', 'several', 'metered', null,
        '2026-02-11Z'),
    ('si_4', 'yen', 'yen', 2, null), ('si_5', 'weekly', 'weekly', 1, null), ('si_6', 'before', 'quarterly', 1, null),
    ('si_7', 'after', 'packs', 25, null), ('si_8', 'paused', 'tiered', 4, null), ('si_9', 'test', 'monthly', 1, null),
    ('si_10', 'brief', 'weekly', 1, null), ('si_11', 'break', 'monthly', 2, null), ('si_12', 'tried', 'monthly', 2, null), ('si_13',
        'loyal', 'yearly', 1, null);
create table stripe.coupon (id text, duration text, percent_off double precision, amount_off bigint, currency text);
insert into stripe.coupon values
    ('fifth', 'repeating', 20, null, null), ('once', 'once', 50, null, null), ('five', 'forever', null, 500, 'eur'), ('tenth', 'forever',
        10, null, null),
    ('half', 'forever', 50, null, null), ('free', 'repeating', 100, null, null);
create table stripe.subscription_discount (id text, subscription_id text, coupon_id text, customer_id text, start timestamptz,
    "end" timestamptz);
insert into stripe.subscription_discount values
    ('di_1', 'several', 'fifth', 'cus_1', '2026-02-01Z', '2026-05-01Z'), ('di_2', 'several', 'once', 'cus_1', '2026-01-11 04:30Z', null),
    ('di_3', 'weekly', 'five', 'cus_3', '2026-01-05Z', null), ('di_4', 'after', 'tenth', 'cus_4', '2026-02-01Z', null),
    ('di_5', 'after', 'half', 'cus_4', '2026-02-01Z', null), ('di_6', 'after', 'free', 'cus_4', '2026-04-01Z', '2026-04-11Z');
create table stripe.invoice (id text, customer_id text, subscription_id text, status text, billing_reason text, currency text, total bigint,
    created timestamptz, due_date timestamptz, status_transitions_finalized_at timestamptz, status_transitions_paid_at timestamptz,
    status_transitions_voided_at timestamptz, livemode boolean, is_deleted boolean, status_transitions_marked_uncollectible_at timestamptz,
    amount_due bigint, amount_remaining bigint, pre_payment_credit_notes_amount bigint, post_payment_credit_notes_amount bigint);
insert into stripe.invoice values
    ('in_1', 'cus_1', 'several', 'paid', 'subscription_cycle', 'usd', 12345, '2026-01-10Z', '2026-02-10Z', '2026-01-11 23:30-05',
        '2026-01-31 23:30-05', null, true, false,
        null, 12345, 0, 0, 345),
    ('in_2', 'cus_1', 'yen', 'open', 'subscription_cycle', 'jpy', 10000, '2026-02-01Z', null, '2026-02-01Z', null, null, true, null, null,
        10000, 10000, 0, 0),
    ('in_3', 'cus_4', 'before', 'void', 'subscription_cycle', 'kwd', 90001, '2026-01-01Z', null, null, null, '2026-01-03Z', true, false,
        null, 90001, 90001, 0, 0),
    ('in_4', 'cus_4', 'before', 'draft', 'manual', 'usd', 100, '2026-01-01Z', null, null, null, null, true, false, null, 100, 100, 0, 0),
    ('in_5', 'cus_4', 'before', 'open', 'manual', 'usd', 100, '2026-01-01Z', null, null, null, null, true, true, null, 100, 100, 0, 0),
    ('in_6', 'cus_4', 'before', 'paid', 'subscription_cycle', 'usd', 100, '2025-12-01Z', null, null, '2025-12-01Z', null, true, false,
        null, 100, 0, null, null),
    ('in_7', 'cus_3', null, 'open', 'manual', 'usd', 60000, '2026-01-01Z', '2026-01-31Z', null, null, null, true, false, null, 13000, 3000,
        47000, 0),
    ('in_8', 'cus_3', null, 'paid', 'manual', 'usd', 500, '2026-01-02Z', null, null, null, null, true, false, null, 500, 500, 0, 0),
    ('in_9', 'cus_3', null, 'uncollectible', 'manual', 'usd', 500, '2026-01-02Z', '2026-01-09Z', null, null, null, true, false, null, 500,
        500, 0, 0),
    ('in_10', 'cus_3', null, 'uncollectible', 'manual', 'usd', 500, '2026-01-02Z', null, null, null, null, true, false, '2026-02-20Z', 500,
        500, 0, 0),
    ('in_12', 'cus_9', 'unpaid', 'paid', 'subscription_create', 'usd', 0, '2026-01-05Z', null, null, '2026-01-05Z', null, true, false,
        null, 0, 0, 0, 0),
    ('in_13', 'cus_9', 'unpaid', 'uncollectible', 'subscription_cycle', 'usd', 5998, '2026-01-19Z', null, null, null, null, true, false,
        '2026-03-05Z', 5998, 5998, 0, 0),
    ('in_14', 'cus_8', 'turned', 'paid', 'subscription_cycle', 'usd', 120000, '2025-01-19Z', null, null, '2025-01-19Z', null, true, false,
        null, 120000, 0, 0, 0),
    ('in_15', 'cus_8', 'turned', 'paid', 'subscription_cycle', 'usd', 120000, '2026-01-19Z', null, null, '2026-01-19Z', null, true, false,
        null, 120000, 0, 0, 0),
    ('in_11', 'cus_3', null, 'void', 'manual', 'usd', 500, '2026-01-02Z', '2026-01-09Z', null, null, null, true, false, null, 500, 500, 0,
        0);
create table stripe.invoice_line_item (id text, invoice_id text, subscription_id text, proration boolean, period_start timestamptz,
    period_end timestamptz);
insert into stripe.invoice_line_item values
    ('il_1', 'in_1', 'several', false, '2026-01-11Z', '2026-02-11Z'), ('il_2', 'in_1', 'several', false, '2026-01-11Z', '2027-01-11Z'),
    ('il_3', 'in_2', 'yen', false, '2026-02-01Z', '2026-03-01Z'), ('il_4', 'in_3', 'before', false, '2026-01-01Z', '2026-04-01Z'),
    ('il_7', 'in_14', 'turned', false, '2025-01-19Z', '2026-01-19Z'), ('il_8', 'in_15', 'turned', false, '2026-01-19Z', '2027-01-19Z'),
    ('il_5', 'in_6', 'before', true, '2025-12-01Z', '2026-03-01Z'), ('il_6', 'in_6', 'before', null, '2025-12-01Z', '2026-02-28Z');
"""


@pytest.fixture
def stripe(world: World, warehouse: sa.Engine) -> World:
    fill(warehouse, STRIPE)
    world.write("seeds/fx_rates.csv", "currency,valid_from,rate\nEUR,2020-01-01,1.1\nJPY,2020-01-01,0.01\nKWD,2020-01-01,3\n")
    use(world, "fivetran_stripe.toml")
    return world


def test_fivetran_customers_are_accounts(stripe: World) -> None:
    land(stripe, "accounts")
    # 23:30 in New York is the next day in UTC. cus_8 was deleted and stays an account, as it had a subscription; cus_2 had none, cus_5 is
    # of the test mode.
    assert stripe.rows("accounts", "account_id, account_name, region, cast(created_at as varchar)") == [
        ("cus_1", "Acme", "US", "2025-01-02 04:30:00"),
        ("cus_3", "c@core.io", "DE", "2025-03-01 00:00:00"),
        ("cus_4", "Drum", None, "2025-03-01 00:00:00"),
        ("cus_6", "Even", None, "2025-03-01 00:00:00"),
        ("cus_7", "Fern", None, "2025-03-01 00:00:00"),
        ("cus_8", "Gold", None, "2025-03-01 00:00:00"),
        ("cus_9", "Hall", None, "2025-03-01 00:00:00"),
    ]


def test_fivetran_subscriptions_by_price_trial_and_discount(stripe: World) -> None:
    landed = land(stripe, "subscriptions")
    found = stripe.rows(
        "subscriptions",
        "subscription_id, account_id, plan, seats, mrr, currency, cast(started_on as varchar), cast(ended_on as varchar),"
        " cast(term_ends_on as varchar), is_trial",
        order="subscription_id, started_on",
    )
    assert landed.quarantined == {}
    # 3 x 29.99 + 2 x 1200.00 / 12 = 289.97; 20% off is 231.976. The coupon for one invoice does not recur, metered calls have no value.
    several = ("several", "cus_1", "Archive + Calls + Team", 5)
    # (1000.5 cents x 3 packs of ten for 25) = 30.015, less 10% and 50% = 13.50675; free for ten days.
    after = ("after", "cus_4", "Packs", 25)
    assert found == [
        (*after, 13.5068, "USD", "2026-02-01", "2026-04-01", None, False),
        (*after, 0.0, "USD", "2026-04-01", "2026-04-11", None, False),
        (*after, 13.5068, "USD", "2026-04-11", "2026-05-01", None, False),
        # 90.000 dinars a quarter; three decimals.
        ("before", "cus_4", "Quarter", None, 30.0, "KWD", "2025-03-01", "2026-02-01", None, False),
        # 2 x 29.99; paused within the present billing period, until a day that is known.
        ("break", "cus_6", "Team", 2, 59.98, "USD", "2026-01-05", "2026-02-05", None, False),
        ("break", "cus_6", "Team", 2, 0.0, "USD", "2026-02-05", "2026-02-15", None, False),
        ("break", "cus_6", "Team", 2, 59.98, "USD", "2026-02-15", None, None, False),
        # Ended on the day of its start; 10.00 x 52 / 12.
        ("brief", "cus_3", "Weekly", None, 43.3333, "EUR", "2026-02-03", "2026-02-03", None, True),
        # Each term is a row, so that no day knows of a later one.
        ("loyal", "cus_6", "Archive", 1, 100.0, "USD", "2024-06-15", "2025-06-15", "2025-06-15", False),
        ("loyal", "cus_6", "Archive", 1, 100.0, "USD", "2025-06-15", None, "2026-06-15", False),
        # Tiers are not in these tables; a trial that ended without a payment method is over.
        ("paused", "cus_4", "Tiers", 4, None, "USD", "2026-03-01", "2026-03-15", None, True),
        (*several, 289.97, "USD", "2026-01-11", "2026-02-01", "2027-01-11", False),
        (*several, 231.976, "USD", "2026-02-01", "2026-05-01", "2027-01-11", False),
        (*several, 289.97, "USD", "2026-05-01", None, "2027-01-11", False),
        ("tried", "cus_7", "Team", 2, 59.98, "USD", "2026-01-05", "2026-01-19", None, True),
        # A trial is not a term. Paused within the present period, without an end.
        ("turned", "cus_8", "Archive", 1, 100.0, "USD", "2025-01-05", "2025-01-19", None, True),
        ("turned", "cus_8", "Archive", 1, 100.0, "USD", "2025-01-19", "2026-01-19", "2026-01-19", False),
        ("turned", "cus_8", "Archive", 1, 0.0, "USD", "2026-01-19", None, "2027-01-19", False),
        ("unpaid", "cus_9", "Team", 2, 59.98, "USD", "2026-01-05", "2026-01-19", None, True),
        ("unpaid", "cus_9", "Team", 2, 59.98, "USD", "2026-01-19", "2026-03-05", None, False),
        # (10.00 - 5.00) x 52 / 12. Nobody has more than one, so it is a flat price; a week is not a commitment.
        ("weekly", "cus_3", "Weekly", None, 21.6667, "EUR", "2026-01-05", None, None, False),
        ("yen", "cus_1", "prod_4", 2, 10000.0, "JPY", "2026-01-01", "2026-01-15", None, True),
        ("yen", "cus_1", "prod_4", 2, 10000.0, "JPY", "2026-01-15", "2026-03-01", None, False),
    ]


def test_fivetran_invoices_in_full_units_of_their_currency_and_what_is_owed_of_them(stripe: World) -> None:
    land(stripe, "invoices")
    days = ", ".join(f"cast({name} as varchar)" for name in ("issued_on", "due_on", "paid_on", "voided_on", "written_off_on"))
    assert stripe.rows("invoices", f"invoice_id, account_id, amount, open_amount, currency, {days}") == [
        # 3.45 were credited after it was paid.
        ("in_1", "cus_1", 120.0, None, "USD", "2026-01-12", "2026-02-10", "2026-02-01", None, None),
        ("in_10", "cus_3", 5.0, 5.0, "USD", "2026-01-02", "2026-01-02", None, None, "2026-02-20"),
        ("in_11", "cus_3", 5.0, 5.0, "USD", "2026-01-02", "2026-01-09", None, "2026-01-02", None),
        ("in_12", "cus_9", 0.0, None, "USD", "2026-01-05", "2026-01-05", "2026-01-05", None, None),
        ("in_13", "cus_9", 59.98, 59.98, "USD", "2026-01-19", "2026-01-19", None, None, "2026-03-05"),
        ("in_14", "cus_8", 1200.0, None, "USD", "2025-01-19", "2025-01-19", "2025-01-19", None, None),
        ("in_15", "cus_8", 1200.0, None, "USD", "2026-01-19", "2026-01-19", "2026-01-19", None, None),
        ("in_2", "cus_1", 10000.0, 10000.0, "JPY", "2026-02-01", "2026-02-01", None, None, None),
        ("in_3", "cus_4", 90.001, 90.001, "KWD", "2026-01-01", "2026-01-01", None, "2026-01-03", None),
        ("in_6", "cus_4", 1.0, None, "USD", "2025-12-01", "2025-12-01", "2025-12-01", None, None),
        # 470 of 600 were credited, 100 of the rest paid.
        ("in_7", "cus_3", 130.0, 30.0, "USD", "2026-01-01", "2026-01-31", None, None, None),
        ("in_8", "cus_3", 5.0, 0.0, "USD", "2026-01-02", "2026-01-02", None, None, None),
        ("in_9", "cus_3", 5.0, 5.0, "USD", "2026-01-02", "2026-01-09", None, None, "2026-01-09"),
    ]


def test_fivetran_churns_and_renewals(stripe: World) -> None:
    land(stripe, "account_outcomes")
    # cus_1 keeps one of two subscriptions, cus_4 changed from one to the next, cus_7 never had more than a trial, and cus_9 never paid.
    # Renewals are terms of 89 days and more, neither void nor prorated nor the first after a trial: il_2, il_6 (1 December to 28 February)
    # and il_8.
    assert stripe.rows("account_outcomes", "outcome_id, account_id, cast(occurred_on as varchar), kind, arr_delta") == [
        ("churned:cus_4:2026-05-01", "cus_4", "2026-05-01", "churned", None),
        ("renewed:before:2025-12-01", "cus_4", "2025-12-01", "renewed", None),
        ("renewed:several:2026-01-11", "cus_1", "2026-01-11", "renewed", None),
        ("renewed:turned:2026-01-19", "cus_8", "2026-01-19", "renewed", None),
    ]


def test_the_account_may_be_in_the_metadata(stripe: World) -> None:
    line = "customer.id as account_id"
    assert stripe.sources.count(f"    {line}") == 4
    stripe.sources = stripe.sources.replace(f"    {line}", "    cast(customer.metadata as json) ->> 'account_id' as account_id")
    stripe.sources = stripe.sources.replace('connector = "sql"', 'connector = "sql"\nmax_bad_share = 1.0')
    for table in ("accounts", "subscriptions", "invoices", "account_outcomes"):
        land(stripe, table)
        assert {row[0] for row in stripe.rows(table, "account_id")} == {"a1"}


ZENDESK = """
create schema zendesk;
create table zendesk.organization (id bigint, name text, external_id text, created_at timestamptz);
insert into zendesk.organization values (10, 'Acme', 'acme', '2025-01-01Z'), (11, 'Bolt', null, '2025-01-01Z');
create table zendesk."user" (id bigint, role text, organization_id bigint, email text, _fivetran_deleted boolean);
insert into zendesk."user" values (1, 'end-user', null, 'a@acme.com', false), (2, 'end-user', 10, 'b@acme.com', null), (8, 'agent', null,
    'c@us.com', false),
    (9, 'admin', null, 'd@us.com', false);
create table zendesk.ticket (id bigint, requester_id bigint, organization_id bigint, status text, priority text, created_at timestamptz,
    updated_at timestamptz, _fivetran_deleted boolean, via_source_rel text);
insert into zendesk.ticket (id, requester_id, organization_id, status, priority, created_at, updated_at, _fivetran_deleted) values
    (101, 1, 10, 'closed', 'urgent', '2026-01-01 23:30-05', '2026-02-01Z', false),
    (102, 2, null, 'open', 'normal', '2026-01-02Z', '2026-01-20 12:00Z', null),
    (103, 2, null, 'solved', null, '2026-01-03Z', '2026-01-04Z', false),
    (104, 1, 10, 'open', 'low', '2026-01-03Z', '2026-01-04Z', true),
    (105, 1, 10, 'deleted', 'low', '2026-01-03Z', '2026-01-04Z', false),
    (106, 1, 11, 'new', 'high', '2026-01-03Z', '2026-01-04Z', false);
insert into zendesk.ticket values
    (107, 1, 10, 'closed', null, '2026-01-03Z', '2026-01-03 00:05Z', false, null),
    (108, 1, 10, 'closed', null, '2026-01-04Z', '2026-01-05Z', false, 'follow_up');
create table zendesk.ticket_comment (id bigint, ticket_id bigint, user_id bigint, public boolean, created timestamptz,
    _fivetran_deleted boolean);
insert into zendesk.ticket_comment values
    (1, 101, 1, true, '2026-01-02 04:30Z', false), (2, 101, 8, false, '2026-01-02 05:00Z', false), (3, 101, 1, true, '2026-01-02 05:10Z',
        false),
    (4, 101, 9, true, '2026-01-02 06:00Z', false), (5, 101, 8, true, '2026-01-02 07:00Z', false), (6, 102, 8, true, '2026-01-02Z', false),
    (7, 102, 8, true, '2026-01-02 01:00Z', true), (8, 102, 2, true, '2026-01-02 02:00Z', false);
create table zendesk.ticket_field_history (ticket_id bigint, field_name text, updated timestamptz, user_id bigint, value text);
insert into zendesk.ticket_field_history values
    (101, 'status', '2026-01-02 06:00Z', 9, 'solved'), (101, 'status', '2026-01-03 06:00Z', 1, 'open'), (101, 'status',
        '2026-01-05 06:00Z', 9, 'solved'),
    (101, 'status', '2026-02-01Z', null, 'closed'), (102, 'status', '2026-01-03Z', 8, 'solved'), (102, 'status', '2026-01-04Z', 2, 'open'),
    (101, '360000000000', '2026-01-02 04:30Z', 1, 'false'), (101, '360000000000', '2026-01-04 08:00Z', 8, 'true'),
    (101, '360000000000', '2026-01-06 08:00Z', 8, 'true');
create table zendesk.ticket_tag (ticket_id bigint, tag text);
insert into zendesk.ticket_tag values (101, 'vip'), (101, 'refund'), (102, 'how_to'), (102, 'bug'), (102, 'escalated'), (106, 'question'),
    (107, 'closed_by_merge'), (108, 'closed_by_merge');
create table zendesk.satisfaction_rating (id bigint, ticket_id bigint, requester_id bigint, assignee_id bigint, group_id bigint,
    score text, comment text,
    reason text, created_at timestamptz, updated_at timestamptz);
insert into zendesk.satisfaction_rating (id, ticket_id, requester_id, score, created_at, updated_at) values
    (501, 101, 1, 'good_with_comment', '2026-01-06Z', '2026-01-07 23:30-05'), (502, 103, 2, 'bad', '2026-01-06Z', '2026-01-06Z'),
    (503, 101, 1, 'offered', '2026-01-06Z', '2026-01-06Z'), (504, 104, 1, 'good', '2026-01-06Z', '2026-01-06Z'), (505, 106, 1, 'good',
        '2026-01-06Z', '2026-01-06Z');
"""


def test_fivetran_tickets(world: World, warehouse: sa.Engine) -> None:
    fill(warehouse, ZENDESK)
    use(world, "fivetran_zendesk.toml")
    landed = land(world, "tickets")
    moments = ", ".join(f"cast({name} as varchar)" for name in ("opened_at", "first_replied_at", "resolved_at", "escalated_at"))
    # 101: the note at 05:00 is private, the comment at 05:10 the customer's; solved, opened again, solved again. 102: the agent's first
    # comment came with the ticket, the second was deleted; it is open again; bug comes before question. 104 and 105 are deleted, 107 was
    # merged, 108 is a follow-up of such a one.
    assert world.rows("tickets", f"ticket_id, account_id, priority, topic, {moments}") == [
        ("101", "acme", "critical", "billing", "2026-01-02 04:30:00", "2026-01-02 06:00:00", "2026-01-05 06:00:00", "2026-01-04 08:00:00"),
        ("102", "acme", "normal", "bug", "2026-01-02 00:00:00", None, None, "2026-01-20 12:00:00"),
        ("103", "acme", None, "other", "2026-01-03 00:00:00", None, "2026-01-04 00:00:00", None),
        ("108", "acme", None, "other", "2026-01-04 00:00:00", None, "2026-01-05 00:00:00", None),
    ]
    # The organization of 106 has no external_id.
    assert (landed.delivered, landed.quarantined) == (5, {"account_id: missing": 1})


def test_fivetran_satisfaction_ratings(world: World, warehouse: sa.Engine) -> None:
    fill(warehouse, ZENDESK)
    use(world, "fivetran_zendesk.toml")
    landed = land(world, "survey_responses")
    assert world.rows("survey_responses", "response_id, account_id, user_id, survey, score, cast(responded_at as varchar)") == [
        ("501", "acme", "1", "csat", 5.0, "2026-01-08 04:30:00"),
        ("502", "acme", "2", "csat", 1.0, "2026-01-06 00:00:00"),
    ]
    assert landed.quarantined == {"account_id: missing": 1}
