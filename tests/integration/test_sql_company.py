"""The same company in Postgres: what is published from tables, read day by day, is what is published from files."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestration.contract import EVENT_TABLE, TABLES
from orchestration.extract.connectors.demo import DEMO_TABLES
from tests.company import FIRST_DAY, HISTORY_STARTS, LAST_DAY, MIDDLE_DAY, Company, Rows, differences, read_mart

# Column of the contract -> column of the product's own table.
PRODUCT_LOG = {
    "event_id": "id", "account_id": "workspace", "user_id": "member", "feature": "action", "occurred_at": "happened_at",
    "duration_seconds": "seconds",
}  # fmt: skip
# A table of which only what is new is asked for.
BY_QUERY = "csm_pulses"


@pytest.fixture
def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    monkeypatch.setenv("COMPANY_URL", postgres_url)
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        for schema in ("public", "product"):
            connection.exec_driver_sql(f"drop schema if exists {schema} cascade")
            connection.exec_driver_sql(f"create schema {schema}")
    yield engine
    engine.dispose()


def fill(database: sa.Engine, company: Company) -> None:
    """All tables but the product log, as text where files have text; pulses are loaded on the day they were given, the rest on the last
    day."""
    with database.begin() as connection:
        connection.exec_driver_sql(
            "create table product.log (id text, workspace text, member text, action text, happened_at timestamptz, seconds double "
            "precision)"
        )
        for name, table in TABLES.items():
            if table.by_day:
                continue
            columns = [column.name for column in table.columns]
            connection.exec_driver_sql(f"create table {name} ({', '.join(f'{one} text' for one in columns)}, loaded_at timestamp)")
            rows = [row | {"loaded_at": loaded_at(row.get("rated_at", ""))} for row in company.read(name)]
            if rows:
                names = ", ".join(f":{one}" for one in (*columns, "loaded_at"))
                connection.execute(sa.text(f"insert into {name} values ({names})"), rows)


def loaded_at(rated_at: str) -> datetime:
    try:
        return min(datetime.fromisoformat(rated_at), datetime.combine(LAST_DAY, datetime.min.time()))
    except ValueError:
        return datetime.combine(LAST_DAY, datetime.min.time())


def deliver(database: sa.Engine, events: list[dict]) -> None:
    """Add events to the product log."""
    names = ", ".join(f":{name}" for name in PRODUCT_LOG)
    with database.begin() as connection:
        connection.execute(sa.text(f"insert into product.log ({', '.join(PRODUCT_LOG.values())}) values ({names})"), events)


def delivered(company: Company, first: date, last: date) -> list[dict]:
    """The events of delivery files, in their order."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    events = [event for day in days for event in company.read_events(day).to_pylist()]
    return [event | {"occurred_at": event["occurred_at"].replace(tzinfo=UTC)} for event in events]


def configure(company: Company) -> None:
    """The pipeline as it was, with every source in the database, and a lookback that reaches the latest events."""
    text = company.config_file.read_text().partition("[sources.")[0].replace("lookback_days = 1", "lookback_days = 3")
    mapped = ", ".join(f'{name} = "{place}"' for name, place in PRODUCT_LOG.items())
    for name in DEMO_TABLES:
        where = f'table = "{name}"'
        if name == EVENT_TABLE:
            where = f'table = "product.log"\ncolumns = {{ {mapped} }}'
        elif name == BY_QUERY:
            where = f'query = "select * from {name} where loaded_at >= :start and loaded_at < :end order by loaded_at"'
        text += f'[sources.{name}]\nconnector = "sql"\nurl = {{ env = "COMPANY_URL" }}\n{where}\n'
    company.config_file.write_text(text)


def test_the_mart_from_tables_read_day_by_day_is_the_mart_from_files(
    first_mart: dict[str, Rows], company: Company, database: sa.Engine
) -> None:
    company.forget()
    configure(company)
    fill(database, company)
    deliver(database, delivered(company, HISTORY_STARTS, FIRST_DAY - timedelta(days=1)))
    # Every fifth event of the first day comes two days late.
    early = delivered(company, FIRST_DAY, MIDDLE_DAY)
    late = [event for event in early if event["occurred_at"].date() == FIRST_DAY][::5]
    deliver(database, [event for event in early if event not in late])
    company.run(FIRST_DAY, MIDDLE_DAY, "two days")
    deliver(database, late + delivered(company, LAST_DAY, LAST_DAY))
    company.run(LAST_DAY, run_id="the day after")
    # Not only the scores: also what was counted as loaded, doubled and quarantined.
    assert not differences(first_mart, read_mart(company.published))
