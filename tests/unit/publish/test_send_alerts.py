"""Sending alerts to a server that fails on command: each once, whatever happens; quiet where nothing is new; no secret in sight."""

import hashlib
import hmac
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from orchestration.cli import main
from orchestration.publish import alerts as sending
from orchestration.publish.alerts import AlertLogError, AlertsBusy, FailedRun, Sent, delivery, late_mart, preview_alerts, send_alerts
from orchestration.publish.alerts.messages import Message
from orchestration.publish.generations import flip, read_manifest
from orchestration.settings import PROJECT_ROOT, Settings, load_settings
from tests.alert_mart import account, account_day, publish_mart
from tests.mail_server import MailServer
from tests.webhook_server import SECRET, Answer, Posted, WebhookServer

DAY = date(2026, 6, 29)
LOOKBACK = 3
FELL = "fell,Score fell,score_fell,,,10,7,,,"


def day(offset: int) -> date:
    return DAY + timedelta(days=offset)


@pytest.fixture
def slack() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which nobody waits for."""
    taken: list[float] = []
    monkeypatch.setattr(delivery, "_sleep", taken.append)
    return taken


class Team:
    """A company with alerts: `publish` a day of it, `send` what is due."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = 0
        (folder / "seeds").mkdir()
        self.rules(FELL)
        self.configure('slack_webhook = { env = "TEST_SLACK" }', 'webhook = { env = "TEST_WEBHOOK" }')

    def configure(self, *alerts: str, pipeline: str = "") -> None:
        self.config_file.write_text(
            f"[pipeline]\nstart_date = 2026-01-01\nlookback_days = {LOOKBACK}\nlock_timeout_seconds = 0.2\nthreads = 1\n"
            f'seeds_dir = "seeds"\n{pipeline}\n[sources.accounts]\nconnector = "demo"\n'
            '[board]\nbase_url = "https://health.acme.com/board"\n[alerts]\n' + "\n".join(alerts)
        )

    @property
    def config_file(self) -> Path:
        return self.folder / "health.toml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config_file)

    def rules(self, *lines: str) -> None:
        header = "rule_key,label,kind,from_tier,tier,points,days,segment,min_arr,channel"
        (self.folder / "seeds" / "alert_rules.csv").write_text("\n".join([header, *lines, ""]))

    def publish(
        self, newest: date, falls: dict[str, date] | None = None, published_on: date | None = None, **tables: list[dict[str, Any]]
    ) -> None:
        """A generation in which the score of each account fell on the day given."""
        falls = falls or {}
        self.generation += 1
        rows = [account(name, delta_7d=-10.0) for name in falls] + [account("calm", delta_7d=0.0)]
        lasting = [
            account_day(newest - timedelta(days=n), name, delta_7d=-10.0)
            for name, since in falls.items()
            for n in range(1, (newest - since).days + 1)
        ]
        publish_mart(
            self.settings, self.generation, newest, {"account_health": rows, "account_health_history": lasting} | tables, published_on
        )

    def send(self) -> Sent:
        return send_alerts(self.settings)


@pytest.fixture
def team(tmp_path: Path, slack: WebhookServer, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setenv("TEST_SLACK", slack.url)
    monkeypatch.setenv("TEST_WEBHOOK", webhook.url)
    return Team(tmp_path)


def accounts_of(posts: list[Posted]) -> list[list[str]]:
    """The accounts of each JSON message."""
    return [[alert["account"]["account_id"] for alert in post.content["alerts"]] for post in posts]


def told(server: WebhookServer) -> list[list[str]]:
    return accounts_of(server.take())


class TestOnce:
    def test_one_message_for_each_channel_and_never_again(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY, "a2": DAY})
        assert team.send() == Sent({"slack": 1, "webhook": 1}, {"slack": [], "webhook": []})
        assert (len(slack.take()), told(webhook)) == (1, [["a1", "a2"]])
        team.send()
        team.publish(DAY, {"a1": DAY, "a2": DAY, "a3": DAY})  # the same day again
        team.send()
        team.publish(day(1), {"a1": DAY, "a2": DAY})  # the falls go on
        team.send()
        assert slack.posts == webhook.posts == []

    def test_what_a_repetition_of_a_day_brought_is_reported_with_the_next_day(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        team.send()
        team.publish(DAY, {"a1": DAY, "late_data": DAY})
        team.publish(day(1), {"a1": DAY, "late_data": DAY, "new": day(1)})
        team.send()
        assert told(webhook) == [["a1"], ["late_data", "new"]]

    def test_a_source_that_a_repetition_of_a_day_could_not_read_is_reported_once(self, team: Team, webhook: WebhookServer) -> None:
        team.rules(FELL, "late,Source late,source_late,,,,,,,")
        team.publish(DAY, {})
        team.send()
        lost = {
            "raw_table": "accounts",
            "status": "not read",
            "extracted_through_date": DAY,
            "late_since": DAY,
            "not_read_reason": "4 of 38 rows",
        }
        for _ in range(2):
            team.publish(DAY, {"a1": DAY}, data_freshness=[lost])
            team.send()
        [post] = webhook.take()
        assert [(alert["raw_table"], alert["reason"]) for alert in post.content["alerts"]] == [("accounts", "4 of 38 rows")]

    def test_a_fall_after_a_recovery_is_another_one_a_moved_beginning_is_not(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(day(-9), {})
        team.send()
        team.publish(DAY, {"a1": DAY})
        team.send()
        team.publish(day(1), {"a1": day(1)})  # late data healed the day before
        team.send()
        team.publish(day(LOOKBACK), {"a1": day(LOOKBACK)})
        team.send()
        assert told(webhook) == [["a1"]]
        team.publish(day(LOOKBACK + 1), {"a1": day(LOOKBACK + 1)})
        team.send()
        assert told(webhook) == [["a1"]]

    def test_a_rollback_and_the_day_after_it(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        team.send()
        team.publish(day(1), {"a1": DAY, "a2": day(1)})
        team.send()
        webhook.take()
        flip(team.settings, 1)
        team.send()
        team.publish(day(1), {"a1": DAY, "a2": day(1)})
        team.send()
        assert webhook.posts == []
        team.publish(day(2), {"a2": day(1), "a3": day(2)})
        team.send()
        assert told(webhook) == [["a3"]]

    def test_a_renewal_once_per_term(self, team: Team, webhook: WebhookServer) -> None:
        team.rules("renewal,Renewal,renewal_near,,poor,,90,,,")
        team.publish(day(-40))
        team.send()
        first, second = day(60), day(425)
        for newest, since, ends in ((DAY, DAY, first), (day(20), day(20), first), (day(335), DAY, second), (day(336), DAY, second)):
            # Poor, then healthy for a while, then poor again, in the same term; and a year later.
            team.publish(newest, account_health=[account("a1", tier="poor", tier_since=since, term_ends_on=ends)])
            team.send()
        assert [post.content["as_of_date"] for post in webhook.take()] == [DAY.isoformat(), day(335).isoformat()]

    def test_every_worsening_of_a_tier(self, team: Team, webhook: WebhookServer) -> None:
        team.rules("worse,Worse,tier_worsened,,,,,,,")
        team.publish(day(-1))
        team.send()
        for newest, before, now in ((DAY, "healthy", "at_risk"), (day(1), "at_risk", "poor")):
            team.publish(
                newest,
                account_health=[account("a1", tier=now, previous_tier=before, tier_since=newest)],
                account_health_history=[account_day(newest - timedelta(days=1), "a1", tier=before)],
            )
            team.send()
        assert [post.content["alerts"][0]["account"]["tier"] for post in webhook.take()] == ["at_risk", "poor"]


class TestQuiet:
    def test_the_first_run_of_an_existing_company_tells_the_newest_day_only(self, team: Team, webhook: WebhookServer) -> None:
        falls = {f"old{n}": day(-n) for n in (1, 2, 90)} | {"new": DAY}
        team.publish(DAY, falls)
        team.send()
        assert told(webhook) == [["new"]]
        # Nor are the days before told later.
        team.publish(day(1), falls | {"next": day(1)})
        team.send()
        assert told(webhook) == [["next"]]

    def test_a_range_of_days_tells_those_of_the_lookback(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY)
        team.send()
        team.publish(day(10), {"before": day(10 - LOOKBACK - 1), "first": day(10 - LOOKBACK), "last": day(10)})
        team.send()
        assert told(webhook) == [["first", "last"]]

    def test_a_backfill_that_does_not_move_the_newest_day_tells_nothing(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        team.send()
        webhook.take()
        team.publish(DAY, {"a1": DAY, "a2": day(-1), "a3": DAY})
        team.publish(day(-20), {"a4": day(-20)})
        team.send()
        assert webhook.posts == []

    def test_history_that_is_loaded_day_by_day_tells_nothing(self, team: Team, webhook: WebhookServer) -> None:
        for offset in range(3):
            team.publish(day(offset), {f"a{offset}": day(offset)}, published_on=day(200))
            team.send()
        assert webhook.posts == []
        # The last day that was due when it was published is the day before; with it the news begins, back to the lookback.
        team.publish(day(199), {"old": day(199 - LOOKBACK - 1), "new": day(199 - LOOKBACK)}, published_on=day(200))
        team.send()
        assert told(webhook) == [["new"]]

    def test_a_company_with_an_end_is_as_new_as_its_last_day(self, team: Team, webhook: WebhookServer) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }', pipeline=f"end_date = {DAY}")
        team.publish(day(-LOOKBACK - 1), {"a1": day(-LOOKBACK - 1)}, published_on=day(300))
        team.send()
        assert webhook.posts == []
        team.publish(DAY, {"a2": DAY}, published_on=day(300))
        team.send()
        assert told(webhook) == [["a2"]]

    def test_a_new_or_edited_rule_tells_the_newest_day_only(self, team: Team, webhook: WebhookServer) -> None:
        team.rules()
        team.publish(DAY)
        team.send()
        team.rules(FELL)
        team.publish(day(1), {"old": DAY, "new": day(1)})
        team.send()
        assert told(webhook) == [["new"]]
        team.rules(FELL.replace(",10,", ",9,"))
        team.publish(day(2), {"old": DAY, "new": day(1), "newer": day(2)})
        team.send()
        assert told(webhook) == [["newer"]]

    def test_without_an_endpoint_nothing_happens(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.configure()
        team.publish(DAY, {"a1": DAY})
        assert team.send() == Sent()
        assert not team.settings.alert_log.parent.exists() and slack.posts == webhook.posts == []

    def test_before_the_first_publishing_nothing_is_due(self, team: Team) -> None:
        assert team.send() == Sent({"slack": 0, "webhook": 0}, {"slack": [], "webhook": []})


class TestRuns:
    """What no published mart can tell."""

    RULES = ("failed,Run failed,run_failed,,,,,,,", "late,No newer day,mart_late,,,,,,,")

    def test_a_failed_run_is_told_once_also_before_the_first_publishing(
        self, team: Team, slack: WebhookServer, webhook: WebhookServer
    ) -> None:
        team.rules(*self.RULES)
        failed = FailedRun("run-7", "daily_health 2026-06-28", ["publish: a check failed"])
        for _ in range(2):
            send_alerts(team.settings, failed=failed)
        [post] = webhook.take()
        [alert] = post.content["alerts"]
        assert (alert["kind"], alert["text"], alert["reason"]) == (
            "run_failed", "daily_health 2026-06-28 failed; what was published before is unchanged", "publish: a check failed",
        )  # fmt: skip
        assert (post.content["as_of_date"], post.content["generation"]) == (None, None)
        assert [post.content["text"] for post in slack.take()] == ["Customer health: 1 alert"]

    def test_a_missed_run_is_told_once_for_each_day_but_not_while_history_is_loaded(self, team: Team, webhook: WebhookServer) -> None:
        team.rules(*self.RULES)
        for newest in (DAY, day(1)):
            team.publish(newest)
            team.send()
        assert webhook.posts == []  # each was new
        for _ in range(2):
            team.send()
        [post] = webhook.take()
        assert [(alert["kind"], alert["text"]) for alert in post.content["alerts"]] == [
            ("mart_late", "The newest published day is 2026-06-30; a newer one is due every day")
        ]

    @pytest.mark.parametrize(
        ("pipeline", "age", "is_late"),
        [("", 2, False), ("", 3, True), ("cadence_days = 7", 8, False), ("cadence_days = 7", 9, True), (f"end_date = {DAY}", 99, False)],
    )
    def test_a_mart_is_late_when_the_board_says_so(self, team: Team, pipeline: str, age: int, is_late: bool) -> None:
        team.configure(pipeline=pipeline)
        team.publish(DAY)
        assert late_mart(team.settings, read_manifest(team.settings, 1), day(age)) == (DAY if is_late else None)


class TestFailures:
    def test_a_failed_endpoint_gets_its_messages_later_the_other_none_twice(
        self, team: Team, slack: WebhookServer, webhook: WebhookServer, pauses: list[float]
    ) -> None:
        slack.always = Answer(500)
        team.publish(DAY, {"a1": DAY})
        sent = team.send()
        assert (sent.messages, sent.faults) == ({"slack": 0, "webhook": 1}, {"slack": ["alerts.slack_webhook: answers 500"], "webhook": []})
        assert (len(slack.take()), told(webhook)) == (4, [["a1"]])
        slack.always = Answer()
        team.publish(day(1), {"a2": day(1)})
        assert team.send().messages == {"slack": 2, "webhook": 1}
        first, second = (post.content for post in slack.take())
        assert "Name of a1" in json.dumps(first) and "Name of a2" in json.dumps(second)
        assert first["blocks"][-1]["elements"][0]["text"] == "Sent again: an earlier try was not confirmed."
        assert "Sent again" not in json.dumps(second)
        assert told(webhook) == [["a2"]]

    def test_pauses_grow_and_end(self, team: Team, webhook: WebhookServer, pauses: list[float]) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }', "max_attempts = 4")
        webhook.answers = [Answer(500), Answer(503), Answer(502)]
        team.publish(DAY, {"a1": DAY})
        assert team.send().messages == {"webhook": 1}
        # 1, 2 and 4 s, each with up to one more at random.
        assert [low <= pause <= low + 1 for pause, low in zip(pauses, (1, 2, 4), strict=True)] == [True] * 3
        assert len({(post.headers["Idempotency-Key"], post.body) for post in webhook.posts}) == 1

    def test_too_many_requests_are_repeated_when_the_server_says(self, team: Team, webhook: WebhookServer, pauses: list[float]) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }')
        webhook.answers = [Answer(429, {"Retry-After": "7"}), Answer(429, {"Retry-After": "soon"})]
        team.publish(DAY, {"a1": DAY})
        assert team.send().messages == {"webhook": 1}
        assert pauses[0] == 7 and pauses[1] < 7

    def test_nobody_waits_longer_than_configured(self, team: Team, webhook: WebhookServer, pauses: list[float]) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }', "max_seconds = 30")
        webhook.answers = [Answer(429, {"Retry-After": "3600"})]
        team.publish(DAY, {"a1": DAY})
        assert team.send().faults == {"webhook": ["alerts.webhook: answers 429"]}
        assert pauses == [] and len(webhook.posts) == 1

    @pytest.mark.parametrize("status", [400, 403, 404, 410])
    def test_a_refused_message_is_tried_once_and_holds_up_no_other(
        self, team: Team, webhook: WebhookServer, pauses: list[float], status: int
    ) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }')
        webhook.answers = [Answer(status), Answer(status)]
        team.publish(DAY, {"a1": DAY})
        [fault] = team.send().faults["webhook"]
        assert fault == f"alerts.webhook: refuses the message ({status}). Check the address, and that it still takes messages"
        team.publish(day(1), {"a2": day(1)})
        assert team.send().messages == {"webhook": 1}
        assert told(webhook) == [["a1"], ["a1"], ["a2"]] and pauses == []

    def test_a_redirect_is_not_followed(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }')
        webhook.answers = [Answer(307, {"Location": slack.url})]
        team.publish(DAY, {"a1": DAY})
        assert team.send().faults == {"webhook": ["alerts.webhook: redirects (307). Give the final address"]}
        assert slack.posts == []

    def test_a_slow_and_a_dead_endpoint_end_in_time(
        self, team: Team, webhook: WebhookServer, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and listens to nobody
            monkeypatch.setenv("TEST_SLACK", f"http://127.0.0.1:{taken.getsockname()[1]}/services/{SECRET}")
            team.configure(
                'slack_webhook = { env = "TEST_SLACK" }', 'webhook = { env = "TEST_WEBHOOK" }', "timeout_seconds = 0.1", "max_attempts = 2"
            )
            webhook.always = Answer(after_seconds=0.5)
            team.publish(DAY, {"a1": DAY})
            sent = team.send()
        assert sent.faults == {
            "slack": ["alerts.slack_webhook: cannot be reached"], "webhook": ["alerts.webhook: gives no answer within 0.1 s"],
        }  # fmt: skip
        assert (len(webhook.posts), len(pauses)) == (2, 2)

    def test_an_endpoint_that_answers_one_byte_at_a_time_ends_in_time(
        self, team: Team, slack: WebhookServer, webhook: WebhookServer
    ) -> None:
        team.configure(
            'slack_webhook = { env = "TEST_SLACK" }', 'webhook = { env = "TEST_WEBHOOK" }', "timeout_seconds = 0.5", "max_attempts = 1"
        )
        webhook.always = Answer(drips=True)
        team.publish(DAY, {"a1": DAY})
        done = subprocess.run(
            [sys.executable, "-m", "orchestration", "alerts"],
            cwd=PROJECT_ROOT, env={**os.environ, "HEALTH_CONFIG": str(team.config_file)}, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert "webhook: gives no answer within 0.5 s" in done.stderr
        assert (len(slack.posts), len(webhook.posts)) == (1, 1)

    @pytest.mark.parametrize(
        ("value", "said"), [("", "the environment variable TEST_SLACK is not set"), (f"no/{SECRET}", "cannot be used")]
    )
    def test_a_missing_or_wrong_address_leaves_the_other_channel_alone(
        self, team: Team, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch, value: str, said: str
    ) -> None:
        monkeypatch.setenv("TEST_SLACK", value)
        team.publish(DAY, {"a1": DAY})
        sent = team.send()
        assert sent.messages == {"slack": 0, "webhook": 1}
        assert said in sent.faults["slack"][0] and SECRET not in sent.faults["slack"][0]

    def test_old_news_is_given_up(self, team: Team, webhook: WebhookServer, pauses: list[float]) -> None:
        team.configure('webhook = { env = "TEST_WEBHOOK" }', "max_attempts = 1")
        webhook.always = Answer(500)
        for offset in (0, 1):
            team.publish(day(offset), {f"a{offset}": day(offset)})
            team.send()
        # Where the first due message finds nobody, the others wait for the next run.
        assert told(webhook) == [["a0"], ["a0"]]
        webhook.always = Answer()
        team.publish(day(sending.GIVE_UP_DAYS + 1))
        team.send()
        assert told(webhook) == [["a1"]]

    def test_one_process_at_a_time(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        team.settings.alert_log.parent.mkdir()
        with FileLock(team.settings.alert_log.with_suffix(".lock")), pytest.raises(AlertsBusy):
            team.send()
        assert webhook.posts == []

    def test_a_damaged_or_newer_log_is_one_clear_line(self, team: Team, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        log = team.settings.alert_log
        log.parent.mkdir()
        log.write_bytes(b"no database at all" * 100)
        with pytest.raises(AlertLogError, match=r"alerts\.sqlite: the log of alerts cannot be used .* move it away"):
            team.send()
        log.unlink()
        with sqlite3.connect(log) as connection:
            connection.execute("pragma user_version = 2")
        connection.close()
        with pytest.raises(AlertLogError, match="written by a newer version"):
            team.send()
        log.unlink()
        with sqlite3.connect(log) as connection:
            connection.execute("create table newest_day (as_of_date text not null)")
            connection.execute("insert into newest_day values ('2026-0x-01')")
        connection.close()
        with pytest.raises(AlertLogError, match=r"alerts\.sqlite: the log of alerts cannot be used \('2026-0x-01' is not a day\)"):
            team.send()
        assert webhook.posts == []


class TestKilled:
    """The process dies without a word, and the next one takes over."""

    def kill_in(self, team: Team, function: str) -> None:
        code = (
            "import os, signal\nfrom orchestration.publish import alerts as sending\n"
            "from orchestration.publish.alerts.log import AlertLog\n"
            f"from orchestration.settings import load_settings\n{function} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
            f"sending.send_alerts(load_settings({str(team.config_file)!r}))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr

    def test_between_sending_and_noting_it(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        self.kill_in(team, "AlertLog.note_sent")
        assert (len(slack.posts), len(webhook.posts)) == (1, 0)
        team.send()
        team.send()
        first, second = slack.posts
        # Slack cannot know a repetition, so the message says it; a program knows it by its key.
        assert "Sent again" in json.dumps(second.content) and "Sent again" not in json.dumps(first.content)
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
        assert told(webhook) == [["a1"]]

    def test_between_noting_the_try_and_sending(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.publish(DAY, {"a1": DAY})
        self.kill_in(team, "sending.deliver")
        assert slack.posts == webhook.posts == []
        team.send()
        team.send()
        assert (len(slack.posts), told(webhook)) == (1, [["a1"]])


class TestSecrets:
    def test_no_address_in_logs_errors_or_the_log_of_alerts(
        self, team: Team, slack: WebhookServer, webhook: WebhookServer, pauses: list[float],
        caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("HEALTH_CONFIG", str(team.config_file))
        caplog.set_level(logging.DEBUG)
        slack.answers, webhook.answers = [Answer(500), Answer(404)], [Answer(429)]
        team.publish(DAY, {"a1": DAY})
        assert main(["alerts"]) == 0
        seen = caplog.text + "".join(capsys.readouterr())
        assert "refuses the message (404)" in seen and SECRET not in seen
        assert SECRET.encode() not in team.settings.alert_log.read_bytes()
        assert logging.getLogger("urllib3.connectionpool").level == logging.NOTSET

    def test_the_json_is_signed_where_a_key_is_configured(
        self, team: Team, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEST_KEY", "shared")
        team.configure('webhook = { env = "TEST_WEBHOOK" }', 'webhook_key = { env = "TEST_KEY" }')
        team.publish(DAY, {"a1": DAY})
        team.send()
        [post] = webhook.posts
        assert post.headers["X-Health-Signature"] == "sha256=" + hmac.new(b"shared", post.body, hashlib.sha256).hexdigest()


class TestMessage:
    def test_json_of_version_1(self, team: Team, webhook: WebhookServer) -> None:
        team.rules(FELL, "late,Source late,source_late,,,,,,,")
        facts = {"segment": "smb", "csm": "Ada", "arr": 1200.5, "health_score": 41.0, "tier": "at_risk", "previous_tier": "healthy"}
        team.publish(
            DAY,
            account_health=[account("a/1", delta_7d=-10.5, delta_28d=None, term_ends_on=day(30), **facts)],
            data_freshness=[{"raw_table": "tickets", "status": "not read", "extracted_through_date": day(-1), "late_since": DAY}],
        )
        team.send()
        [post] = webhook.posts
        content = post.content
        keys = [alert.pop("key") for alert in content["alerts"]]
        assert len(set(keys)) == 2 and all(len(key) == 32 for key in keys)
        assert content.pop("message_id") == post.headers["Idempotency-Key"]
        assert content == {
            "version": 1,
            "as_of_date": "2026-06-29",
            "generation": 1,
            "run_id": "run-1",
            "published_at": "2026-06-30T05:00:00+00:00",
            "currency": "USD",
            "alert_count": 2,
            "alerts": [
                {
                    "rule": "fell", "label": "Score fell", "kind": "score_fell", "since": "2026-06-29",
                    "text": "Score 41.0 (−10.5 points in 7 days), At risk", "reason": None,
                    "account": {
                        "account_id": "a/1", "account_name": "Name of a/1", "segment": "smb", "csm": "Ada", "arr": 1200.5,
                        "health_score": 41.0, "tier": "at_risk", "previous_tier": "healthy", "tier_since": "2020-01-01",
                        "delta_7d": -10.5, "delta_28d": None, "term_ends_on": "2026-07-29",
                        "url": "https://health.acme.com/board/account.html#a%2F1",
                    },
                    "raw_table": None, "metric_key": None,
                },
                {
                    "rule": "late", "label": "Source late", "kind": "source_late", "since": "2026-06-29",
                    "text": "tickets was read up to 2026-06-28 only; its metrics are late", "reason": None,
                    "account": None, "raw_table": "tickets", "metric_key": None,
                },
            ],
        }  # fmt: skip

    def test_a_rule_for_one_channel(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.rules(FELL + "slack", FELL.replace("fell,", "other,", 1) + "webhook")
        team.publish(DAY, {"a1": DAY})
        team.send()
        [post] = webhook.posts
        assert [alert["rule"] for alert in post.content["alerts"]] == ["other"]
        assert len(slack.posts) == 1

    def test_alerts_by_mail_and_in_teams(self, team: Team, slack: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
        with MailServer() as mail:
            monkeypatch.setenv("TEST_SMTP", mail.address)
            team.configure('teams_webhook = { env = "TEST_SLACK" }', 'email = ["cs@acme.com"]')
            with open(team.config_file, "a", encoding="utf-8") as file:
                file.write('\n[mail]\nserver = { env = "TEST_SMTP" }\nsender = "health@acme.com"\n')
            team.publish(DAY, {"a1": DAY})
            assert team.send().messages == {"teams": 1, "email": 1}
            assert team.send().messages == {"teams": 0, "email": 0}
        [sent], [post] = mail.mails, slack.posts
        assert (sent["To"], sent["Subject"]) == ("cs@acme.com", "Customer health on 2026-06-29: 1 alert")
        title, rule, account, *_ = (
            "".join(run["text"] for run in row["inlines"]) for row in post.content["attachments"][0]["content"]["body"]
        )
        assert (title, rule) == ("Customer health on 2026-06-29: 1 alert", "Score fell (1)")
        assert account.startswith("\u2022 Name of a1: Score 80.0 (\u221210.0 points in 7 days), Healthy")

    def test_text_from_data_is_text(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        names = {
            "a1": "<!channel> & <https://evil.example|Bank> *bold* `code` ~gone~ _slanted_",
            "a2": "two\nlines\u202egnp.exe\x00 _end_ :fire:",
            "a3": "<script>" * 200_000,
            "<@U1>|": None,
        }
        team.publish(DAY, account_health=[account(key, account_name=name, csm=name, delta_7d=-10.0) for key, name in names.items()])
        team.send()
        [post] = slack.posts
        [section] = [block["text"] for block in post.content["blocks"] if block["type"] == "section"]
        lines = section["text"].split("\n")
        assert lines[1].startswith("• <https://health.acme.com/board/account.html#%3C%40U1%3E%7C|&lt;@U1&gt;¦>: ")
        assert lines[2].startswith(
            "• <https://health.acme.com/board/account.html#a1|&lt;!channel&gt; &amp; &lt;https\u2236//evil.example¦Bank&gt; ∗bold∗ "
            "'code' ∼gon…>: "
        )
        assert (
            lines[3].startswith("• <https://health.acme.com/board/account.html#a2|two linesgnp.exe \u02cdend\u02cd \u2236fire\u2236>: ")
            and len(lines) == 5
        )
        assert section["verbatim"] is True and len(section["text"]) < 3000
        # Only the links to the accounts are left of what Slack would follow.
        assert section["text"].count("<") == section["text"].count(">") == 4
        [post] = webhook.posts
        assert len(post.body) < 20_000
        assert {alert["account"]["account_name"] for alert in post.content["alerts"]} >= {names["a1"], names["a2"]}

    def test_slack_limits_hold_for_the_worst_of_messages(self, team: Team, slack: WebhookServer, webhook: WebhookServer) -> None:
        team.rules(*(f"fell{n},{'&' * 300},score_fell,,,{n + 1},7,,," for n in range(9)))
        names = [f"a{n:03}" + "&" * 80 for n in range(47)]
        team.publish(
            DAY,
            account_health=[account(name, account_name="&" * 999, csm="&" * 999, arr=1e14, delta_7d=-10.0) for name in names],
            score_changes=[
                {"account_id": name, "as_of_date": DAY, "k": 7, "component": "behaviour", "label": "&" * 999, "points": -9.0}
                for name in names
            ],
        )
        team.send()
        [post] = slack.posts
        blocks = post.content["blocks"]
        assert len(blocks) <= 49  # one more is kept for a repetition
        texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
        assert max(map(len, texts)) <= 3000
        # 9 rules x 47 accounts: of each rule 10 are shown, the rest counted; what has no room at all is counted at the end.
        assert post.content["text"] == "Customer health on 2026-06-29: 423 alerts"
        assert sum("and 37 more" in text for text in texts) >= 1
        shown_rules = sum(text.count("(47)") for text in texts)
        assert blocks[-1]["elements"][0]["text"] == f"and {47 * (9 - shown_rules)} more, of other rules"
        # The program gets them all.
        assert webhook.posts[0].content["alert_count"] == len(webhook.posts[0].content["alerts"]) == 423


class TestCommand:
    def run(self, team: Team, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setenv("HEALTH_CONFIG", str(team.config_file))
        return main(["alerts", *arguments])

    def test_a_dry_run_shows_and_changes_nothing(
        self, team: Team, slack: WebhookServer, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        team.publish(DAY, {"a1": DAY})
        before = sorted(team.settings.data_dir.rglob("*"))
        assert self.run(team, monkeypatch, "--dry-run") == 0
        assert "Customer health on 2026-06-29: 1 alert\n" in capsys.readouterr().out
        assert sorted(team.settings.data_dir.rglob("*")) == before and slack.posts == webhook.posts == []
        # What is shown is what is sent.
        shown: list[Message] = preview_alerts(team.settings)
        assert self.run(team, monkeypatch) == 0
        assert [message.body.encode() for message in shown] == [slack.posts[0].body, webhook.posts[0].body]
        assert self.run(team, monkeypatch, "--dry-run") == 0
        assert "no alert is due" in capsys.readouterr().out

    def test_a_dead_endpoint_is_not_a_failure_a_wrong_rule_is(
        self, team: Team, slack: WebhookServer, pauses: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        slack.always = Answer(500)
        team.publish(DAY, {"a1": DAY})
        assert self.run(team, monkeypatch) == 0
        said = capsys.readouterr()
        assert said.out == "webhook: 1 sent\n"
        assert said.err == "slack: not delivered, tried again with the next run: alerts.slack_webhook: answers 500\n"
        team.rules("r,,nothing,,,,,,,")
        team.publish(day(1))
        assert self.run(team, monkeypatch) == 2
        assert "seeds/alert_rules.csv line 2" in capsys.readouterr().err
        team.configure()
        assert self.run(team, monkeypatch) == 0
        assert "[alerts] of health.toml names no address" in capsys.readouterr().out
