"""Files of an older version lack the columns that it did not know."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.extract.lake.manifest import raw_folder
from tests.unit.extract.conftest import World

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
OLD = "touchpoint_id,account_id,occurred_at,channel,direction\nt1,a1,2026-01-01 10:00:00,call,inbound\n"
NEW = "touchpoint_id,account_id,occurred_at,channel,direction,contact_id\nt2,a1,2026-01-02 10:00:00,call,inbound,c2\n"


def forget_column(folder: Path, column: str) -> int:
    """Write all Parquet files below a folder again without a column, as a version that did not know it wrote them."""
    files = [path for path in folder.rglob("*.parquet")]
    with duckdb.connect() as connection:
        for path in files:
            connection.execute(f"create or replace table kept as select * exclude ({column}) from read_parquet('{path}')")
            connection.execute(f"copy kept to '{path}' (format parquet)")
    return len(files)


@pytest.mark.parametrize("delivery", ["changes", "full"])
def test_what_landed_before_a_column_was_known_counts_without_it(world: World, delivery: str) -> None:
    world.source("touchpoints", f'path = "in/{{day}}.csv"\ndelivery = "{delivery}"')
    world.write("in/2026-01-01.csv", OLD)
    world.land("touchpoints", FIRST)
    assert forget_column(raw_folder(world.settings.lake, "touchpoints"), "contact_id")
    # As while its source is down.
    assert world.rows("touchpoints", "touchpoint_id, contact_id") == [("t1", None)]
    world.write("in/2026-01-02.csv", NEW if delivery == "changes" else NEW + OLD.splitlines()[1] + ",\n")
    world.land("touchpoints", SECOND)
    assert world.rows("touchpoints", "touchpoint_id, contact_id") == [("t1", None), ("t2", "c2")]
