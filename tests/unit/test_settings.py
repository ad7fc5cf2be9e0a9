"""Values of the configuration that no key takes: each refused in one line that names the key."""

from pathlib import Path

import pytest

from orchestration.settings import SettingsError, load_settings

PIPELINE = "[pipeline]\nstart_date = 2026-01-01\n"
FILES = '[sources.accounts]\nconnector = "files"\n'
STRIPE = '[sources.invoices]\nconnector = "stripe"\napi_key = { env = "KEY" }\n'
ACCOUNTS = '[sources.accounts]\nconnector = "demo"\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *(
            (f"{PIPELINE}lock_timeout_seconds = {value}\n{ACCOUNTS}", "pipeline.lock_timeout_seconds")
            for value in ("inf", "nan", "-1", "1e9")
        ),
        *(
            (f"{PIPELINE}{key} = {10**30}\n{ACCOUNTS}", f"pipeline.{key}")
            for key in ("threads", "keep_generations", "metric_history_days", "lookback_days")
        ),
        *((f'{PIPELINE}{key} = " "\n{ACCOUNTS}', f"pipeline.{key}") for key in ("data_dir", "seeds_dir", "memory_limit")),
        *(
            (f'{PIPELINE}memory_limit = "{value}"\n{ACCOUNTS}', "pipeline.memory_limit")
            for value in ("1MB", "0.0001GB", "127.9MB", "101TB", f"{10**30}TB")
        ),
        (f"{PIPELINE}end_date = 9999-12-31\n{ACCOUNTS}", "pipeline.end_date"),
        (f"{PIPELINE}[demo]\naccounts = {10**12}\n{ACCOUNTS}", "demo.accounts"),
        (f"{PIPELINE}[demo]\nseed = {10**30}\n{ACCOUNTS}", "demo.seed"),
        (f"{PIPELINE}[alerts]\ntimeout_seconds = nan\n{ACCOUNTS}", "alerts.timeout_seconds"),
        (f'{PIPELINE}[exports.postgres]\nurl = {{ env = "U" }}\ntables = [""]\n{ACCOUNTS}', "exports.postgres.tables"),
        (f'{PIPELINE}{FILES}path = "\\t "\n', "sources.accounts.path"),
        (f'{PIPELINE}{FILES}path = "a\\u0000.csv"\n', "sources.accounts.path"),
        (f'{PIPELINE}{FILES}query = ""\n', "sources.accounts.query"),
        (f'{PIPELINE}{FILES}path = "a.csv"\ncolumns = {{ account_id = "" }}\n', "sources.accounts.columns.account_id"),
        (f'{PIPELINE}{FILES}path = "a.csv"\nmax_bad_share = nan\n', "sources.accounts.max_bad_share"),
        (f'{PIPELINE}{FILES}path = "a.csv"\nlate_after_days = {10**30}\n', "sources.accounts.late_after_days"),
        *(
            (f"{PIPELINE}{ACCOUNTS}{STRIPE}{key} = inf\n", f"sources.invoices.{key}")
            for key in ("timeout_seconds", "max_retry_delay_seconds")
        ),
        (f"{PIPELINE}{ACCOUNTS}{STRIPE}max_attempts = {10**30}\n", "sources.invoices.max_attempts"),
    ],
)
def test_a_value_beyond_reason_is_refused(tmp_path: Path, text: str, key: str) -> None:
    config = tmp_path / "health.toml"
    config.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(config)
    message = str(refused.value)
    assert message.startswith(f"{config}: {key}: ") and "\n" not in message


@pytest.mark.parametrize("limit", ["128MB", "2500 MB", "0.5GiB", "100TB"])
def test_a_memory_limit_within_reason_is_taken(tmp_path: Path, limit: str) -> None:
    (tmp_path / "health.toml").write_text(f'{PIPELINE}memory_limit = "{limit}"\n{ACCOUNTS}')
    assert load_settings(tmp_path / "health.toml").pipeline.memory_limit == limit
