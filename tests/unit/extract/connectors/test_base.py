"""A connector is found by its name, and what is wrong with it is one message with file, line and remedy."""

import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from orchestration.contract import TABLES
from orchestration.extract import land_table, preflight_sources
from orchestration.settings import SettingsError
from orchestration.sources import FilesSource, source_class
from tests.unit.extract.conftest import World

HEAD = """
from orchestration.extract.connectors.base import Connector, text_batches
from orchestration.extract.errors import SourceUnavailable
from orchestration.settings import SettingsError
from orchestration.sources import SecretReference
"""
GOOD = (
    HEAD
    + """
class Feed(Connector):
    token: SecretReference | None = None
    address: str = "none"
    tables = ("feature_releases",)

    def read(self, settings, table, window):
        yield from text_batches(table, [{"feature": "reports", "released_on": "2026-01-02"}, {"feature": "", "released_on": "2026-01-03"}])
"""
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes the module `acme.feed` into a folder where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path / "packages")

    def to_disk(text: str) -> Path:
        path = tmp_path / "packages" / "acme" / "feed.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    yield to_disk
    for name in [one for one in sys.modules if one.partition(".")[0] == "acme"]:
        del sys.modules[name]


def configured(world: World, lines: str = "") -> World:
    world.sources = f'[sources.feature_releases]\nconnector = "acme.feed"\nmax_bad_share = 0.5\n{lines}'
    return world


def test_it_lands_and_is_shown_like_any_other(world: World, write: Callable[[str], Path]) -> None:
    write(GOOD)
    configured(world)
    preflight_sources(world.settings)
    landed = world.land("feature_releases")
    assert (landed.loaded, landed.quarantined) == (1, {"feature: missing": 1})
    assert [row[0] for row in world.rows("feature_releases", "feature")] == ["reports"]
    page = world.trial("feature_releases")
    assert (page.rows, page.bad, page.mapped, page.unmapped) == (2, 1, ("feature", "released_on"), ())


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("        yield {}\n", None, "Feed.read yields dict. Yield Arrow record batches, for example with text_batches"),
        ('        yield from text_batches(table, [{}["name"]])\n', 8, "KeyError: 'name'. Fix the connector"),
        ("        return 7\n", None, "TypeError: 'int' object is not iterable. Fix the connector"),
        ("        pass\n    def version(self, *_):\n        return 1 / 0\n", 10, "ZeroDivisionError: division by zero. Fix the connector"),
    ],
    ids=["no batch", "in read", "no batches", "in version"],
)
def test_what_it_did_not_foresee_is_a_fault_of_its_source_alone(
    world: World, write: Callable[[str], Path], body: str, line: int | None, said: str
) -> None:
    path = write(f"{HEAD}class Feed(Connector):\n    def read(self, settings, table, window):\n{body}")
    settings = configured(world).settings
    preflight_sources(settings)
    landed = land_table(settings, TABLES["feature_releases"], date(2026, 1, 5), date(2026, 1, 5))
    assert landed.loaded == 0
    assert landed.unavailable.startswith(f"sources.feature_releases: {f'{path} line {line}' if line else ''}")
    assert landed.unavailable.endswith(said)


def test_a_fault_in_its_check_of_the_settings_is_said_before_the_run(world: World, write: Callable[[str], Path]) -> None:
    path = write(GOOD + "    def check_settings(self, settings, table):\n        self.nothing\n")
    with pytest.raises(SettingsError, match=rf"sources\.feature_releases: {path} line \d+: AttributeError: 'Feed' .*Fix the connector"):
        preflight_sources(configured(world).settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "{path}: holds no class that derives from Connector. Write one"),
        (HEAD + "class Feed(Connector):\n    pass\n", "{path} line 6: Feed has no method read. Write it"),
        ("from orchestration.sources import Source\nclass Feed(Source):\n    pass\n", "{path} line 2: Feed has no method read. Write it"),
        (GOOD + "class Other(Feed):\n    pass\n", "{path}: holds several connectors (Feed, Other). Give each a module of its own"),
        (
            "import os\nimport no_such_package\n",
            "{path} line 2: ModuleNotFoundError: No module named 'no_such_package'. The module cannot be imported",
        ),
        ("x = 1\ndef read(:\n", "{path} line 2: SyntaxError: invalid syntax"),
        ("x = 1\ny = x / 0\n", "{path} line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_without_a_usable_connector(world: World, write: Callable[[str], Path], text: str, said: str) -> None:
    path = write(text)
    with pytest.raises(SettingsError) as raised:
        _ = configured(world).settings
    where = f"{world.root / 'health.toml'}: sources.feature_releases.connector: "
    assert str(raised.value).startswith(where + said.format(path=path)), raised.value


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme.nothing", "there is no module acme.nothing. Install its package, or name the folder that holds acme/ in PYTHONPATH"),
        ("strip", "unknown connector strip. There is demo, files, rest, sql, stripe, zendesk"),
        ("http", "holds no class that derives from Connector"),
        ("acme feed", "'acme feed' is not the name of a module. There is demo, files,"),
    ],
)
def test_a_name_that_leads_nowhere(world: World, name: str, said: str) -> None:
    world.sources = f'[sources.feature_releases]\nconnector = "{name}"'
    with pytest.raises(SettingsError) as raised:
        _ = world.settings
    assert f"{world.root / 'health.toml'}: sources.feature_releases.connector: " in str(raised.value) and said in str(raised.value)


@pytest.mark.parametrize("lines", ["", "connector = 7"])
def test_a_source_must_name_its_connector(world: World, lines: str) -> None:
    world.sources = f"[sources.feature_releases]\npath = 'x'\n{lines}"
    with pytest.raises(SettingsError, match="sources.feature_releases.connector: ") as raised:
        _ = world.settings
    assert "path" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('tokn = { env = "FEED_TOKEN" }', "sources.feature_releases.tokn: unknown key"),
        ('token = "sesame-4711"', "sources.feature_releases.token: a secret must not be in the file"),
        ('address = "https://reader:sesame-4711@feed"', "sources.feature_releases.address: an address must not hold a user"),
    ],
)
def test_its_settings_are_checked_like_those_of_any_other(world: World, write: Callable[[str], Path], lines: str, said: str) -> None:
    write(GOOD)
    with pytest.raises(SettingsError) as raised:
        _ = configured(world, lines).settings
    assert said in str(raised.value) and "sesame" not in str(raised.value)


def test_it_fills_only_the_tables_that_it_names(world: World, write: Callable[[str], Path]) -> None:
    write(GOOD)
    world.sources = '[sources.tickets]\nconnector = "acme.feed"'
    with pytest.raises(SettingsError, match="tickets: the connector acme.feed fills feature_releases only"):
        _ = world.settings


def test_its_secret_must_be_set_and_is_masked_when_it_is_down(
    world: World, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(GOOD.replace("yield from", 'raise SourceUnavailable(f"down for {self.token.value()}")\n        yield from'))
    configured(world, 'token = { env = "FEED_TOKEN" }')
    with pytest.raises(SettingsError, match="sources.feature_releases.token: the environment variable FEED_TOKEN is not set"):
        preflight_sources(world.settings)
    monkeypatch.setenv("FEED_TOKEN", "sesame-4711")
    preflight_sources(world.settings)
    landed = land_table(world.settings, TABLES["feature_releases"], date(2026, 1, 1), date(2026, 1, 1))
    assert (landed.unavailable, landed.loaded) == ("down for <FEED_TOKEN>", 0)


def test_its_own_check_is_part_of_the_check_of_the_configuration(world: World, write: Callable[[str], Path]) -> None:
    write(
        GOOD + "\n    def check_settings(self, settings, table):\n"
        '        raise SettingsError(f"sources.{table.name}.address: no such place. Give another")\n'
    )
    with pytest.raises(SettingsError, match="sources.feature_releases.address: no such place. Give another"):
        preflight_sources(configured(world).settings)


def test_what_has_not_changed_is_not_read_again(world: World, write: Callable[[str], Path]) -> None:
    read = "reads = 0\n" + GOOD.replace("yield from", "global reads\n        reads += 1\n        yield from")
    write(read + "\n    def version(self, settings, table, until):\n        return self.address\n")
    configured(world)
    for lines, reads in (("", 1), ("", 1), ('address = "another"', 2)):
        configured(world, lines)
        assert world.land("feature_releases").loaded == 1
        assert sys.modules["acme.feed"].reads == reads


def test_every_connector_that_comes_along_reads(world: World) -> None:
    """A class with settings and no way to read them is none."""
    assert source_class("files") is FilesSource
    for name in ("demo", "sql", "stripe", "zendesk"):
        assert callable(source_class(name).read)
