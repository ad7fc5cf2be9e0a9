"""The company that the tests of the whole pipeline work on: run once, put back before each test. And a Postgres."""

import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from orchestration.integrity import hash_file, stamped
from orchestration.publish.descriptions import describe
from orchestration.publish.generations import DATABASE, MANIFEST, generation_path, read_manifest
from orchestration.publish.today import write_views
from orchestration.warehouse import connect, literal
from tests.company import FIRST_DAY, LAST_DAY, NEXT_DAY, Company, Rows, found_company, read_mart
from tests.pipeline import run_pipeline
from tests.postgres import postgres

# While one process makes the company that most tests of the pipeline work on, the others begin with what needs none.
_FIRST = tuple(f"tests/integration/test_{name}" for name in ("dagster.py::test_a_range", "real_sources", "outage"))
# Each test of these files runs the pipeline itself. They come early, so that no process is left alone with a long one at the end.
_PIPELINE = tuple(f"tests/integration/test_{name}.py" for name in ("stopped_runs", "dagster", "faults", "ledger", "oracle", "reruns"))
# Then, for the same reason:
_LONG = ("tests/integration", "tests/dbt", "tests/unit/publish", "tests/unit/board", "tests/property", "tests/unit/extract")

# What `make test-fast` leaves out: each takes more than five seconds of a processor, or starts a pipeline, a server or a browser.
_SLOW = (
    *("tests/integration", "tests/dbt", "tests/property", "tests/benchmarks", "tests/unit/board"),
    *("tests/unit/extract/connectors", "tests/unit/extract/lake", "tests/unit/extract/files/test_text.py"),
    *(f"tests/unit/extract/test_{name}.py" for name in ("landing", "properties", "trial", "values")),
    *(
        f"tests/unit/publish/test_{name}.py"
        for name in ("exports", "postgres", "publish", "revisions", "rollback", "send_alerts", "validation", "verify", "warehouse")
    ),
    *(f"tests/unit/test_{name}.py" for name in ("alert_sensor", "check_sources", "dbt_build", "dbt_parsed", "demo", "workbook")),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if gone := [place for place in _SLOW if not (config.rootpath / place).exists()]:
        raise pytest.UsageError(f"tests/conftest.py: _SLOW names {', '.join(gone)}, which is not there. Name the new place")
    for item in items:
        if item.nodeid.startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
    order = (*_FIRST, *_PIPELINE, *_LONG, "")
    items.sort(key=lambda item: next(place for place, start in enumerate(order) if item.nodeid.startswith(start)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Test processes take whole files, for the sake of their fixtures, but tests that run the pipeline one by one."""
    # `--dist loadgroup` would do it, if xdist 3.8 could name groups in pytest 9.2.
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file in _PIPELINE else file

    return ByFile(config, log)


@dataclass(frozen=True)
class _Original:
    """The company after its first run, over [FIRST_DAY, LAST_DAY]; it is in its folder once it was put back.
    `artifacts`: the results and the compiled models that dbt wrote in that run."""

    company: Company
    backup: Path
    artifacts: Path
    mart: dict[str, Rows]

    def put_back(self) -> Company:
        folder = self.company.folder
        for entry in folder.iterdir():
            if entry.name != "data":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.company.forget()
        shutil.copytree(self.backup, folder, symlinks=True, dirs_exist_ok=True)
        return self.company


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes see: what takes long is made there by the first that needs it."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def original(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> _Original:
    backup = shared / "first-run"
    folder = tmp_path_factory.mktemp("company") / "company"
    artifacts = backup.with_name("first-run-dbt")
    with FileLock(backup.with_suffix(".lock")):
        if not backup.exists():
            run_pipeline(found_company(folder).config_file, FIRST_DAY, LAST_DAY, "first", artifacts=True)
            os.rename(folder / "data" / "dbt", artifacts)
            copy = shutil.copytree(folder, folder.with_name("copy"), symlinks=True, ignore=shutil.ignore_patterns("dbt"))
            os.rename(copy, backup)
    own = shutil.copytree(backup, folder.with_name("own"), symlinks=True)
    (folder / "data" / "dbt").mkdir(parents=True, exist_ok=True)
    found = _Original(Company(folder), own, artifacts, read_mart(own / "data" / "published"))
    for path in (_reading_own_lake(found.put_back()), *_showing_own_today(found.company)):
        shutil.copy2(path, own / path.relative_to(folder))
    return found


def _reading_own_lake(company: Company) -> Path:
    """The warehouse, with views over the company's own lake: in a copy they name that of the process which ran the company first."""
    folder = company.folder / "data"
    with duckdb.connect(str(folder / "warehouse.duckdb")) as warehouse:
        views = warehouse.execute("select sql from duckdb_views() where schema_name = 'raw'").fetchall()
        assert views
        for (sql,) in views:
            own = re.sub(r"'[^']*/data/lake/", f"'{folder}/lake/", sql)
            warehouse.execute(own.replace("CREATE VIEW", "create or replace view", 1))
    return folder / "warehouse.duckdb"


def _showing_own_today(company: Company) -> list[Path]:
    """The mart and its manifest, with views over the company's own provisional state, for the same reason."""
    settings = company.settings
    manifest = read_manifest(settings, 1)
    database, note = (generation_path(settings, 1) / name for name in (DATABASE, MANIFEST))
    for path in (database, note):
        path.chmod(0o644)
    with connect(settings) as connection:
        connection.execute(f"attach {literal(database)} as health")
        connection.execute("use health")
        described = write_views(settings, connection)
        connection.execute("use memory")
        describe(connection, described)
        connection.execute("detach health")
    note.write_text(stamped(asdict(replace(manifest, files=manifest.files | {DATABASE: hash_file(database)}))))
    for path in (database, note):
        path.chmod(0o444)
    return [database, note]


@pytest.fixture
def company(original: _Original) -> Company:
    """The company after its first run."""
    return original.put_back()


@pytest.fixture(scope="session")
def first_mart(original: _Original) -> dict[str, Rows]:
    """What the first run published."""
    return original.mart


@pytest.fixture(scope="session")
def next_mart(original: _Original, shared: Path) -> dict[str, Rows]:
    """What an undisturbed run of NEXT_DAY publishes after the first run. Ask for it before `company`."""
    kept = shared / "next-mart"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            company = original.put_back()
            company.run(NEXT_DAY, run_id="next")
            written = kept.with_suffix(".tmp")
            written.write_bytes(pickle.dumps(read_mart(company.published)))
            os.rename(written, kept)
    mart: dict[str, Rows] = pickle.loads(kept.read_bytes())
    return mart


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A Postgres of the test process, by its SQLAlchemy address; each test makes the schemas that it uses anew."""
    with postgres() as url:
        yield url
