"""Tables of which each day's file is the whole: who left when, what began when, worked out by hand."""

from datetime import date, datetime

import pytest

from orchestration.contract import TABLES
from orchestration.extract import land_table
from orchestration.extract.errors import SuddenLoss
from orchestration.settings import SettingsError
from tests.unit.extract.conftest import World

SUBSCRIPTIONS = "subscription_id,account_id,seats,mrr,started_on,ended_on,term_ends_on\n"


def day(number: int, month: int = 1) -> date:
    return date(2026, month, number)


def deliver(world: World, table: str, header: str, **rows_by_day: list[str]) -> None:
    """`d3=[...]` is the delivery of 3 January; later days may replace earlier ones."""
    for name, rows in rows_by_day.items():
        world.write(f"{table}/2026-01-{int(name[1:]):02}.csv", header + "".join(f"{row}\n" for row in rows))
    world.source(table, f'path = "{table}/{{day}}.csv"\ndelivery = "full"\nmax_bad_share = 1.0')


def subscriptions(world: World, end: int = 6) -> list[tuple]:
    world.land("subscriptions", end=day(end))
    return world.rows("subscriptions", "subscription_id, seats, started_on, ended_on", "subscription_id, started_on")


def test_who_is_missing_left_and_what_changed_begins_a_row(world: World) -> None:
    stays, leaves = "s1,a1,10,500,2025-01-05,,", "s2,a2,7,70,2025-02-01,,"
    deliver(
        world, "subscriptions", SUBSCRIPTIONS,
        d1=[stays, leaves], d2=[stays, leaves], d3=[stays], d4=["s1,a1,40,2000,2025-01-05,,", "s3,a2,1,10,2026-01-04,,"],
        d6=["s1,a1,40,2000,2025-01-05,2026-03-01,", "s3,a2,1,10,2026-01-04,,"],
    )  # fmt: skip
    expected = [
        ("s1", 10, day(5).replace(year=2025), day(4)),
        # An end that becomes known ends the row that holds; it begins none.
        ("s1", 40, day(4), day(1, 3)),
        ("s2", 7, date(2025, 2, 1), day(3)),
        ("s3", 1, day(4), None),
    ]
    assert subscriptions(world) == expected
    # Day by day, and again, it is the same.
    again = World(world.root / "again", world.sources)
    again.root.mkdir()
    (again.root / "subscriptions").symlink_to(world.root / "subscriptions")
    for number in (1, 2, 3, 4, 5, 6, 3):
        again.land("subscriptions", day(number))
    assert again.rows("subscriptions", "subscription_id, seats, started_on, ended_on", "subscription_id, started_on") == expected
    before = again.manifest_bytes("subscriptions")
    landed = again.land("subscriptions", day(6))
    assert again.manifest_bytes("subscriptions") == before
    assert landed.mode == "full"


def test_another_role_begins_a_row_of_a_contact_and_another_name_does_not(world: World) -> None:
    """A corrected address is no reason to take a silent champion for a new one."""
    deliver(
        world, "contacts", "contact_id,account_id,user_id,name,role,joined_on\n",
        d1=["c1,a1,,Ann,champion,2025-01-05", "c2,a1,u2,Bo,user,2025-01-05"],
        d2=["c1,a1,u1,Anne,champion,2025-01-05", "c2,a1,u2,Bo,user,2025-01-05"],
        d3=["c1,a1,u1,Anne,billing,2025-01-05"],
    )  # fmt: skip
    world.land("contacts", end=day(3))
    begun = date(2025, 1, 5)
    assert world.rows("contacts", "contact_id, user_id, name, role, joined_on, left_on", "contact_id, joined_on") == [
        ("c1", "u1", "Anne", "champion", begun, day(3)),
        ("c1", "u1", "Anne", "billing", day(3), None),
        ("c2", "u2", "Bo", "user", begun, day(3)),
    ]


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        # Came back: two rows. A day without a delivery says nothing.
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d2": [], "d4": ["s,a,5,50,2025-01-01,,"]},
            [("s", 5, date(2025, 1, 1), day(2)), ("s", 5, day(4), None)],
        ),
        # Changed and back again.
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d2": ["s,a,6,60,2025-01-01,,"], "d3": ["s,a,5,50,2025-01-01,,"]},
            [("s", 5, date(2025, 1, 1), day(2)), ("s", 6, day(2), day(3)), ("s", 5, day(3), None)],
        ),
        # What was set to nothing after its end keeps what it was worth.
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d4": ["s,a,0,0,2025-01-01,2026-01-03,"]},
            [("s", 5, date(2025, 1, 1), day(3))],
        ),
        # A plan that changes before it begins, and one that is withdrawn before.
        (
            {"d1": ["s,a,5,50,2026-02-01,,", "t,a,1,1,2026-02-01,,"], "d2": ["s,a,9,90,2026-02-01,,"]},
            [("s", 9, day(1, 2), None)],
        ),
        # The source itself begins a row, and ends the old one.
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d3": ["s,a,5,50,2025-01-01,2026-01-03,", "s,a,9,90,2026-01-03,,"]},
            [("s", 5, date(2025, 1, 1), day(3)), ("s", 9, day(3), None)],
        ),
        # The start moves with each period.
        (
            {"d1": ["s,a,5,50,2025-12-02,,"], "d2": ["s,a,5,50,2026-01-02,,"]},
            [("s", 5, date(2025, 12, 2), day(2)), ("s", 5, day(2), None)],
        ),
        # A row that cannot be read is not missing.
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d2": ["s,a,many,50,2025-01-01,,"], "d3": ["s,a,5,50,2025-01-01,,"],
             "d4": ["s,a,x,5,2025-01-01,,"]},
            [("s", 5, date(2025, 1, 1), None)],
        ),
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d2": ["s,a,many,50,2025-01-01,,"], "d3": ["s,a,8,80,2025-01-01,,"]},
            [("s", 5, date(2025, 1, 1), day(3)), ("s", 8, day(3), None)],
        ),
        (
            {"d1": ["s,a,5,50,2025-01-01,,"], "d2": ["s,a,many,50,2025-01-01,,"], "d3": ["r,a,1,1,2025-01-01,,"]},
            [("r", 1, date(2025, 1, 1), None), ("s", 5, date(2025, 1, 1), day(3))],
        ),
    ],
    ids=["back", "to and fro", "emptied", "planned", "own rows", "own start", "quarantined", "quarantined, changed", "quarantined, gone"],
)  # fmt: skip
def test_what_the_files_of_days_say_of_a_subscription(world: World, deliveries: dict[str, list[str]], expected: list[tuple]) -> None:
    deliver(world, "subscriptions", SUBSCRIPTIONS, **deliveries)
    world.source("subscriptions", 'path = "subscriptions/{day}.csv"\ndelivery = "full"\nmax_bad_share = 1.0\nmin_share = 0')
    assert subscriptions(world) == expected


def test_other_rows_end_where_the_contract_has_an_end_and_facts_no_longer_count(world: World) -> None:
    accounts = "account_id,account_name,created_at,csm\n"
    deliver(world, "accounts", accounts, d1=["a1,Acme,2025-01-01,Ann", "a2,Bolt,2025-01-01,Ann"], d2=["a1,Acme Ltd,2025-01-01,Bob"])
    invoices = "invoice_id,account_id,issued_on,due_on,amount,open_amount,voided_on\n"
    deliver(
        world,
        "invoices",
        invoices,
        d1=["i1,a1,2026-01-01,2026-01-02,9,9,", "i2,a1,2026-01-01,2026-01-02,5,,"],
        d3=["i1,a1,2026-01-01,2026-01-02,9,0,"],
    )
    overrides = "override_id,account_id,tier,reason,author,starts_on,expires_on\n"
    deliver(world, "score_overrides", overrides, d1=["o1,a1,healthy,x,y,2026-01-01,2026-06-01"], d2=[])
    tickets = "ticket_id,account_id,opened_at,priority\n"
    deliver(world, "tickets", tickets, d1=["t1,a1,2026-01-01,low", "t2,a1,2026-01-01,low"], d2=["t2,a1,2026-01-01,high"])
    for table in ("accounts", "invoices", "score_overrides", "tickets"):
        landed = world.land(table, end=day(3))
        assert landed.loaded == (0 if table == "score_overrides" else 1), table
    assert world.rows("accounts", "account_id, account_name, csm, created_at, left_on") == [
        ("a1", "Acme Ltd", "Bob", datetime(2025, 1, 1), None), ("a2", "Bolt", "Ann", datetime(2025, 1, 1), day(2)),
    ]  # fmt: skip
    assert world.rows("invoices", "invoice_id, open_amount, voided_on") == [("i1", 0.0, None), ("i2", None, day(3))]
    assert world.rows("score_overrides", "override_id, expires_on") == [("o1", day(2))]
    assert world.rows("tickets", "ticket_id, priority") == [("t2", "high")]


def test_a_file_that_comes_again_or_is_removed_changes_what_it_said(world: World) -> None:
    first, second = "s1,a1,10,500,2025-01-05,,", "s2,a1,7,70,2025-02-01,,"
    deliver(world, "subscriptions", SUBSCRIPTIONS, d1=[first, second], d2=[first])
    assert [row[3] for row in subscriptions(world, 2)] == [None, day(2)]
    deliver(world, "subscriptions", SUBSCRIPTIONS, d2=[first, second])
    assert [row[3] for row in subscriptions(world, 2)] == [None, None]
    deliver(world, "subscriptions", SUBSCRIPTIONS, d2=[second])
    assert [row[3] for row in subscriptions(world, 2)] == [day(2), None]
    (world.root / "subscriptions/2026-01-02.csv").unlink()
    assert [row[3] for row in subscriptions(world, 2)] == [None, None]
    # Only what the manifest names is left, and a lost file of it is written again.
    [history] = [name for name in world.files("subscriptions") if "history" in name]
    (world.settings.lake / history).unlink()
    assert [row[3] for row in subscriptions(world, 2)] == [None, None]


def test_a_file_that_lacks_most_rows_lets_nobody_leave_unless_it_is_accepted(world: World) -> None:
    rows = [f"s{number},a1,1,1,2025-01-01,," for number in range(30)]
    deliver(world, "subscriptions", SUBSCRIPTIONS, d1=rows, d2=rows)
    subscriptions(world, 2)
    deliver(world, "subscriptions", SUBSCRIPTIONS, d3=rows[:10])
    landed = land_table(world.settings, TABLES["subscriptions"], day(3), day(3))
    assert landed.unavailable.startswith(
        "sources.subscriptions: the delivery of 2026-01-03 has 10 rows, and that of 2026-01-02 has 30: less than min_share 0.5 allows, "
        "so the table "
        'stays as it was. If the file is not whole, deliver it again or remove it; if 10 is right, write accept_smaller = "10 of 30, '
    )
    assert all(ended is None for *_, ended in world.rows("subscriptions", "subscription_id, ended_on"))
    accept = landed.unavailable.partition("write ")[2].partition(" below")[0]
    world.source("subscriptions", f'path = "subscriptions/{{day}}.csv"\ndelivery = "full"\n{accept}')
    world.land("subscriptions", day(3))
    ends = world.rows("subscriptions", "subscription_id, ended_on", "length(subscription_id), subscription_id")
    assert [ended for *_, ended in ends] == [None] * 10 + [day(3)] * 20
    # It counts once: another such file is refused. An empty one would end the company.
    deliver(world, "subscriptions", SUBSCRIPTIONS, d4=[])
    world.source("subscriptions", f'path = "subscriptions/{{day}}.csv"\ndelivery = "full"\n{accept}')
    with pytest.raises(SuddenLoss, match="the delivery of 2026-01-04 has 0 rows, and that of 2026-01-03 has 10"):
        world.land("subscriptions", day(4))


@pytest.mark.parametrize(
    ("table", "lines", "said"),
    [
        ("tickets", 'path = "t/{day}.csv"',
         r'sources: Value error, tickets.delivery|tickets.delivery: say what the file of a day in t/{day}.csv holds. Write '
         r'delivery = "full" \(each file is the whole table: .*\) or delivery = "changes" \(a file holds rows that are new or changed, '
         r'and all others stay\)'),
        ("tickets", 'path = "t.csv"\ndelivery = "full"', "delivery is for a path with {day}"),
        ("usage_events", 'path = "e/{day}.csv"\ndelivery = "full"',
         "usage_events.delivery: the files of a day hold that day's usage. Leave it out"),
        ("tickets", 'path = "t/{day}.csv"\ndelivery = "whole"', "delivery"),
    ],
)  # fmt: skip
def test_what_a_day_s_file_holds_must_be_said(world: World, table: str, lines: str, said: str) -> None:
    world.source(table, lines)
    with pytest.raises(SettingsError, match=said):
        _ = world.settings
