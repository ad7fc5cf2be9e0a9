"""The change ledger names the one thing that changed, and restating one day reaches everything that rests on it.

A company in which nothing ever changes: the same users every day, one critical ticket open for good. Then exactly one thing changes.
"""

import csv
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.alert_rules import AlertRule
from orchestration.publish.alerts.evaluate import find_alerts
from orchestration.publish.alerts.mart import PublishedMart
from orchestration.publish.highlights import read_highlights
from orchestration.scorecard.playbooks import all_fields
from orchestration.settings import load_settings
from orchestration.transform import prepare
from tests.company import Rows, differences, read_mart
from tests.pipeline import dbt_build, run_pipeline

FIRST_DAY = date(2026, 3, 1)
CHANGE_DAY = date(2026, 4, 5)
LAST_DAY = date(2026, 4, 12)
HISTORY_STARTS = date(2026, 1, 20)
ACCOUNTS = ("a1", "a2", "a3")

SEEDS = {
    "config_versions": "config_version,valid_from,status,author,note\nv1,2020-01-01,active,,\n",
    "metrics": """\
metric_key,dimension_key,label,unit,higher_is_better,description
active_days_28d,adoption,Active days,days,true,
license_utilization_28d,adoption,License use,share of seats,true,
critical_open_tickets,support,Critical tickets,tickets,false,
""",
    "scorecards": """\
config_version,scorecard_key,label,priority,segment,stage,min_coverage,confirm_days,tier_mode
v1,all,All,1,*,*,0.4,3,threshold
v1,big,Big,2,big,*,0.4,3,threshold
""",
    "scorecard_dimensions": """\
config_version,scorecard_key,dimension_key,weight
v1,all,adoption,2
v1,all,support,1
v1,big,adoption,1
v1,big,support,1
""",
    "scorecard_metrics": """\
config_version,scorecard_key,metric_key,weight,method,worst,best,missing_policy
v1,all,active_days_28d,1,linear,0,28,exclude
v1,all,license_utilization_28d,1,linear,0,1,exclude
v1,all,critical_open_tickets,1,linear,2,0,exclude
v1,big,active_days_28d,1,linear,0,28,exclude
v1,big,license_utilization_28d,1,linear,0,1,exclude
v1,big,critical_open_tickets,1,linear,2,0,exclude
""",
    "metric_bands": "config_version,scorecard_key,metric_key,lower_bound,score\n",
    "score_caps": "config_version,scorecard_key,cap_key,metric_key,operator,threshold,max_score,reason\n",
    "tiers": "config_version,scorecard_key,tier,colour,min_score,min_percentile\n",
    "fx_rates": "currency,valid_from,rate\nUSD,2020-01-01,1\n",
    "playbooks": "playbook_key,label,priority,reason_template\ncall,Call,1,{critical_open_tickets} tickets at {health_score}\n",
    "playbook_conditions": "playbook_key,field,operator,value\ncall,critical_open_tickets,>=,2\n",
}


class Steady:
    """The raw files, seeds and configuration of the company below a folder.

    dbt parses its project anew when the path of the warehouse changes: all tests share one folder, and what dbt keeps there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("raw", "seeds", "data/dbt"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.forget()
        for name, text in SEEDS.items():
            (folder / "seeds" / f"{name}.csv").write_text(text)
        self.rows = {
            "accounts": [
                {"account_id": account, "account_name": account, "segment": "", "created_at": "2024-01-01"} for account in ACCOUNTS
            ],
            "subscriptions": [
                {"subscription_id": f"s-{account}", "account_id": account, "seats": 4, "mrr": 100, "started_on": "2024-01-01"}
                for account in ACCOUNTS
            ],
            "tickets": [
                {
                    "ticket_id": f"open-{account}",
                    "account_id": account,
                    "opened_at": "2026-01-10",
                    "resolved_at": "",
                    "priority": "critical",
                }
                for account in ACCOUNTS
            ]
            # Keeps the feed of tickets fresh.
            + [
                {
                    "ticket_id": f"small-{n}",
                    "account_id": "a1",
                    "opened_at": f"{day} 09:00:00",
                    "resolved_at": f"{day} 10:00:00",
                    "priority": "low",
                }
                for n, day in enumerate(days())
            ],
            # Before there was any action, so it does nothing.
            "action_log": [entry("e0", "a1", "2025-01-01", "done")],
            "usage_events": [
                {"event_id": f"{account}-{user}-{day}", "account_id": account, "user_id": user, "occurred_at": f"{day} 12:00:00"}
                for account in ACCOUNTS
                for user in ("u1", "u2")
                for day in days()
            ],
        }
        sources = "".join(
            f'[sources.{table}]\nconnector = "files"\npath = "raw/{table}.csv"\n{"late_after_days = 2" if table == "tickets" else ""}\n'
            for table in self.rows
        )
        self.config_file = folder / "health.toml"
        self.config_file.write_text(
            f'[pipeline]\nstart_date = {FIRST_DAY}\nend_date = {LAST_DAY}\nseeds_dir = "seeds"\nlookback_days = 0\n'
            f'memory_limit = "512MB"\nthreads = 1\n\n{sources}'
        )

    def edit(self, table: str, change: Callable[[dict], dict | None]) -> None:
        self.rows[table] = [row for row in map(change, self.rows[table]) if row is not None]

    def add_to_seed(self, name: str, *lines: str) -> None:
        with open(self.folder / "seeds" / f"{name}.csv", "a") as file:
            file.write("\n".join(lines) + "\n")

    def use_two_threads(self) -> None:
        """As a real run does; one is enough for so few rows where the order in which threads end is not what is tested."""
        self.config_file.write_text(self.config_file.read_text().replace("threads = 1", "threads = 2"))

    def run(self, start: date = FIRST_DAY, end: date = LAST_DAY, run_id: str = "run") -> None:
        for table, rows in self.rows.items():
            with open(self.folder / "raw" / f"{table}.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        run_pipeline(self.config_file, start, end, run_id)

    def forget(self) -> None:
        """Remove what runs have written."""
        for entry in (self.folder / "data").iterdir():
            if entry.name != "dbt":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def query(self, query: str, *parameters) -> list[tuple]:
        mart = self.folder / "data" / "published" / "current" / "health.duckdb"
        with duckdb.connect(str(mart), read_only=True) as connection:
            return connection.execute(query, list(parameters)).fetchall()

    def moved(self, rows: str = "true") -> set[tuple]:
        """(account, component, metric) of every row of the ledger, or of those that a condition names."""
        return set(self.query(f"select distinct account_id, component, metric_key from score_changes where {rows}"))

    def mart(self) -> dict[str, Rows]:
        return read_mart(self.folder / "data" / "published")


def days() -> list[date]:
    return [HISTORY_STARTS + timedelta(days=n) for n in range((LAST_DAY - HISTORY_STARTS).days + 1)]


def entry(key: str, account: str, logged_at: str, state: str, until: str = "", owner: str = "") -> dict:
    return {"entry_id": key, "account_id": account, "playbook_key": "call", "logged_at": logged_at, "state": state} | {
        "snoozed_until": until,
        "owner": owner,
    }


def critical(key: str, account: str, opened: str, resolved: str = "") -> dict:
    return {"ticket_id": key, "account_id": account, "opened_at": opened, "resolved_at": resolved, "priority": "critical"}


def day_of(row: dict, column: str) -> date:
    return date.fromisoformat(row[column][:10])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steady")


@pytest.fixture
def steady(folder: Path) -> Steady:
    return Steady(folder)


def test_only_a_weight_changes(steady: Steady) -> None:
    steady.add_to_seed("config_versions", f"v2,{CHANGE_DAY},active,,support counts more", "v3,2026-03-10,candidate,,what if")
    for seed in ("scorecards", "scorecard_dimensions", "scorecard_metrics"):
        lines = SEEDS[seed].splitlines()[1:]
        steady.add_to_seed(seed, *[line.replace("v1,", "v2,", 1) for line in lines if "all" in line])
        steady.add_to_seed(seed, *[line.replace("v1,", "v3,", 1) for line in lines if "all" in line])
    path = steady.folder / "seeds" / "scorecard_dimensions.csv"
    path.write_text(path.read_text().replace("v2,all,support,1", "v2,all,support,2").replace("v3,all,support,1", "v3,all,support,6"))
    steady.run()

    assert steady.moved() == {(account, "configuration", None) for account in ACCOUNTS}
    # Adoption scores (100 + 50) / 2 = 75, support 50. By v1 they weigh 2 : 1, by v2 2 : 2, by the candidate 2 : 6.
    scores = steady.query("select distinct config_version, round(uncapped_score, 6) from account_health_history order by 1")
    assert scores == [("v1", round(200 / 3, 6)), ("v2", 62.5)]
    # A new version changes nothing before it.
    assert steady.query("select min(as_of_date) from account_health_history where config_version = 'v2'") == [(CHANGE_DAY,)]
    assert steady.query("select distinct round(points, 6) from score_changes") == [(round(62.5 - 200 / 3, 6),)]
    candidate = (
        "select config_version, min(as_of_date), count(*), min(uncapped_score), max(uncapped_score) from "
        "candidate_scores_history group by 1"
    )
    days_scored = (LAST_DAY - date(2026, 3, 10)).days + 1
    assert steady.query(candidate) == [("v3", date(2026, 3, 10), 3 * days_scored, 56.25, 56.25)]


def test_only_the_segment_changes(steady: Steady) -> None:
    steady.run(end=CHANGE_DAY - timedelta(days=1), run_id="before")
    steady.edit("accounts", lambda row: row | {"segment": "big" if row["account_id"] == "a2" else ""})
    steady.run(CHANGE_DAY, LAST_DAY, "after")
    assert steady.moved() == {("a2", "scorecard", None)}


def test_one_user_leaves_and_weeks_later_one_source_stops(steady: Steady) -> None:
    stops = CHANGE_DAY - timedelta(days=1)
    gone = {"account_id": "a3", "user_id": "u2"}
    steady.edit(
        "usage_events",
        lambda row: None if gone.items() <= row.items() and day_of(row, "occurred_at") >= HISTORY_STARTS + timedelta(days=30) else row,
    )
    # The newest ticket is of the day four before the change day: late when that is more than two days ago.
    steady.edit("tickets", lambda row: row if day_of(row, "opened_at") < CHANGE_DAY - timedelta(days=3) else None)
    steady.run()
    assert steady.moved(f"as_of_date < date '{stops}'") == {("a3", "behaviour", "license_utilization_28d")}
    # One of four seats less: s falls from 50 to 25, of a metric that weighs 2/3 x 1/2.
    points = "select distinct round(points, 9) from score_changes where as_of_date < ?"
    assert steady.query(points, stops) == [(round(-25 / 3, 9),)]
    of_the_day = steady.moved(f"as_of_date = date '{stops}' and days = 7")
    assert of_the_day == {(account, "availability", None) for account in ACCOUNTS}
    assert steady.moved() == of_the_day | {("a3", "behaviour", "license_utilization_28d")}


def test_a_feed_that_is_late_over_a_long_weekend_is_reported_and_no_account(steady: Steady) -> None:
    """Late on the last three days: scores move by availability alone; nobody is alerted, moved or asked to act because of it."""
    # On its own scorecard a3 keeps enough coverage, and its score falls below the limit of its tier for long enough: 62.5 to 50.
    steady.edit("accounts", lambda row: row | {"segment": "big" if row["account_id"] == "a3" else ""})
    steady.add_to_seed("tiers", "v1,big,healthy,green,60,0.75", "v1,big,at_risk,yellow,40,0.25", "v1,big,poor,red,0,0")
    steady.add_to_seed("playbooks", "fell,Fell,1,fell by {delta_7d}")
    steady.add_to_seed("playbook_conditions", "fell,delta_7d,<=,-5")
    steady.edit("usage_events", lambda row: row if day_of(row, "occurred_at") <= CHANGE_DAY - timedelta(days=3) else None)
    steady.use_two_threads()
    before, end = CHANGE_DAY - timedelta(days=1), CHANGE_DAY + timedelta(days=2)
    steady.run(before - timedelta(days=7), end)

    assert steady.query("select account_id, round(delta_7d, 1) from account_health order by 1") == [
        ("a1", -16.7),
        ("a2", -16.7),
        ("a3", -12.5),
    ]
    # From the first late day on; until then two days without events are two days without events.
    moved = "select distinct account_id, component from score_changes where as_of_date >= ? order by 1"
    assert steady.query(moved, CHANGE_DAY) == [(account, "availability") for account in ACCOUNTS]
    # Of a1 and a2 too little is known: their tiers are held.
    tiers = (
        "select account_id, raw_tier, tier, is_tier_held, count(*) from account_health_history where as_of_date >= ? group by all "
        "order by 1"
    )
    assert steady.query(tiers, CHANGE_DAY)[:2] == [(account, "unknown", "at_risk", True, 3) for account in ("a1", "a2")]
    assert steady.query("select account_id, to_tier, component from tier_changes") == [("a3", "at_risk", "availability")]

    settings = load_settings(steady.config_file)
    rules = [AlertRule("w", "W", "tier_worsened"), AlertRule("f", "F", "score_fell", points=5, days=7), AlertRule("l", "L", "source_late")]
    with PublishedMart(settings, settings.published / "current") as mart:
        alerts = find_alerts(mart, settings, dict.fromkeys(rules, FIRST_DAY))
    assert [(alert.rule.key, alert.raw_table, alert.since) for alert in alerts] == [("l", "usage_events", CHANGE_DAY)]
    highlights = read_highlights(settings, settings.published / "current")
    assert (highlights.fell, highlights.rose, highlights.to_worse, highlights.to_better) == ([], [], 0, 0)
    assert steady.query("select * from account_actions where playbook_key = 'fell'") == []
    assert steady.query("select raw_table, status from data_freshness where status = 'late'") == [("usage_events", "late")]


def test_rules_edited_in_place_are_called_configuration(steady: Steady) -> None:
    steady.run(end=CHANGE_DAY - timedelta(days=1), run_id="before")
    before = steady.query("select * exclude (run_id) from account_health_history where as_of_date < ? order by all", CHANGE_DAY)
    path = steady.folder / "seeds" / "scorecard_metrics.csv"
    path.write_text(path.read_text().replace("v1,all,license_utilization_28d,1,linear,0,1", "v1,all,license_utilization_28d,1,linear,0,2"))
    steady.run(CHANGE_DAY, LAST_DAY, "after")
    assert steady.moved() == {(account, "configuration", None) for account in ACCOUNTS}
    # What was scored by the old rules stays as it was.
    assert steady.query("select * exclude (run_id) from account_health_history where as_of_date < ? order by all", CHANGE_DAY) == before


def test_restating_one_day_reaches_everything_that_rests_on_it(steady: Steady) -> None:
    """A day that is scored again with other facts changes tiers, trends, ledgers and actions of later days; the mart is that of a full
    run."""
    steady.run()
    day = FIRST_DAY + timedelta(days=5)
    # Three more critical tickets, on two days only.
    steady.rows["tickets"] += [
        {
            "ticket_id": f"extra-{n}", "account_id": "a1", "opened_at": f"{day} 09:00:00",
            "resolved_at": f"{day + timedelta(days=2)} 10:00:00", "priority": "critical",
        }
        for n in range(3)
    ]  # fmt: skip
    steady.run(day, day + timedelta(days=1), "restated")

    restated = steady.mart()
    changed = {
        row[0]
        for row in steady.query("select as_of_date from score_changes where account_id = 'a1' and metric_key = 'critical_open_tickets'")
    }
    assert {day + timedelta(days=7), day + timedelta(days=8), day + timedelta(days=28)} <= changed
    reasons = dict(steady.query("select as_of_date, reason from published_revisions where revision = 2"))
    assert reasons == {day: "backfill", day + timedelta(days=1): "backfill"}

    steady.forget()
    steady.run()
    assert not differences(restated, steady.mart())


def test_every_field_can_be_named_and_none_becomes_sql(steady: Steady) -> None:
    metrics = ("active_days_28d", "critical_open_tickets", "license_utilization_28d")
    fields = all_fields(metrics, ["adoption", "support"])
    shown = " ".join("{" + name + "}" for name in fields)
    evil = """it's ""quoted"" '; drop table accounts; -- {{ 1 / 0 }}""".replace("{", "(").replace("}", ")")
    steady.add_to_seed("playbooks", f'all,"{evil}",2,"{evil} {shown}"')
    steady.add_to_seed("playbook_conditions", "all,tier,!=,unknown", "all,account_name,=,a'1", "call,support_score,>=,0")
    steady.edit("accounts", lambda row: row | {"account_name": "a'1" if row["account_id"] == "a1" else row["account_name"]})
    steady.run(FIRST_DAY, FIRST_DAY + timedelta(days=1))
    text = evil.replace('""', '"')
    [(account, label, reason)] = steady.query(
        "select account_id, label, reason from account_actions where playbook_key = 'all' and as_of_date = ?", FIRST_DAY
    )
    assert (account, label) == ("a1", text)
    assert reason.startswith(text + " 66.7 ") and "a'1" in reason and " 50% " in reason and "unknown" in reason


def test_a_day_that_a_killed_run_left_half_scored_is_not_published(steady: Steady) -> None:
    steady.run(FIRST_DAY, FIRST_DAY + timedelta(days=2), "before")
    settings = load_settings(steady.config_file)
    stray = FIRST_DAY + timedelta(days=10)
    prepare(settings, "killed", stray, stray)
    dbt_build(settings, "--select", "+int_scoring__account_scores", "--indirect-selection", "empty")
    with duckdb.connect(str(settings.warehouse), read_only=True) as warehouse:
        days_held = "select count(*) from intermediate.int_scoring__account_scores where as_of_date = ?"
        assert warehouse.execute(days_held, [stray]).fetchall() == [(3,)]
    after = FIRST_DAY + timedelta(days=3)
    steady.run(after, after, "after")
    assert steady.query("select max(as_of_date) from account_health_history") == [(after,)]
    assert steady.query("select count(*) from account_health_history") == [(3 * 4,)]


def act_on_tickets(steady: Steady) -> None:
    """Calls that open with a second critical ticket and end with it, and what people log about them."""
    steady.rows["tickets"] += [
        critical("x1", "a1", "2026-03-05 09:00:00", "2026-03-10 10:00:00"),
        critical("x2", "a1", "2026-03-19 09:00:00", "2026-03-24 10:00:00"),
        critical("x3", "a1", "2026-04-08 09:00:00"),
        critical("x4", "a2", "2026-03-20 09:00:00", "2026-03-23 10:00:00"),
        critical("x5", "a3", "2026-03-20 09:00:00"),
    ]
    steady.rows["action_log"] += [
        entry("e1", "a1", "2026-03-06 10:00:00", "open", owner="Ada"),
        entry("e2", "a1", "2026-03-07 10:00:00", "done"),
        # Two days after its condition ended.
        entry("e3", "a1", "2026-03-26 10:00:00", "done"),
        entry("e4", "a1", "2026-04-09 10:00:00", "snoozed", "2026-04-11"),
        entry("e5", "a3", "2026-03-22 10:00:00", "dismissed"),
    ]


def check_actions(steady: Steady) -> None:
    """Done stays done while its condition holds and comes back when it recurs; snoozed until a day; ended by itself; dismissed for good."""
    of_a1 = "select strftime(as_of_date, '%m-%d'), state, owner from account_actions where account_id = 'a1' order by as_of_date"
    first = [("03-05", "open", None), ("03-06", "open", "Ada"), *((f"03-{day:02d}", "done", "Ada") for day in (7, 8, 9))]
    second = [(f"03-{day}", "open", None) for day in range(19, 24)]
    third = [("04-08", "open"), ("04-09", "snoozed"), ("04-10", "snoozed"), ("04-11", "open"), ("04-12", "open")]
    assert steady.query(of_a1) == [*first, *second, *((day, state, None) for day, state in third)]
    history = """
        select account_id, opened_on, due_on, state, closed_on, days_open, snoozed_until from account_actions_history order by all
    """
    march, april = (lambda day: date(2026, 3, day)), (lambda day: date(2026, 4, day))
    assert steady.query(history) == [
        ("a1", march(5), march(19), "done", march(7), 2, None),
        ("a1", march(19), april(2), "done", march(24), 5, None),
        ("a1", april(8), april(22), "open", None, 4, None),
        ("a2", march(20), april(3), "ended", march(23), 3, None),
        ("a3", march(20), april(3), "dismissed", march(22), 2, None),
    ]
    followed = """
        select actions.score_change_28d, round(after.health_score - before.health_score, 1)
        from account_actions_history as actions
        inner join account_health_history as before on actions.account_id = before.account_id and actions.opened_on = before.as_of_date
        inner join account_health_history as after on actions.account_id = after.account_id and actions.opened_on + 28 = after.as_of_date
    """
    [(change, by_hand)] = steady.query(followed)
    assert change == by_hand
    assert steady.query("select done, done_change, done_change_low, not_done, difference from action_outcomes where is_total") == [
        (1, change, None, 0, None)
    ]


def test_any_order_of_runs_gives_the_mart_of_one_run(steady: Steady) -> None:
    steady.use_two_threads()
    steady.add_to_seed("config_versions", f"v2,{CHANGE_DAY},active,,")
    for seed in ("scorecards", "scorecard_dimensions", "scorecard_metrics"):
        steady.add_to_seed(seed, *[line.replace("v1,", "v2,", 1).replace(",0,28,", ",0,20,") for line in SEEDS[seed].splitlines()[1:]])
    steady.edit("usage_events", lambda row: None if row["account_id"] == "a2" and day_of(row, "occurred_at").day % 3 == 0 else row)
    act_on_tickets(steady)
    steady.run(FIRST_DAY, LAST_DAY, "all")
    whole = steady.mart()
    check_actions(steady)

    middle = FIRST_DAY + timedelta(days=20)
    steady.run(middle, LAST_DAY, "from the middle to the end")
    assert not differences(whole, steady.mart())

    # The end first, then the beginning.
    steady.forget()
    steady.run(middle, LAST_DAY, "the end")
    steady.run(FIRST_DAY, middle - timedelta(days=1), "the beginning")
    assert not differences(whole, steady.mart())
