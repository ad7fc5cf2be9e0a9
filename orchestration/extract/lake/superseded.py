"""Keys that more than one delivery brought: the last delivery's row counts, the others are superseded. Of aggregates, whole days.

The rows stay in their files, since a delivery that comes again without the key must bring the older row back. Events
keep the list of superseded rows beside the files, so that readers need no window over all rows.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import Manifest
from orchestration.extract.session import find_repeated, fingerprint, path_literals
from orchestration.settings import Settings
from orchestration.warehouse import identifier, literal


def supersede(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, old: Manifest | None, new: Manifest) -> Manifest:
    """The new manifest with the rows whose key a later delivery brought again.

    `old`: the manifest whose list of superseded rows is complete and whose files are all on disk; None where there is none.
    """
    if table.is_aggregate:
        return _supersede_days(new)
    folder = lake.raw_folder(settings.lake, table.name).resolve()
    place = {
        file: (key, day) for key, delivery in new.deliveries.items() for day, part in delivery.partitions.items() for file in part.files
    }
    empty = ", ".join(f"cast(null as {table.by_name[name].duckdb_type}) as {identifier(name)}" for name in table.key)
    connection.execute(f"create or replace temp table superseded as select {empty}, '' as file where false")
    if old is None or new.mode != "events":
        rows = sum(part.rows for delivery in new.deliveries.values() for part in delivery.partitions.values())
        _compare_all(connection, table, folder, place, rows)
    else:
        _compare_changed(connection, table, folder, place, old)
    counts: dict[tuple[str, str], tuple[int, str]] = {}
    keys = _keys(table)
    for file, rows, content in connection.execute(
        f"select file, count(*), {fingerprint(keys)} from superseded group by all order by all"
    ).fetchall():
        before, fingerprints = counts.get(place[file], (0, ""))
        counts[place[file]] = (before + rows, fingerprints + content)
    deliveries = {}
    for key, delivery in new.deliveries.items():
        partitions = {}
        for day, part in delivery.partitions.items():
            rows, content = counts.get((key, day), (0, ""))
            partitions[day] = replace(part, superseded=rows, superseded_fingerprint=content)
        deliveries[key] = replace(delivery, partitions=partitions)
    written = _write_superseded(connection, settings, new, counts)
    return replace(new, deliveries=deliveries, superseded_file=written)


def _supersede_days(new: Manifest) -> Manifest:
    """Of each day the last delivery counts, with all that it holds of the day."""
    last = {day: key for key in sorted(new.deliveries) for day in new.deliveries[key].partitions}
    deliveries = {}
    for key, delivery in new.deliveries.items():
        rows = {day: 0 if last[day] == key else part.rows for day, part in delivery.partitions.items()}
        deliveries[key] = replace(
            delivery, partitions={day: replace(part, superseded=rows[day]) for day, part in delivery.partitions.items()}
        )
    return replace(new, deliveries=deliveries, superseded_file=None)


def _keys(table: RawTable) -> str:
    return ", ".join(identifier(name) for name in table.key)


def _scan(folder: Path, files: Iterable[str]) -> str:
    return f"read_parquet({path_literals(folder / file for file in sorted(files))}, filename = true, hive_partitioning = false)"


def _compare_all(
    connection: duckdb.DuckDBPyConnection, table: RawTable, folder: Path, place: Mapping[str, tuple[str, str]], rows: int
) -> None:
    """Fill `superseded` from all files: the hash decides cheaply which few keys need the exact, sorting answer."""
    if not place:
        return
    keys, landed = _keys(table), _scan(folder, place)
    if find_repeated(connection, f"{landed} as landed", keys, rows):
        _rank(connection, table, folder, place, f"{landed} as landed where hash({keys}) in (select key_hash from repeated)")


def _compare_changed(
    connection: duckdb.DuckDBPyConnection, table: RawTable, folder: Path, place: Mapping[str, tuple[str, str]], old: Manifest
) -> None:
    """Fill `superseded` from what it held before and the keys of the files that came or went: no other key can be elsewhere now."""
    keys, first = _keys(table), identifier(table.key[0])
    changed = place.keys() ^ {file for file in old.files() if file != old.superseded_file}
    if changed:
        connection.execute(f"create or replace temp table changed as select distinct {keys} from {_scan(folder, changed)}")
        # The bounds let the reader pass over files whose ids lie elsewhere: a number that grows, or a day in front, makes most do so.
        bounds = connection.execute(f"select min({first}), max({first}) from changed").fetchall()[0]
        if place:
            within = f"(select * from {_scan(folder, place)} where {first} between ? and ?) as landed"
            _rank(connection, table, folder, place, f"{within} semi join changed using ({keys})", bounds)
    if old.superseded_file is not None:
        kept = f" anti join changed using ({keys})" if changed else ""
        connection.execute(f"insert into superseded select {keys}, file from {_scan(folder, [old.superseded_file])} as before{kept}")


def _rank(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    folder: Path,
    place: Mapping[str, tuple[str, str]],
    landed: str,
    parameters: Sequence[object] = (),
) -> None:
    """Add to `superseded` those of the rows whose key is in a later delivery too."""
    keys, names = _keys(table), list(place)
    connection.register(
        "landed_files",
        pa.table(
            {
                "filename": pa.array([str(folder / file) for file in names], pa.string()),
                "file": pa.array(names, pa.string()),
                "delivery": pa.array([place[file][0] for file in names], pa.string()),
            }
        ),
    )
    connection.execute(
        f"""
        insert into superseded
        select {keys}, file
        from (select {keys}, filename from {landed}) as found join landed_files using (filename)
        qualify row_number() over (partition by {keys} order by delivery desc) > 1
        """,
        parameters,
    )
    connection.unregister("landed_files")


def _write_superseded(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    manifest: Manifest,
    counts: Mapping[tuple[str, str], tuple[int, str]],
) -> str | None:
    """Write `superseded` for the readers of events; other tables are small enough to find the last row when read."""
    if not counts or manifest.mode != "events":
        return None
    digest = blake2b(json.dumps(sorted([*place, *count] for place, count in counts.items())).encode(), digest_size=16)
    name = f"superseded-{digest.hexdigest()}.parquet"
    if name != manifest.superseded_file:
        temporary = lake.temporary_folder(settings.lake, manifest.table)
        connection.execute(f"copy superseded to {literal(temporary / name)} (format parquet, compression zstd)")
        lake.keep([(temporary / name, lake.raw_folder(settings.lake, manifest.table) / name)])
        shutil.rmtree(temporary)
    return name
