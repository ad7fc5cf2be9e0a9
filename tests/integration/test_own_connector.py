"""A connector of one's own, as docs/sources.md shows it: the real commands find it by name and publish its rows."""

from pathlib import Path
from subprocess import CompletedProcess

import duckdb

from tests.forked import health
from tests.own_connector import NAME, companies, example, write_package

TOKEN = "pat-9c1e-sesame"


def command(folder: Path, *arguments: str, token: str = TOKEN) -> CompletedProcess[str]:
    return health(folder / "health.toml", *arguments, variables={"PYTHONPATH": str(folder / "packages"), "HUBSPOT_TOKEN": token})


# Of another connector of the team, which has a fault.
BROKEN = """
from orchestration.extract.connectors.base import Connector, text_batches


class Calls(Connector):
    def read(self, settings, table, window):
        yield from text_batches(table, [{"touchpoint_id": call["id"]} for call in [{}]])
"""


def test_the_example_of_the_readme_publishes_its_rows(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    config_file = tmp_path / "health.toml"
    pipeline = '[pipeline]\nstart_date = 2026-01-05\nend_date = 2026-01-05\nmemory_limit = "512MB"\n'
    config_file.write_text(pipeline + example("toml"))
    missing = command(tmp_path, "check")
    assert missing.returncode == 2
    assert f"{config_file}: sources.accounts.connector: there is no module {NAME}" in missing.stderr and "PYTHONPATH" in missing.stderr

    write_package(tmp_path / "packages")
    with companies(TOKEN) as address:
        config_file.write_text(f'{pipeline}{example("toml")}base_url = "{address}"\nmax_attempts = 1\n')
        shown = command(tmp_path, "check")
        assert (shown.returncode, NAME in shown.stdout.replace("\n", "")) == (0, True), shown.stdout + shown.stderr
        assert "account_id, account_name" in shown.stdout
        refused = command(tmp_path, "check", token="another-secret")
        assert refused.returncode == 1 and "refuses the credentials" in refused.stdout.replace("\n", " ")
        assert "another-secret" not in refused.stdout + refused.stderr
        (tmp_path / "packages" / "acme_health" / "calls.py").write_text(BROKEN)
        config_file.write_text(f'{config_file.read_text()}[sources.touchpoints]\nconnector = "acme_health.calls"\n')
        run = command(tmp_path, "run", "2026-01-05")
    assert run.returncode == 0, run.stdout + run.stderr
    # The others go on.
    said = [line for line in run.stdout.splitlines() if "KeyError" in line]
    assert said and all("acme_health/calls.py line 7: KeyError: 'id'. Fix the connector" in line for line in said), run.stdout
    assert "degraded: touchpoints not read" in run.stdout and "Traceback" not in run.stdout + run.stderr
    assert TOKEN not in run.stdout + run.stderr
    with duckdb.connect(str(tmp_path / "data" / "published" / "current" / "health.duckdb"), read_only=True) as mart:
        assert mart.execute("select account_id, account_name from account_health order by all").fetchall() == [
            ("hs-a", "Anvil & Sons"), ("hs-b", "Bolt AG"), ("hs-c", "Cog, Inc."),
        ]  # fmt: skip
