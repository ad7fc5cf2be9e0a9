"""Which of several files is the newest, and what is said where that matters."""

import random

import pytest

from orchestration.extract.files.deliveries import oldest_first

HEADER = "subscription_id,account_id,seats,started_on\n"


@pytest.mark.parametrize(
    "names",
    [
        ["subs.csv", "subs (1).csv", "subs (2).csv", "subs (10).csv"],
        ["export_9.csv", "export_10.csv.gz", "Export_11.csv"],
        ["v1.9/a.csv", "v1.10/a.csv"],
        ["accounts_12-31-2025.csv", "accounts_01-31-2026.csv", "accounts_02-01-2026.csv"],
        # Days come first: 1 February is later than 2 and 14 January.
        ["31.12.2025 accounts.csv", "02.01.2026 accounts.csv", "14.01.2026 accounts.csv", "01.02.2026 accounts.csv"],
        ["a_12_01_2025.csv", "a_01_02_2026.csv", "a_02_01_2026.csv"],
        ["Accounts Dec 2025.xlsx", "Accounts January 2026.xlsx", "Accounts February 2026.xlsx"],
        ["31-Jan-2026.csv", "02-Feb-2026.csv", "10-Feb-2026.csv"],
        ["2026-01-09T23.csv", "2026-01-10T01.csv", "20260111.csv"],
        ["a.csv", "a-b.csv", "b.csv"],
    ],
)  # fmt: skip
def test_names_in_the_order_in_which_they_were_written(names: list[str]) -> None:
    for seed in range(5):
        assert oldest_first(random.Random(seed).sample(names, len(names))) == names


def test_keys_of_several_files_are_counted_by_the_last_with_a_warning_that_names_the_order(world) -> None:
    world.write("in/subs.csv", f"{HEADER}s1,a1,10,2025-01-01\ns2,a1,1,2025-01-01\ns3,a1,3,2025-01-01\n")
    world.write("in/subs (9).csv", f"{HEADER}s1,a1,20,2025-01-01\ns2,a1,1,2025-01-01\n")
    world.write("in/subs (10).csv", f"{HEADER}s1,a1,25,2025-01-01\ns4,a1,4,2025-01-01\ns4,a1,5,2025-01-01\n")
    world.source("subscriptions", 'path = "in/*.csv"')
    landed = world.land("subscriptions")
    assert world.rows("subscriptions", "subscription_id, seats") == [("s1", 25), ("s2", 1), ("s3", 3), ("s4", 5)]
    assert landed.duplicates == 4
    # s2 is the same in both files, s4 is twice in one.
    assert landed.notes == (
        "1 key is in several files with different values (s1 / 2025-01-01); the files were read in this order, and the last one "
        "counts: in/subs.csv, in/subs (9).csv, in/subs (10).csv",
        "in/subs (10).csv: 1 key is there twice or more, with different values (s4 / 2025-01-01); the last row of each counts",
    )
    assert world.land("subscriptions").notes == landed.notes


def test_files_of_one_day_are_named_by_the_day_they_belong_to(world) -> None:
    header = "ticket_id,account_id,opened_at\n"
    for day, parts in {1: ("2", "10"), 2: ("a", "b")}.items():
        for at, part in enumerate(parts):
            world.write(f"in/2026-01-0{day}/{part}.csv", f"{header}t{day},a1,2026-01-0{day} 1{at}:00\n")
    world.source("tickets", 'path = "in/{day}/*.csv"\ndelivery = "changes"')
    notes = world.land("tickets", end=world.settings.pipeline.start_date.replace(day=2)).notes
    assert [note.rpartition(": ")[2] for note in notes] == [
        "in/2026-01-01/2.csv, in/2026-01-01/10.csv",
        "in/2026-01-02/a.csv, in/2026-01-02/b.csv",
    ]
    assert [row[1] for row in world.rows("tickets", "ticket_id, hour(opened_at)")] == [11, 11]
