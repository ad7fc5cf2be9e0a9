"""What holds for any input."""

import csv
import io
import tempfile
from datetime import date
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.extract import landing_stats

_VALUES = {
    "ticket_id": st.sampled_from(["t1", "t2", "t3", "t4", "", " t1", "t'1", 't"2']),
    "account_id": st.sampled_from(["a1", "", "a,2", "a\n3"]),
    "opened_at": st.sampled_from(["2026-01-01", "2026-01-02T10:00Z", "", "never", "2026-02-30"]),
    "priority": st.sampled_from(["low", "", "LOW"]),
}
_ROW = st.tuples(*_VALUES.values())
_NOISE = st.sampled_from([b'x,"open', b"\xff\xfe", b"only,two", b'"a"b,c,d,e', b"", b"a,b,c,d,e,f"])
_FILE = st.lists(st.one_of(_ROW, _NOISE), max_size=12)


def _content(rows) -> bytes:
    # Without a letter of UTF-8 a file with b"\xff" would be taken for one in another encoding.
    lines = [",".join(_VALUES).encode(), "t0,ä,2026-01-01,low".encode()]
    for row in rows:
        if isinstance(row, bytes):
            lines.append(row)
        else:
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(row)
            lines.append(text.getvalue().encode())
    return b"\n".join(lines) + b"\n"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_FILE, second=_FILE)
def test_loaded_quarantined_and_duplicates_are_what_was_delivered(world, first, second):
    with tempfile.TemporaryDirectory(dir=world.root) as folder:
        fresh = type(world)(Path(folder))
        fresh.source("tickets", 'path = "t/{day}.csv"\ndelivery = "changes"\nmax_bad_share = 1.0')
        fresh.write("t/2026-01-01.csv", _content(first))
        fresh.write("t/2026-01-02.csv", _content(second))
        landed = fresh.land("tickets", date(2026, 1, 1), date(2026, 1, 2))
        stats = landing_stats(fresh.settings.lake)[0]
        keys = [row[0] for row in fresh.rows("tickets", "ticket_id")]
        assert landed.loaded + landed.duplicates + sum(landed.quarantined.values()) == landed.delivered
        assert (stats.loaded, stats.duplicates, stats.delivered) == (landed.loaded, landed.duplicates, landed.delivered)
        assert landed.loaded == len(keys) == len(set(keys))
        assert len(fresh.quarantine("tickets")) == sum(landed.quarantined.values())
        lines = [row for row in first + second if row != b""]
        assert landed.delivered >= len([row for row in lines if not isinstance(row, bytes) and any(row)])
        manifest = fresh.manifest_bytes("tickets")
        fresh.land("tickets", date(2026, 1, 1), date(2026, 1, 2))
        assert fresh.manifest_bytes("tickets") == manifest
