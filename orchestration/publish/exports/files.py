"""CSV as spreadsheets and databases both read it: text in quotes and neutral, numbers and dates plain, nulls empty."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from orchestration.publish.exports.text import clean, neutralise

# Without it Excel takes UTF-8 for the character set of the machine.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KEY = "account_id"
_OPTIONS = csv.WriteOptions(quoting_style="needed")


def write_csv(path: Path, rows: pa.RecordBatchReader) -> None:
    """Write a table for people, batch by batch."""
    with open(path, "wb") as file:
        file.write(BYTE_ORDER_MARK)
        with csv.CSVWriter(file, rows.schema, write_options=_OPTIONS) as writer:
            for batch in _neutral(rows):
                writer.write_batch(batch)


def csv_lines(rows: pa.RecordBatchReader) -> list[bytes]:
    """A table for machines, as its lines: the header first, no byte order mark. A value never holds a line break.

    A key stays what the other system knows: no apostrophe is put before it.
    """
    buffer = io.BytesIO()
    with csv.CSVWriter(buffer, rows.schema, write_options=_OPTIONS) as writer:
        for batch in _neutral(rows, _KEY):
            writer.write_batch(batch)
    return buffer.getvalue().splitlines()


def _neutral(rows: Iterable[pa.RecordBatch], key: str | None = None) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        columns = [
            _each(clean if field.name == key else neutralise, column) if pa.types.is_string(field.type) else column
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        yield pa.record_batch(columns, schema=batch.schema)


def _each(change: Callable[[str], str], column: pa.Array) -> pa.Array:
    return pa.array((None if text is None else change(text) for text in column.to_pylist()), pa.string())
