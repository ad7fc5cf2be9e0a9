"""What people and CRMs get: every cell worked out by hand, hostile text included."""

import csv
from datetime import date, datetime
from pathlib import Path

import duckdb
import openpyxl
import pytest

from orchestration.publish import rollback
from orchestration.publish.exports import workbook
from orchestration.publish.exports.crm import reason
from orchestration.publish.exports.text import CELL_LIMIT, clean, is_formula, neutralise
from orchestration.publish.publishing import publish
from orchestration.settings import Settings, load_settings
from tests.hostile_text import HOSTILE, NEUTRAL_CELLS

from .conftest import DAY_1, HISTORIES, PUBLISHED_AT, change_warehouse, days_from, make_settings, score_days, stub_board

HEADER = ["account_id", "score", "tier", "reason"]
# None of the accounts has drivers.
NEUTRAL = "Nothing moves the score away from the neutral 50."


def exported(settings: Settings, name: str, generation: int | None = None) -> bytes:
    folder = "current" if generation is None else f"generations/{generation}"
    return (settings.published / folder / "exports" / name).read_bytes()


def cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(content.decode("utf-8-sig").splitlines()))


def crm_update(settings: Settings) -> list[list[str]]:
    header, *rows = cells(exported(settings, "crm_update.csv"))
    assert header == HEADER
    return rows


def know(settings: Settings, account_id: str, **attributes: str | float | date) -> None:
    """Give an account attributes in account_health."""
    values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in (account_id, *attributes.values()))
    change_warehouse(settings, f"insert into marts.attributes (account_id, {', '.join(attributes)}) values ({values})")


def rename(settings: Settings, account_id: str, new: str) -> None:
    for table in HISTORIES:
        change_warehouse(settings, f"update {table} set account_id = {new} where account_id = '{account_id}'")


def act(settings: Settings, account_id: str, day: date, **columns: str | float | date) -> None:
    given = {"account_id": account_id, "as_of_date": day} | columns
    values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in given.values())
    change_warehouse(settings, f"insert into marts.account_actions ({', '.join(given)}) values ({values})")


# --- text ---


@pytest.mark.parametrize(("text", "cell"), NEUTRAL_CELLS)
def test_text_is_neutral(text, cell):
    assert neutralise(text) == cell


def test_a_cell_holds_32767_units_of_utf_16():
    assert clean("x" * 1_000_000) == "x" * CELL_LIMIT
    # 16,383 pairs are 32,766 units; half a pair does not fit into the last one.
    assert clean("🙂" * 20_000) == "🙂" * 16_383
    assert neutralise("=" + "x" * 1_000_000) == "'=" + "x" * (CELL_LIMIT - 2)


def test_only_a_beginning_is_a_formula():
    assert is_formula("=1") and is_formula(" @x") and is_formula("a;-1")
    assert not is_formula("a=1") and not is_formula("jane@acme.com") and not is_formula("")


# --- CSV ---


def test_csv_for_people(settings):
    score_days(settings, "run-1", [DAY_1], accounts="a1 a3")
    know(settings, "a1", account_name=HOSTILE, csm="Zoë", arr=-1200.5, term_ends_on="2026-12-31", seats=7)
    know(settings, "a3", account_name='Quote" and, comma')
    loop = {"due_on": "2026-02-13", "state": "open", "owner": "@Ada"}
    act(settings, "a1", DAY_1, playbook_key="ask", label="Ask", priority=2, reason="-5 points", since=DAY_1, **loop)
    act(settings, "a1", date(2026, 1, 29), playbook_key="old", label="Of yesterday", priority=1, reason="", since=DAY_1)
    publish(settings, "run-1", PUBLISHED_AT)

    content = exported(settings, "account_health.csv")
    assert content.startswith(b'\xef\xbb\xbf"account_id","as_of_date","health_score",')
    header, *rows = cells(content)
    found = [dict(zip(header, row, strict=True)) for row in rows]
    wanted = ("account_id", "as_of_date", "health_score", "tier", "account_name", "csm", "arr", "term_ends_on", "seats")
    # The most arr at risk first; a negative number is not a formula.
    assert [[row[name] for name in wanted] for row in found] == [
        ["a1", "2026-01-30", "65", "at_risk", "'" + HOSTILE, "Zoë", "-1200.5", "2026-12-31", "7"],
        ["a3", "2026-01-30", "15", "poor", 'Quote" and, comma', "", "", "", ""],
    ]
    # Text in quotes, numbers, dates and nulls without.
    assert b'"a1",2026-01-30,65,"at_risk",' in content

    assert cells(exported(settings, "account_actions.csv")) == [
        [
            "account_id",
            "as_of_date",
            "account_name",
            "csm",
            "tier",
            "health_score",
            "arr",
            "playbook_key",
            "label",
            "priority",
            "reason",
            "since",
            "due_on",
            "state",
            "snoozed_until",
            "owner",
        ],
        [
            *("a1", "2026-01-30", "'" + HOSTILE, "Zoë", "at_risk", "65", "-1200.5", "ask", "Ask", "2", "'-5 points", "2026-01-30"),
            *("2026-02-13", "open", "", "'@Ada"),
        ],
    ]


def test_parquet_keeps_the_text_as_it_was(settings):
    score_days(settings, "run-1", [DAY_1], accounts="a1")
    know(settings, "a1", account_name=HOSTILE)
    path = publish(settings, "run-1", PUBLISHED_AT).path
    with duckdb.connect() as connection:
        query = f"select account_name from '{path}/parquet/account_health.parquet'"
        assert connection.execute(query).fetchall() == [(HOSTILE,)]


def test_without_accounts_there_are_headers(settings, publish_days):
    publish_days("run-1", [])
    assert len(cells(exported(settings, "account_health.csv"))) == 1
    assert crm_update(settings) == []
    book = openpyxl.load_workbook(settings.published / "current" / "exports" / "account_health.xlsx")
    assert book["Accounts"].max_row == 1
    assert book["About"]["B3"].value == "no account is in the scored population"


# --- XLSX ---


def open_book(settings: Settings) -> openpyxl.Workbook:
    return openpyxl.load_workbook(settings.published / "current" / "exports" / "account_health.xlsx")


def with_board(folder: Path, base_url: str, more: str = "") -> Settings:
    settings = make_settings(folder, reporting_currency='"EUR"')
    with open(settings.config_file, "a", encoding="utf-8") as file:
        file.write(f'[board]\nbase_url = "{base_url}"\n{more}')
    return load_settings(settings.config_file)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> openpyxl.Workbook:
    book_settings = with_board(tmp_path_factory.mktemp("book"), "https://health.acme.com/board/")
    score_days(book_settings, "run-1", [DAY_1])
    rename(book_settings, "a1", "'a/1 ?'")
    change_warehouse(book_settings, "update marts.account_health_history set tier = 'unknown', coverage = 0.4 where account_id = 'a2'")
    know(book_settings, "a/1 ?", account_name=HOSTILE, csm="+49 30 1", arr=1234567.8, delta_28d=-6.5, tier_since="2026-01-02")
    know(book_settings, "a3", account_name="Acme", negative_1_label="Days late", negative_1_points=-6.24, negative_1_value="40.5 days")
    act(book_settings, "a3", DAY_1, playbook_key="ask", label="Ask", priority=2, reason="@late", since="2026-01-28", state="snoozed")
    for account, invoice, days, is_scored in (("a3", "i-1", 0, True), ("gone", "=i-2", 40, False)):
        claim = f"'{account}', '{DAY_1}', 'Acme', null, {is_scored}, '{invoice}', '2026-01-01', '2026-01-31', {days}, null"
        change_warehouse(book_settings, f"insert into marts.receivables values ({claim}, 110.5, 'EUR', 100.45, 100.45, 'USD')")
    for number, role, left in ((1, "decision_maker", None), (2, "champion", "2026-01-20"), (3, "champion", None)):
        known = f"'a3', {number}, '{DAY_1}', '{role}', '2025-05-01', {'null' if left is None else repr(left)}, {left is None}, '2026-01-09'"
        change_warehouse(book_settings, f"insert into marts.account_contacts values ({known}, null, null, null)")
    with pytest.MonkeyPatch.context() as patch:
        stub_board(patch)
        publish(book_settings, "run-1", PUBLISHED_AT)
    return open_book(book_settings)


def by_heading(sheet, line: int) -> dict[str, openpyxl.cell.Cell]:
    return {sheet.cell(1, place).value: sheet.cell(line, place) for place in range(1, sheet.max_column + 1)}


def ids(sheet, rows: int) -> list[str]:
    return [by_heading(sheet, line)["Account ID"].value for line in range(2, rows + 2)]


def test_the_first_sheet_says_what_this_is(book):
    assert book.sheetnames == ["About", "Accounts", "Actions", "Receivables", "People"]
    about = book["About"]
    assert [about.cell(row, 2).value for row in (3, 4)] == ["2026-01-30", 1]
    legend = [(about.cell(row, 1).value, about.cell(row, 1).fill.fgColor.rgb, about.cell(row, 2).value) for row in range(7, 11)]
    assert legend == [
        ("Healthy", "FF2B9A85", "0"),
        ("At risk", "FFECB94A", "1"),
        ("Poor", "FFB8372F", "1"),
        ("Unknown", "FFA7AFB9", "1 - too little of the scorecard could be measured for a tier"),
    ]


def test_receivables_name_who_left_and_what_is_owed_in_both_currencies(book):
    sheet = book["Receivables"]
    names = ("Account ID", "Invoice", "Days overdue", "Owed (EUR)", "Still a customer", "Owed in its currency", "Currency")
    assert [tuple(by_heading(sheet, line)[name].value for name in names) for line in (2, 3)] == [
        ("gone", "=i-2", 40, 110.5, "no", 100.45, "USD"),
        ("a3", "i-1", 0, 110.5, "yes", 100.45, "USD"),
    ]
    assert by_heading(sheet, 2)["Owed (EUR)"].number_format == "#,##0.00"


def test_people_have_roles_and_days_and_names_only_where_they_may(book, tmp_path):
    sheet = book["People"]
    unnamed = ["Account", "Role", "Last contact", "Since", "Left", "Customer-success manager", "Account ID"]
    assert [cell.value for cell in sheet[1]] == unnamed
    assert [tuple(by_heading(sheet, line)[name].value for name in ("Account", "Role", "Last contact", "Left")) for line in (2, 3, 4)] == [
        ("Acme", "Champion", datetime(2026, 1, 9), None),
        ("Acme", "Decision maker", datetime(2026, 1, 9), None),
        ("Acme", "Champion", datetime(2026, 1, 9), datetime(2026, 1, 20)),
    ]
    settings = with_board(tmp_path, "https://health.acme.com/board/", "[privacy]\ncontact_names = true\n")
    score_days(settings, "run-1", [DAY_1], accounts="a1")
    known = f"'a1', 1, '{DAY_1}', 'user', '2025-05-01', null, true, null, 'c-9', '=Ann', 'ann@acme.example'"
    change_warehouse(settings, f"insert into marts.account_contacts values ({known})")
    publish(settings, "run-1", PUBLISHED_AT)
    row = by_heading(open_book(settings)["People"], 2)
    assert (row["Name"].value, row["Name"].data_type, row["Mail address"].value) == ("=Ann", "s", "ann@acme.example")
    assert row["Contact ID"].value == "c-9"


def test_cells_have_the_types_and_formats_of_what_they_are(book):
    sheet = book["Accounts"]
    # The arr of one is at risk; then 15, 45.
    assert ids(sheet, 3) == ["a/1 ?", "a3", "a2"]
    first = by_heading(sheet, 2)
    assert [(first[name].value, first[name].number_format) for name in ("Score", "Change 28 days", "ARR (EUR)", "In this tier since")] == [
        (65, "0.0"),
        (-6.5, "+0.0;-0.0;0.0"),
        (1234567.8, "#,##0"),
        (datetime(2026, 1, 2), "yyyy-mm-dd"),
    ]
    assert first["Term ends"].value is None
    share = by_heading(sheet, 4)["Measured share of the scorecard"]
    assert (share.value, share.number_format) == (0.4, "0%")
    assert by_heading(sheet, 3)["Weighs down 1"].value == "Days late: 40.5 days (-6.2)"


def test_tiers_have_their_colour_and_their_name(book):
    tiers = [by_heading(book["Accounts"], row)["Tier"] for row in (2, 3, 4)]
    assert [(cell.value, cell.fill.fgColor.rgb, cell.font.color.rgb) for cell in tiers] == [
        ("At risk", "FFECB94A", "FF000000"),
        ("Poor", "FFB8372F", "FFFFFFFF"),
        ("Unknown", "FFA7AFB9", "FF000000"),
    ]


def test_eight_columns_are_printed_the_rest_is_beside_them(book):
    printed = {
        name: [book[name].cell(1, place).value for place in range(1, 9)] for name in ("Accounts", "Actions", "Receivables", "People")
    }
    assert printed == {
        "Accounts": [
            "Account", "Tier", "Score", "Change 28 days", "ARR (EUR)", "Term ends", "Customer-success manager", "Weighs down 1",
        ],
        "Actions": ["Priority", "Action", "Account", "Tier", "Owner", "Due", "State", "Why"],
        "Receivables": [
            "Account", "Customer-success manager", "Invoice", "Due", "Days overdue", "Owed (EUR)", "Still a customer", "Written off",
        ],
        "People": ["Account", "Role", "Last contact", "Since", "Left", "Customer-success manager", "Account ID", None],
    }  # fmt: skip


def test_header_filter_and_print_setup(book):
    for name, frozen, columns, printed in (("Accounts", "B2", 31, "H"), ("Actions", "D2", 13, "H"), ("Receivables", "B2", 12, "H")):
        sheet = book[name]
        assert sheet.freeze_panes == frozen
        assert sheet.max_column == columns
        assert sheet.auto_filter.ref == f"A1:{sheet.cell(sheet.max_row, columns).coordinate}"
        assert (sheet.page_setup.orientation, sheet.print_title_rows) == ("landscape", "$1:$1")
        assert sheet.print_area == f"'{name}'!$A$1:${printed}${sheet.max_row}"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        # One page wide, which is what no number means, and as many long as it takes.
        assert (sheet.page_setup.fitToWidth or 1, sheet.page_setup.fitToHeight) == (1, 0)


def test_hostile_text_stays_text(book):
    cell = by_heading(book["Accounts"], 2)["Account"]
    assert (cell.value, cell.data_type, cell.quotePrefix) == (HOSTILE, "s", 1)
    phone = by_heading(book["Accounts"], 2)["Customer-success manager"]
    assert (phone.value, phone.data_type, phone.quotePrefix) == ("+49 30 1", "s", 1)
    why = by_heading(book["Actions"], 2)["Why"]
    assert (why.value, why.data_type, why.quotePrefix) == ("@late", "s", 1)
    assert by_heading(book["Accounts"], 3)["Account"].quotePrefix == 0
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert kinds == {"s", "n", "d"}


def test_an_account_leads_to_its_page(book):
    link = by_heading(book["Accounts"], 2)["Account"].hyperlink
    assert (link.target, link.location) == ("https://health.acme.com/board/account.html", "a%2F1%20%3F")
    assert by_heading(book["Actions"], 2)["Account"].hyperlink.location == "a3"
    # Who has left has no page.
    gone, there = (by_heading(book["Receivables"], line)["Account"] for line in (2, 3))
    assert (gone.value, gone.hyperlink, there.hyperlink.location) == ("Acme", None, "a3")


def test_where_no_link_can_be_there_is_text(tmp_path):
    settings = with_board(tmp_path, "https://health.acme.com/board/")
    score_days(settings, "run-1", [DAY_1], accounts="a1")
    rename(settings, "a1", "repeat('i', 40000)")
    change_warehouse(settings, "insert into marts.attributes (account_id, account_name) values (repeat('i', 40000), repeat('n', 1000000))")
    publish(settings, "run-1", PUBLISHED_AT)
    row = by_heading(open_book(settings)["Accounts"], 2)
    assert (row["Account"].value, row["Account"].hyperlink) == ("n" * CELL_LIMIT, None)
    assert row["Account ID"].value == "i" * CELL_LIMIT


def test_only_a_board_on_a_web_server_is_linked_to(tmp_path):
    settings = with_board(tmp_path, "file:///srv/board")
    score_days(settings, "run-1", [DAY_1], accounts="a1")
    know(settings, "a1", account_name="Acme")
    publish(settings, "run-1", PUBLISHED_AT)
    cell = by_heading(open_book(settings)["Accounts"], 2)["Account"]
    assert (cell.value, cell.hyperlink) == ("Acme", None)


def test_what_a_sheet_cannot_hold_is_left_out_and_said(settings, publish_days, monkeypatch):
    monkeypatch.setattr(workbook, "_ROWS", 2)
    publish_days("run-1", [DAY_1])
    book = open_book(settings)
    assert ids(book["Accounts"], 2) == ["a3", "a2"] and book["Accounts"].max_row == 3
    said = [cell.value for row in book["About"].iter_rows() for cell in row if cell.value]
    assert said[-2:] == ["Left out", "Accounts: a sheet holds 2 of the 3 rows. The CSV file has all."]
    assert len(cells(exported(settings, "account_health.csv"))) == 4


def test_the_same_mart_gives_the_same_bytes(tmp_path):
    files = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        settings = make_settings(tmp_path / place)
        score_days(settings, "run-1", [DAY_1])
        know(settings, "a1", account_name=HOSTILE)
        done = publish(settings, "run-1", PUBLISHED_AT)
        files.append({path.name: path.read_bytes() for path in (done.path / "exports").iterdir()})
    assert files[0] == files[1]
    assert files[0].keys() == {"account_health.csv", "account_health.xlsx", "account_actions.csv", "crm_full.csv", "crm_update.csv"}


# --- CRM ---


def test_a_crm_finds_the_account_by_its_id_as_it_is(settings):
    score_days(settings, "run-1", [DAY_1], accounts="a1 a2")
    for table in HISTORIES:
        change_warehouse(settings, f"update {table} set account_id = if(account_id = 'a1', '-1001', '@acme')")
    publish(settings, "run-1", PUBLISHED_AT)
    assert {row[0] for row in crm_update(settings)} == {"-1001", "@acme"}
    people = cells(exported(settings, "account_health.csv"))
    assert {row[0] for row in people[1:]} == {"'-1001", "'@acme"}


def test_a_key_of_the_crm_is_there_once(settings):
    """Ids that earlier versions let in: they differ in what the file does not keep."""
    score_days(settings, "run-1", [DAY_1], accounts="a1 a2 a3")
    for table in HISTORIES:
        change_warehouse(
            settings,
            f"update {table} set account_id = case account_id when 'a1' then 'a 1' when 'a2' then 'a' || chr(9) || '1' else 'a3' end",
        )
    publish(settings, "run-1", PUBLISHED_AT)
    assert [row[0] for row in crm_update(settings)] == ["a 1", "a3"]
    score_days(settings, "run-2", [DAY_1], accounts="a3")
    publish(settings, "run-2", PUBLISHED_AT)
    assert [row[0] for row in cells(exported(settings, "crm_full.csv"))[1:]] == ["a 1", "a3"]


def test_a_crm_is_sent_everything_first_and_then_nothing_new(settings, publish_days):
    publish_days("run-1", [DAY_1])
    assert crm_update(settings) == [
        ["a1", "65.0", "at_risk", NEUTRAL],
        ["a2", "45.0", "at_risk", NEUTRAL],
        ["a3", "15.0", "poor", NEUTRAL],
    ]
    publish_days("run-2", [DAY_1])
    assert exported(settings, "crm_update.csv") == b'"account_id","score","tier","reason"\n'
    # Another day with the same scores is not news either.
    publish_days("run-3", days_from(DAY_1, 2))
    assert crm_update(settings) == []


def test_only_what_changed_is_sent(settings, publish_days):
    publish_days("run-1", [DAY_1])
    score_days(settings, "run-2", [DAY_1])
    change_warehouse(settings, "update marts.account_health_history set health_score = 45.1 where account_id = 'a2'")
    change_warehouse(settings, "update intermediate.int_scoring__account_scores set active_days_28d__score = 50.1 where account_id = 'a2'")
    change_warehouse(settings, "update marts.account_health_history set tier = 'at_risk' where account_id = 'a3'")
    know(settings, "a1", positive_1_label="Active days", positive_1_points=20, positive_1_value="23 days")
    publish(settings, "run-2", PUBLISHED_AT)
    assert crm_update(settings) == [
        ["a1", "65.0", "at_risk", "Lifted most by: Active days, 23 days."],
        ["a2", "45.1", "at_risk", NEUTRAL],
        ["a3", "15.0", "at_risk", NEUTRAL],
    ]


def test_an_account_that_leaves_and_comes_back(settings):
    first, second, third, fourth = days_from(DAY_1, 4)
    for number, (day, accounts) in enumerate([(first, "a1 a2 a3"), (second, "a1 a2"), (third, "a1 a2"), (fourth, "a1 a2 a3")], start=1):
        score_days(settings, f"run-{number}", [day], accounts=accounts)
        publish(settings, f"run-{number}", PUBLISHED_AT)
    updates = [cells(exported(settings, "crm_update.csv", generation))[1:] for generation in (2, 3, 4)]
    assert updates == [
        [["a3", "", "", "No longer scored: on 2026-01-30, the last day, 15.0 (poor)."]],
        [],
        [["a3", "15.0", "poor", NEUTRAL]],
    ]
    # Nothing in quotes where there is nothing.
    assert b'\n"a3",,,"No longer' in exported(settings, "crm_update.csv", 2)
    assert [row[0] for row in cells(exported(settings, "crm_full.csv", 3))[1:]] == ["a1", "a2", "a3"]


def test_a_revision_of_an_older_day_is_not_news(settings, publish_days):
    first, second = days_from(DAY_1, 2)
    publish_days("run-1", [first, second])
    done = publish_days("run-2", [first], shift=1.0)
    assert done.revisions == 3
    assert crm_update(settings) == []


def test_after_a_rollback_nobody_is_left_with_what_was_taken_back(settings):
    first = [DAY_1]

    def run(run_id: str, shift: float, accounts: str = "a1 a3") -> None:
        score_days(settings, run_id, first, shift=shift, accounts=accounts)
        publish(settings, run_id, PUBLISHED_AT)

    run("run-1", 0.0)
    run("run-2", 1.0, "a1 a2 a3")
    rollback(settings)
    # As generation 1 was: the CRM may have been sent generation 2.
    score_days(settings, "run-3", first, accounts="a1 a3")
    change_warehouse(settings, "delete from marts.account_health_history where account_id = 'a2'")
    change_warehouse(settings, "delete from intermediate.int_scoring__account_scores where account_id = 'a2'")
    publish(settings, "run-3", PUBLISHED_AT)
    assert crm_update(settings) == [
        ["a1", "65.0", "at_risk", NEUTRAL],
        # Its only score is withdrawn, so there is no last day.
        ["a2", "", "", "No longer scored."],
        ["a3", "15.0", "poor", NEUTRAL],
    ]
    # Sent again, it is not news.
    run("run-4", 0.0)
    assert crm_update(settings) == []
    # As generation 2 was, after a rollback to 3: differs from what readers see now, although it was sent before.
    rollback(settings, to=3)
    run("run-5", 1.0)
    assert [row[:2] for row in crm_update(settings)] == [["a1", "66.0"], ["a3", "16.0"]]


def test_who_missed_files_loads_those_in_between_or_the_full_one(tmp_path):
    settings = make_settings(tmp_path, keep_generations=2)
    told: dict[str, list[str]] = {}
    for number, shift in enumerate((0.0, 1.0, 1.0, 2.0), start=1):
        score_days(settings, f"run-{number}", [DAY_1], shift=shift, accounts="a1 a2" if number > 2 else "a1 a2 a3")
        change_warehouse(settings, f"delete from marts.account_health_history where account_id = 'a3' and {number} > 2")
        change_warehouse(settings, f"delete from intermediate.int_scoring__account_scores where account_id = 'a3' and {number} > 2")
        publish(settings, f"run-{number}", PUBLISHED_AT)
        told |= {row[0]: row for row in crm_update(settings)}
    full = {row[0]: row for row in cells(exported(settings, "crm_full.csv"))[1:]}
    assert (
        full
        == told
        == {
            "a1": ["a1", "67.0", "at_risk", NEUTRAL],
            "a2": ["a2", "47.0", "at_risk", NEUTRAL],
            "a3": ["a3", "", "", "No longer scored."],
        }
    )


def test_what_was_sent_is_unknown_when_the_file_is_lost(settings, publish_days):
    done = publish_days("run-1", [DAY_1])
    (done.path / "exports" / "crm_full.csv").unlink()
    publish_days("run-2", [DAY_1])
    assert [row[0] for row in crm_update(settings)] == ["a1", "a2", "a3"]


ACCOUNT = {"override_reason": None, "tier": "healthy", "trend": "stable", "delta_28d": 0.0} | {
    f"{kind}_{rank}_{part}": None
    for kind in ("positive", "negative", "change")
    for rank in (1, 2, 3)
    for part in ("label", "value", "points")
}
LIFT = {"positive_1_label": "Active days", "positive_1_value": "23 days", "positive_1_points": 6.7}
WEIGHT = {"negative_1_label": "Two tickets escalated.", "negative_1_value": None, "negative_1_points": -9.0} | {
    "negative_2_label": "Days late",
    "negative_2_value": "40.5 days",
    "negative_2_points": -6.2,
}
CHANGES = {"change_1_label": "Active days", "change_1_value": "3 days (was 20)", "change_1_points": -9.5} | {
    "change_2_label": "Data came or went",
    "change_2_value": None,
    "change_2_points": 3.0,
}


@pytest.mark.parametrize(
    ("account", "sentence"),
    [
        ({"override_reason": "Champion left", "override_author": "jane", "tier": "poor"}, "Poor, set by jane: Champion left"),
        ({"tier": "unknown", "coverage": 0.4}, "Only 40% of the scorecard could be measured, too little for a tier."),
        ({"trend": "declining", "delta_28d": -6.5} | CHANGES, "Down 6.5 points in 28 days, most by: Active days, 3 days (was 20)."),
        ({"trend": "improving", "delta_28d": 5.0} | CHANGES, "Up 5.0 points in 28 days, most by: Data came or went."),
        ({"trend": "improving", "delta_28d": 5.0}, "Up 5.0 points in 28 days."),
        (LIFT | WEIGHT, "Lifted most by: Active days, 23 days."),
        ({"tier": "at_risk", "delta_28d": -4.9} | LIFT | WEIGHT | CHANGES,
         "Weighed down most by: Two tickets escalated; Days late, 40.5 days."),
        ({"tier": "poor", "trend": "new", "delta_28d": None} | LIFT, "Lifted most by: Active days, 23 days."),
        ({"tier": "healthy"} | WEIGHT, "Weighed down most by: Two tickets escalated; Days late, 40.5 days."),
        ({}, NEUTRAL),
    ],
)  # fmt: skip
def test_one_sentence_says_why(account, sentence):
    assert reason(ACCOUNT | account) == sentence
