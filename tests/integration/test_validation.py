"""The real command on real files: who left, and what the scores said, equals a calculation over the files themselves."""

import csv
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.company import NOT_DATA, content
from tests.forked import health
from tests.forked import run as run_module
from tests.pipeline import run_pipeline

FIRST_DAY, LAST_DAY = date(2026, 1, 5), date(2026, 3, 8)
HORIZON, RETURN_DAYS = 30, 15
# LAST_DAY is day 62; a Monday is known once 45 days have passed.
MONDAYS = [FIRST_DAY + timedelta(days=days) for days in (0, 7, 14)]
ACCOUNTS = 300

SEEDS = {
    "config_versions": "config_version,valid_from,status,author,note\nv1,2020-01-01,active,,\nturned,2020-01-01,candidate,,\n",
    "metrics": "metric_key,dimension_key,label,unit,higher_is_better,description\nactive_days_28d,adoption,Active days,days,true,\n",
    "scorecards": "config_version,scorecard_key,label,priority,segment,stage,min_coverage,confirm_days,tier_mode,tier_margin\n"
    "v1,all,All,1,*,*,0.4,1,threshold,0\nturned,all,All,1,*,*,0.4,1,threshold,0\n",
    "scorecard_dimensions": "config_version,scorecard_key,dimension_key,weight\nv1,all,adoption,1\nturned,all,adoption,1\n",
    "scorecard_metrics": "config_version,scorecard_key,metric_key,weight,method,worst,best,missing_policy\n"
    "v1,all,active_days_28d,1,linear,0,28,exclude\nturned,all,active_days_28d,1,linear,28,0,exclude\n",
    "metric_bands": "config_version,scorecard_key,metric_key,lower_bound,score\n",
    "score_caps": "config_version,scorecard_key,cap_key,metric_key,operator,threshold,max_score,reason\n",
    "tiers": "config_version,scorecard_key,tier,colour,min_score,min_percentile\n",
    "fx_rates": "currency,valid_from,rate\nUSD,2020-01-01,1\n",
}


@dataclass(frozen=True)
class Customer:
    """uses_on: shares of 28 days with use. paid: when paid subscriptions begin and end. tenure: days at FIRST_DAY."""

    name: str
    days_of_use: int
    tenure: int
    paid: list[tuple[date, date | None]]
    trial: tuple[date, date | None] | None = None


def customers() -> list[Customer]:
    """Whoever uses the product on fewer days leaves more often; some come back, some never pay."""
    found = []
    for number in range(ACCOUNTS):
        days_of_use = (number * 11) % 29
        tenure = 31 + (number * 37) % 500
        begun = FIRST_DAY - timedelta(days=tenure)
        ends = None
        if (number * 7) % 29 > days_of_use - 3 + (number % 5):
            ends = FIRST_DAY + timedelta(days=2 + (number * 13) % 50)
        paid: list[tuple[date, date | None]] = [(begun, ends)]
        if ends and number % 6 == 0:
            # Back on the 15th day: never left; or on the 16th: left and came back.
            paid.append((ends + timedelta(days=RETURN_DAYS + number // 6 % 2), None))
        found.append(Customer(f"c{number:03d}", days_of_use, tenure, paid))
    found += [Customer(f"t{number}", 3, 60, [], (FIRST_DAY - timedelta(days=60), FIRST_DAY + timedelta(days=9))) for number in range(9)]
    return found


def write_company(folder: Path) -> Path:
    (folder / "raw").mkdir(parents=True)
    (folder / "seeds").mkdir()
    for name, text in SEEDS.items():
        (folder / "seeds" / f"{name}.csv").write_text(text)
    accounts, subscriptions, events = [], [], []
    for customer in customers():
        created = FIRST_DAY - timedelta(days=customer.tenure)
        accounts.append({"account_id": customer.name, "account_name": customer.name, "segment": customer.name[0], "created_at": created})
        rows = [(begin, end, False) for begin, end in customer.paid] + ([(*customer.trial, True)] if customer.trial else [])
        for place, (begin, end, is_trial) in enumerate(rows):
            subscription = {"subscription_id": f"{customer.name}-{place}", "account_id": customer.name, "mrr": 100, "started_on": begin}
            subscriptions.append(subscription | {"ended_on": end or "", "is_trial": str(is_trial).lower()})
        # The same days of every 28, so that the metric is the same on every day.
        for back in range((LAST_DAY - FIRST_DAY).days + 28):
            day = LAST_DAY - timedelta(days=back)
            if day.toordinal() % 28 < customer.days_of_use and day >= created:
                event = {"event_id": f"{customer.name}-{day}", "account_id": customer.name, "user_id": "u"}
                events.append(event | {"occurred_at": f"{day} 12:00:00"})
    for name, rows in (("accounts", accounts), ("subscriptions", subscriptions), ("usage_events", events)):
        with open(folder / "raw" / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    config_file = folder / "health.toml"
    config_file.write_text(
        f'[pipeline]\nstart_date = {FIRST_DAY}\nend_date = {LAST_DAY}\nseeds_dir = "seeds"\nmemory_limit = "512MB"\n'
        + "".join(
            f'[sources.{name}]\nconnector = "files"\npath = "raw/{name}.csv"\n' for name in ("accounts", "subscriptions", "usage_events")
        )
        + "[validation]\nhorizon_days = 30\nmin_skill = 0.99\n"
    )
    return config_file


def leaving_days(customer: Customer) -> list[date]:
    spans = sorted(customer.paid)
    return [
        end
        for place, (_, end) in enumerate(spans)
        if end and not any(begin <= end + timedelta(days=RETURN_DAYS) for begin, _ in spans[place + 1 :])
    ]


def labelled(turned: bool = False) -> list[tuple[date, int, float, str, bool]]:
    """(Monday, tenure band, score, account, leaves) of everybody who ever paid, from the files alone."""
    rows = []
    for customer in customers():
        for day in MONDAYS:
            if not any(begin <= day and (end is None or day < end) for begin, end in customer.paid):
                continue
            tenure = customer.tenure + (day - FIRST_DAY).days
            first = max(FIRST_DAY - timedelta(days=customer.tenure), day - timedelta(days=27))
            active = sum((day - timedelta(days=back)).toordinal() % 28 < customer.days_of_use for back in range((day - first).days + 1))
            score = float(f"{100 * active / 28 + 1e-9:.1f}")
            leaves = any(day < end <= day + timedelta(days=HORIZON) for end in leaving_days(customer))
            rows.append((day, (tenure >= 90) + (tenure >= 365), 100 - score if turned else score, customer.name, leaves))
    return rows


def concordance(rows: list[tuple], stratum) -> float:
    won = pairs = 0.0
    for leaver in rows:
        for stayer in rows:
            if leaver[4] and not stayer[4] and stratum(leaver) == stratum(stayer):
                won += (leaver[2] < stayer[2]) + 0.5 * (leaver[2] == stayer[2])
                pairs += 1
    return won / pairs


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.CompletedProcess, duckdb.DuckDBPyConnection]]:
    config_file = write_company(tmp_path_factory.mktemp("validated"))
    run_pipeline(config_file, FIRST_DAY, LAST_DAY)
    done = health(config_file, "validate")
    with duckdb.connect(str(config_file.parent / "data/published/current/health.duckdb"), read_only=True) as mart:
        yield done, mart


def row_of(mart: duckdb.DuckDBPyConnection, version: str, history: str) -> dict:
    cursor = mart.execute(
        "select * from score_validation where config_version = ? and history = ? and horizon_days = ? and scope = 'all' and period = 'all'",
        [version, history, HORIZON],
    )
    [row] = cursor.fetchall()
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


def test_the_command_says_the_verdict_and_what_is_asked_for(validated):
    done, mart = validated
    row = row_of(mart, "v1", "as_first_published")
    assert done.returncode == 0, done.stderr
    assert f"v1 (active) as_first_published, 30 days: skill {row['skill']:.2f} (" in done.stdout
    assert f"verdict {row['verdict']}: " in done.stdout and "turned (candidate) as_restated, 30 days" in done.stdout
    assert done.stderr.startswith("[validation] min_skill asks for 0.99; v1, 30 days: skill ")


@pytest.mark.parametrize("version", ["v1", "turned"])
def test_skill_equals_a_count_over_all_pairs(validated, version):
    _, mart = validated
    rows = labelled(turned=version == "turned")
    row = row_of(mart, version, "as_restated")
    assert (row["first_day"], row["last_day"]) == (MONDAYS[0], MONDAYS[-1])
    assert row["account_days"] == len(rows)
    assert row["accounts"] == len({account for *_, account, _ in rows})
    assert row["leavers"] == len({account for *_, account, leaves in rows if leaves}) > 100
    assert row["skill"] == pytest.approx(concordance(rows, lambda row: row[:2]), abs=1e-12)
    assert row["auc_within_day"] == pytest.approx(concordance(rows, lambda row: row[0]), abs=1e-12)
    assert row["pooled_auc"] == pytest.approx(concordance(rows, lambda row: 0), abs=1e-12)
    assert row["skill_low"] < row["skill"] < row["skill_high"]
    assert row["verdict"] == ("skill" if version == "v1" else "no_skill")


def test_tiers_and_lead_times_equal_the_files(validated):
    _, mart = validated
    rows = labelled()
    for tier, low, high in (("healthy", 70, 101), ("at_risk", 40, 70), ("poor", 0, 40)):
        [found] = mart.execute(
            "select account_days, leavers, leaving_rate from tier_validation where config_version = 'v1' and history = 'as_restated' "
            "and horizon_days = ? and tier = ?",
            [HORIZON, tier],
        ).fetchall()
        mine = [row for row in rows if low <= row[2] < high]
        gone = [row for row in mine if row[4]]
        assert found == (len(mine), len({row[3] for row in gone}), pytest.approx(len(gone) / len(mine)))
    before = [
        score_of(customer, end - timedelta(days=30))
        for customer in customers()
        for end in leaving_days(customer)
        if end - timedelta(days=30) >= FIRST_DAY and end + timedelta(days=RETURN_DAYS) <= LAST_DAY
    ]
    assert row_of(mart, "v1", "as_restated")["below_green_30d"] == pytest.approx(sum(score < 70 for score in before) / len(before))


def score_of(customer: Customer, day: date) -> float:
    created = FIRST_DAY - timedelta(days=customer.tenure)
    days = [day - timedelta(days=back) for back in range(28)]
    return round(100 * sum(each >= created and each.toordinal() % 28 < customer.days_of_use for each in days) / 28, 1)


def test_outcomes_are_published_and_trials_have_none(validated):
    _, mart = validated
    expected = [
        (customer.name, end) for customer in customers() for end in leaving_days(customer) if end + timedelta(days=RETURN_DAYS) <= LAST_DAY
    ]
    query = "select account_id, occurred_on from account_outcomes where kind = 'ended' order by 1, 2"
    assert mart.execute(query).fetchall() == sorted(expected)
    assert mart.execute("select count(*) from account_outcomes where account_id like 't%'").fetchall() == [(0,)]


def test_the_manifest_names_every_file(validated, tmp_path):
    _, mart = validated
    [(path,)] = mart.execute("select path from duckdb_databases() where database_name = 'health'").fetchall()
    generation = Path(path).resolve().parent
    files = {str(file.relative_to(generation)) for file in generation.rglob("*") if file.is_file()} - {"manifest.json"}
    manifest = json.loads((generation / "manifest.json").read_text())
    assert set(manifest["files"]) == files and "parquet/score_validation.parquet" in files
    assert manifest["generation"] == 2 and "board/index.html" in files


WEEKLY = """
from orchestration.home import prepare_home
from orchestration.settings import load_settings
prepare_home(load_settings())
import dagster as dg
from orchestration.definitions import defs
with dg.DagsterInstance.get() as instance:
    result = defs().resolve_job_def("weekly_validation").execute_in_process(instance=instance)
print(*sorted(event.asset_key.path[-1] for event in result.get_asset_materialization_events()))
print(*((check.check_name, check.passed, check.severity.value) for check in result.get_asset_check_evaluations()))
"""


def config_of(mart: duckdb.DuckDBPyConnection) -> Path:
    [(path,)] = mart.execute("select path from duckdb_databases() where database_name = 'health'").fetchall()
    # data/published/generations/<n>/health.duckdb
    return Path(path).resolve().parents[4] / "health.toml"


def in_force(day: date) -> list[Customer]:
    return [
        customer
        for customer in customers()
        for begin, end in [*customer.paid, *([customer.trial] if customer.trial else [])]
        if begin <= day and (end is None or end > day)
    ]


def command(mart: duckdb.DuckDBPyConnection, *arguments: str) -> subprocess.CompletedProcess:
    return health(config_of(mart), *arguments)


def test_the_impact_of_a_candidate_is_every_account_whose_tier_differs(validated, tmp_path):
    _, mart = validated
    done = command(mart, "impact", "v1", "turned", "--csv", str(tmp_path / "changed.csv"), "--max-tier-changes", "3")
    assert done.returncode == 1, done.stderr
    everybody = in_force(LAST_DAY)
    expected = {
        customer.name for customer in everybody if tier_of(score_of(customer, LAST_DAY)) != tier_of(100 - score_of(customer, LAST_DAY))
    }
    with open(tmp_path / "changed.csv", newline="") as file:
        assert {row["account_id"] for row in csv.DictReader(file) if row["as_of_date"] == str(LAST_DAY)} == expected
    assert (
        f"{len(expected)} of {len(everybody)} accounts change tier, with {1200 * len(expected):,} of {1200 * len(everybody):,} arr"
        in done.stdout
    )
    assert f"| weights and anchors | {len(expected)} | {1200 * len(expected):,} | " in done.stdout and "| before | 0." in done.stdout
    assert done.stderr.strip() == f"{len(expected)} accounts change tier; --max-tier-changes allows 3"


def git(config_file: Path, *arguments: str) -> None:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.com"]
    subprocess.run(["git", "-C", str(config_file.parent), *who, *arguments], check=True, capture_output=True)


def test_two_git_revisions_differ_by_the_accounts_that_a_moved_limit_moves(validated, tmp_path):
    done, mart = validated
    config_file = config_of(mart)
    tiers = config_file.parent / "seeds" / "tiers.csv"
    before = content(config_file.parent / "data", NOT_DATA)
    git(config_file, "init", "-q", "-b", "main")
    git(config_file, "add", "seeds")
    git(config_file, "commit", "-qm", "as it is")
    tiers.write_text(tiers.read_text() + "".join(f"v1,all,{row}\n" for row in ("healthy,green,75,", "at_risk,yellow,40,", "poor,red,0,")))
    git(config_file, "commit", "-qam", "healthy from 75 on")
    table = tmp_path / "changed.csv"
    done = command(mart, "impact", "main~1", "main", "--csv", str(table), "--max-arr-moved", "0", "--max-tier-changes", "1000")
    scores = {customer.name: score_of(customer, LAST_DAY) for customer in in_force(LAST_DAY)}
    expected = {name for name, score in scores.items() if 70 <= score < 75}
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["account_id"] for row in rows if row["as_of_date"] == str(LAST_DAY)} == expected and expected
    assert {(row["tier_before"], row["tier_after"], row["component"]) for row in rows} == {("healthy", "at_risk", "tier limits")}
    days = {LAST_DAY - timedelta(days=back): 0 for back in range(28)}
    for day in days:
        days[day] = sum(70 <= score_of(customer, day) < 75 for customer in in_force(day))
    assert {day: sum(row["as_of_date"] == str(day) for row in rows) for day in days} == days
    assert "## From `main~1: v1` to `main: v1` on 2026-03-08" in done.stdout
    # Skill does not depend on where a tier begins, and is that of the published history.
    skill = row_of(mart, "v1", "as_restated")
    shown = f"{skill['skill']:.2f} ({skill['skill_low']:.2f} to {skill['skill_high']:.2f}) | {skill['verdict']} |"
    assert f"| before | {shown}" in done.stdout and f"| after | {shown}" in done.stdout
    share = len(expected) / len(scores)
    warning, limit = done.stderr.splitlines()
    assert warning.startswith("seeds/scorecard_metrics.csv line 3: metric 'active_days_28d' has worst 28 and best 0, but higher is better")
    assert (done.returncode, limit) == (1, f"{share:.1%} of arr changes tier; --max-arr-moved allows 0.0%")
    assert content(config_file.parent / "data", NOT_DATA) == before
    # What a run would refuse is not compared.
    mistake = {"playbooks": "playbook_key,label,priority,reason_template\nask,Ask,1,Why\n"}
    mistake |= {"playbook_conditions": "playbook_key,field,operator,value\nask,health_score,>,100\n"}
    for seed, text in mistake.items():
        (tiers.parent / f"{seed}.csv").write_text(text)
    refused = command(mart, "impact", "main")
    for seed in mistake:
        (tiers.parent / f"{seed}.csv").unlink()
    git(config_file, "checkout", "-q", "main~1")
    said = "seeds/playbooks.csv line 2: playbook 'ask' never holds: health_score > 100 cannot be true. Correct the condition"
    assert (refused.returncode, refused.stderr.strip()) == (2, said)


def test_the_weekly_job_materializes_every_table_and_checks_the_skill(validated):
    _, mart = validated
    done = run_module("-c", WEEKLY, config=config_of(mart))
    assert done.returncode == 0, done.stderr
    tables = "calibration metric_influence renewal_forecast score_validation tier_validation weight_proposals"
    assert done.stdout.splitlines()[-2:] == [tables, "('skill_is_enough', False, 'WARN')"]


def test_the_copy_in_postgres_has_the_validation_too(validated, postgres_url, monkeypatch):
    _, mart = validated
    config_file = config_of(mart)
    text = config_file.read_text()
    config_file.write_text(text + '[exports.postgres]\nurl = { env = "MART_URL" }\nschema = "validated"\n')
    monkeypatch.setenv("MART_URL", postgres_url.replace("+psycopg", ""))
    done = command(mart, "validate")
    assert done.returncode == 0, done.stderr
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        generation, skill = connection.execute(
            "select generation, skill from validated.published_generation, validated.score_validation where config_version = 'v1' "
            "and history = 'as_restated' and horizon_days = 30 and scope = 'all' and period = 'all'"
        ).fetchall()[0]
    assert f"(generation {generation})" in done.stdout and skill == row_of(mart, "v1", "as_restated")["skill"]
    # A database that is down is said; the mart has its validation.
    monkeypatch.setenv("MART_URL", "postgresql://writer:geheim@127.0.0.1:1/mart")
    done = command(mart, "validate")
    config_file.write_text(text)
    assert done.returncode == 0 and f"(generation {generation + 1})" in done.stdout
    assert "exports.postgres: the database says: " in done.stderr and "geheim" not in done.stderr


def tier_of(score: float) -> str:
    return "healthy" if score >= 70 else "at_risk" if score >= 40 else "poor"
