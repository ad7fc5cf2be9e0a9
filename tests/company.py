"""A small company as raw files, and its published mart as rows: what the tests of the whole pipeline work on.

Every run costs seconds, so one company is run once per test process and put back before each test. It stays at one
path: where Dagster runs it, dbt parses its project anew when the path of the warehouse changes.
"""

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.contract import EVENT_TABLE, TABLES
from orchestration.extract.connectors.demo import DEMO_TABLES, demo_sources, write_demo_files
from orchestration.publish.publishing import PublishedGeneration
from orchestration.publish.tables import BY_NAME
from orchestration.settings import Demo, Settings, load_settings
from tests.pipeline import run_pipeline

# The clocks of New York go forward on 8 March 2026.
FIRST_DAY = date(2026, 3, 7)
MIDDLE_DAY = date(2026, 3, 8)
LAST_DAY = date(2026, 3, 9)
NEXT_DAY = date(2026, 3, 10)
LOOKBACK_DAYS = 1
# Day after the last one: far enough for the events that the demo company delivers up to three days late.
DELIVERED_UP_TO = date(2026, 3, 14)
HISTORY_STARTS = date(2025, 12, 1)

# What the scores say; the other tables also count what was delivered.
SCORE_TABLES = frozenset({"account_health", "account_health_history", "dimension_scores_history", "metric_scores_history"})

# What a refused run may touch below the data folder: the lock, and what Dagster and dbt keep for themselves.
NOT_DATA = ("dagster", "dbt", "tmp", "writer.lock", "writer.lock.json")

Row = dict[str, str]
Rows = list[tuple]

# Timestamps that are another day, or do not exist, where the host's zone decides.
_AROUND_MIDNIGHT = (
    "2026-03-08 02:30:00",
    "2026-03-08 00:00:00",
    "2026-03-07 23:59:59.999999",
    "2026-03-08T23:30:00-05:00",
    "2026-03-08T19:00:00Z",
    "2026-03-10 00:00:00",
)


@dataclass(frozen=True)
class Company:
    """Raw files and the data folder of one company below `folder`."""

    folder: Path

    @property
    def config_file(self) -> Path:
        return self.folder / "health.toml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config_file)

    @property
    def published(self) -> Path:
        return self.folder / "data" / "published"

    def run(self, start: date, end: date | None = None, run_id: str = "run") -> PublishedGeneration:
        """Run the pipeline for [start, end], or for one day."""
        return run_pipeline(self.config_file, start, end or start, run_id)

    def forget(self) -> None:
        """Remove everything that runs have written, except what dbt knows of its project."""
        for entry in (self.folder / "data").iterdir():
            if entry.name != "dbt":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def read(self, table: str) -> list[Row]:
        with open(self._csv(table), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, table: str, rows: list[Row]) -> None:
        with open(self._csv(table), "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(TABLES[table].by_name), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def edit(self, table: str, change: Callable[[Row], Row | None]) -> int:
        """Replace every row by what `change` makes of it, None for nothing; returns how many rows changed."""
        before = self.read(table)
        after = [change(dict(row)) for row in before]
        self.write(table, [row for row in after if row is not None])
        return sum(old != new for old, new in zip(before, after, strict=True))

    def events_file(self, day: date) -> Path:
        return self.folder / "raw" / "events" / f"{day}.parquet"

    def read_events(self, day: date) -> pa.Table:
        return pq.read_table(self.events_file(day))

    def write_events(self, day: date, events: pa.Table) -> None:
        pq.write_table(events, self.events_file(day))

    def _csv(self, table: str) -> Path:
        return self.folder / "raw" / f"{table}.csv"


def found_company(folder: Path) -> Company:
    """Write the raw files and the configuration of a company that was never run."""
    folder.mkdir(parents=True)
    (folder / "data" / "dbt").mkdir(parents=True)
    demo = Demo(accounts=30, seed=5)
    write_demo_files(demo, HISTORY_STARTS, DELIVERED_UP_TO, folder / "raw", events_per_account_day=3)
    (folder / "health.toml").write_text(
        f"[pipeline]\nstart_date = {FIRST_DAY - timedelta(days=6)}\nend_date = {DELIVERED_UP_TO}\n"
        f'lookback_days = {LOOKBACK_DAYS}\nmemory_limit = "512MB"\nthreads = 1\n' + demo_sources("raw")
    )
    company = Company(folder)
    for table in DEMO_TABLES:
        if table != EVENT_TABLE:
            with open(folder / "raw" / f"{table}.csv", encoding="utf-8", newline="") as file:
                company.write(table, list(csv.DictReader(file)))
    # What comes later than the lookback restates a day in a range and not in runs day by day: tests that ask for it write it themselves.
    for delivered in (LAST_DAY + timedelta(days=after) for after in range((DELIVERED_UP_TO - LAST_DAY).days + 1)):
        events = company.read_events(delivered)
        days = events["occurred_at"].cast(pa.date32()).to_pylist()
        company.write_events(
            delivered, events.filter(pa.array(not FIRST_DAY <= day < delivered - timedelta(days=LOOKBACK_DAYS) for day in days))
        )
    running = (row for row in company.read("subscriptions") if row["is_trial"] == "false" and not row["ended_on"])
    some_customer = max(running, key=lambda row: float(row["mrr"]))["account_id"]
    nothing = dict.fromkeys(TABLES["touchpoints"].by_name, "")
    company.write(
        "touchpoints",
        company.read("touchpoints")
        + [
            nothing
            | {"touchpoint_id": f"midnight-{number}", "account_id": some_customer, "occurred_at": at}
            | {"channel": "call", "direction": "inbound", "duration_minutes": "1"}
            for number, at in enumerate(_AROUND_MIDNIGHT)
        ],
    )
    # So few demo customers may all pay in time. This one is over a month late, which caps its score.
    unpaid = dict.fromkeys(TABLES["invoices"].by_name, "") | {"invoice_id": "unpaid", "account_id": some_customer, "amount": "120"}
    company.write("invoices", [*company.read("invoices"), unpaid | {"issued_on": "2026-01-12", "due_on": "2026-01-26"}])
    return company


def read_mart(published: Path, tables: Collection[str] | None = None) -> dict[str, Rows]:
    """The current generation: sorted rows by table, without the run's id; Parquet histories as `parquet/<table>`."""
    current = published / "current"
    mart: dict[str, Rows] = {}
    with duckdb.connect(str(current / "health.duckdb"), read_only=True) as connection:
        # The wide tables are read through the views over them.
        tables_and_views = (
            "select table_name from duckdb_tables() where schema_name = 'main' union all select view_name from duckdb_views()"
        )
        names = [name for (name,) in connection.execute(tables_and_views).fetchall() if name in (*BY_NAME, "published_revisions")]
        for name in names:
            # The revisions say who published when, which is a fact about the runs: see `revision_faults`.
            if name != "published_revisions" and (tables is None or name in tables):
                mart[name] = _rows(connection, f'"{name}"')
        folder = str(current / "parquet").replace("'", "''")
        sources = {"account_health_history": f"read_parquet('{folder}/account_health_history/*/*.parquet', hive_partitioning = false)"}
        sources["metric_scores_history"] = f"metric_scores_history_in('{folder}')"
        for name, source in sources.items():
            if tables is None or name in tables:
                mart[f"parquet/{name}"] = _rows(connection, source)
    return mart


def revision_faults(company: Company) -> list[tuple]:
    """What is wrong with the published revisions: a number that is missing or double, one that changed nothing, or a last one that is
    not what the mart shows. Empty where all is well, whatever runs published them."""
    with duckdb.connect(str(company.published / "current" / "health.duckdb"), read_only=True) as connection:
        return connection.execute(
            """
            with numbered as (
                select
                    *,
                    row_number() over same_score as expected,
                    lag((health_score, tier)) over same_score as before
                from published_revisions
                window same_score as (partition by account_id, as_of_date order by revision)
            )
            select 'number or no change', account_id, as_of_date, revision from numbered
            where revision <> expected or (health_score, tier) is not distinct from before
            union all
            select 'not the mart', coalesce(mart.account_id, shown.account_id), coalesce(mart.as_of_date, shown.as_of_date), shown.revision
            from account_health_history as mart
            full outer join as_restated as shown on mart.account_id = shown.account_id and mart.as_of_date = shown.as_of_date
            where (mart.health_score, mart.tier) is distinct from (shown.health_score, shown.tier)
            """
        ).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> Rows:
    columns = [row[0] for row in connection.execute(f"describe from {relation}").fetchall()]
    without = "exclude (run_id)" if "run_id" in columns else ""
    return connection.execute(f"select * {without} from {relation} order by all").fetchall()


def differences(expected: dict[str, Rows], found: dict[str, Rows]) -> list[str]:
    """The first rows of each table that only one of the two marts has; empty where they are equal to the last bit."""
    lines = [f"only one has {name}" for name in expected.keys() ^ found.keys()]
    for name in expected.keys() & found.keys():
        wanted, got = Counter(expected[name]), Counter(found[name])
        lines += [f"{name} lost {row}" for row in list(wanted - got)[:2]]
        lines += [f"{name} gained {row}" for row in list(got - wanted)[:2]]
    return lines


def of_days(mart: dict[str, Rows], *days: date) -> dict[str, Rows]:
    """The rows of the histories of some days."""
    return {name: [row for row in rows if row[1] in days] for name, rows in mart.items() if name.endswith("_history")}


def content(folder: Path, without: Collection[str] = ()) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, and every link with its target, apart from some entries at the top."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] in without:
            continue
        if path.is_symlink():
            found[str(name)] = str(path.readlink())
        elif path.is_file():
            found[str(name)] = path.read_bytes()
    return found
