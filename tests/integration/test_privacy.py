"""The people of a company, by real commands: no name, mail address or id of theirs is outside the lake, unless it is allowed.

Their file has what quotes values elsewhere: columns in the wrong place, a broken line, the same key twice, ids that are mail addresses and
accounts that nobody knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.forked import health
from tests.leaks import find_leaks

DAY = "2026-03-09"
# Whatever a source may say of a person: unlike any other text.
PEOPLE = {
    "champion": "Zebedee Quillfeather",
    "champion's address": "zquill@quillfeather.example",
    "former champion": "Ottoline Brackenbury",
    "user's address": "bram@vosskuhl.example",
    "name in the column of roles": "Peregrine Ashdown",
    "address in the column of days": "wexcombe@ashdown.example",
    "name in a broken line": "Thessaly Marchbanks",
    "name of a row that comes twice": "Ignatius Fotherby",
}
# Those that are ids: usage is counted by them, so that the working file has them.
CONTACT_ID, USER_ID, TWICE = "cid-zquill@ids.example", "uid-zquill@ids.example", "cid-fotherby@ids.example"
IDS = {
    "contact's id": CONTACT_ID,
    "user's id": USER_ID,
    "id that comes twice": TWICE,
    "address in the column of accounts": "hollis@unknown.example",
    "name in the column of accounts": "Lysander Crumpacker",
}
CONTACTS = f"""contact_id,account_id,user_id,name,email,role,joined_on,left_on
{CONTACT_ID},a1,{USER_ID},{PEOPLE["champion"]},{PEOPLE["champion's address"]},champion,2025-01-01,
c2,a1,,{PEOPLE["former champion"]},,champion,2025-01-01,2026-03-01
c3,a2,,,{PEOPLE["user's address"]},user,2025-06-01,
c4,a2,,Bram,b@x.example,{PEOPLE["name in the column of roles"]},2025-06-01,
c5,a2,,Bram,b@x.example,user,{PEOPLE["address in the column of days"]},
c6,a2,,"{PEOPLE["name in a broken line"]}" x,b@x.example,user,2025-06-01,
{TWICE},a2,,{PEOPLE["name of a row that comes twice"]},,user,2025-06-01,
{TWICE},a2,,{PEOPLE["name of a row that comes twice"]},,billing,2025-06-01,
c8,{IDS["address in the column of accounts"]},,,,user,2025-06-01,
c9,{IDS["name in the column of accounts"]},,,,user,2025-06-01,
c10,a2,,,,other,2025-06-01,
"""
FILES = {
    "accounts": "account_id,account_name,created_at\na1,Acme,2025-01-01\na2,Bolt,2025-01-01\n",
    "subscriptions": "subscription_id,account_id,mrr,started_on\ns1,a1,100,2025-01-01\ns2,a2,100,2025-01-01\n",
    "usage_events": f"event_id,account_id,user_id,occurred_at\ne1,a1,{USER_ID},2026-03-08 10:00\ne2,a2,u2,2026-03-09 10:00\n",
    "touchpoints": "touchpoint_id,account_id,contact_id,occurred_at,channel,direction\nt1,a2,c3,2026-03-05,call,inbound\n",
    "contacts": CONTACTS,
}


@dataclass(frozen=True)
class Told:
    """A folder of a configuration, and all that commands have said there.

    Attributes:
        texts: by command.
        codes: how each ended.
    """

    folder: Path
    texts: dict[str, str]
    codes: dict[str, int]

    def configure(self, max_bad_share: float = 0.5, more: str = "") -> None:
        sources = "".join(f'[sources.{table}]\nconnector = "files"\npath = "{table}.csv"\n' for table in FILES)
        (self.folder / "health.toml").write_text(
            f'[pipeline]\nstart_date = {DAY}\nend_date = {DAY}\nthreads = 2\nmemory_limit = "512MB"\n{sources}'
            f"max_bad_share = {max_bad_share}\n{more}"
        )

    def command(self, name: str, *arguments: str) -> None:
        done = health(self.folder / "health.toml", *arguments)
        self.texts[name] = done.stdout + done.stderr
        self.codes[name] = done.returncode

    def leaks(self, secrets: dict[str, str]) -> list[str]:
        """Where a text is, but for the lake."""
        return [leak for leak in find_leaks(self.folder / "data", secrets, self.texts) if " in lake/" not in leak]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path, {}, {})
    for table, text in FILES.items():
        (tmp_path / f"{table}.csv").write_text(text, encoding="utf-8")
    told.configure()
    yield told


def people(told: Told) -> list[tuple]:
    with duckdb.connect(str(told.folder / "data" / "published" / "current" / "health.duckdb"), read_only=True) as mart:
        return mart.execute(
            "select account_id, contact_number, role, is_in_force, cast(left_on as varchar), cast(last_contact_on as varchar), contact_id,"
            " contact_name, contact_email from account_contacts order by all"
        ).fetchall()


def test_names_stay_in_the_lake_unless_they_are_allowed(told: Told) -> None:
    told.command("look", "check")
    told.command("run", "run", DAY)
    assert told.codes["run"] == 0, told.texts["run"]
    # Of everybody the row is there, and nothing else.
    assert [row[:6] for row in people(told)] == [
        ("a1", 1, "champion", False, "2026-03-01", None),
        ("a1", 2, "champion", True, None, "2026-03-08"),
        ("a2", 1, "other", True, None, None),
        ("a2", 2, "user", True, None, "2026-03-05"),
        ("a2", 3, "billing", True, None, None),
    ]
    assert {row[6:] for row in people(told)} == {(None, None, None)}
    # The rows were met where messages quote values.
    for said in ("contacts: ", "role: none of champion", "joined_on: not a date", "text after a closing quote", "no account for 2 of"):
        assert said in told.texts["look"]
    told.configure(max_bad_share=0.05)
    told.command("refused", "run", DAY)
    assert told.codes["refused"] != 0 and "break the contract" in told.texts["refused"]
    assert told.leaks(PEOPLE) == []
    # The search finds what is there.
    in_lake = find_leaks(told.folder / "data" / "lake", PEOPLE | IDS)
    assert {leak.rpartition(" in ")[0] for leak in in_lake} >= {"champion", "champion's address", "name in a broken line", *IDS}
    assert {leak.rpartition(" in ")[2].split()[0] for leak in told.leaks(IDS)} == {"warehouse.duckdb"}

    told.configure(more="[privacy]\ncontact_names = true\n")
    told.command("allowed", "run", DAY)
    assert told.codes["allowed"] == 0, told.texts["allowed"]
    champion = (CONTACT_ID, PEOPLE["champion"], PEOPLE["champion's address"])
    assert champion in [row[6:] for row in people(told)]
    # Not in logs, also where they may be shown.
    shown = {leak.rpartition(" in ")[2].split()[0] for leak in told.leaks({"champion": PEOPLE["champion"]})}
    parts = {"/".join(place.split("/")[3:4]) or place for place in shown}
    assert parts == {"health.duckdb", "parquet", "board", "exports", "warehouse.duckdb"}

    # Switched off again, the next run leaves no byte of a name, of older generations either, and says so.
    told.configure()
    told.command("forbidden", "run", DAY)
    assert told.codes["forbidden"] == 0, told.texts["forbidden"]
    assert told.leaks(PEOPLE) == []
    assert {leak.rpartition(" in ")[2].split()[0] for leak in told.leaks(IDS)} == {"warehouse.duckdb"}
    assert "generations with names of people are removed, no rollback leads there: 2" in told.texts["forbidden"]
    assert {path.name for path in (told.folder / "data" / "published" / "generations").iterdir()} == {"1", "3"}
