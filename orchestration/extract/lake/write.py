"""From `staged`, the judged rows of an extraction, to the lake's files: partitions, quarantine, and what landed."""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.contract import RawTable
from orchestration.extract.files.deliveries import Delivery, Notes
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import WHOLE, LandedDelivery, Mode, Partition
from orchestration.extract.session import find_repeated, fingerprint
from orchestration.plain_text import one_line, without_hidden
from orchestration.settings import Settings
from orchestration.warehouse import identifier, literal

# Part of every delivery's identity: raise it when the same rows would land differently.
LANDING_VERSION = 5
EXAMPLES = 3
REPEATED = "has the key of a later row"
_LONGEST_VALUE, _FILES_SHOWN = 80, 5
# As DuckDB writes them: what its threads share out among them.
_ROWS_OF_GROUP = 122_880


@dataclass(frozen=True)
class Incoming:
    """A delivery: its key in the manifest, its files, and the hash of all that decides what lands."""

    key: str
    delivery: Delivery
    identity: str | None


@dataclass(frozen=True)
class BadRow:
    """An example for the message about too many bad rows; `reason` with the value found, where that may be shown."""

    file: str
    line: int
    reason: str


@dataclass
class Examples:
    """What a person is shown of a landing.

    Attributes:
        bad: quarantined rows, of as many reasons as there is room for.
        repeated: keys of rows that a later row of the same delivery replaces.
    """

    bad: list[BadRow] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AsDelivered:
    """Deliveries of Parquet files in the contract's columns and types, of which `staged` holds the rows that may not be good as they are.

    Attributes:
        rows: a relation of `_file`, `_delivery`, `_position` and the contract's columns: all rows of the files.
        files: delivery number -> its files by their number.
    """

    rows: str
    files: Mapping[int, Mapping[int, Path]]


def land(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    mode: Mode,
    batch: Mapping[int, Incoming],
    labels: Sequence[str],
    landed: Mapping[str, LandedDelivery],
    examples: Examples,
    notes: Notes | None = None,
    as_delivered: AsDelivered | None = None,
) -> dict[str, LandedDelivery]:
    """Write the files of the deliveries in `staged`; what landed, by delivery key. The manifest stays as it is.

    as_delivered: where the good rows are, if `staged` holds only those that are bad or have the key of another.
    """
    quarantine_repeated(connection, table)
    duplicates = _drop_duplicates(connection, table)
    good = "(select * from staged where _reasons is null)"
    if as_delivered is not None:
        connection.execute("create or replace temp table left_out as select _file, _position from staged where _reasons is not null")
        if duplicates:
            connection.execute("insert into left_out select file, _position from replaced")
        good = f"(select * from {as_delivered.rows} anti join left_out using (_file, _position))"
    repeated = _describe_repeated(connection, table, mode, batch) if duplicates else {}
    if duplicates:
        examples.repeated += _repeated_keys(connection, table, batch)
    quarantine_files = _write_quarantine(connection, settings, table, batch, labels, landed, examples)
    partitions, newest = _write_partitions(connection, settings, table, mode, batch, landed, good, as_delivered)
    reasons: dict[int, dict[str, int]] = {}
    for delivery, reason, rows in connection.execute(
        "select _delivery, _reasons[1], count(*) from staged where _reasons is not null group by all order by all"
    ).fetchall():
        reasons.setdefault(delivery, {})[reason] = rows
    loaded = {number: sum(part.rows for part in parts.values()) for number, parts in partitions.items()}
    return {
        one.key: LandedDelivery(
            source=one.identity,
            delivered=loaded.get(number, 0) + duplicates.get(number, 0) + sum(reasons.get(number, {}).values()),
            duplicates=duplicates.get(number, 0),
            quarantined=reasons.get(number, {}),
            quarantine_file=quarantine_files.get(number),
            newest_fact=newest[number].isoformat() if number in newest else None,
            partitions=partitions.get(number, {}),
            notes=(*(notes or {}).get(number, ()), *repeated.get(number, ())),
        )
        for number, one in batch.items()
    }


def quarantine_repeated(connection: duckdb.DuckDBPyConnection, table: RawTable, file: int | None = None) -> None:
    """Of an aggregate: quarantine the good rows of `staged`, or of one file in it, whose key comes again later in the same file.

    Which of them counts all that belongs to the key, nobody knows; the last one is taken, as of other tables.
    """
    if not table.is_aggregate:
        return
    keys = ", ".join(["_delivery", "_file", *(identifier(name) for name in table.key)])
    good = f"from staged where _reasons is null{'' if file is None else f' and _file = {file}'}"
    [(rows,)] = connection.execute(f"select count(*) {good}").fetchall()
    if not find_repeated(connection, good.removeprefix("from "), keys, rows):
        return
    raw = ", ".join(f"{literal(column.name)}, cast({identifier(column.name)} as varchar)" for column in table.columns)
    reason = f"{', '.join(table.key)}: {REPEATED}"
    connection.execute(
        f"update staged set _reasons = [{literal(reason)}], _raw = cast(json_object({raw}) as varchar)"
        f" where rowid in (select rowid {good} and hash({keys}) in (select key_hash from repeated)"
        f" qualify row_number() over (partition by {keys} order by _position desc) > 1)"
    )


def _drop_duplicates(connection: duckdb.DuckDBPyConnection, table: RawTable) -> dict[int, int]:
    """Remove good rows whose key comes again later in the same delivery, which `replaced` then holds; how many, by delivery number."""
    keys = ", ".join(identifier(name) for name in table.key)
    [(rows,)] = connection.execute("select count(*) from staged").fetchall()
    if not find_repeated(connection, "staged where _reasons is null", f"_delivery, {keys}", rows):
        return {}
    connection.execute(
        f"""
        create or replace temp table replaced as
        select row_id, _delivery, _position, repeated_key, file, kept_file, differs
        from (
            select rowid as row_id, _delivery, _position, concat_ws(' / ', {keys}) as repeated_key, _file as file,
                first_value(_file) over same as kept_file,
                hash({columns_of(table)}) <> first_value(hash({columns_of(table)})) over same as differs,
                row_number() over same as newest
            from staged
            where _reasons is null and hash(_delivery, {keys}) in (select key_hash from repeated)
            window same as (partition by _delivery, {keys} order by _file desc, _position desc)
        ) as repeated
        where newest > 1
        """
    )
    counts = dict(connection.execute("select _delivery, count(*) from replaced group by all").fetchall())
    if counts:
        connection.execute("delete from staged where rowid in (select row_id from replaced)")
    return counts


def _describe_repeated(connection: duckdb.DuckDBPyConnection, table: RawTable, mode: Mode, batch: Mapping[int, Incoming]) -> Notes:
    """By delivery, which keys occur in several of its files with other values: which of them is newer is seen from the names alone.

    Also those within one file, where that is a whole table: a key that means two things, or two rows for one thing. Accounts that occur
    twice are reported besides, whatever their values.
    """
    notes: Notes = {}
    is_table = mode in ("snapshot", "full") and table.name != "accounts"
    first = 0
    for number, one in batch.items():
        files = one.delivery.files
        found = connection.execute(
            "select count(distinct repeated_key), min(repeated_key), list_distinct(flatten([list(file), list(kept_file)]))"
            " from replaced where _delivery = ? and file <> kept_file and differs having count(*) > 0",
            [number],
        ).fetchall()
        for keys, example, numbers in found:
            labels = [files[at - first].label for at in sorted(numbers)]
            shown = f" ({one_line(example, _LONGEST_VALUE)})" if not _hides_values(table, one) else ""
            listed = ", ".join(labels) if len(labels) <= _FILES_SHOWN else f"{', '.join(labels[: _FILES_SHOWN - 1])}, ..., {labels[-1]}"
            notes[number] = [
                f"{keys} {'key is' if keys == 1 else 'keys are'} in several files with different values{shown}; the files were "
                f"read in this order, and the last one counts: {listed}"
            ]
        found = connection.execute(
            "select file, count(distinct repeated_key), min(repeated_key) from replaced"
            " where _delivery = ? and file = kept_file and differs and ? group by file order by file",
            [number, is_table and len(files) > 0],
        ).fetchall()
        for at, keys, example in found:
            file = files[at - first]
            shown = "" if file.is_foreign or _hides_values(table) else f" ({one_line(example, _LONGEST_VALUE)})"
            times = "key is there twice or more" if keys == 1 else "keys are there twice or more"
            notes.setdefault(number, []).append(f"{file.label}: {keys} {times}, with different values{shown}; the last row of each counts")
        first += len(files)
    return notes


def _hides_values(table: RawTable, *deliveries: Incoming) -> bool:
    """Whether no message may show a value; of a table of people also where no file is read."""
    is_personal = table.is_personal or any(table.by_name[name].is_personal for name in table.key)
    return is_personal or any(file.hides_content for one in deliveries for file in one.delivery.files)


def _repeated_keys(connection: duckdb.DuckDBPyConnection, table: RawTable, batch: Mapping[int, Incoming]) -> list[str]:
    """The first duplicate keys; none where no value may be shown."""
    if _hides_values(table, *batch.values()):
        return []
    found = connection.execute("select distinct repeated_key from replaced order by 1 limit ?", [EXAMPLES]).fetchall()
    return [one_line(key, _LONGEST_VALUE) for (key,) in found]


def columns_of(table: RawTable) -> str:
    return ", ".join(identifier(column.name) for column in table.columns)


def _write_partitions(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    mode: Mode,
    batch: Mapping[int, Incoming],
    landed: Mapping[str, LandedDelivery],
    good: str,
    as_delivered: AsDelivered | None,
) -> tuple[dict[int, dict[str, Partition]], dict[int, datetime]]:
    """Write the good rows, one file for each delivery and event day, unless the lake has them already.

    Returns:
        By delivery number what it brought to each event day, and its newest fact.
    """
    part = f"cast({identifier(table.fact_column)} as date)" if mode == "events" else literal(WHOLE)
    groups = connection.execute(
        f"select _delivery, cast(part as varchar), rows, fingerprint, newest from (select _delivery, {part} as part, count(*) as rows,"
        f" {fingerprint(columns_of(table))} as fingerprint, max(cast({identifier(table.fact_column)} as timestamp)) as newest"
        f" from {good} as good group by all) as found order by all"
    ).fetchall()
    partitions: dict[int, dict[str, Partition]] = {}
    newest: dict[int, datetime] = {}
    missing: dict[tuple[int, str], str] = {}
    for delivery, day, rows, content, last in groups:
        if last is not None:
            newest[delivery] = max(newest.get(delivery, last), last)
        key = batch[delivery].key
        there = landed[key].partitions.get(day) if key in landed else None
        if there is not None and (there.rows, there.fingerprint) == (rows, content):
            name = there.files[0]
        else:
            name = missing[delivery, day] = f"{place_of(mode, key, day)}{content}.parquet"
        partitions.setdefault(delivery, {})[day] = Partition((name,), rows, content)
    folder = lake.raw_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    if missing and as_delivered is not None:
        lake.keep(_copy_rows(connection, settings, table, as_delivered, missing, partitions, folder, temporary))
    elif missing:
        connection.register(
            "missing",
            pa.table({"delivery": pa.array([d for d, _ in missing], pa.int32()), "part": [day for _, day in missing]}),
        )
        wanted = f" and (_delivery, cast({part} as varchar)) in (select (delivery, part) from missing)"
        connection.execute(
            f"copy (select {columns_of(table)}, _delivery, {part} as _part from staged where _reasons is null"
            f"{wanted if len(missing) < len(groups) else ''}) to {literal(temporary)}"
            " (format parquet, compression zstd, partition_by (_delivery, _part), overwrite_or_ignore true)"
        )
        connection.unregister("missing")
        written = {place: sorted((temporary / f"_delivery={place[0]}" / f"_part={place[1]}").iterdir()) for place in missing}
        named = {
            place: [
                folder / (name if index == 0 else f"{name.removesuffix('.parquet')}-{index}.parquet")
                for index in range(len(written[place]))
            ]
            for place, name in missing.items()
        }
        lake.keep((temp, final) for place in missing for temp, final in zip(written[place], named[place], strict=True))
        for (delivery, day), finals in named.items():
            names = tuple(final.relative_to(folder).as_posix() for final in finals)
            partitions[delivery][day] = replace(partitions[delivery][day], files=names)
    if mode == "snapshot" and not partitions:
        partitions = {0: {WHOLE: _write_empty(folder, temporary, table, landed.get(batch[0].key))}}
    shutil.rmtree(temporary)
    return partitions, newest


def _copy_rows(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    as_delivered: AsDelivered,
    missing: Mapping[tuple[int, str], str],
    partitions: Mapping[int, Mapping[str, Partition]],
    folder: Path,
    temporary: Path,
) -> list[tuple[Path, Path]]:
    """Write the files of `missing` (delivery number and event day -> name) from those delivered; the temporary and final path of each."""
    left_out: dict[int, list[int]] = {}
    for file, position in connection.execute("select _file, _position from left_out").fetchall():
        left_out.setdefault(file, []).append(position - 1)
    targets: dict[int, dict[str, Path]] = {}
    for number, (delivery, day) in enumerate(missing):
        targets.setdefault(delivery, {})[day] = temporary / f"{number}.parquet"

    def copy(delivery: int) -> None:
        files = as_delivered.files[delivery]
        if len(files) == 1 and left_out.keys().isdisjoint(files) and len(partitions[delivery]) == 1:
            [source], [target] = files.values(), targets[delivery].values()
            shutil.copyfile(source, target)
            return
        pieces, masks = [], []
        for number, path in files.items():
            pieces.append(_read_rows(table, path))
            masks.append(np.ones(len(pieces[-1]), dtype=bool))
            masks[-1][left_out.get(number, [])] = False
        rows, is_good = pa.concat_tables(pieces), pa.array(np.concatenate(masks))
        days = rows[table.fact_column].cast(pa.date32())
        for day, target in targets[delivery].items():
            of_day = rows.filter(pc.and_(is_good, pc.equal(days, pa.scalar(date.fromisoformat(day)))))
            # The key is another in each row: not worth a dictionary. DuckDB writes the same in three times the time.
            repeating = [column.name for column in table.columns if column.arrow_type == pa.string() and (column.name,) != table.key]
            pq.write_table(of_day, target, compression="zstd", row_group_size=_ROWS_OF_GROUP, use_dictionary=repeating, store_schema=False)

    with ThreadPoolExecutor(settings.pipeline.threads) as pool:
        list(pool.map(copy, targets))
    return [(targets[delivery][day], folder / name) for (delivery, day), name in missing.items()]


def _read_rows(table: RawTable, path: Path) -> pa.Table:
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        rows = file.read(columns=list(table.by_name), use_threads=False)
    return rows.select(list(table.by_name)).cast(table.arrow_schema)


def place_of(mode: Mode, key: str, day: str) -> str:
    if mode == "events":
        return f"{lake.EVENT_DAY}{day}/{key}-"
    return f"{lake.DELIVERY_DAY}{key}/" if mode in ("changes", "full") else ""


def _write_empty(folder: Path, temporary: Path, table: RawTable, there: LandedDelivery | None) -> Partition:
    """A typed file without rows: other engines need no manifest to know the columns."""
    empty = Partition(("empty.parquet",), 0, "empty")
    if there is None or there.partitions.get(WHOLE) != empty:
        pq.write_table(table.arrow_schema.empty_table(), temporary / "empty.parquet")
        lake.keep([(temporary / "empty.parquet", folder / "empty.parquet")])
    return empty


def _write_quarantine(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: RawTable,
    batch: Mapping[int, Incoming],
    labels: Sequence[str],
    landed: Mapping[str, LandedDelivery],
    examples: Examples,
) -> dict[int, str]:
    """Write the bad rows of `staged`, one file for each delivery that has any; the names, by delivery number."""
    connection.register("labels", pa.table({"number": pa.array(range(len(labels)), pa.int32()), "label": list(labels)}))
    connection.execute(
        f"""
        create or replace temp table bad as
        select _delivery, {literal(table.name)} as "table", label as file, _position as line,
            array_to_string(_reasons, '; ') as reason, _raw as row
        from staged join labels on _file = number
        where _reasons is not null
        """
    )
    first = connection.execute(
        "select label, _position, _reasons, _raw from staged join labels on _file = number where _reasons is not null"
        " order by row_number() over (partition by _reasons[1] order by label, _position), label, _position limit ?", [EXAMPLES]
    ).fetchall()  # fmt: skip
    connection.unregister("labels")
    foreign = {file.label for one in batch.values() for file in one.delivery.files if file.is_foreign}
    examples.bad.extend(
        BadRow(label, line, "; ".join(reasons if label in foreign else (_with_value(table, reason, raw) for reason in reasons)))
        for label, line, reasons, raw in sorted(first, key=lambda row: row[:2])
    )
    groups = connection.execute(f"select _delivery, {fingerprint('file, line, reason, row')} from bad group by all order by all").fetchall()
    folder = lake.quarantine_folder(settings.lake, table.name)
    temporary = lake.temporary_folder(settings.lake, table.name)
    names: dict[int, str] = {}
    pairs: list[tuple[Path, Path]] = []
    for delivery, content in groups:
        key = batch[delivery].key
        names[delivery] = f"{key}-{content}.parquet"
        if key in landed and landed[key].quarantine_file == names[delivery]:
            continue
        connection.execute(
            f"copy (select * exclude (_delivery) from bad where _delivery = {delivery} order by file, line)"
            f" to {literal(temporary / names[delivery])} (format parquet, compression zstd)"
        )
        pairs.append((temporary / names[delivery], folder / names[delivery]))
    lake.keep(pairs)
    shutil.rmtree(temporary)
    return names


def _with_value(table: RawTable, reason: str, raw: str) -> str:
    """A reason with the start of the value that it is about, unless that may name a person."""
    values = json.loads(raw)
    name = reason.partition(":")[0]
    found = values.get(name, values.get("line"))
    if found is None or table.is_personal or (name in table.by_name and table.by_name[name].is_personal):
        return reason
    shown = without_hidden(found[: 4 * _LONGEST_VALUE])
    return f"{reason} (found '{shown if len(shown) <= _LONGEST_VALUE else f'{shown[:_LONGEST_VALUE]}...'}')"
