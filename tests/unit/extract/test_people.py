"""No message about a table of people shows what its rows hold: messages are in logs and in Dagster's history."""

import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa

HEADER = "contact_id,account_id,name,email,role,joined_on\n"
NAME = "Kätheleen Übelacker"
PATH = 'path = "contacts.csv"'
QUERY = 'query = "select * replace (cast(name as date) as joined_on) from file"'
TWICE = f"{NAME},a1,,,user,2025-01-01\n{NAME},a1,,,billing,2025-01-01\n"


def told(world, table: str = "contacts") -> str:
    """All that a look at the source and a run say, causes of errors included."""
    said = []
    for look in (lambda: repr(world.trial(table)), lambda: repr(world.land(table))):
        try:
            said.append(look())
        except Exception as error:
            said.append("".join(traceback.format_exception(error)))
    return "\n".join(said)


@pytest.mark.parametrize(
    ("content", "lines", "words"),
    [
        pytest.param(
            f"{HEADER}c1,a1,,,{NAME},2025-01-01\n", PATH, "contacts.csv line 2: role: none of champion", id="column in another place"
        ),
        pytest.param(f"{HEADER}c1,a1,{NAME},,user\n", PATH, "joined_on: missing", id="short line"),
        pytest.param(f'{HEADER}c1,a1,"{NAME}" x,,user,2025-01-01\n', PATH, "text after a closing quote", id="broken line"),
        pytest.param(HEADER + TWICE, PATH, "1 key is there twice or more, with different values; ", id="same key twice"),
        pytest.param(f"c1,a1,{NAME},,user,2025-01-01\n", PATH, "is missing; wanted are contact_id", id="no header"),
        pytest.param(f"{HEADER}c1,a1,{NAME},,user,2025-01-01\n".encode("latin-1"), PATH, "It is likely", id="another encoding"),
        pytest.param(f"{HEADER}c1,a1,{NAME},,user,2025-01-01\n", f"{PATH}\n{QUERY}", "ConversionException", id="query"),
        pytest.param(HEADER + f"{NAME},a1,7,,user,2025-01-01\n" * 20, PATH, "all 1 name are numbers: is it", id="numbers"),
    ],
)
def test_of_a_file(world, content, lines, words) -> None:
    world.write("contacts.csv", content)
    world.source("contacts", lines)
    said = told(world)
    assert words in said
    assert "theleen" not in said and "belacker" not in said


def test_of_ids_in_another_table(world) -> None:
    rows = f"a1,{NAME},2025-01-01,1,f\na1,{NAME},2025-01-01,2,f\na1, {NAME},2025-01-01,1,f\n"
    world.write("days.csv", f"account_id,user_id,activity_day,events,feature\n{rows}")
    world.source("usage_days", 'path = "days.csv"\nmax_bad_share = 0.9')
    said = told(world, "usage_days")
    assert "has the key of a later row" in said and "user_id: white space around it" in said
    assert "belacker" not in said


def test_of_a_database(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.sqlite'}")
    with engine.begin() as connection:
        connection.execute(sa.text("create table people (contact_id, account_id, name, role, joined_on)"))
        connection.execute(sa.text("insert into people values (:name, 'a1', '', :name, '2025-01-01')"), {"name": NAME})
    engine.dispose()
    monkeypatch.setenv("CRM_URL", f"sqlite:///{tmp_path / 'crm.sqlite'}")
    world.sources = '[sources.contacts]\nconnector = "sql"\nurl = { env = "CRM_URL" }\ntable = "people"'
    said = told(world)
    assert "role: none of champion" in said
    assert "belacker" not in said
