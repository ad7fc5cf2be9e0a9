"""The journal: what the API reports only once or only for 30 days, kept for ever in append-only Parquet files.

Each file is named after its content: an extraction that was interrupted and is repeated leaves the same files.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.extract.connectors.stripe import StripeSource
from orchestration.extract.errors import SourceError
from orchestration.extract.lake import manifest as lake
from orchestration.settings import Settings

EVENTS = "customer.subscription."
OBSERVED = "observed"
PRICE = "price"
DISCOUNT = "discount"
CUSTOMER_DISCOUNT = "customer_discount"
CUSTOMER = "customer"

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("created", pa.int64()),
        ("type", pa.string()),
        ("subscription", pa.string()),
        ("body", pa.string()),
    ]
)


@dataclass(frozen=True)
class Record:
    """One line of the journal.

    Attributes:
        id: of the event; for what was observed, text made of its content.
        created: epoch seconds from which on it holds.
        type: of the event, or one of the other kinds of records.
        subscription: id, or None.
        body: JSON. Of events `{"object", "previous", "sequence"}`, `sequence` counting those of the same second; of
            observed states `{"object"}`; of customers' discounts `{"customer", "discount"}`, the last of each counts; of prices,
            discounts and customers the trimmed object.
    """

    id: str
    created: int
    type: str
    subscription: str | None
    body: str

    @cached_property
    def content(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def is_event(self) -> bool:
        return self.type.startswith(EVENTS)


def as_text(body: Any) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def journal_folder(settings: Settings, source: StripeSource) -> Path:
    """One folder per Stripe account, named after the address and the name (never the value) of the key's variable."""
    return settings.lake / "journal" / "stripe" / digest(f"{source.base_url} {source.api_key.env}")


def read_journal(folder: Path) -> list[Record]:
    """All records, each id once, in the order in which they hold.

    Raises:
        SourceError: a file is damaged.
    """
    found: dict[str, Record] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
            if _name(rows) != path.name:
                raise ValueError("its name is not that of its content")
            records = [Record(**row) for row in rows]
            # Parses what gives their order, so that a damaged record is found here.
            records.sort(key=_place)
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise SourceError(
                f"{path} cannot be read ({type(error).__name__}). Restore it from a backup; without it older prices "
                "and seats of the subscriptions are lost"
            ) from None
        for record in records:
            found.setdefault(record.id, record)
    return sorted(found.values(), key=_place)


def _place(record: Record) -> tuple[int, int, int, str]:
    # Within a second: observed states hold until an event says otherwise; a creation comes first, a deletion last.
    if not record.is_event:
        return record.created, 0, 0, record.id
    rank = {"created": 1, "deleted": 3}.get(record.type.removeprefix(EVENTS), 2)
    return record.created, rank, int(record.content["sequence"]), record.id


def merged(known: Iterable[Record], more: Iterable[Record]) -> list[Record]:
    """Both, each id once, in the order in which they hold."""
    records = {record.id: record for record in known}
    for record in more:
        records.setdefault(record.id, record)
    return sorted(records.values(), key=_place)


def _name(rows: list[dict[str, Any]]) -> str:
    return f"{blake2b(as_text(rows).encode(), digest_size=16).hexdigest()}.parquet"


def append(folder: Path, known: Iterable[Record], wanted: Iterable[Record]) -> None:
    """Write those wanted records that are not yet known as one file."""
    old = {record.id for record in known}
    new = sorted({record.id: record for record in wanted if record.id not in old}.values(), key=lambda one: one.id)
    if not new:
        return
    rows = [asdict(record) for record in new]
    name = _name(rows)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.tmp"
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")
    lake.keep([(temporary, folder / name)])
