"""The weekly digest by the real command: to a local mail server, and to local servers in place of Slack and Teams."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from orchestration.publish.alerts.rendering import Report, as_text, line, part, render
from orchestration.publish.digest import send_digests
from orchestration.settings import Settings, SettingsError, load_settings
from tests.alert_mart import account, account_day, publish_mart
from tests.forked import health
from tests.mail_server import MailServer
from tests.webhook_server import WebhookServer

# A Sunday, and the Monday after it.
DAY, MONDAY = date(2026, 6, 28), date(2026, 6, 29)
HOSTILE = "<script>alert(1)</script> *bold*"


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as server:
        monkeypatch.setenv("TEST_SMTP", server.address)
        yield server


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        monkeypatch.setenv("TEST_HOOK", server.url)
        yield server


class Book:
    """A company whose accounts have two owners with an address, one without, and one whose name is an address."""

    def __init__(self, folder: Path) -> None:
        self.config_file = folder / "health.toml"
        self.number = 0
        self.configure('email = ["lead@acme.com", "boss@acme.com"]')

    def configure(self, *digest: str) -> None:
        self.config_file.write_text(
            '[pipeline]\nstart_date = 2026-01-01\nthreads = 1\n[sources.accounts]\nconnector = "demo"\n'
            '[board]\nbase_url = "https://health.acme.com/board"\n[mail]\nserver = { env = "TEST_SMTP" }\nsender = "health@acme.com"\n'
            "[alerts]\ntimeout_seconds = 2\nmax_attempts = 1\n[digest]\n"
            + "\n".join(digest)
            + '\n[digest.owners]\n"Ana Lima" = "ana@acme.com"\n"BEN" = { email = ["ben@acme.com"] }\n'
        )

    @property
    def settings(self) -> Settings:
        return load_settings(self.config_file)

    def publish(self, newest: date = DAY, has_amounts: bool = True) -> None:
        self.number += 1
        poor: dict[str, Any] = {"tier": "poor", "health_score": 30.0, "arr": 12000.0, "tier_since": newest, "delta_7d": -50.0}
        accounts = [
            account("a1", account_name="Acme", csm="Ana Lima", term_ends_on=newest + timedelta(days=10), **poor),
            account("b1", account_name=HOSTILE, csm="Ben ", health_score=90.0, delta_7d=10.0, arr=500.0),
            account("c1", account_name="Calm", csm="Cleo", delta_7d=0.0),
            account("d1", csm="dee@acme.com", delta_7d=0.0),
            account("e1", csm="eve@elsewhere.com", delta_7d=0.0),
            account("f1", csm=None, delta_7d=0.0),
        ]
        if not has_amounts:
            accounts = [row | {"arr": None} for row in accounts]
        before = [account_day(newest - timedelta(days=7), row["account_id"]) for row in accounts]
        change = {"account_id": "a1", "as_of_date": newest, "from_tier": "healthy", "to_tier": "poor", "cause": "score", "k": 7}
        rose = {"account_id": "b1", "as_of_date": newest, "k": 7, "component": "behaviour", "label": "Active days", "points": 9.0}
        action = {"account_id": "a1", "playbook_key": "call", "label": "Call them", "priority": 1}
        # Of Ana's account, but in Ben's hands.
        opened = {"as_of_date": newest, "reason": "Nobody called.", "since": newest, "due_on": newest - timedelta(days=1), "owner": "Ben"}
        done = {"opened_on": DAY, "state": "done", "closed_on": newest}
        tables = {
            "account_health": accounts,
            "account_health_history": before,
            "tier_changes": [change | {"reason": "A critical ticket is open.", "points": -40.0, "component": "cap"}],
            "score_changes": [rose],
            "account_actions": [action | opened | {"state": state} for state in ("open", "snoozed")],
            "account_actions_history": [
                action | done,
                action | done | {"state": "ended"},
                action | done | {"closed_on": newest - timedelta(7)},
            ],
        }
        publish_mart(self.settings, self.number, newest, tables)

    def run(self, *arguments: str) -> CompletedProcess[str]:
        return health(self.config_file, "digest", *arguments)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def text_of(mail: EmailMessage) -> list[str]:
    body = mail.get_body(("plain",))
    assert body is not None
    return body.get_content().splitlines()


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return body.get_content()


def test_one_mail_for_each_owner_and_one_for_the_company_once_a_week(book: Book, mail: MailServer) -> None:
    book.publish()
    shown = book.run("--dry-run")
    assert shown.returncode == 0 and "Subject: Customer health, week to 28 Jun 2026: Ana Lima" in shown.stdout and mail.mails == []
    done = book.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "no digest, for want of an address in [digest.owners]: Cleo, eve@elsewhere.com"
    mails = {str(one["To"]): one for one in mail.take()}
    assert mails.keys() == {"lead@acme.com, boss@acme.com", "ana@acme.com", "ben@acme.com", "dee@acme.com"}
    assert {str(one["From"]) for one in mails.values()} == {"health@acme.com"}
    ana = mails["ana@acme.com"]
    assert ana["Subject"] == "Customer health, week to 28 Jun 2026: Ana Lima"
    assert text_of(ana) == [
        "1 account: 1 poor.",
        "Mean score 30.0 (−50.0 points in a week). 12.0k of 12.0k USD a year are at risk (0 a week ago).",
        "",
        "Fell this week (1)",
        "* Acme: Healthy → Poor, score 30.0 · 12,000 USD a year",
        "  A critical ticket is open (−40.0 points)",
        "",
        "Renews within 90 days, 12.0k USD a year (1)",
        "* Acme: Term ends on 8 Jul 2026, in 10 days; Poor, score 30.0 · 12,000 USD a year",
        "",
        "To do (1)",
        "* Acme: Call them, due 27 Jun 2026 (overdue) · 12,000 USD a year",
        "  Nobody called.",
        "",
        "Done this week (1)",
        "* Acme: Call them, done 28 Jun 2026 · 12,000 USD a year",
        "",
        "Open the board: https://health.acme.com/board/index.html#owner=Ana+Lima",
    ]
    assert '<a href="https://health.acme.com/board/account.html#a1">Acme</a>' in html_of(ana)
    assert "* Acme: Call them, due 27 Jun 2026 (overdue) · 12,000 USD a year" in text_of(mails["ben@acme.com"])
    # Names are text, and the company's digest says whose account it is.
    company = mails["lead@acme.com, boss@acme.com"]
    assert f"* {HOSTILE}: Healthy, score 90.0 (+10.0 points in a week) · 500 USD a year · Ben" in text_of(company)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html_of(company) and "<script>" not in html_of(company)
    # Not twice in a week, nor without a newer day.
    again = book.run()
    assert again.returncode == 0 and "digest of Ana Lima by email: no digest is due" in again.stdout and mail.mails == []


def test_of_a_company_without_amounts_no_amount_is_said(book: Book) -> None:
    """Not known is not zero."""
    book.publish(has_amounts=False)
    shown = book.run("--dry-run").stdout.splitlines()
    assert "Mean score 30.0 (−50.0 points in a week)." in shown and "Renews within 90 days (1)" in shown
    assert "* Acme: Call them, due 27 Jun 2026 (overdue)" in shown and not [line for line in shown if "USD" in line or "–" in line]


def test_each_week_has_its_digest_if_there_is_a_newer_day(book: Book, mail: MailServer) -> None:
    book.publish()
    weeks = [MONDAY, MONDAY + timedelta(days=6), MONDAY + timedelta(days=7)]
    assert [len(send_digests(book.settings, today).messages) and len(mail.take()) for today in weeks] == [4, 0, 0]
    book.publish(DAY + timedelta(days=7))
    assert [len(send_digests(book.settings, today).messages) and len(mail.take()) for today in weeks] == [0, 0, 4]


def test_a_mail_that_was_not_taken_is_sent_the_next_time_and_no_other_twice(book: Book, mail: MailServer) -> None:
    book.publish()
    mail.refuses["MAIL"] = "421 busy"
    sent = send_digests(book.settings, MONDAY)
    # A server that takes nothing now is not asked for every owner.
    assert sum(sent.messages.values()) == 0 and sum(line.startswith("mail") for line in mail.commands) == 1
    assert {fault for faults in sent.faults.values() for fault in faults} == {"mail.server: answers 421"}
    # One that does not know a colleague is.
    mail.refuses = {"RCPT": "550 who is that"}
    sent = send_digests(book.settings, MONDAY)
    assert sent.faults["digest of Ben by email"] == ["mail.server: refuses the addresses (550). Check mail.sender and the addresses"]
    mail.refuses.clear()
    assert sum(send_digests(book.settings, MONDAY).messages.values()) == len(mail.mails) == 4
    assert all("Sent again: an earlier try was not confirmed." in text_of(one) for one in mail.mails)
    assert len({one["Message-ID"] for one in mail.take()}) == 4
    assert sum(send_digests(book.settings, MONDAY).messages.values()) == len(mail.mails) == 0


def test_a_password_is_not_sent_in_the_clear(book: Book, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SMTP", mail.address.replace("//", "//user:T0SECRET@"))
    book.publish()
    sent = send_digests(book.settings, MONDAY)
    faults = {fault for faults in sent.faults.values() for fault in faults}
    assert faults == {"mail.server: offers no encryption, so the password is not sent. Use smtps:// or a server with STARTTLS"}
    assert mail.mails == [] and not any("T0SECRET" in line for line in mail.commands)
    monkeypatch.setenv("TEST_SMTP", "https://T0SECRET")
    [fault] = {fault for faults in send_digests(book.settings, MONDAY).faults.values() for fault in faults}
    assert "mail.server: is not the address of a mail server" in fault and "T0SECRET" not in fault
    assert b"T0SECRET" not in book.settings.alert_log.read_bytes()


def test_teams_and_slack(book: Book, hook: WebhookServer) -> None:
    book.configure('teams_webhook = { env = "TEST_HOOK" }', 'slack_webhook = { env = "TEST_HOOK" }')
    book.config_file.write_text(book.config_file.read_text().partition("[digest.owners]")[0])
    book.publish()
    hooked = book.settings.model_copy(update={"mail": None})
    assert send_digests(hooked, MONDAY).messages == {"digest of the company by slack": 1, "digest of the company by teams": 1}
    slack, teams = (post.content for post in hook.take())
    assert slack["text"] == "Customer health, week to 28 Jun 2026: all accounts"
    [attachment] = teams["attachments"]
    assert (teams["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    runs = [run for row in attachment["content"]["body"] for run in row["inlines"]]
    # Runs of text: no sign in a name formats or links.
    assert {run["type"] for run in runs} == {"TextRun"} and HOSTILE in [run["text"] for run in runs]
    assert {"type": "Action.OpenUrl", "url": "https://health.acme.com/board/account.html#a1"} in [run.get("selectAction") for run in runs]


def test_a_card_of_teams_shows_as_many_lines_as_fit_and_counts_the_rest() -> None:
    lines = [line(["&" * 300] * 3, "n" * 300, "https://health.acme.com/board/account.html#" + "x" * 200, "why " * 90)] * 40
    content = render("teams", Report("Title", tuple(part(f"Part {number}", lines) for number in range(5))))
    assert 15_000 < len(json.dumps(content)) < 28_000
    texts = as_text("teams", content).splitlines()
    shown = sum(text.startswith("\u2022 nnn") for text in texts)
    assert shown % 5 == 0 and texts.count(f"and {40 - shown // 5} more") == 5


def test_a_mail_address_without_a_server_is_refused(book: Book) -> None:
    text = book.config_file.read_text()
    book.config_file.write_text(text.replace('[mail]\nserver = { env = "TEST_SMTP" }\nsender = "health@acme.com"\n', ""))
    with pytest.raises(SettingsError, match=r"digest: e-mail needs a server\. Add \[mail\]"):
        load_settings(book.config_file)


def test_before_the_first_publishing_it_says_so(book: Book, mail: MailServer) -> None:
    done = book.run()
    assert done.returncode == 2 and "nothing is published yet" in done.stderr
