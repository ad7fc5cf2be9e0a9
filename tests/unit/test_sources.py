"""Secrets that were written into the configuration: refused, named by their key, never repeated."""

from pathlib import Path

import pytest

from orchestration.settings import Settings, SettingsError, load_settings

SECRET = "sesame9921"
REST = 'connector = "rest"\npath = "/releases"\nrecords = "$"\npaginator = { type = "single_page" }\n'
STORED = 'path = "s3://raw/f.csv"\nstorage = {{ {} = "{}" }}'
# Every option that holds a secret in obstore 0.12 (its config types for S3, Azure and Google Cloud), and its other names.
SECRET_OPTIONS = (
    "access_key_id", "aws_access_key_id", "secret_access_key", "aws_secret_access_key", "session_token", "aws_session_token", "token",
    "aws_token", "sse_customer_key_base64", "aws_sse_customer_key_base64", "container_credentials_full_uri",
    "account_key", "azure_storage_account_key", "access_key", "azure_storage_access_key", "master_key", "azure_storage_master_key",
    "client_secret", "azure_client_secret", "azure_storage_client_secret", "sas_key", "sas_token", "azure_storage_sas_key",
    "azure_storage_sas_token", "bearer_token", "azure_storage_token", "encryption_key", "azure_encryption_key",
    "fabric_session_token", "azure_fabric_session_token",
    "service_account_key", "google_service_account_key", "google_bearer_token", "MASTER_KEY",
)  # fmt: skip


def load(folder: Path, lines: str) -> Settings:
    config = folder / "health.toml"
    others = '[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "demo"\n'
    config.write_text(f"{others}[sources.feature_releases]\n{lines}", encoding="utf-8")
    return load_settings(config)


def refused(folder: Path, lines: str) -> str:
    """The one line that refuses, without the secret."""
    with pytest.raises(SettingsError) as raised:
        load(folder, lines)
    said = str(raised.value)
    assert SECRET not in said and "\n" not in said
    return said.removeprefix(f"{folder / 'health.toml'}: sources.feature_releases.")


@pytest.mark.parametrize("option", SECRET_OPTIONS)
def test_an_option_of_a_store_that_holds_a_secret_takes_no_text(tmp_path: Path, option: str) -> None:
    said = refused(tmp_path, 'connector = "files"\n' + STORED.format(option, SECRET))
    assert said == (
        f'storage: {option}: a secret must not be in the file. Write {{ env = "NAME_OF_A_VARIABLE" }} and set that environment variable'
    )


@pytest.mark.parametrize("value", ["9921", f'["{SECRET}"]', "true"])
def test_whatever_is_where_a_secret_belongs_is_not_shown(tmp_path: Path, value: str) -> None:
    said = refused(tmp_path, f'connector = "files"\npath = "s3://raw/f.csv"\nstorage = {{ secret_access_key = {value} }}')
    assert said.startswith("storage: secret_access_key: a secret must not be in the file.") and "9921" not in said


@pytest.mark.parametrize(
    "endpoint",
    [
        f"https://user:{SECRET}@store.example",
        f"https://user:a/{SECRET}@store.example",
        f"user:{SECRET}@store.example",
        f"https://store.example:9000/?sv=2024&sig={SECRET}",
    ],
)
def test_an_endpoint_with_a_secret_is_refused(tmp_path: Path, endpoint: str) -> None:
    said = refused(tmp_path, 'connector = "files"\n' + STORED.format("endpoint", endpoint))
    assert said.startswith('storage: endpoint: a secret must not be in the file. Write { env = "NAME_OF_A_VARIABLE" }')


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIA1:{SECRET}@raw/f.csv",
        f"s3://AKIA1:a/{SECRET}@raw/f.csv",
        f"abfss://raw:{SECRET}@acme.dfs.core.windows.net/f.csv",
        f"az://raw/f.csv?sv=2024-01-01&sig={SECRET}",
        f"https://store.example/f.csv?X-Amz-Credential=a&X-Amz-Signature={SECRET}",
        f"https://store.example/f.csv?X-Goog-Signature={SECRET}",
        f"https://store.example/f.csv?access_token={SECRET}",
        f"https://store.example/f.csv?API_KEY={SECRET}",
        f"https://reader:{SECRET}@store.example/f.csv",
    ],
)
def test_an_address_with_a_secret_is_refused_in_path_and_query(tmp_path: Path, address: str) -> None:
    remedy = (
        "an address must not hold a user, a password, a signature or a token. Take them out; an option that takes a secret, such as "
        'storage.secret_access_key, takes { env = "NAME_OF_A_VARIABLE" }'
    )
    assert refused(tmp_path, f'connector = "files"\npath = "{address}"') == f"path: {remedy}"
    assert refused(tmp_path, f'connector = "files"\nquery = "select * from read_csv(\'{address}\')"') == f"query: {remedy}"


def test_a_secret_where_the_name_of_its_variable_is_due_is_not_shown(tmp_path: Path) -> None:
    said = refused(tmp_path, f'connector = "sql"\ntable = "t"\nurl = {{ env = "{SECRET}-" }}')
    assert said.startswith("url.env: ")


@pytest.mark.parametrize(
    "lines",
    [
        'path = "s3://raw/key=1/a@b:c/{day}.csv"\ndelivery = "full"',
        'path = "abfss://raw@acme.dfs.core.windows.net/f.csv"\nstorage = { account_name = "acme", credential_type = "azure_cli" }',
        'path = "exports/me@2x?.csv"',
        'path = "s3://raw/f.csv"\nstorage = { endpoint = "http://127.0.0.1:9000", sse_kms_key_id = "arn:aws:kms:us-east-1:1:key/a",'
        ' web_identity_token_file = "/var/run/token", role_session_name = "me@acme.example", aws_sse_bucket_key_enabled = true }',
        'path = "s3://raw/f.csv"\nstorage = { endpoint = "http://[::1]:9000/" }',
        'path = "f.csv"\nquery = "select feature, released_on from file -- https://docs.example: \'me@acme.example\', ?key=1"',
    ],
)
def test_what_is_not_a_secret_is_taken(tmp_path: Path, lines: str) -> None:
    load(tmp_path, 'connector = "files"\n' + lines)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('decimal = ","\nthousands = ","', "decimal and thousands are both ','. Give both"),
        ('thousands = "."', "decimal and thousands are both '.'. Give both"),
        ('date_format = "DD.MM.YYYY"', "date_format: give day, month and year, for example %d.%m.%Y"),
        ('date_format = "%d.%m.%Y %z"', "date_format: %z is not known; give %d, %m or %b, %Y"),
        ('timezone = "Mars/Olympus"', "timezone: give the name of a time zone, such as Europe/Berlin"),
        ("scales = { csat = [5, 1] }", "scales: csat: give the lowest score, then the highest"),
        ("scales = { stars = [1, 5] }", "scales.stars"),
    ],
)  # fmt: skip
def test_a_notation_that_cannot_be_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    assert said in refused(tmp_path, f'connector = "files"\npath = "f.csv"\n{lines}\n')


@pytest.mark.parametrize(
    ("lines", "system"),
    [
        ('connector = "files"\npath = "raw/f*.CSV.gz"', "csv"),
        ('connector = "files"\npath = "raw/f.jsonl*"', "jsonl"),
        ('connector = "files"\npath = "raw/f.{day}"\ndelivery = "changes"\nformat = "csv"', "csv"),
        ('connector = "files"\npath = "raw/{day}/*"\ndelivery = "changes"', "files"),
        ('connector = "files"\npath = "s3://raw/f.parquet"', "s3"),
        ('connector = "files"\nquery = "select 1"', "files"),
        ('connector = "demo"', "demo"),
        ('connector = "sql"\nurl = { env = "RELEASES_URL" }\ntable = "releases"', "postgres"),
        ('connector = "sql"\nurl = { env = "NOT_SET" }\ntable = "releases"', "sql"),
        (f'{REST}base_url = "https://api.eu.intercom.io"', "intercom"),
        (f'{REST}base_url = "http://127.0.0.1:9"', "rest"),
    ],
)
def test_the_system_that_a_table_comes_from_has_a_name(tmp_path: Path, lines: str, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASES_URL", f"postgresql+psycopg://reader:{SECRET}@host/db")
    assert load(tmp_path, lines).sources["feature_releases"].system == system
