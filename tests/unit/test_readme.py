"""What the README shows of the configuration can be copied."""

import re
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT, load_settings
from tests.own_connector import write_package

EXAMPLES = re.findall(r"```toml\n(.*?)```", (PROJECT_ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
OF_SOURCES = [example for example in EXAMPLES if "[sources." in example]
ACCOUNTS = '[sources.accounts]\nconnector = "demo"\n'


def test_the_connectors_have_examples() -> None:
    found = set(re.findall(r'connector = "(\w+)"', "".join(OF_SOURCES)))
    assert found == {"files", "stripe", "zendesk", "sql", "rest"}


@pytest.mark.parametrize("number", range(len(OF_SOURCES)))
def test_an_example_is_a_configuration(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = OF_SOURCES[number]
    if "[pipeline]" not in text:
        text = f"[pipeline]\nstart_date = 2026-01-01\n{text}"
    if "[sources.accounts]" not in text:
        text += ACCOUNTS
    (tmp_path / "health.toml").write_text(text)
    assert len(load_settings(tmp_path / "health.toml").sources) >= (2 if ACCOUNTS in text else 1)


@pytest.mark.parametrize("option", re.findall(r"^# gs://: (storage = .*)$|^# az://: (storage = .*)$", "\n".join(EXAMPLES), re.MULTILINE))
def test_the_options_of_other_stores_are_accepted(tmp_path: Path, option: tuple[str, str]) -> None:
    scheme = "gs" if option[0] else "az"
    (tmp_path / "health.toml").write_text(
        "[pipeline]\nstart_date = 2026-01-01\n"
        f'{ACCOUNTS}[sources.tickets]\nconnector = "files"\npath = "{scheme}://bucket/t.csv"\n{option[0] or option[1]}\n'
    )
    assert load_settings(tmp_path / "health.toml").sources["tickets"].secrets()
