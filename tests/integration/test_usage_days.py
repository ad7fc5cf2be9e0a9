"""Usage counted by day instead of single events: the same company gives the same mart, to the last bit."""

import tomllib
from datetime import date
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from orchestration.contract import TABLES
from orchestration.extract import lake_select
from tests.company import FIRST_DAY, LAST_DAY, MIDDLE_DAY, Company, Rows, differences, read_mart
from tests.forked import health
from tests.pages import blocks

# Which table usage came from is all that these may say differently.
OF_THE_SOURCES = ("data_freshness", "quarantine_summary")
GROUPED = """
    select account_id, user_id, feature, cast(occurred_at as date) as activity_day, count(*) as events,
        count(duration_seconds) as events_with_duration, sum(cast(duration_seconds as decimal(18, 6))) as duration_seconds
    from events where {} group by all
"""


def of_scores(mart: dict[str, Rows]) -> dict[str, Rows]:
    return {name: rows for name, rows in mart.items() if name not in OF_THE_SOURCES}


@pytest.fixture
def events(company: Company) -> duckdb.DuckDBPyConnection:
    """A connection with the table `events`: what counts of the company's events, each once."""
    connection = duckdb.connect()
    select = lake_select(company.settings.lake, TABLES["usage_events"])
    connection.execute(f"create table events as select *, cast(occurred_at as date) as day from ({select})")
    return connection


def documented_query() -> str:
    [found] = [
        block for block in blocks("toml", "docs/sources.md") if block.startswith("[sources.usage_days]") and "timestamp(" not in block
    ]
    return found


def test_a_company_whose_events_stay_in_its_database(
    first_mart: dict[str, Rows], company: Company, events: duckdb.DuckDBPyConnection, postgres_url: str
) -> None:
    rows = events.execute("select account_id, user_id, feature, occurred_at, duration_seconds from events").to_arrow_table().to_pylist()
    engine = sa.create_engine(postgres_url)
    with engine.begin() as database:
        database.exec_driver_sql("drop schema if exists product cascade; create schema product")
        database.exec_driver_sql(
            "create table product.events (account_id text, user_id text, feature text, occurred_at timestamp,"
            " duration_seconds double precision)"
        )
        database.execute(
            sa.text("insert into product.events values (:account_id, :user_id, :feature, :occurred_at, :duration_seconds)"), rows
        )
    engine.dispose()
    text = company.config_file.read_text()
    usage = next(part for part in text.split("\n\n") if part.startswith("[sources.usage_events]"))
    company.config_file.write_text(text.replace(usage, documented_query()))
    assert "usage_events" not in tomllib.loads(company.config_file.read_text())["sources"]
    company.forget()

    ran = health(company.config_file, "run", f"{FIRST_DAY}...{LAST_DAY}", variables={"WAREHOUSE_URL": postgres_url})

    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = read_mart(company.published)
    assert not differences(of_scores(first_mart), of_scores(found))
    freshness = {row[0]: row for row in found["data_freshness"]}
    assert "up to date" in freshness["usage_days"] and "no data" in freshness["usage_events"]


def test_a_company_that_goes_over_to_it_on_a_day(first_mart: dict[str, Rows], company: Company, events: duckdb.DuckDBPyConnection) -> None:
    """From a day on usage is counted, of one account from the beginning, and the events of another one go on: they count once."""
    switch = date(2026, 2, 3)
    [(early,), (both,)] = events.execute(
        "select account_id from events semi join (select distinct account_id from events where day > ?) using (account_id)"
        " group by account_id order by count(*) desc, account_id limit 2",
        [switch],
    ).fetchall()
    folder = company.folder / "raw" / "usage_days"
    folder.mkdir()
    for path in (company.folder / "raw" / "events").glob("*.parquet"):
        path.unlink()
    days = [day for (day,) in events.execute("select distinct day from events order by day").fetchall()]
    for day in days:
        _write(
            events, company.events_file(day), f"from events where day = date '{day}' and (day < date '{switch}' or account_id = '{both}')"
        )
        is_counted = f"day = date '{day}' and (day >= date '{switch}' or account_id = '{early}')"
        _write(events, folder / f"{day}.parquet", GROUPED.format(is_counted))
    # A first count of the middle day lacked half of its events; the next day's file has more of them, and some were wrong.
    corrected = (folder / f"{MIDDLE_DAY}.parquet").read_bytes()
    _write(events, folder / f"{MIDDLE_DAY}.parquet", GROUPED.format(f"day = date '{MIDDLE_DAY}' and hash(event_id) % 2 = 0"))
    source = "[sources.usage_days]\nconnector = 'files'\npath = 'raw/usage_days/{day}.parquet'\n"
    company.config_file.write_text(f"{company.config_file.read_text()}\n{source}")
    company.forget()
    company.run(FIRST_DAY, MIDDLE_DAY, "until the middle day")
    assert differences(of_scores(first_mart), of_scores(read_mart(company.published)))

    (folder / f"{MIDDLE_DAY}.parquet").write_bytes(corrected)
    company.run(LAST_DAY, run_id="the day after")
    found = read_mart(company.published)
    assert not differences(of_scores(first_mart), of_scores(found))
    # The events have come to an end, and usage has not.
    assert {row[0] for row in found["data_freshness"] if row[0].startswith("usage") and "up to date" in row} == {
        "usage_events",
        "usage_days",
    }


def _write(events: duckdb.DuckDBPyConnection, path: Path, select: str) -> None:
    events.execute(f"copy ({select}) to '{path}' (format parquet)")
