"""The board as a person uses it, in headless Chromium, opened from the disk: no fault, no request to the network."""

import csv
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.publish.board import TODAY
from orchestration.publish.board.scripts import call, shard_of
from orchestration.publish.links import account_page
from tests.hostile_text import NEUTRAL_CELLS

from .conftest import ACCOUNTS, FORMULA, IMAGE, ODD_ID, PUBLISHED_AT, SCRIPT, Mart, empty_mart

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the board is not opened")

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Reader:
    """A tab that notes whatever a page complains of, and whatever it asks for elsewhere."""

    def __init__(self, browser, mart: Mart) -> None:
        # West of Greenwich a date taken for local time would be the day before.
        self.context = browser.new_context(timezone_id="America/Los_Angeles", viewport={"width": 1280, "height": 900})
        self.tab = self.context.new_page()
        # The morning after the scored day, whatever the machine's clock says.
        self.set_clock(PUBLISHED_AT)
        self.base = mart.board.as_uri()
        self.faults: list[str] = []
        self.tab.on("console", lambda message: self.faults.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.context.route(lambda address: not address.startswith("file:"), self._refuse)

    def _refuse(self, route) -> None:
        self.faults.append(f"asked for {route.request.url}")
        route.abort()

    def open(self, page: str, wait_for: str) -> None:
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.base}/{page}")
        self.tab.locator(wait_for).first.wait_for()

    def set_clock(self, moment: datetime) -> None:
        self.tab.clock.set_fixed_time(moment)

    def names(self) -> list[str]:
        return self.tab.locator("#accounts tbody th a").all_text_contents()

    def choose(self, field: str, value: str) -> None:
        self.tab.select_option(f"select[name={field}]", value)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        started.new_context().new_page().goto("about:blank")
        yield started
        started.close()


@pytest.fixture
def reader(browser, mart: Mart) -> Iterator[Reader]:
    reader = Reader(browser, mart)
    reader.tab.set_default_timeout(20_000)
    yield reader
    reader.context.close()
    assert reader.faults == []


PAGES = [
    ("index.html", "#segments-chart svg"),
    ("accounts.html", "#accounts tbody tr"),
    (account_page(ODD_ID), "#dimensions-chart svg"),
]


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize(("page", "ready"), PAGES)
def test_pages_fit_their_window(reader, page, ready, width):
    reader.tab.set_viewport_size({"width": width, "height": 900})
    reader.open(page, ready)
    assert reader.tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_portfolio_in_words_and_links(reader):
    reader.open("index.html", "#tiers-chart svg")
    words = reader.tab.locator("main").inner_text()
    assert "3 of 7 accounts are healthy." in words
    # 1,100 of 2,350, of which 400 and 600 renew.
    assert "1.10k EUR, 47% of ARR, is at risk, of which 1.00k renews within 90 days." in words
    assert "In the week to 29 Jun 2026, 1 fell and 1 rose; 2 sources are not up to date." in words
    assert IMAGE in words and SCRIPT in words
    reader.tab.get_by_role("button", name="ARR").click()
    assert reader.tab.get_by_role("button", name="ARR").get_attribute("aria-pressed") == "true"
    reader.tab.get_by_role("link", name="ARR at risk").click()
    reader.tab.locator("#accounts tbody tr").first.wait_for()
    assert reader.names() == [SCRIPT, IMAGE, "Rowanford AG"]
    assert "3 of 7 · 1,100 EUR ARR · 1,100 at risk" in reader.tab.locator("#summary").inner_text()


def test_the_running_day_is_a_badge_until_it_is_a_finished_one(reader, mart):
    script = mart.folder.parent / TODAY
    try:
        for day, shown in (("2026-06-30", ["today so far 76.5 −3.5"]), ("2026-06-29", [])):
            script.write_text(call("board.setToday", {"day": day, "until": "03:00", "scores": [["calm", 76.5], [ODD_ID, 20.9]]}))
            reader.open(account_page("calm"), "#dimensions-chart svg")
            assert reader.tab.locator("#today .so-far").all_inner_texts() == shown
            # In the list are those alone that changed by a point or more.
            reader.open("accounts.html", "#accounts tbody tr")
            assert reader.tab.locator("#accounts .so-far").all_inner_texts() == [text.replace("76.5 ", "") for text in shown]
    finally:
        script.write_text("")


def test_search_filter_and_sort(reader):
    reader.open("accounts.html", "#accounts tbody tr")
    assert sorted(reader.names()) == sorted(["Calm & Co", IMAGE, SCRIPT, FORMULA, "Rowanford AG", "Long " + "x" * 114 + "…", "New one"])
    reader.tab.fill("#q", "ROWAN")
    assert reader.names() == ["Rowanford AG"]
    reader.tab.fill("#q", "%20?d")  # a part of an id
    assert reader.names() == [IMAGE]
    reader.tab.fill("#q", "")
    reader.choose("segment", "smb")
    reader.choose("owner", "Ben")
    assert sorted(reader.names()) == sorted([IMAGE, "Rowanford AG", "New one"])
    reader.choose("renewal", "30")
    assert reader.names() == [IMAGE]
    # The view is in the address, and comes back from it.
    address = reader.tab.url
    assert address.endswith("#segment=smb&owner=Ben&renewal=30")
    reader.tab.get_by_role("button", name="Clear").click()
    sync_api.expect(reader.tab.locator("#accounts tbody tr")).to_have_count(7)
    reader.open(address.rpartition("/")[2], "#accounts tbody tr")
    assert reader.names() == [IMAGE]


def test_my_accounts(reader, mart):
    with mart.read() as connection:
        [(accounts, healthy, at_risk)] = connection.execute(
            "select count(*), count(*) filter (tier = 'healthy'), cast(sum(arr) filter (tier in ('poor', 'at_risk')) as integer) "
            "from account_health where csm = 'Ben'"
        ).fetchall()
        names = connection.execute("select account_id from account_health where csm is null").fetchall()
    reader.open("index.html", "#tiers-chart svg")
    owners = reader.tab.locator("#owners tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in owners] == [[SCRIPT, "1"], ["Ben", "3"], ["Ada", "2"], ["No owner", "1"]]
    reader.choose("owner", "Ben")
    sync_api.expect(reader.tab.locator("#lead")).to_contain_text(f"{healthy} of {accounts} accounts are healthy. {at_risk} EUR")
    assert reader.tab.url.endswith("index.html#owner=Ben")
    shown = reader.tab.locator("main").inner_text()
    assert "In the week to 29 Jun 2026, 1 fell and 0 rose" in shown and "Calm & Co" not in shown and "All 1" in shown
    assert not reader.tab.locator("#owners-card").is_visible()
    # A mark of a chart leads to the accounts behind it, those of the owner.
    reader.tab.locator("#segments-chart path[aria-roledescription=bar]").first.click()
    reader.tab.locator("#accounts tbody tr").first.wait_for()
    assert reader.tab.url.endswith("accounts.html#tier=poor&segment=smb&owner=Ben") and reader.names() == [IMAGE]
    # Remembered on every page that is opened later.
    reader.open("accounts.html", "#accounts tbody tr")
    assert len(reader.names()) == accounts and reader.tab.url.endswith("#owner=Ben")
    reader.open(account_page("calm"), "#history-chart svg")
    assert reader.tab.locator("#owner").input_value() == "Ben" and reader.tab.locator("h1").inner_text() == "Calm & Co"
    reader.choose("owner", "No owner")
    assert reader.tab.url.endswith("#calm&owner=No+owner")
    reader.tab.locator(".crumbs a").click()
    reader.tab.locator("#accounts tbody tr").first.wait_for()
    assert len(reader.names()) == len(names) == 1 and reader.names()[0].startswith("Long")
    reader.tab.get_by_role("button", name="Clear").click()
    sync_api.expect(reader.tab.locator("#accounts tbody tr")).to_have_count(7)
    # The address of a colleague's page counts more than what was chosen last.
    reader.open("index.html#owner=Ada", "#tiers-chart svg")
    sync_api.expect(reader.tab.locator("#lead")).to_contain_text("2 of 2 accounts are healthy.")
    # What was found out is of everyone's accounts, and its marks lead to the reader's own.
    reader.open("believe.html", "#tierRates-chart svg")
    reader.tab.locator("#tierRates-chart path[aria-roledescription=bar]").nth(2).click(position={"x": 3, "y": 2})
    reader.tab.locator("#accounts tbody tr").first.wait_for()
    assert reader.tab.url.endswith("accounts.html#tier=poor&owner=Ada")
    reader.open("index.html#owner=nobody", "#missing h2")
    assert "No account of nobody was scored on 29 Jun 2026." in reader.tab.locator("#missing").inner_text()


def test_a_page_that_is_out_of_date_says_so(reader):
    for page, ready in PAGES:
        reader.set_clock(datetime(2026, 7, 1, 23, 59, tzinfo=UTC))
        reader.open(page, ready)
        assert not reader.tab.locator("#stale").is_visible()
        reader.set_clock(datetime(2026, 7, 2, 0, 1, tzinfo=UTC))
        reader.open(page, ready)
        assert "These scores are of 29 Jun 2026, 3 days ago. A newer day is expected every day" in reader.tab.locator("#stale").inner_text()
        words = reader.tab.locator("main").inner_text()
        assert not re.search(r"\b(today|yesterday|this week|in 30 days)\b", words, re.IGNORECASE)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_texts_have_contrast(reader, scheme):
    measure = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
    reader.tab.emulate_media(color_scheme=scheme)
    reader.set_clock(datetime(2026, 11, 29, tzinfo=UTC))
    for page, ready in [*PAGES, ("believe.html", "#tierRates-chart svg"), ("account.html#none", "#missing h1")]:
        reader.open(page, ready)
        assert reader.tab.evaluate(measure) == [], page
    # What it would say of grey on grey.
    reader.tab.evaluate("document.querySelector('#missing h1').style.color = getComputedStyle(document.body.parentElement).backgroundColor")
    assert reader.tab.evaluate(measure) == ["H1.null 1.00: No such account"]


def test_scores_under_a_cap(reader):
    reader.open("accounts.html#sort=score", "#accounts tbody tr")
    # 20, then 50 and, held down at 50, 64.
    assert reader.names()[:3] == [IMAGE, "New one", SCRIPT]
    rows = reader.tab.locator("#accounts tbody tr").all_inner_texts()
    assert "Invoices are late" in rows[0] and "30.0" in rows[0] and "uncapped −15.0" in rows[0] and "Invoices are late" not in rows[1]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("tier=unknown", ["New one"]),
        ("move=fell", [IMAGE]),
        ("move=rose", [FORMULA]),
        ("action=Ask+for+a+review", ["Calm & Co"]),
        ("renewal=90&sort=renewal&dir=asc", [IMAGE, SCRIPT]),
        ("segment=gone", []),
        # Of an owner, of a reason and of an action.
        ("q=ben", [IMAGE, "New one", "Rowanford AG"]),
        ("q=a+rev", ["Calm & Co"]),
        ("q=INVOICES", [SCRIPT, IMAGE]),
        ("weakest=adoption&tier=poor&stage=mature", [IMAGE]),
        ("weakest=voice", []),
        ("renewal=2026-07", [IMAGE]),
        ("renewal=2026-09-21..2026-09-27", [SCRIPT]),
        ("on=2026-05-01&tier=unknown", []),
        ("on=2026-06-28&tier=unknown", ["New one"]),
        ("segment=No+segment", ["Long " + "x" * 114 + "…"]),
        # 50 and 50, 55; by the keyboard below
        ("segment=smb&sort=score&dir=desc", ["Rowanford AG", "New one", SCRIPT, IMAGE]),
    ],
)
def test_views_by_address(reader, view, expected):
    reader.open(f"accounts.html#{view}", "#accounts tbody tr")
    assert sorted(reader.names()) == sorted(expected)
    assert reader.names()[:1] == expected[:1]


def test_sorting_by_keyboard(reader):
    reader.open("accounts.html", "#accounts tbody tr")
    head = reader.tab.get_by_role("columnheader", name="Score").get_by_role("button")
    head.focus()
    reader.tab.keyboard.press("Enter")
    assert reader.names()[0] == IMAGE  # 20, the lowest
    reader.tab.keyboard.press("Enter")
    assert reader.names()[0].startswith("Long")  # 90
    assert reader.tab.url.endswith("#sort=score&dir=desc")
    outline = reader.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_an_account_opens_from_the_list(reader):
    reader.open("accounts.html#tier=poor", "#accounts tbody tr")
    reader.tab.locator("#accounts tbody th a").first.click()
    reader.tab.locator("#history-chart svg").wait_for()
    words = reader.tab.locator("main").inner_text()
    assert reader.tab.locator("h1").inner_text() == IMAGE
    assert "Poor since 1 May 2026 (60 days); before that At risk" in words
    assert "Term ends 29 Jul 2026, in 30 days" in words
    assert "From 45.0 on 1 Jun 2026 to 20.0: −25.0." in words
    assert SCRIPT in reader.tab.locator("#actions").inner_text()
    # 21 days late, through the metric that the cap tests.
    assert "Invoices are late.\n21 days" in reader.tab.locator("#why").inner_text()
    assert "30.0 without the cap\nInvoices are late" in reader.tab.locator("#cap").inner_text()
    assert "Without the cap the score would be 30.0." in reader.tab.locator("#why").inner_text()
    assert "In 7 days 0.0." in reader.tab.locator("#history-note").inner_text()
    assert "Rules v2 from 9 Jun 2026" in reader.tab.locator("#history-note").inner_text()
    reader.tab.get_by_role("button", name="7 days").click()
    assert "Nothing that counts has moved." in reader.tab.locator("#changes").inner_text()
    # To a related account and back, in the same page.
    reader.tab.get_by_role("link", name="Calm & Co").click()
    sync_api.expect(reader.tab.locator("#name")).to_have_text("Calm & Co")
    assert "2 accounts belong to it, with a mean score of 27.0 by ARR" in reader.tab.locator("#relatives").inner_text()


def test_what_happened_and_what_stands_behind_a_number(reader):
    reader.open(account_page(ODD_ID), "#history-chart svg")
    lines = reader.tab.locator("#timeline tbody tr").all_inner_texts()
    assert [line.replace("\t", " ") for line in lines] == [
        "29 Jul 2026 Contract Term ends",
        "27 Jun 2026 Call or meeting Inbound call, 30 minutes",
        f"19 Jun 2026 Rating Rated 2 of 5 by {SCRIPT}: “{IMAGE}”",
        f"14 Jun 2026 Escalation Ticket {IMAGE} escalated: critical bug, open",
        f"9 Jun 2026 Critical ticket Ticket {IMAGE}: critical bug, open",
        "9 Jun 2026 Rules Rules v2",
        "4 Jun 2026 Contract Renewed",
        "20 Apr 2026 Late invoice Invoice inv-1 of 1,200 EUR, due on 20 Apr 2026: overdue for 70 days",
    ]
    contact = reader.tab.locator("#contact").inner_text()
    assert "27 Jun 2026 Inbound call, 30 minutes" in contact and f"“{IMAGE}”" in contact
    # By the keyboard: the invoices behind the days late.
    reader.tab.locator("#metrics summary", has_text="1 invoice").focus()
    reader.tab.keyboard.press("Enter")
    assert "Invoice inv-1 of 1,200 EUR" in reader.tab.locator("#metrics details[open]").inner_text()
    reader.open(account_page("calm"), "#history-chart svg")
    assert reader.tab.locator("#metrics .spark").get_attribute("aria-label") == "Score from 50 to 80 in 12 weeks"


def test_the_people_of_an_account(reader):
    def people(account_id: str) -> list[list[str]]:
        reader.open(account_page(account_id), "#contacts")
        assert reader.tab.locator("#people").is_visible()
        rows = reader.tab.locator("#contacts tr")
        return [[cell.strip() for cell in rows.nth(at).locator("th, td").all_inner_texts()] for at in range(rows.count())]

    # Without names: how many, who was heard of last, and who left.
    assert people("calm") == [
        ["Role", "People", "Last contact", "Left in 90 days"],
        ["Champion", "0", "", "1"],
        ["Decision maker", "2", "9 Jun 2026 20 days ago", "1"],
        ["Billing", "1", "28 Jun 2026 1 day ago", ""],
    ]
    assert people(ODD_ID) == [
        ["Role", "People", "Last contact", "Left in 90 days"],
        ["Champion", "1", "None is recorded", "1"],
        [f"{SCRIPT} is@odd.example, since 19 Jun 2026", "None is recorded", ""],
        [f"{IMAGE} was@odd.example, left on 17 Jun 2026", "20 May 2026 40 days ago", ""],
        ["User", "1", "29 Jun 2026", ""],
        ["user@odd.example since 2 Sep 2025", "29 Jun 2026", ""],
    ]
    reader.open(account_page("bidi"), "#contacts p")
    assert reader.tab.locator("#contacts").inner_text() == "No contact is recorded."


def test_pages_find_an_account_in_the_shard_that_it_was_written_to(reader):
    reader.open(account_page("calm"), "#history-chart svg")
    for text in ("", "a", "foobar", *ACCOUNTS):
        assert reader.tab.evaluate("id => board.shardOf(id, 2 ** 32)", text) == shard_of(text, 2**32)


def test_every_account_shows_its_name_as_text(reader):
    for account_id in ACCOUNTS:
        reader.open(account_page(account_id), "#history-chart svg")
        assert reader.tab.locator("h1 bdi").inner_html().count("<") == 0
        assert reader.tab.evaluate("document.images.length + document.querySelectorAll('body script').length") == 0


def test_an_override_a_new_account_and_a_stranger(reader):
    reader.open(account_page("script"), "#history-chart svg")
    assert (
        reader.tab.locator("#override").inner_text()
        == f"Tier set by a person. At risk by {SCRIPT} until 9 Jul 2026: “{IMAGE}”. The model says Healthy."
    )
    reader.open(account_page("new"), "#history-chart svg")
    assert "There is no score of 1 Jun 2026 to compare with." in reader.tab.locator("#changes").inner_text()
    assert "1 late: the feed has stopped: CSM pulse" in reader.tab.locator("#sure").inner_text()
    reader.open(account_page("nobody"), "#missing h1")
    assert "No account with this id was scored on 29 Jun 2026." in reader.tab.locator("#missing").inner_text()


def test_the_saved_view_runs_no_formula(reader, tmp_path):
    reader.open("accounts.html#move=rose", "#accounts tbody tr")
    with reader.tab.expect_download() as download:
        reader.tab.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "view.csv")
    with open(tmp_path / "view.csv", encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["account_name"] == f"'{FORMULA}"
    assert (row["account_id"], row["health_score"], row["delta_28d"], row["segment"]) == ("formula", "75", "15", IMAGE)


def test_a_saved_cell_is_that_of_the_exports(reader):
    reader.open("accounts.html", "#accounts tbody tr")
    for text, cell in NEUTRAL_CELLS:
        quoted = cell.replace('"', '""')
        assert reader.tab.evaluate("text => board.csvCell(text)", text) == f'"{quoted}"'


def test_the_largest_arr_at_risk_comes_first(reader):
    reader.open("accounts.html", "#accounts tbody tr")
    column = reader.tab.locator("#accounts thead th").all_inner_texts().index("ARR at risk") + 1
    shown = reader.tab.locator(f"#accounts tbody td:nth-child({column})").all_inner_texts()
    amounts = [float(text.replace(",", "")) for text in shown if text]
    assert len(amounts) > 1
    assert amounts == sorted(amounts, reverse=True)
    # None comes after those.
    assert shown == [text for text in shown if text] + [""] * (len(shown) - len(amounts))


def test_the_link_to_the_content_leaves_the_account_in_the_address(reader):
    reader.open(account_page("calm"), "#history-chart svg")
    reader.tab.keyboard.press("Tab")
    reader.tab.keyboard.press("Enter")
    assert reader.tab.evaluate("document.activeElement.id") == "main"
    assert reader.tab.url.endswith("#calm")


def test_an_empty_mart(browser, tmp_path):
    mart = empty_mart(tmp_path)
    mart.write()
    reader = Reader(browser, mart)
    reader.open("index.html", ".empty")
    reader.open("accounts.html", "#accounts tbody tr")
    assert "No account is scored yet." in reader.tab.locator("#accounts tbody").inner_text()
    reader.open("account.html#any", "#missing h1")
    reader.context.close()
    assert reader.faults == []
