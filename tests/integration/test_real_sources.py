"""One company whose data lives in Stripe, Zendesk, Postgres and S3, through Dagster in one run: its scores, and no secret outside.

Some of its sources fail in that run, so that there are errors to log; their servers answer with the credentials that they got.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer

from orchestration.settings import PROJECT_ROOT
from tests.forked import health
from tests.forked import run as run_module
from tests.leaks import find_leaks
from tests.local_server import Fault
from tests.postgres import postgres
from tests.stripe_server import KEY, StripeServer, stripe_server
from tests.zendesk_server import ZendeskServer

DESK_TOKEN, LOST_TOKEN = "sesame+desk/77==", "sesame+lost/78=="
DATABASE_PASSWORD, DOWN_PASSWORD = "sesame+base/55", "sesame+down/56"
STORE_KEY, STORE_SECRET = "SESAMEKEY9921", "sesame+store/44=="
AGENT = "reader@acme.example"
DAYS_UNPAID = 10
UNREAD = {"survey_responses", "csm_pulses", "feature_releases"}


@dataclass(frozen=True)
class Ran:
    """What the run left.

    Attributes:
        folder: of the configuration; `data` is the data folder.
        secrets: all that must not get out, by name.
        texts: what the run said, and what Dagster recorded of it, by name.
        record: what Dagster recorded.
        issued: day of the invoices.
        yearly: start and end of the term that is billed by the year.
        refused: exit code and error of the same command with two variables unset.
    """

    folder: Path
    secrets: dict[str, str]
    texts: dict[str, str]
    record: dict[str, Any]
    issued: date
    yearly: tuple[date, date]
    refused: tuple[int, str]

    @property
    def last_day(self) -> date:
        return self.issued + timedelta(days=DAYS_UNPAID)


def day_of(moment: int) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def bill(stripe: StripeServer) -> tuple[date, tuple[date, date]]:
    """Acme pays 30 dollars a month for 200 days, and for 50 days 600 a year besides; its card then fails. Gone was deleted.

    Returns:
        Day of the invoices; start and end of the yearly term.
    """
    now = datetime.now(UTC) - timedelta(days=DAYS_UNPAID + 1)
    started = {days: int((now - timedelta(days=days)).timestamp()) for days in (50, 200)}
    card = {"object": "card", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    monthly, yearly = (
        stripe.create("plans", nickname=name, amount=amount, currency="usd", interval=interval, product={"name": name})["id"]
        for name, amount, interval in (("Team", 1000, "month"), ("Suite", 60000, "year"))
    )
    good = card | {"number": "4242424242424242"}
    acme = stripe.create("customers", name="Acme Zebra", email="a@acme.example", source=good, metadata={"crm": "A-1"})["id"]
    gone = stripe.create("customers", name="Gone", email="g@gone.example", source=good, metadata={"crm": "G-9"})["id"]
    for customer in (acme, gone):
        stripe.create("subscriptions", customer=customer, items=[{"plan": monthly, "quantity": 3}], backdate_start_date=started[200])
    suite = stripe.create("subscriptions", customer=acme, items=[{"plan": yearly}], backdate_start_date=started[50])
    failing = stripe.create(f"customers/{acme}/sources", source=card | {"number": "4000000000000341"})["id"]
    stripe.create(f"customers/{acme}", default_source=failing)
    stripe.create("invoiceitems", customer=acme, amount=700, currency="usd")
    unpaid = stripe.create("invoices", customer=acme)["id"]
    assert stripe.create(f"invoices/{unpaid}/pay")["status"] == "open"
    stripe.delete(f"customers/{gone}")
    return now.date(), (day_of(started[50]), day_of(suite["current_period_end"]))


def ticket(number: int, day: date) -> dict[str, Any]:
    moment = f"{day}T08:00:00Z"
    return {
        "id": number, "status": "open", "created_at": moment, "updated_at": moment, "organization_id": 7, "requester_id": 1,
        "priority": "urgent", "type": "incident", "tags": [], "custom_fields": [], "metric_set": {"ticket_id": number},
    }  # fmt: skip


def write_seeds(folder: Path) -> None:
    """The shipped scorecards, with the standard one for every account."""
    shutil.copytree(PROJECT_ROOT / "seeds", folder)
    cards = folder / "scorecards.csv"
    first_days = "2026.1,onboarding,First 90 days,20,"
    assert first_days in cards.read_text()
    cards.write_text(cards.read_text().replace(first_days, "2026.1,onboarding,First 90 days,5,"))


def configuration(day: date, stripe: str, desk: str, store: str) -> str:
    read_stripe = (
        f'connector = "stripe"\nbase_url = "{stripe}"\napi_key = {{ env = "STRIPE_KEY" }}\naccount_key = "metadata.crm"\n'
        f"max_bad_share = 0.5\n"
    )
    read_desk = f'connector = "zendesk"\nbase_url = "{desk}"\nemail = "{AGENT}"\nmax_attempts = 2\nmax_retry_delay_seconds = 0.1\n'
    read_store = (
        f'connector = "files"\nstorage = {{ endpoint = "{store}", region = "us-east-1", access_key_id = {{ env = "STORE_KEY" }},'
        ' secret_access_key = { env = "STORE_SECRET" } }\n'
    )
    tables = {
        **dict.fromkeys(("accounts", "subscriptions", "invoices", "account_outcomes"), read_stripe),
        "tickets": f'{read_desk}api_token = {{ env = "DESK_TOKEN" }}\n',
        "survey_responses": f'{read_desk}api_token = {{ env = "LOST_TOKEN" }}\n',
        "touchpoints": 'connector = "sql"\nurl = { env = "DATABASE_URL" }\ntable = "calls"\n',
        "csm_pulses": 'connector = "sql"\nurl = { env = "DOWN_URL" }\ntable = "pulses"\n',
        "advocacy_events": f'{read_store}path = "s3://raw/advocacy/*.csv"\n',
        "feature_releases": f'{read_store}path = "s3://nowhere/*.csv"\n',
    }
    return (
        f"[pipeline]\nstart_date = {day}\nend_date = {day}\nlookback_days = 0\n"
        'seeds_dir = "seeds"\nthreads = 2\nmemory_limit = "1GB"\n' + "".join(f"[sources.{name}]\n{lines}" for name, lines in tables.items())
    )


@pytest.fixture
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("real")
    with ExitStack() as running:
        stripe = running.enter_context(stripe_server(tmp_path_factory.mktemp("localstripe"), DAYS_UNPAID + 1))
        desk = running.enter_context(ZendeskServer(organizations=[{"id": 7, "external_id": "A-1"}]))
        database = sa.make_url(running.enter_context(postgres())).set(password=DATABASE_PASSWORD)
        store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        store.start()
        running.callback(store.stop)
        endpoint = "http://{}:{}".format(*store.get_host_and_port())

        issued, yearly = bill(stripe)
        desk.tickets = [ticket(1, issued), ticket(2, issued + timedelta(days=9))]
        basic = base64.b64encode(f"{AGENT}/token:{LOST_TOKEN}".encode()).decode()
        desk.faults = [Fault("satisfaction", 401, f'{{"error": "no {LOST_TOKEN}, Basic {basic}"}}', {"X-Got": basic}, times=None)]
        engine = sa.create_engine(database)
        with engine.begin() as connection:
            columns = "touchpoint_id int, account_id text, occurred_at date, channel text, direction text"
            connection.execute(sa.text(f"create table calls ({columns})"))
            connection.execute(sa.text("insert into calls values (1, 'A-1', :day, 'call', 'inbound')"), {"day": issued})
        engine.dispose()
        bucket = boto3.resource(
            "s3", endpoint_url=endpoint, aws_access_key_id=STORE_KEY, aws_secret_access_key=STORE_SECRET, region_name="us-east-1"
        ).create_bucket(Bucket="raw")
        bucket.put_object(Key="advocacy/1.csv", Body=f"advocacy_id,account_id,occurred_at,kind\nv1,A-1,{issued},referral\n".encode())

        variables = {
            "STRIPE_KEY": KEY,
            "DESK_TOKEN": DESK_TOKEN,
            "LOST_TOKEN": LOST_TOKEN,
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "DOWN_URL": sa.URL.create("postgresql+psycopg", "reader", DOWN_PASSWORD, "127.0.0.1", 9, "db").render_as_string(False),
            "STORE_KEY": STORE_KEY,
            "STORE_SECRET": STORE_SECRET,
        }
        write_seeds(folder / "seeds")
        config = folder / "health.toml"
        last_day = issued + timedelta(days=DAYS_UNPAID)
        config.write_text(configuration(last_day, stripe.url, desk.url, endpoint))
        unset = {name: value for name, value in variables.items() if name not in ("LOST_TOKEN", "STORE_SECRET")}
        refused = health(config, "run", variables=unset)
        assert not (folder / "data").exists()
        result = tmp_path_factory.mktemp("result") / "result.json"
        done = run_module("tests.dagster_run", result, last_day, config=config, variables=variables)
        assert result.exists(), done.stderr
        yield Ran(
            folder,
            variables | {"password": DATABASE_PASSWORD, "password of what is down": DOWN_PASSWORD},
            {"standard output": done.stdout, "standard error": done.stderr, "run metadata": result.read_text()},
            json.loads(result.read_text()),
            issued,
            yearly,
            (refused.returncode, refused.stderr),
        )


def unset_secrets_refuse_the_run_at_once_and_all_together(ran: Ran) -> None:
    code, said = ran.refused
    assert code == 2
    assert [line.split(": ", 1)[1] for line in said.splitlines()] == [
        f"sources.{key}: the environment variable {variable} is not set. Set it to the secret, then run again"
        for key, variable in (
            ("survey_responses.api_token", "LOST_TOKEN"),
            ("advocacy_events.storage.secret_access_key", "STORE_SECRET"),
            ("feature_releases.storage.secret_access_key", "STORE_SECRET"),
        )
    ]


def the_run_succeeds_and_says_which_sources_it_could_not_read(ran: Ran) -> None:
    assert ran.record["exit_code"] == 0, ran.texts["standard error"]
    failed = [one for one in ran.record["checks"] if one["name"] == "source_could_be_read" and not one["passed"]]
    assert {one["asset"].removeprefix("raw/") for one in failed} == UNREAD
    said = ran.texts["standard error"] + ran.texts["standard output"]
    for words in ("refuses the credentials (401)", "the database says", "s3://nowhere cannot be read"):
        assert words in said


def metrics(ran: Ran) -> dict[str, tuple[float | None, str]]:
    """Value and state of the account's metrics on the last day."""
    with duckdb.connect(str(ran.folder / "data" / "published" / "current" / "health.duckdb"), read_only=True) as mart:
        rows = mart.execute(
            "select metric_key, value, state from metric_scores_history where account_id = 'A-1' and as_of_date = ?", [ran.last_day]
        ).fetchall()
    return {key: (value, state) for key, value, state in rows}


def what_stripe_holds_is_scored(ran: Ran) -> None:
    found = metrics(ran)
    # Three invoices, all due when they were issued: two paid at once, one unpaid for ten days.
    assert found["days_late_180d"] == (pytest.approx(10 / 3), "measured")
    # The unpaid one bills three seats of ten dollars and seven dollars besides; 30 + 600 / 12 dollars are in force.
    assert found["overdue_ratio"] == (pytest.approx(37 / 80), "measured")
    # Ninety days before there were only the three seats.
    assert found["mrr_trend_90d"] == (pytest.approx((80 - 30) / 30), "measured")
    # The month's term has ended; what is next is the end of the year.
    assert found["days_to_renewal"] == ((ran.yearly[1] - ran.last_day).days, "measured")
    assert found["days_since_renewal"] == ((ran.last_day - ran.yearly[0]).days, "measured")
    assert found["expansions_365d"] == (1, "measured")


def the_other_sources_are_scored_and_those_that_failed_are_not_zero(ran: Ran) -> None:
    found = metrics(ran)
    assert found["critical_open_tickets"] == (2, "measured")
    assert found["two_way_touchpoints_90d"] == (1, "measured")
    assert found["advocacy_365d"] == (1, "measured")
    # Never landed: there is nothing that could be late.
    for key in ("csat_180d", "csm_pulse"):
        assert found[key][1] == "missing"


def a_deleted_customer_is_no_account_and_its_subscription_is_no_one_elses(ran: Ran) -> None:
    with duckdb.connect(str(ran.folder / "data" / "published" / "current" / "health.duckdb"), read_only=True) as mart:
        assert mart.execute("select distinct account_id from account_health_history").fetchall() == [("A-1",)]


def no_secret_stands_in_anything_that_the_run_left(ran: Ran) -> None:
    assert find_leaks(ran.folder, ran.secrets, ran.texts) == []


def the_search_sees_into_what_the_run_left(ran: Ran) -> None:
    """Else it would have found nothing for want of looking."""
    places = find_leaks(ran.folder, {"name": "Acme Zebra", "said": "refuses the credentials"}, ran.texts)
    for part in ("name in data/lake/raw/accounts", "name in data/warehouse.duckdb", "name in data/published/generations/"):
        assert any(place.startswith(part) for place in places), part
    assert any(place.startswith("said in data/dagster/") for place in places)
    assert "said in standard output" in places
    # What dbt knows of its project is there too.
    assert find_leaks(ran.folder, {"model": "int_metrics__commercial"}) != []


def test_a_company_of_real_sources(ran: Ran) -> None:
    """One test, since tests of their own could each cost the run on another worker."""
    unset_secrets_refuse_the_run_at_once_and_all_together(ran)
    the_run_succeeds_and_says_which_sources_it_could_not_read(ran)
    what_stripe_holds_is_scored(ran)
    the_other_sources_are_scored_and_those_that_failed_are_not_zero(ran)
    a_deleted_customer_is_no_account_and_its_subscription_is_no_one_elses(ran)
    no_secret_stands_in_anything_that_the_run_left(ran)
    the_search_sees_into_what_the_run_left(ran)
