"""Addresses of databases with every kind of password, and what is left of secrets in a text."""

import pytest

from orchestration.database_address import database_address
from orchestration.masking import masked
from orchestration.settings import SettingsError
from orchestration.sources import Secret

URL = Secret(env="CRM_URL")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:sesame@9921@host/db",
        "postgresql://u:@sesame9921@host/db",
        "postgresql://u:a@sesame/9921@host/db",
        "postgresql://u:a@sesame?9921@host/db",
        "postgresql://u:a@sesame:9921@host/db",
        "postgresql://sesame/9921:a@host/db",
        "mysql+pymysql://u:a@b@sesame9921/db",
    ],
)
def test_an_address_with_a_stray_at_is_refused_without_any_of_it(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CRM_URL", address)
    with pytest.raises(SettingsError) as raised:
        database_address("sources.tickets.url", URL)
    assert str(raised.value) == (
        "sources.tickets.url: what CRM_URL holds has an @ that could belong to the password or to the host. "
        "Percent-encode user and password: %40 for @, %3A for :, %2F for /, %3F for ?, %25 for %"
    )
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("address", ["sesame9921", "postgresql://u:p:sesame9921/db", "postgresql://host:sesame9921/db"])
def test_what_is_not_an_address_is_refused_without_any_of_it(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CRM_URL", address)
    with pytest.raises(SettingsError, match="what CRM_URL holds is not a database address. Write postgresql") as raised:
        database_address("sources.tickets.url", URL)
    assert "9921" not in str(raised.value) and raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("address", "user", "password", "host"),
    [
        ("postgresql+psycopg://u:p%40ss@host:5433/db", "u", "p@ss", "host"),
        ("postgresql://u@tenant:pa/ss@host/db", "u@tenant", "pa/ss", "host"),
        ("postgresql+psycopg://postgres:@/postgres?host=/tmp/pg", "postgres", "", None),
        ("sqlite:////home/me@acme/app.db", None, None, None),
    ],
)
def test_an_address_that_can_be_read_in_one_way_only_is_taken(
    monkeypatch: pytest.MonkeyPatch, address: str, user: str | None, password: str | None, host: str | None
) -> None:
    monkeypatch.setenv("CRM_URL", address)
    url = database_address("sources.tickets.url", URL)
    assert (url.username, url.password, url.host) == (user, password, host)


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("postgresql://u:se%2Fsame@h/d", "se/same and se%2Fsame at postgresql://u:se%2Fsame@h/d", "<K> and <K> at <K>"),
        ("postgresql://u:p1@tail@h/d", "no host tail@h; p1@tail", "no host <K>@h; <K>"),
        ("postgresql://u@tenant:sesame@h/d", "user u@tenant with sesame", "user u@tenant with <K>"),
        ("postgresql://h/d?user=u&password=se%40same", "se@same, se%40same", "<K>, <K>"),
        ("sv=2024-01-01&sig=a%2Fb%3D", "signature a/b= or a%2Fb%3D", "signature <K> or <K>"),
        ("a b+c", "a%20b%2Bc and a+b%2Bc", "<K> and <K>"),
        ('{"key": "x\n"}', r"said {\"key\": \"x\n\"}", "said <K>"),
        ("postgresql://u:a@bc@h/d", "a bad cab", "a bad cab"),
        ("", "nothing", "nothing"),
    ],
)
def test_a_secret_and_its_parts_are_shown_as_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, secret: str, text: str, shown: str
) -> None:
    monkeypatch.setenv("K", secret)
    assert masked(text, [Secret(env="K")]) == shown


def test_a_secret_that_is_a_part_of_another_or_of_its_name_does_not_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG_KEY", "sesame-open")
    monkeypatch.setenv("SHORT", "KEY")
    monkeypatch.setenv("PART", "sesame")
    secrets = [Secret(env=name) for name in ("PART", "SHORT", "LONG_KEY")]
    assert masked("sesame-open, sesame, KEY", secrets) == "<LONG_KEY>, <PART>, <SHORT>"
