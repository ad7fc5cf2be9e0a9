"""What the board's pages and scripts hold. How they behave in a browser: test_browser.py."""

import json
import re
from datetime import timedelta
from urllib.parse import unquote

import duckdb
import pytest

from orchestration.publish.board import assets
from orchestration.publish.board.accounts import MAX_SHARDS
from orchestration.publish.board.assets import AssetError, classic_script
from orchestration.publish.board.formats import compact, counted, moment, share
from orchestration.publish.board.portfolio import EVERYONE, read_portfolios, read_sources
from orchestration.publish.board.scripts import call, shard_of
from orchestration.publish.board.source import NAME_LENGTH, open_source
from orchestration.publish.generations import DATABASE
from orchestration.publish.links import account_page
from orchestration.publish.tiers import TIER_COLOURS

from .conftest import (
    ACCOUNTS,
    AS_OF,
    BIDI,
    FIRST_DAY,
    IMAGE,
    ODD_ID,
    PUBLISHED_AT,
    RULES_CHANGE,
    SCRIPT,
    Mart,
    empty_mart,
    fill,
    insert,
    validate,
)


def read_script(path):
    """The last argument of a data script: JSON with its escapes."""
    text = path.read_text(encoding="utf-8")
    return json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")[-1]


@pytest.fixture(scope="module")
def accounts(mart: Mart) -> dict[str, dict]:
    return {each["id"]: each for path in mart.board.glob("data/accounts-*.js") for each in read_script(path)}


@pytest.fixture(scope="module")
def portfolios(mart: Mart) -> dict[str, dict]:
    with mart.read() as connection:
        return read_portfolios(open_source(mart.settings, connection))


@pytest.fixture(scope="module")
def portfolio(portfolios) -> dict:
    return portfolios[EVERYONE]


# -- text from data


def test_no_text_can_leave_a_script():
    hostile = "</script><!-- ]]> & \u2028 \u2029 \\ \" ' \x00"
    written = call("board.set", {"name": hostile})
    assert not re.search("[<>&\u2028\u2029\x00]", written)
    assert json.loads(written.removeprefix("board.set(").removesuffix(");\n")) == {"name": hostile}


def test_hostile_names_are_escaped_in_every_file(mart):
    for path in [*mart.board.glob("*.html"), *mart.board.glob("data/*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "<img" not in text and "alert(1)</script>" not in text, path.name
        assert "\u202e" not in text and "\x00" not in text, path.name


def test_names_are_cut_and_cleaned_for_display(accounts):
    assert len(accounts["long"]["name"]) == NAME_LENGTH and accounts["long"]["name"].endswith("x…")
    assert accounts["bidi"]["name"] == "Rowanford AG"
    assert accounts[ODD_ID]["name"] == IMAGE
    assert "\u202e" in BIDI


def test_pages_allow_only_what_is_beside_them(mart):
    for path in mart.board.glob("*.html"):
        page = path.read_text(encoding="utf-8")
        policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
        assert not re.search(r'(src|href)="(https?:)?//', page)
        assert not re.search(r"<script>|<style| style=| on\w+=\"", page)
        for name in re.findall(r'(?:src|href)="((?:assets|data)/[^"#]*)"', page):
            assert (mart.board / name).is_file(), name


# -- finding an account


def test_shards_are_those_of_the_published_hash():
    # Test vectors of FNV-1a, 32 bits.
    assert shard_of("", 2**32) == 0x811C9DC5
    assert shard_of("a", 2**32) == 0xE40C292C
    assert shard_of("foobar", 2**32) == 0xBF9CF968


def test_every_account_is_in_its_shard_and_nowhere_else(mart, monkeypatch, tmp_path):
    monkeypatch.setattr("orchestration.publish.board.accounts.ACCOUNTS_PER_SHARD", 2)
    monkeypatch.setattr("orchestration.publish.board.accounts.ACCOUNTS_PER_BATCH", 3)
    (tmp_path / "generation").mkdir()
    (tmp_path / "generation" / DATABASE).hardlink_to(mart.folder / DATABASE)
    again = Mart(mart.settings, tmp_path / "generation")
    again.write()
    # Seven accounts, two in a shard.
    found = {int(path.stem.split("-")[1]): [each["id"] for each in read_script(path)] for path in again.board.glob("data/accounts-*.js")}
    assert set(found) == {0, 1, 2, 3}
    assert sorted(account for shard in found.values() for account in shard) == sorted(ACCOUNTS)
    assert all(shard_of(account, 4) == shard for shard, ids in found.items() for account in ids)
    assert MAX_SHARDS < 1000


def test_any_id_is_safe_in_an_address():
    address = account_page(ODD_ID)
    assert re.fullmatch(r"account\.html#[\w.~%-]+", address)
    assert unquote(address.partition("#")[2]) == ODD_ID


# -- an account


def test_history_of_an_account(accounts):
    calm = accounts["calm"]
    # 78 up to 28 days before, 80 since; one day is enough where there is no gap.
    assert calm["dayOffsets"] == "00"
    # In tenths, base 36: 780 is LO, 800 is M8.
    assert calm["scores"] == "LO" * 32 + "M8" * 28 and calm["uncappedScores"] is None
    assert calm["tiers"] == "0" * 60
    # The 39th day after the first.
    assert (RULES_CHANGE - FIRST_DAY).days == 39
    assert calm["rules"] == [["00", "v1", "standard"], ["13", "v2", "standard"]]
    assert accounts["new"]["dayOffsets"] == "1L" and accounts["new"]["tiers"] == "333"


def test_history_with_a_gap_names_its_days_and_keeps_to_the_limit(tmp_path):
    mart = empty_mart(tmp_path, board="history_days = 5")
    with duckdb.connect(str(mart.folder / DATABASE)) as connection:
        for days_ago in (6, 4, 3, 0):
            insert(
                connection,
                "account_health_history",
                account_id="a",
                as_of_date=AS_OF - timedelta(days=days_ago),
                health_score=days_ago,
                tier="poor",
            )
        insert(connection, "account_health", account_id="a", as_of_date=AS_OF, tier="poor", health_score=0.0)
    mart.write()
    (account,) = read_script(mart.board / "data" / "accounts-0.js")
    assert account["dayOffsets"] == "000104"
    assert account["scores"] == "140U00"
    assert account["name"] == "a"
    assert read_script(mart.board / "data" / "common.js")["firstDay"] == str(AS_OF - timedelta(days=4))


def test_place_among_the_peers(accounts):
    # 20, 50, 50, 55, 75, 80, 90: the share of the six others that are worse, equal ones counting half.
    # The first of the catalogue is active_days_28d.
    place = {account_id: next(row[6] for row in each["metrics"] if row[0] == 0) for account_id, each in accounts.items()}
    assert place == {ODD_ID: 0, "script": 25, "new": 25, "bidi": 50, "formula": 67, "calm": 83, "long": 100}


def test_states_caps_actions_override_and_family(accounts):
    late = next(metric for metric in accounts["new"]["metrics"] if metric[0] == 1)
    assert late == [1, None, "late", None, 0.0, 0.0, None, 0, None, None]
    odd = accounts[ODD_ID]
    assert ["cap:late_payer", 21.0, None, None, 0.0, -10.0, None, 0, None, None] in odd["metrics"]
    assert odd["changes"] == [
        [28, "behaviour", 0, -20.0, None],
        [28, "cap", None, -10.0, "Invoices are late."],
        [28, "availability", None, 5.0, "Data came or went"],
    ]
    assert odd["actions"] == [
        [SCRIPT, IMAGE, "2026-06-26", "2026-06-28", "open", None, SCRIPT],
        ["Visit", "Far away", "2026-06-26", None, "snoozed", "2026-07-02", None],
    ]
    assert odd["parent"] == ["calm", "Calm & Co", "healthy", 80.0]
    assert accounts["script"]["override"] == [IMAGE, SCRIPT, "2026-07-09"]
    assert accounts["calm"]["override"] is None
    assert accounts["calm"]["group"] == [2, 27.0]
    assert [child[0] for child in accounts["calm"]["children"]] == [ODD_ID, "bidi"]


def test_the_course_of_a_metric_over_twelve_weeks(accounts):
    # 80 now and 50 a week ago, in steps of two from 0 to 9, A to Z and a to o; nothing is known of the weeks before.
    assert accounts["calm"]["metrics"][0][9] == "-----------Pe"


def test_what_happened_and_what_a_number_counts(accounts):
    # Days before the scored one; the last list names the metrics that count it, by their place in the catalogue.
    assert accounts[ODD_ID]["facts"] == [
        ["c", 2, "inbound call", 30.0, []],
        ["r", 10, 2.0, SCRIPT, IMAGE, [1]],
        ["t", 20, IMAGE, 15, None, "critical bug", []],
        ["x", 25, "renewed"],
        ["i", 100, "inv-1", 70, None, 1200.0, [2]],
    ]
    assert accounts["script"]["facts"] == [["o", 5, -10, "at_risk", SCRIPT, IMAGE]]
    # Of an email that no number counts any more.
    assert accounts["bidi"]["facts"] == []


def test_the_list_has_every_account_once(mart):
    rows = {row[0]: row for row in read_script(mart.board / "data" / "accounts.js")}
    assert rows.keys() == ACCOUNTS.keys()
    # The last is the tier from the first day to the last one: the third of the tiers, poor.
    cap = (20.0, 30.0, "Invoices are late")
    assert rows[ODD_ID][1:] == [
        *(IMAGE, "poor", *cap, 0.0, -25.0, 45.0, 400.0, "2026-07-29", "smb", "mature"),
        *("Ben", 0.8, "Active days", -1, [SCRIPT], "adoption", False, [0, 59, 2]),
    ]
    assert [account for account, row in rows.items() if row[-2]] == ["script"]
    assert rows["new"][6:11] == [None] * 5 and rows["new"][-1] == [57, 59, 3] and rows["long"][13] == "No owner"


# -- the portfolio


def test_headline(portfolio):
    now = portfolio["now"]
    assert (now["accounts"], now["arr"], now["accounts_with_arr"]) == (7, 2350.0, 5)
    assert now["mean_score"] == pytest.approx(60.0)
    assert now["healthy_share"] == pytest.approx(3 / 7)
    # 400 poor, 600 and 100 at risk
    assert now["arr_at_risk"] == 1100.0
    # The new account was not there 28 days before.
    assert (portfolio["before"]["accounts"], portfolio["before"]["mean_score"]) == (6, pytest.approx(400 / 6))
    # poor, at risk, unknown, healthy
    assert (portfolio["days"]["days"][-1], portfolio["days"]["accounts"][-1], portfolio["days"]["arr"][-1]) == (
        59,
        [1, 2, 1, 3],
        [400, 700, 0, 1250],
    )


def test_movements_of_the_week_are_net(portfolio):
    moved = {
        direction: [(row["account"][0], row["count"], row["why"]) for row in portfolio["movements"] if row["direction"] == direction]
        for direction in (-1, 0, 1)
    }
    assert moved == {
        -1: [(ODD_ID, 1, "Critical tickets wait")],
        0: [("bidi", 1, "Enough can be measured again")],
        1: [("formula", 1, "Set by a person: Rowanford AG")],
    }
    [fell] = [row for row in portfolio["movements"] if row["direction"] == -1]
    assert (fell["from_tier"], fell["to_tier"]) == ("healthy", "poor")


def test_renewals_within_90_days_by_week_and_by_month(portfolio):
    # 30 days lie in the week that begins after 28, 90 in the one after 84; 91 is too far.
    assert [(row["start"], row["tier"], row["arr"]) for row in portfolio["weeks"]] == [
        ("2026-07-27", "poor", 400.0),
        ("2026-09-21", "at_risk", 600.0),
    ]
    assert [(row["month"], row["account"][0], row["count"], row["sum_arr"], row["arr_at_risk"]) for row in portfolio["renewals"]] == [
        ("2026-07", ODD_ID, 1, 400.0, 400.0),
        ("2026-09", "script", 1, 600.0, 600.0),
    ]


# What the board shows, by plain SQL on the mart.
_BY_OWNER = """
select
    coalesce(csm, 'No owner'), count(*), sum(arr), round(avg(health_score), 6), coalesce(sum(arr) filter (tier in ('poor', 'at_risk')), 0)
from account_health
group by 1
"""


def test_the_figures_of_an_owner_are_those_of_the_mart(mart, portfolios, portfolio):
    with mart.read() as connection:
        expected = {owner: tuple(figures) for owner, *figures in connection.execute(_BY_OWNER).fetchall()}
        actions = dict(
            connection.execute(
                "select coalesce(csm, 'No owner'), count(*) from account_actions join account_health using (account_id) "
                "where state = 'open' group by 1"
            ).fetchall()
        )

    def figures_of(row):
        return row["accounts"], row["arr"], round(row["mean_score"], 6), row["arr_at_risk"]

    assert {owner: figures_of(page["now"]) for owner, page in portfolios.items() if owner != EVERYONE} == expected
    assert {row["owner"]: figures_of(row) for row in portfolio["owners"]} == expected
    assert {row["owner"]: row["actions"] for row in portfolio["owners"] if row["actions"]} == actions
    # Ben has the poor one, the one from unknown and the new one; Ada the one that rose and what renews too late to be listed.
    ben, ada = portfolios["Ben"], portfolios["Ada"]
    assert [row["account"][0] for row in ben["movements"]] == [ODD_ID, "bidi"] and [row["account"][0] for row in ben["renewals"]] == [
        ODD_ID
    ]
    assert [row["label"] for row in ada["playbooks"]] == ["Ask for a review"] and ada["renewals"] == []
    assert ben["days"]["accounts"][-1] == [1, 1, 1, 0] and ben["days"]["accounts"][0] == [1, 1, 0, 0]
    assert [(row["name"], row["accounts"]) for row in ben["segments"]] == [("smb", 3)]


def test_the_journey_names_where_accounts_are_weak(portfolios, mart):
    # All are mature and have the one dimension; 420 / 7. The call is what is asked for most of the accounts below healthy.
    [cell] = portfolios[EVERYONE]["journey"]
    assert (cell["stage"], cell["dimension"], cell["score"], cell["accounts"], cell["weakest"]) == ("mature", "adoption", 60.0, 7, 7)
    assert (cell["playbook"], cell["playbook_accounts"]) == (SCRIPT, 1)
    [ada] = portfolios["Ada"]["journey"]
    assert (ada["score"], ada["accounts"], ada["playbook"]) == (77.5, 2, None)


def test_receivables_name_who_left_and_actions_their_owner(portfolio, portfolios):
    assert [(row["account"][0], row["owed"], row["is_scored"], row["count"], row["sum_left"]) for row in portfolio["receivables"]] == [
        ("gone", 150.0, False, 2, 150.0),
        ("calm", 50.0, True, 2, 150.0),
    ]
    assert len(portfolios["Ada"]["receivables"]) == 2 and not portfolios["Ben"]["receivables"]
    assert [(row["label"], row["owner"], row["due_on"]) for row in portfolio["actions"]] == [
        (SCRIPT, SCRIPT, "2026-06-28"),
        ("Ask for a review", "Ada", "2026-06-29"),
    ]
    assert [(row["label"], row["overdue"]) for row in portfolio["playbooks"]] == [(SCRIPT, 1), ("Ask for a review", 0)]


def test_segments(portfolio):
    rows = {row["name"]: row for row in portfolio["segments"]}
    # 20, 50, 55 and 50
    assert (rows["smb"]["accounts"], rows["smb"]["mean_score"], rows["smb"]["arr_at_risk"]) == (4, 43.75, 1100.0)
    assert (rows[None]["accounts"], rows[None]["arr"]) == (1, None)


def test_freshness_says_what_is_late(open_mart):
    sources = read_sources(open_source(*open_mart))["sources"]
    assert {row["raw_table"]: (row["status"], row["quarantined_rows"]) for row in sources} == {
        "usage_events": ("late", 12),
        "tickets": ("up to date", 0),
        "invoices": ("not read", 0),
    }
    assert sources[-1]["raw_table"] == "tickets"
    assert {row["raw_table"]: row["not_read_reason"] for row in sources if row["not_read_reason"]} == {
        "invoices": "the server <b>is</b> down"
    }


# -- can you believe it


def own_text(board):
    """What the product itself wrote on a board: all but the libraries of others."""
    files = [path for path in board.rglob("*") if path.suffix in (".html", ".js") and path.name not in ("vega.js", "datatables.js")]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def test_with_skill_accounts_may_be_at_risk(mart):
    texts = own_text(mart.board)
    words = read_script(mart.board / "data" / "common.js")
    assert words["words"]["is_risk"] == "is at risk" and words["tiers"][1][1] == "At risk"
    assert "A low score modestly tells who leaves." in texts["index.html"]
    page = texts["believe.html"]
    assert "Yes, modestly." in page and "had the lower score in 65 of 100 cases (62 to 68); chance gives 50." in page
    assert "Jul 2026" in page and re.search(r">70 <span class=.quiet.>40 to 110<", page)
    assert "1.10 and 0.90 times as many accounts were expected to leave as did" in page
    assert "Poor: leaves 1.20 times as often as the better tier, less than the 1.3 times that are expected." in page


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (None, "Not checked yet."),
        ("too_few", "Too early to tell: 120 accounts left within 90 days, and 100 are needed."),
        ("no_skill", "Not shown: a low score did not tell who left."),
    ],
)
def test_without_skill_nothing_is_at_risk(tmp_path, verdict, said):
    mart = fill(empty_mart(tmp_path))
    with duckdb.connect(str(mart.folder / DATABASE)) as connection:
        for table in ("score_validation", "tier_validation", "calibration", "renewal_forecast"):
            connection.execute(f"delete from {table}")
        if verdict:
            validate(connection, verdict, skill=0.51)
    mart.write()
    texts = own_text(mart.board)
    assert not [name for name, text in texts.items() if re.search("at[ -]risk", text, re.IGNORECASE)]
    assert said in texts["index.html"]
    words = read_script(mart.board / "data" / "common.js")
    assert words["words"] == {"risk": "below healthy", "whose": "Accounts with ", "is_risk": "score below healthy"}
    assert words["tiers"][1] == ["at_risk", "Fair", TIER_COLOURS["at_risk"]]
    assert "What this cannot tell" in texts["believe.html"]
    assert ("Not known: no skill." in texts["believe.html"]) == bool(verdict)
    assert ("No chance to leave is given, because the score has not shown" in texts["believe.html"]) == bool(verdict)


# -- the whole


def test_every_file_is_named(mart, tmp_path):
    again = empty_mart(tmp_path)
    names = again.write()
    assert sorted(str(path.relative_to(again.folder)) for path in again.board.rglob("*") if path.is_file()) == names
    assert {"board/index.html", "board/accounts.html", "board/account.html", "board/data/accounts-0.js"} < set(names)


def test_an_empty_mart_says_so(tmp_path):
    mart = empty_mart(tmp_path)
    with duckdb.connect(str(mart.folder / DATABASE)) as connection:
        insert(
            connection,
            "data_freshness",
            raw_table="tickets",
            status="no data",
            loaded_rows=0,
            quarantined_rows=0,
            duplicate_rows=0,
            orphan_rows=0,
        )
    mart.write()
    page = (mart.board / "index.html").read_text(encoding="utf-8")
    assert "No account is scored yet" in page and "not up to date" not in page
    assert "0 sources with data, all up to date." in page
    assert ">no data<" in page
    assert read_script(mart.board / "data" / "accounts-0.js") == []
    assert read_script(mart.board / "data" / "common.js")["asOf"] is None


def test_accounts_without_any_amount(tmp_path):
    mart = empty_mart(tmp_path)
    with duckdb.connect(str(mart.folder / DATABASE)) as connection:
        for table in ("account_health_history", "account_health"):
            insert(connection, table, account_id="a", as_of_date=AS_OF, tier="poor", health_score=30.0, coverage=1.0)
        insert(connection, "segment_health", as_of_date=AS_OF, tier="poor", accounts=1, mean_score=30.0)
    mart.write()
    [page] = read_script(mart.board / "data" / "portfolios-0.js")[:1]
    assert (page["now"]["accounts"], page["now"]["accounts_with_arr"], page["now"]["arr"]) == (1, 0, None)


def test_modules_become_classic_scripts_or_fail():
    script = classic_script("var a=1,b=2;export{b as X,a as default};\n/* licence */", "Thing")
    assert "window.Thing=a;" in script and "export" not in script and '"use strict"' in script
    for module in (
        "var a=1;",
        "export{a as b};",
        "export{a as default};export{b as c};",
        'import x from "y";export{a as default};',
    ):
        with pytest.raises(AssetError, match="Thing"):
            classic_script(module, "Thing")


def test_what_is_the_same_on_every_board_is_made_once_and_anew_where_it_is_damaged(tmp_path, monkeypatch):
    made = []
    genuine = assets._make
    monkeypatch.setattr(assets, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(assets, "_vendor_scripts", lambda: {"vega.js": "bundled"})
    monkeypatch.setattr(assets, "_make", lambda path: made.append(path) or genuine(path))

    def read():
        assets.static_assets.cache_clear()
        return assets.static_assets()

    first = read()
    assert (first["scripts"], first["charts"]["renewals"]["mark"]["type"], made) == ({"vega.js": "bundled"}, "bar", made[:1])
    assert read() == first and len(made) == 1
    [kept] = tmp_path.rglob("*.json")
    kept.write_text(kept.read_text().replace("bundled", "bungled"))
    assert read() == first and len(made) == 2
    monkeypatch.setattr(assets, "version", lambda library: "another")
    assert read() == first and len(made) == 3
    assets.static_assets.cache_clear()


def test_figures_for_people():
    assert [compact(value) for value in (None, 0, 310, 999.4, 1_234, 45_678, 999_950, 4_366_201, 12_345_678_901)] == [
        "–", "0", "310", "999", "1.23k", "45.7k", "1.00M", "4.37M", "12.3bn",
    ]  # fmt: skip
    assert (share(0.725), share(None), counted(1, "row"), counted(1200, "row")) == ("72%", "–", "1 row", "1,200 rows")
    assert moment(PUBLISHED_AT) == "30 Jun 2026, 04:05 UTC"
