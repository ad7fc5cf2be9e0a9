"""The demo company: a believable SaaS business of any size, over any range of days, the same every time.

`DemoSource` is the connector, `demo_batches` what it reads; `write_demo_files` writes the same company as files, for
tests and benchmarks. What happens and why is in `simulation`; who the accounts are in `company`; `usage` writes the
product log, `tables` all other raw tables, and `dirt` adds what real sources deliver besides facts.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from orchestration.contract import EVENT_TABLE, TABLES, RawTable
from orchestration.extract.connectors.base import Connector, Preview, Window
from orchestration.extract.connectors.demo.company import from_day, to_day
from orchestration.extract.connectors.demo.dirt import soil
from orchestration.extract.connectors.demo.simulation import History, simulate
from orchestration.extract.connectors.demo.tables import build_table
from orchestration.extract.connectors.demo.usage import EVENTS_PER_ACCOUNT_DAY, ProductLog
from orchestration.settings import Demo, Settings

# The company's records begin so long before the first scored day that windows of a year are filled from the start.
HISTORY_BEFORE_START = timedelta(days=425)
_ROWS_PER_BATCH = 200_000
# Its product log comes as events.
DEMO_TABLES = tuple(name for name, table in TABLES.items() if not table.is_aggregate)


class DemoSource(Connector):
    """`connector = "demo"`: the generated demo company, see `[demo]`."""

    is_made_up = True
    tables = DEMO_TABLES

    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        return demo_batches(settings, table, window.until)

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        page = super().preview(settings, table)
        mapped = tuple(column.name for column in table.columns)
        return replace(page, mapped=mapped, note=", ".join(filter(None, ("made-up company", page.note))))

    def version(self, settings: Settings, table: RawTable, until: date) -> str:
        """The company, its last day, and the code that makes it up."""
        code = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
        parts = (until.isoformat(), settings.demo, settings.pipeline.start_date, code)
        return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def demo_batches(settings: Settings, table: RawTable, end: date) -> Iterator[pa.RecordBatch]:
    """Everything that the demo company's systems hold at the end of a day, since its records began.

    A later `end` only adds to it: new rows, and what has been filled in since (payments, resolutions, ends).

    Args:
        settings: `[demo]` gives size, seed and dirt; the records begin 14 months before `pipeline.start_date`.
        table: the raw table.
        end: the last day, UTC; before the records began there is nothing.

    Yields:
        Batches with the contract's columns in its order and types, or all as text where the table contains rows that
        the types cannot hold.
    """
    first_day = to_day(settings.pipeline.start_date - HISTORY_BEFORE_START)
    last_day = to_day(end)
    if last_day < first_day:
        return
    history = _history(settings.demo.accounts, settings.demo.seed, first_day, last_day)
    if table.name == EVENT_TABLE:
        yield from _event_batches(ProductLog(history, settings.demo.dirt))
    else:
        rows = _delivered(history, table.name, settings.demo)
        yield from rows.to_batches(max_chunksize=_ROWS_PER_BATCH)


def write_demo_files(
    demo: Demo,
    start_history: date,
    end: date,
    folder: Path,
    events_per_account_day: float = EVENTS_PER_ACCOUNT_DAY,
) -> int:
    """Write the company as files: `events/YYYY-MM-DD.parquet` by delivery day, other raw tables as `<table>.csv`.

    The files are those that `demo_sources` names. Events are written day by day, so memory does
    not grow with their number.

    Args:
        demo: size, seed and dirt.
        start_history: first day of the records.
        end: last day; the CSV files show the company as it is at its end.
        folder: created where missing; files of the same names are replaced.
        events_per_account_day: mean number of usage events per account with a subscription and day.

    Returns:
        Number of usage events written.

    Raises:
        ValueError: `end` lies before `start_history`.
    """
    if end < start_history:
        raise ValueError(f"end {end} lies before start_history {start_history}")
    (folder / "events").mkdir(parents=True, exist_ok=True)
    history = _history(demo.accounts, demo.seed, to_day(start_history), to_day(end))
    for name in DEMO_TABLES:
        if name != EVENT_TABLE:
            pyarrow.csv.write_csv(_delivered(history, name, demo), folder / f"{name}.csv")

    log = ProductLog(history, demo.dirt, events_per_account_day)
    deliveries: dict[int, list[pa.Table]] = defaultdict(list)
    written = 0
    for day in range(history.first_day, history.last_day + 1):
        today = log.on(day)
        if (today.arrives == day).all():
            deliveries[day].append(today.events)
        else:
            for arrival in range(day, int(today.arrives.max()) + 1):
                deliveries[arrival].append(today.events.filter(pa.array(today.arrives == arrival)))
        delivery = pa.concat_tables(deliveries.pop(day))
        pyarrow.parquet.write_table(delivery, folder / "events" / f"{from_day(day)}.parquet", compression="zstd")
        written += delivery.num_rows
    return written


def demo_sources(folder: str) -> str:
    """The `[sources]` of a `health.toml` for the files of `write_demo_files`.

    Args:
        folder: where they are, relative to the `health.toml`, with forward slashes.
    """
    paths = {name: f"{folder}/{name}.csv" for name in DEMO_TABLES} | {EVENT_TABLE: f"{folder}/events/{{day}}.parquet"}
    return "\n".join(f"[sources.{name}]\nconnector = \"files\"\npath = '{path}'\n" for name, path in paths.items())


@lru_cache(maxsize=2)
def _history(size: int, seed: int, first_day: int, last_day: int) -> History:
    # A run lands all tables of the same company: it lives once per process.
    return simulate(size, seed, first_day, last_day)


def _delivered(history: History, name: str, demo: Demo) -> pa.Table:
    clean = build_table(history, name, demo.accounts, with_hostile_names=demo.dirt)
    return soil(name, clean) if demo.dirt else clean.rows


def _event_batches(log: ProductLog) -> Iterator[pa.RecordBatch]:
    """The product log up to its last day, in batches of some size; what is still on its way is left out."""
    waiting: list[pa.Table] = []
    rows = 0
    first_day, last_day = log.days
    for day in range(first_day, last_day + 1):
        today = log.on(day)
        waiting.append(today.events.filter(pa.array(today.arrives <= last_day)))
        rows += waiting[-1].num_rows
        if rows >= _ROWS_PER_BATCH or day == last_day:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
