"""The demo company: deterministic, stable when it grows longer, believable, and dirty only as much as it says."""

import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from orchestration.contract import TABLES, RawTable
from orchestration.extract.connectors import demo as demo_module
from orchestration.extract.connectors.demo import (
    DEMO_TABLES,
    HISTORY_BEFORE_START,
    DemoSource,
    demo_batches,
    demo_sources,
    write_demo_files,
)
from orchestration.extract.connectors.demo.company import to_day
from orchestration.settings import PROJECT_ROOT, Demo, Pipeline, Settings, load_settings
from orchestration.validate.judge_rules import MIN_LEAVERS

START = date(2026, 1, 1)
EARLIER_END = date(2025, 12, 14)
END = date(2026, 1, 20)
# Dates that a system knows in advance.
SCHEDULED = {"due_on", "term_ends_on", "expires_on", "snoozed_until"}
ACCOUNTS = 100
BIG_TABLES = ("touchpoints", "account_goals", "invoices", "tickets", "survey_responses", "usage_events")


def settings(accounts: int = ACCOUNTS, *, dirt: bool = False, seed: int = 7) -> Settings:
    return Settings.model_construct(
        pipeline=Pipeline(start_date=START),
        sources={name: DemoSource(connector="demo") for name in DEMO_TABLES},
        demo=Demo(accounts=accounts, dirt=dirt, seed=seed),
        config_file=Path("health.toml"),
    )


@cache
def company(accounts: int, dirt: bool, end: date) -> dict[str, pa.Table]:
    """All raw tables of a company, read once per test run."""
    config = settings(accounts, dirt=dirt)
    return {name: read(config, name, end) for name in DEMO_TABLES}


def read(config: Settings, name: str, end: date = END) -> pa.Table:
    batches = list(demo_batches(config, TABLES[name], end))
    return pa.Table.from_batches(batches) if batches else TABLES[name].arrow_schema.empty_table()


def table_of(name: str, accounts: int = ACCOUNTS, *, dirt: bool = False, end: date = END) -> pa.Table:
    return company(accounts, dirt, end)[name]


def frame(name: str, *, dirt: bool = False, end: date = END) -> pd.DataFrame:
    return table_of(name, dirt=dirt, end=end).to_pandas(date_as_object=False)


def days_and_moments(table: RawTable) -> list[str]:
    return [column.name for column in table.columns if column.kind in ("date", "timestamp")]


@pytest.fixture(autouse=True, scope="module")
def forget_companies() -> Iterator[None]:
    yield
    company.cache_clear()
    demo_module._history.cache_clear()


@pytest.mark.parametrize("name", DEMO_TABLES)
def test_clean_tables_meet_the_contract(name: str) -> None:
    table = TABLES[name]
    rows = table_of(name)
    assert rows.schema == table.arrow_schema
    assert rows.num_rows > 0
    keys = rows.select(table.key).to_pandas()
    assert not keys.duplicated().any()
    for column in table.columns:
        values = rows[column.name].drop_null()
        assert not column.required or len(values) == rows.num_rows, column.name
        if column.choices:
            assert set(values.unique().to_pylist()) <= set(column.choices)
        if column.kind in ("number", "integer") and len(values):
            low, high = values.to_pandas().min(), values.to_pandas().max()
            assert column.minimum is None or low >= column.minimum
            assert column.maximum is None or high <= column.maximum
    if table.has_account:
        known = set(table_of("accounts")["account_id"].to_pylist())
        assert set(rows["account_id"].to_pylist()) <= known


@pytest.mark.parametrize("name", DEMO_TABLES)
def test_nothing_lies_beyond_the_end(name: str) -> None:
    rows = frame(name)
    for column in set(days_and_moments(TABLES[name])) - SCHEDULED:
        newest = rows[column].dropna().max()
        assert pd.isna(newest) or newest < pd.Timestamp(END + timedelta(days=1)), column


@pytest.mark.parametrize("dirt", [False, True])
def test_the_same_settings_give_the_same_rows(dirt: bool) -> None:
    first = company(20, dirt, END)
    demo_module._history.cache_clear()
    for name in DEMO_TABLES:
        assert read(settings(20, dirt=dirt), name).equals(first[name]), name


def test_another_seed_gives_another_company() -> None:
    assert not table_of("tickets", 20).equals(read(settings(20, seed=8), "tickets"))


@pytest.mark.parametrize("name", DEMO_TABLES)
def test_a_later_end_only_adds(name: str) -> None:
    table = TABLES[name]
    before = frame(name, end=EARLIER_END)
    after = frame(name)
    limit = pd.Timestamp(EARLIER_END + timedelta(days=1))
    assert len(after) >= len(before) > 0
    expected = after[after[table.fact_column] < limit].reset_index(drop=True)
    for column in set(days_and_moments(table)) - SCHEDULED:
        expected[column] = expected[column].where(expected[column] < limit)
    pd.testing.assert_frame_equal(before, expected, check_dtype=False)


def test_what_was_open_is_filled_in_later() -> None:
    before = frame("invoices", end=EARLIER_END).set_index("invoice_id")
    after = frame("invoices").set_index("invoice_id")
    paid_since = before["paid_on"].isna() & after.loc[before.index, "paid_on"].notna()
    assert paid_since.sum() > 10
    assert (after.loc[before.index[paid_since], "paid_on"] > pd.Timestamp(EARLIER_END)).all()


def test_before_the_records_begin_there_is_nothing() -> None:
    first_day = START - HISTORY_BEFORE_START
    assert list(demo_batches(settings(), TABLES["accounts"], first_day - timedelta(days=1))) == []
    assert read(settings(), "usage_events", first_day).num_rows > 0
    assert frame("usage_events")["occurred_at"].min().date() == first_day


def test_weekends_are_quiet() -> None:
    per_day = frame("usage_events")["occurred_at"].dt.dayofweek.value_counts()
    share_of_weekend = per_day[[5, 6]].sum() / per_day.sum()
    # 0.12 and 0.10 of a working day against about five: 0.22 / 5.22 = 4%.
    assert 0.02 < share_of_weekend < 0.08


def test_the_end_of_the_year_is_quiet() -> None:
    days = frame("usage_events")["occurred_at"].dt.date
    holidays = (days == date(2025, 12, 24)).sum()
    ordinary = (days == date(2025, 12, 10)).sum()
    assert holidays < 0.7 * ordinary


@pytest.fixture(scope="module")
def large() -> demo_module.History:
    first_day = to_day(date(2025, 1, 1))
    return demo_module.simulate(1500, 7, first_day, first_day + 480)


def churn_day(history: demo_module.History) -> np.ndarray:
    outcomes = history.facts["account_outcomes"]
    is_churn = outcomes["kind"] == 0
    day = np.full(len(history.accounts), 10**9)
    day[outcomes["account"][is_churn]] = outcomes["occurred_on"][is_churn]
    return day


def auc(signal: np.ndarray, left: np.ndarray) -> float:
    """Probability that the signal of one who left is greater than that of one who stayed."""
    rank = pd.Series(signal).rank().to_numpy()
    return (rank[left].mean() - (left.sum() + 1) / 2) / (~left).sum()


def test_about_one_in_twenty_leaves_each_month(large: demo_module.History) -> None:
    customer_months = (large.activity > 0).sum() / 30
    churned = (churn_day(large) < 10**9).sum()
    assert 0.04 < churned / customer_months < 0.06


def test_enough_leave_the_shipped_company_for_a_verdict() -> None:
    shipped = load_settings(PROJECT_ROOT / "health.toml")
    assert shipped.last_day == date(2026, 6, 29)
    shipped = shipped.model_copy(update={"demo": shipped.demo.model_copy(update={"dirt": False})})
    outcomes = read(shipped, "account_outcomes", shipped.last_day).to_pandas()
    # Mondays from 5 January on; that of 16 March is the last one that is known 90 and 15 days later.
    left = pd.to_datetime(outcomes["occurred_on"]).between("2026-01-06", "2026-06-14") & (outcomes["kind"] == "churned")
    assert outcomes["account_id"][left].nunique() > MIN_LEAVERS


def test_the_size_stays_about_the_same(large: demo_module.History) -> None:
    customers = (large.activity > 0).sum(axis=1)
    assert customers.min() > 0.9 * 1500
    assert customers.max() < 1.1 * 1500


def test_signals_find_who_leaves_but_not_all(large: demo_module.History) -> None:
    leaves_on = churn_day(large)
    low_use, latent, trend, left = [], [], [], []
    for position in range(200, 390, 60):
        day = large.first_day + position
        scored = np.flatnonzero((large.activity[position] > 0) & (large.accounts.created < day - 90))
        recent = large.activity[position - 27 : position + 1, scored].mean(axis=0)
        earlier = large.activity[position - 55 : position - 27, scored].mean(axis=0)
        low_use.append(-recent)
        trend.append(earlier - recent)
        latent.append(-large.health[position, scored])
        left.append(leaves_on[scored] <= day + 90)
    gone = np.concatenate(left)
    by_level = auc(np.concatenate(low_use), gone)
    by_trend = auc(np.concatenate(trend), gone)
    best = auc(np.concatenate(latent), gone)
    assert 0.6 < by_level < best < 0.85
    assert by_level > by_trend + 0.05


def test_an_overdue_account_leaves_far_more_often(large: demo_module.History) -> None:
    invoices = large.facts["invoices"]
    leaves_on = churn_day(large)
    overdue, left = [], []
    for position in range(120, 390, 30):
        day = large.first_day + position
        scored = np.flatnonzero(large.activity[position] > 0)
        is_open = (invoices["due_on"] < day) & (invoices["paid_on"] > day) & (invoices["voided_on"] > day)
        overdue.append(np.isin(scored, invoices["account"][is_open & (invoices["issued_on"] <= day)]))
        left.append(leaves_on[scored] <= day + 90)
    is_overdue, gone = np.concatenate(overdue), np.concatenate(left)
    assert is_overdue.mean() < 0.05
    assert gone[is_overdue].mean() > 2.5 * gone[~is_overdue].mean()


def test_who_leaves_is_gone() -> None:
    outcomes = frame("account_outcomes")
    left = outcomes[outcomes["kind"] == "churned"].set_index("account_id")["occurred_on"]
    subscriptions = frame("subscriptions")
    last = subscriptions[subscriptions["account_id"].isin(left.index)].groupby("account_id")["ended_on"]
    assert len(left) > 10
    assert last.apply(lambda ends: ends.notna().all()).all()
    assert (last.max() == left.sort_index()).all()
    for name, column in (("usage_events", "occurred_at"), ("tickets", "opened_at"), ("invoices", "issued_on")):
        facts = frame(name)
        facts = facts[facts["account_id"].isin(left.index)]
        assert (facts[column] < facts["account_id"].map(left)).all(), name


def test_each_row_of_a_subscription_begins_where_the_one_before_ends() -> None:
    rows = frame("subscriptions").sort_values(["subscription_id", "started_on"])
    assert ((rows["ended_on"] > rows["started_on"]) | rows["ended_on"].isna()).all()
    follows = rows["subscription_id"].eq(rows["subscription_id"].shift())
    assert follows.sum() > 100
    assert (rows["started_on"][follows] == rows["ended_on"].shift()[follows]).all()


def test_every_stage_and_kind_occurs() -> None:
    accounts = frame("accounts")
    tenure = pd.Timestamp(END) - accounts["created_at"]
    assert (tenure < pd.Timedelta(days=90)).sum() >= 3
    assert accounts["parent_account_id"].isin(accounts["account_id"]).sum() > 5
    assert set(accounts["segment"].dropna()) == {"smb", "mid-market", "enterprise"}
    assert accounts["account_name"].is_unique
    subscriptions = frame("subscriptions")
    assert set(subscriptions["currency"].dropna()) == {"USD", "EUR", "GBP"}
    assert subscriptions["is_trial"].any()
    assert set(frame("account_outcomes")["kind"]) == {"churned", "renewed", "expanded", "contracted"}
    invoices = frame("invoices")
    assert (invoices["paid_on"] > invoices["due_on"]).any()
    assert (invoices["paid_on"].isna() & (invoices["due_on"] < pd.Timestamp(END))).any()
    assert invoices["voided_on"].notna().any()
    in_part = invoices["open_amount"].notna()
    assert in_part.any() and not in_part.all()
    assert (invoices["open_amount"][in_part] < invoices["amount"][in_part]).all()
    written_off = invoices[invoices["written_off_on"].notna()]
    assert len(written_off) > 0
    assert not (written_off["paid_on"] < written_off["written_off_on"]).any()
    releases = frame("feature_releases")
    # Fourteen core features, then one every 43 days from day 20: (445 - 20) // 43 + 1 = 10 by the last day.
    assert len(releases) == 14 + 10


@pytest.mark.parametrize("name", DEMO_TABLES)
def test_bad_rows_are_few_and_facts_stay_as_they_are(name: str) -> None:
    table = TABLES[name]
    clean = table_of(name).cast(pa.schema([(column.name, pa.string()) for column in table.columns]))
    dirty = table_of(name, dirt=True)
    assert dirty.schema.names == table.arrow_schema.names
    assert dirty.schema in (table.arrow_schema, clean.schema)
    dirty = dirty.cast(clean.schema)
    key = dirty[table.key[0]].to_pandas()
    is_bad = key.isna() | key.str.endswith("-bad") | key.ne(key.str.strip())
    assert is_bad.mean() < 0.006
    if name in BIG_TABLES:
        assert is_bad.mean() > 0.001

    # Of a doubled row the last copy holds; hostile names are part of the dirt.
    columns = [column for column in clean.column_names if column != "account_name"]
    delivered = dirty.select(columns).to_pandas()[~is_bad].drop_duplicates(list(table.key), keep="last")
    facts = clean.select(columns).to_pandas().merge(delivered, on=list(table.key), how="left", indicator=True)
    arrived = facts[facts["_merge"] == "both"]
    for column in set(columns) - set(table.key):
        assert arrived[f"{column}_x"].fillna("").equals(arrived[f"{column}_y"].fillna("")), column
    missing = facts[facts["_merge"] == "left_only"]
    if name == "usage_events":
        # Events come up to three days late: those of the last three days may still be on their way.
        assert len(missing) > 0
        assert (pd.to_datetime(missing["occurred_at_x"]) >= pd.Timestamp(END) - timedelta(days=2)).all()
    else:
        assert len(missing) == 0


def test_the_newer_copy_of_a_doubled_row_comes_last() -> None:
    rows = frame("invoices", dirt=True)
    copies = rows[rows["invoice_id"] == "inv-000080"]
    assert len(copies) == 2
    assert copies["paid_on"].isna().tolist() == [True, False]
    is_double = rows["invoice_id"].duplicated()
    # The 81st row and every 211th after it.
    clean = len(frame("invoices"))
    assert is_double.sum() == (clean - 81) // 211 + 1


def test_usage_is_late_doubled_and_orphaned() -> None:
    then = read(settings(dirt=True), "usage_events", EARLIER_END).to_pandas()
    now = frame("usage_events", dirt=True)
    yesterday = pd.Timestamp(EARLIER_END) + timedelta(days=1)
    came_late = now[(now["occurred_at"] < yesterday) & ~now["event_id"].isin(then["event_id"])]
    assert len(came_late) > 0
    assert (came_late["occurred_at"] >= yesterday - timedelta(days=3)).all()
    accounts = set(table_of("accounts", dirt=True)["account_id"].to_pylist())
    is_orphan = now["account_id"].notna() & ~now["account_id"].isin({*accounts, *(f" {known} " for known in accounts)})
    assert 0.001 < is_orphan.mean() < 0.005
    assert 0.0005 < now["event_id"].duplicated().mean() < 0.004


@pytest.mark.parametrize("accounts", [1, 12])
def test_a_small_company_has_no_table_with_many_bad_rows(accounts: int) -> None:
    for name in DEMO_TABLES:
        table = TABLES[name]
        dirty = table_of(name, accounts, dirt=True)
        key = dirty[table.key[0]].cast(pa.string()).to_pandas()
        bad = (key.isna() | key.str.endswith("-bad")).sum()
        assert bad <= 0.01 * max(len(key), 1), name


def test_hostile_names_are_there_only_with_dirt() -> None:
    assert "<script>alert(1)</script> Ltd" in table_of("accounts", dirt=True)["account_name"].to_pylist()
    assert not any("<" in name for name in table_of("accounts")["account_name"].to_pylist())


def test_the_size_scales_everything() -> None:
    for name in ("accounts", "tickets", "usage_events"):
        ratio = table_of(name, 200).num_rows / table_of(name, 20).num_rows
        assert 6 < ratio < 16, name


@pytest.mark.parametrize("wanted", [8, 22])
def test_the_number_of_events_is_the_wanted_one(tmp_path: Path, wanted: int) -> None:
    first, last = date(2026, 2, 2), date(2026, 3, 1)
    written = write_demo_files(Demo(accounts=400, dirt=False), first, last, tmp_path, wanted)
    # About 400 accounts on 28 days, whole weeks.
    assert 0.75 * wanted < written / (400 * 28) < 1.25 * wanted


def test_files_hold_the_company_by_delivery_day(tmp_path: Path) -> None:
    first, last = date(2026, 2, 2), date(2026, 2, 15)
    demo = Demo(accounts=60, dirt=True)
    written = write_demo_files(demo, first, last, tmp_path / "one")
    assert write_demo_files(demo, first, last, tmp_path / "two") == written
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    days = {f"{first + timedelta(days=day)}.parquet" for day in range(14)}
    tables = {f"{name}.csv" for name in DEMO_TABLES if name != "usage_events"}
    assert {path.name for path in names} == days | tables
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name

    rows = 0
    for day in range(14):
        delivered_on = first + timedelta(days=day)
        events = pa.parquet.read_table(tmp_path / "one" / "events" / f"{delivered_on}.parquet")
        rows += events.num_rows
        assert events.schema == TABLES["usage_events"].arrow_schema
        age = [(delivered_on - moment.date()).days for moment in events["occurred_at"].to_pylist()]
        assert min(age) == 0
        assert max(age) <= 3
        assert events["occurred_at"].to_pandas().max() < datetime.combine(delivered_on + timedelta(days=1), time())
    assert rows == written


def test_the_sources_of_the_files_can_be_in_a_health_toml() -> None:
    sources = tomllib.loads(demo_sources("raw/demo"))["sources"]
    assert set(sources) == set(DEMO_TABLES)
    assert sources["usage_events"] == {"connector": "files", "path": "raw/demo/events/{day}.parquet"}
    assert sources["tickets"] == {"connector": "files", "path": "raw/demo/tickets.csv"}


def test_an_end_before_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2026-01-01 lies before start_history 2026-01-02"):
        write_demo_files(Demo(), date(2026, 1, 2), date(2026, 1, 1), tmp_path)
