"""What real sources also deliver: rows twice, outdated copies, and rows that break the contract.

Dirt is added beside the clean rows under keys of its own, so the facts are the same with and without it. Which row gets
some is decided by its number in the table instead of by chance: a table of few rows has none, and none can exceed the
share of bad rows at which an extraction fails.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.contract import TABLES
from orchestration.extract.connectors.demo.tables import Source

_ONE_DUPLICATE_IN = 211
_FIRST_DUPLICATE = 80
_ONE_BAD_IN = 331
_FIRST_BAD = 150

# What a system writes into a row after the fact: the outdated copy of a duplicated row does not have it yet.
_OUTDATED = {"contacts": "left_on", "subscriptions": "ended_on", "invoices": "paid_on", "tickets": "resolved_at"}

# Raw table -> faults, used in turn. A fault says what a column holds instead: None for nothing, {} for what it held.
_Fault = dict[str, str | None]
_NO_ACCOUNT: _Fault = {"account_id": None}
_PADDED_ACCOUNT: _Fault = {"account_id": " {} "}
_FAULTS: dict[str, tuple[_Fault, ...]] = {
    "accounts": ({"created_at": "31/02/2025"}, _NO_ACCOUNT, {"account_name": ""}, _PADDED_ACCOUNT),
    "contacts": ({"role": "hero"}, {"joined_on": "2024-02-30"}, {"left_on": "2001-01-01"}, _PADDED_ACCOUNT),
    "touchpoints": ({"sentiment": "1.7"}, {"channel": "fax"}, _PADDED_ACCOUNT, {"duration_minutes": "-15"}),
    "csm_pulses": ({"rating": "9"}, _NO_ACCOUNT, {"rated_at": "last week"}),
    "account_goals": ({"actual_value": "n/a"}, {"measured_on": "2025-02-30"}, _PADDED_ACCOUNT),
    "advocacy_events": ({"kind": "tattoo"}, _NO_ACCOUNT),
    "account_outcomes": ({"kind": "ghosted"}, {"occurred_on": "soon"}),
    "action_log": ({"state": "snoozed", "snoozed_until": None}, {"state": "parked"}, _PADDED_ACCOUNT),
    "subscriptions": ({"seats": "-5"}, {"currency": "XTS"}, {"started_on": "2025-13-01"}, _PADDED_ACCOUNT),
    "invoices": ({"amount": "n/a"}, {"currency": "XTS"}, {"due_on": "2025-02-30"}, {"account_id": "   "}),
    "tickets": ({"opened_at": "yesterday"}, {"priority": "urgent!!"}, _NO_ACCOUNT, {"topic": "weather"}),
    "survey_responses": ({"survey": "nps", "score": "14"}, {"score": "ten"}, {"survey": "mood"}, _PADDED_ACCOUNT),
}


def soil(name: str, clean: Source) -> pa.Table:
    """The rows of a raw table together with their dirt, right after the row it was made from.

    Returns:
        The contract's columns; all of them text where the table has faults: not every fault has the column's type.
    """
    rows = clean.rows
    faults = _FAULTS.get(name)
    if faults is not None:
        rows = pa.table({column: pc.cast(rows[column], pa.string()) for column in rows.column_names})
    position = np.arange(rows.num_rows)
    doubled = position[clean.numbers % _ONE_DUPLICATE_IN == _FIRST_DUPLICATE]
    bad = position[clean.numbers % _ONE_BAD_IN == _FIRST_BAD] if faults is not None else position[:0]
    parts = [rows, rows.take(pa.array(doubled))]
    if faults is not None:
        turn = clean.numbers[bad] // _ONE_BAD_IN % len(faults)
        parts.append(_spoiled(name, rows.take(pa.array(bad)), [faults[place] for place in turn]))
    if name in _OUTDATED:
        parts[0] = _without(rows, _OUTDATED[name], doubled)
    # Stable: a double comes right after its first copy, so it is the one extracted last.
    order = np.argsort(np.concatenate([position, doubled, bad]), kind="stable")
    return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()


def _without(rows: pa.Table, column: str, positions: np.ndarray) -> pa.Table:
    is_outdated = np.zeros(rows.num_rows, dtype=bool)
    is_outdated[positions] = True
    cleared = pc.if_else(pa.array(is_outdated), pa.scalar(None, rows.schema.field(column).type), rows[column])
    return rows.set_column(rows.column_names.index(column), column, cleared)


def _spoiled(name: str, rows: pa.Table, faults: list[_Fault]) -> pa.Table:
    key = TABLES[name].key[0]
    spoiled = []
    for row, fault in zip(rows.to_pylist(), faults, strict=True):
        row[key] += "-bad"
        for column, instead in fault.items():
            row[column] = None if instead is None else instead.format(row[column])
        spoiled.append(row)
    return pa.Table.from_pylist(spoiled, schema=rows.schema)
