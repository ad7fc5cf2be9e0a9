"""What a run refuses before it writes anything or connects to anything: addresses, drivers and options that cannot work."""

from datetime import date

import pytest

from orchestration.contract import TABLES
from orchestration.extract import land_table, preflight_sources
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World

SECRET = "sesame-7431"


def refused(world: World) -> list[str]:
    settings = world.settings
    with pytest.raises(SettingsError) as raised:
        preflight_sources(settings)
    said = str(raised.value)
    assert SECRET not in said
    assert not settings.data_dir.exists()
    return [line.removeprefix(f"{settings.config_file}: ") for line in said.splitlines()]


def sql_source(world: World) -> None:
    world.source("tickets", 'table = "t"\nurl = { env = "CRM_URL" }')
    world.sources = world.sources.replace('[sources.tickets]\nconnector = "files"', '[sources.tickets]\nconnector = "sql"')


USABLE = "Write postgresql+psycopg://user:password@host/database"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (SECRET, f"is not a database address. {USABLE}"),
        (f"postgresql://u:a@{SECRET}@h/d", "has an @ that could belong to the password or to the host. "
            "Percent-encode user and password: %40 for @, %3A for :, %2F for /, %3F for ?, %25 for %"),
        (f"mysql+pymysql://u:{SECRET}@h/d", "cannot be used: the driver pymysql is not installed. "
            "Install it beside this product, or name another driver"),
        (f"postgres://u:{SECRET}@h/d", "cannot be used: nothing that is installed speaks to the kind of database it begins with. "
            "Install its driver, or write postgresql+psycopg://..."),
        (f"postgresql://u:{SECRET}@h/d?conect_timeout=3", 'cannot be used: invalid connection option "conect_timeout". Fix it'),
    ],
)  # fmt: skip
def test_an_address_that_cannot_work_is_one_line_without_it(world: World, monkeypatch: pytest.MonkeyPatch, address: str, said: str) -> None:
    monkeypatch.setenv("CRM_URL", address)
    sql_source(world)
    assert refused(world) == [f"sources.tickets.url: what CRM_URL holds {said}"]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p%40s@nowhere.invalid/d?sslmode=require&connect_timeout=3",
        "sqlite:////nowhere/app.db",
        "postgresql+psycopg://h/d?prepare_threshold=0",
    ],
)
def test_an_address_that_may_work_is_not_connected_to(world: World, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CRM_URL", address)
    sql_source(world)
    preflight_sources(world.settings)


@pytest.mark.parametrize(
    ("path", "storage", "said"),
    [
        ("s3://raw/f.csv", 'regoin = "eu-west-1"', "Configuration key: 'regoin' is not valid for store 'S3'."),
        ("s3://raw/f.csv", 'access_key_id = { env = "STORE_KEY" }', "Generic S3 error: Missing SecretAccessKey"),
        ("gs://raw/f.csv", 'service_account_key = { env = "STORE_KEY" }', "Generic GCS error: GCP credential error"),
        (
            "az://raw/f.csv",
            'account_name = "acme", account_key = { env = "STORE_KEY" }',
            "Generic MicrosoftAzure error: Invalid Access Key",
        ),
    ],
)
def test_an_option_that_no_store_can_use_is_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, storage: str, said: str
) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET)
    world.source("invoices", f'path = "{path}"\nstorage = {{ {storage} }}')
    [line] = refused(world)
    assert line.startswith(f"sources.invoices.storage: {said}")
    assert line.endswith("Fix the option; their names are obstore's")


def test_all_faults_of_all_sources_are_named_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_URL", SECRET)
    monkeypatch.delenv("STORE_KEY", raising=False)
    sql_source(world)
    world.source("invoices", 'path = "s3://raw/i.csv"\nstorage = { regoin = "a", secret_access_key = { env = "STORE_KEY" } }')
    world.source("touchpoints", 'path = "s3://raw/t.csv"\nstorage = { regoin = "a" }')
    world.source("csm_pulses", 'path = "none.csv"')
    keys = [line.partition(": ")[0] for line in refused(world)]
    assert keys == [
        f"sources.{key}" for key in ("tickets.url", "invoices.storage.secret_access_key", "touchpoints.storage", "csm_pulses.path")
    ]


def test_a_store_that_is_down_is_not_a_fault_of_the_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET)
    key = '{ env = "STORE_KEY" }'
    credentials = f'region = "a", access_key_id = {key}, secret_access_key = {key}'
    world.source("invoices", f'path = "s3://raw/i.csv"\nstorage = {{ endpoint = "http://127.0.0.1:9", {credentials} }}')
    preflight_sources(world.settings)
    monkeypatch.setattr("orchestration.extract.files.object_store._ATTEMPTS", {"max_retries": 0})
    assert "Check endpoint" in land_table(world.settings, TABLES["invoices"], date(2026, 1, 1), date(2026, 1, 1)).unavailable
