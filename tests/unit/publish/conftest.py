"""A small warehouse, written by hand: three accounts, two metrics, a few days."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
import yaml

from orchestration.publish import generations, publishing
from orchestration.publish.publishing import PublishedGeneration, publish
from orchestration.settings import DBT_PROJECT, Settings, load_settings

DAY_1 = date(2026, 1, 30)
PUBLISHED_AT = datetime(2026, 3, 1, 6, tzinfo=UTC)

# usage adds 20, 0 and -30 to the neutral 50, late payment takes 5 from each: 65, 45 and 15.
USAGE_POINTS = {"a1": 20.0, "a2": 0.0, "a3": -30.0}
SCORES = {"a1": 65.0, "a2": 45.0, "a3": 15.0}
TIERS = {"a1": "at_risk", "a2": "at_risk", "a3": "poor"}

# The tables with rows of accounts and days.
HISTORIES = ("marts.account_health_history", "intermediate.int_scoring__account_dimensions", "intermediate.int_scoring__account_scores")

_SCHEMA = """
create schema if not exists marts;
create schema if not exists intermediate;
create schema if not exists control;
create table control.run_state (
    run_id varchar, status varchar, first_day date, last_day date, configuration_hash varchar, finished_at timestamp,
    previous_run_id varchar
);
create table control.as_of_days (as_of_date date);
create table control.restated_days (as_of_date date);
create table marts.account_health_history (
    account_id varchar, as_of_date date, health_score double, tier varchar, coverage double,
    config_version varchar, configuration_hash varchar, rules_hash varchar, override_id varchar, run_id varchar
);
create table intermediate.int_scoring__account_dimensions (account_id varchar, as_of_date date, adoption double);
create view marts.dimension_scores_history as
    select account_id, as_of_date, 'adoption' as dimension_key,
        adoption as points from warehouse.intermediate.int_scoring__account_dimensions;
create table intermediate.int_scoring__account_scores (
    account_id varchar, as_of_date date, cap_points double,
    active_days_28d__state varchar, active_days_28d__score double, active_days_28d__effective_weight double,
    days_late_180d__state varchar, days_late_180d__score double, days_late_180d__effective_weight double
);
create view marts.metric_scores_history as
    select account_id, as_of_date, 'active_days_28d' as metric_key,
        active_days_28d__effective_weight * (active_days_28d__score - 50) as points
    from warehouse.intermediate.int_scoring__account_scores
    union all
    select account_id, as_of_date, 'days_late_180d', days_late_180d__effective_weight * (days_late_180d__score - 50)
    from warehouse.intermediate.int_scoring__account_scores
    union all
    select account_id, as_of_date, 'cap', cap_points from warehouse.intermediate.int_scoring__account_scores where cap_points is not null;
create table marts.attributes (account_id varchar, {attributes});
create view marts.account_health as
    select distinct * from marts.account_health_history
    left join marts.attributes using (account_id)
    where as_of_date = (select max(as_of_date) from marts.account_health_history);
create table intermediate.int_ledger__changes (account_id varchar, as_of_date date, k integer, cap double);
create view marts.score_changes as select account_id, as_of_date, k, cap as points from warehouse.intermediate.int_ledger__changes;
create table marts.tier_changes (account_id varchar, as_of_date date, to_tier varchar);
create table marts.account_actions ({account_actions});
create table marts.segment_health (as_of_date date, segment varchar, accounts integer);
create table marts.parent_health (as_of_date date, parent_account_id varchar, children integer);
create table marts.candidate_scores_history (account_id varchar, as_of_date date, health_score double);
create table marts.account_contacts ({account_contacts});
create table marts.account_facts ({account_facts});
create table marts.account_outcomes ({account_outcomes});
create table marts.revenue_retention ({revenue_retention});
create table marts.account_actions_history ({account_actions_history});
create table marts.action_outcomes ({action_outcomes});
create table marts.receivables ({receivables});
create table marts.metric_drift (as_of_date date, metric_key varchar, explanation varchar, message varchar);
create table marts.scorecard as
select '2026.1' as config_version, 'standard' as scorecard_key, 'active_days_28d' as metric_key, cast(0.85 as double) as weight,
    cast(null as varchar) as tested_metric_key;
create table marts.scorecard_tiers as
select 'standard' as scorecard_key, '2026.1' as config_version, 'healthy' as tier, cast(70.0 as double) as min_score;
create table marts.metric_catalogue as select 'active_days_28d' as metric_key;
create table marts.data_freshness as
select 'usage_events' as raw_table, cast(null as varchar) as not_read_reason, 'no account for 3' as orphan_warning,
    cast(null as varchar) as value_warning, timestamp '2026-01-05 10:00' as newest_fact_at, 'up to date' as status, 7 as row_count;
create table marts.quarantine_summary (raw_table varchar, reason varchar, quarantined_rows bigint);
create view marts.accounts as select distinct account_id from marts.account_health_history;
create view marts.calendar as select distinct as_of_date as calendar_date from marts.account_health_history;
comment on table marts.account_health_history is 'One row per account and day.';
comment on column marts.account_health_history.health_score is 'Health of the account''s use, 0 to 100.';
"""


def _schema() -> str:
    """The warehouse's tables. What people read has every column of the contract; those of account_health that no test of publishing
    needs are in the table `attributes`, which is empty."""
    models = yaml.safe_load((DBT_PROJECT / "models" / "marts" / "_marts.yml").read_text(encoding="utf-8"))["models"]
    columns = {
        model["name"]: {column["name"]: f"{column['name']} {column['data_type']}" for column in model["columns"]} for model in models
    }
    history = _SCHEMA.partition("marts.account_health_history (")[2].partition(");")[0]
    attributes = [column for name, column in columns["account_health"].items() if f"{name} " not in history]
    names = ("account_actions", "account_actions_history", "account_contacts", "account_facts", "account_outcomes", "action_outcomes")
    whole = {name: ", ".join(columns[name].values()) for name in (*names, "receivables", "revenue_retention")}
    return _SCHEMA.format(attributes=", ".join(attributes), **whole)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


def make_settings(folder: Path, **pipeline: int | float) -> Settings:
    keys = {"start_date": "2026-01-01", "threads": 2, "lock_timeout_seconds": 0.3, "memory_limit": '"512MB"'} | pipeline
    lines = [f"{key} = {value}" for key, value in keys.items()]
    config = folder / "health.toml"
    config.write_text("[pipeline]\n" + "\n".join(lines) + '\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n')
    return load_settings(config)


def score_days(
    settings: Settings,
    run_id: str,
    days: list[date],
    status: str = "passed",
    shift: float = 0.0,
    accounts: str = "a1 a2 a3",
    rules: str = "rules",
    late_days: int = 0,
    previous_run: str | None = None,
) -> None:
    """Do what a transform does: replace the days' rows. `shift` moves points and scores alike.

    The first `late_days` of the days are re-scored by the run's lookback, the others are its own.
    """
    own_days = (days[late_days], days[-1]) if days else (None, None)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not settings.warehouse.exists():
        settings.warehouse.write_bytes(_empty_warehouse())
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("begin")
        connection.execute("delete from control.run_state")
        connection.execute(
            "insert into control.run_state values (?, ?, ?, ?, 'c0ffee', null, ?)", [run_id, status, *own_days, previous_run]
        )
        for table in ("as_of_days", "restated_days"):
            connection.execute(f"delete from control.{table}")
            connection.execute(f"insert into control.{table} select unnest(cast(? as date[]))", [days])
        tables = {
            "marts.account_health_history": "$account, as_of_date, $score, $tier, 0.8, 'v1', 'c0ffee', $rules, null, $run_id",
            "intermediate.int_scoring__account_dimensions": "$account, as_of_date, $usage",
            "intermediate.int_scoring__account_scores": "$account, as_of_date, null, 'measured', 50 + $usage, 1, 'measured', 45, 1",
        }
        for table in tables:
            connection.execute(f"delete from {table} where as_of_date in (from control.as_of_days)")
        for account in accounts.split():
            known = {"account": account, "usage": USAGE_POINTS[account] + shift, "run_id": run_id, "rules": rules}
            known |= {"score": SCORES[account] + shift, "tier": TIERS[account]}
            for table, columns in tables.items():
                given = {key: value for key, value in known.items() if f"${key}" in columns}
                connection.execute(f"insert into {table} select {columns} from control.as_of_days", given)
        connection.execute("commit")


@cache
def _empty_warehouse() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(_schema())
        return path.read_bytes()


def change_warehouse(settings: Settings, statement: str) -> None:
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(statement)


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=offset) for offset in range(count)]


def read_current(settings: Settings, query: str) -> list[tuple]:
    with duckdb.connect(str(settings.published / "current" / "health.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def publish_days(settings: Settings) -> Callable[..., PublishedGeneration]:
    """Score days and publish them, as one run."""

    def run(run_id: str, days: list[date], shift: float = 0.0) -> PublishedGeneration:
        score_days(settings, run_id, days, shift=shift)
        return publish(settings, run_id, PUBLISHED_AT)

    return run


def stub_board(monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the place of the board, which needs the columns of a real mart and has tests of its own; returns its one file."""

    def write_board(settings: Settings, folder: Path, published_at: datetime) -> list[str]:
        (folder / "board").mkdir()
        (folder / "board" / "index.html").write_text(f"published at {published_at}")
        return ["board/index.html"]

    monkeypatch.setattr(publishing, "write_board", write_board)
    return "board/index.html"


@pytest.fixture(autouse=True)
def board_page(monkeypatch: pytest.MonkeyPatch) -> str:
    return stub_board(monkeypatch)


@pytest.fixture(autouse=True)
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths forced to disk, in order; without waiting for the disk."""
    paths: list[Path] = []
    monkeypatch.setattr(generations, "sync", paths.append)
    return paths
