"""Keys that more than one delivery brought: the last delivery's row counts, the others are superseded.

The rows stay in their files, since a delivery that comes again without the key must bring the older row back. Events
keep the list of superseded rows beside the files, so that readers need no window over all rows.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract import lake
from orchestration.extract.engine import fingerprint, path_literals
from orchestration.extract.lake import Manifest
from orchestration.settings import Settings
from orchestration.warehouse import identifier, literal


def supersede(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, manifest: Manifest, fresh: set[str]
) -> Manifest:
    """Find the rows whose key a later delivery brought again.

    `fresh`: keys of the deliveries that are new since `manifest.superseded_file` was written.
    """
    folder = lake.raw_folder(settings.lake, table.name).resolve()
    place = {
        file: (key, day)
        for key, delivery in manifest.deliveries.items()
        for day, part in delivery.partitions.items()
        for file in part.files
    }
    _find_superseded(connection, table, manifest, folder, place, fresh)
    counts: dict[tuple[str, str], tuple[int, str]] = {}
    keys = ", ".join(identifier(name) for name in table.key)
    for file, rows, content in connection.execute(
        f"select file, count(*), {fingerprint(keys)} from superseded group by all order by all"
    ).fetchall():
        before, fingerprints = counts.get(place[file], (0, ""))
        counts[place[file]] = (before + rows, fingerprints + content)
    deliveries = {}
    for key, delivery in manifest.deliveries.items():
        partitions = {}
        for day, part in delivery.partitions.items():
            rows, content = counts.get((key, day), (0, ""))
            partitions[day] = replace(part, superseded=rows, superseded_fingerprint=content)
        deliveries[key] = replace(delivery, partitions=partitions)
    written = _write_superseded(connection, settings, manifest, counts)
    return replace(manifest, deliveries=deliveries, superseded_file=written)


def _find_superseded(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    manifest: Manifest,
    folder: Path,
    place: Mapping[str, tuple[str, str]],
    fresh: set[str],
) -> None:
    """Fill `superseded` (key columns, file)."""
    keys = ", ".join(identifier(name) for name in table.key)
    names = sorted(place)
    connection.register(
        "landed_files",
        pa.table({
            "filename": pa.array([str(folder / file) for file in names], pa.string()),
            "file": pa.array(names, pa.string()),
            "delivery": pa.array([place[file][0] for file in names], pa.string()),
        }),
    )
    paths = path_literals(folder / file for file in names)
    everything = f"read_parquet({paths}, filename = true, hive_partitioning = false)"
    empty = ", ".join(f"cast(null as {table.by_name[name].duckdb_type}) as {identifier(name)}" for name in table.key)
    connection.execute(f"create or replace temp table superseded as select {empty}, '' as file where false")
    if not names:
        return
    # Only keys that came now, or that stood twice before, can stand twice now: the others need no second look. Where
    # all are new, the hash decides cheaply which few need the exact, sorting answer.
    new = [file for file in names if place[file][0] in fresh]
    repeated = f"select hash({keys}) as key_hash from {everything} as landed group by all having count(*) > 1"
    restriction = f"where hash({keys}) in (select key_hash from repeated)"
    if manifest.mode == "events" and len(new) < len(names):
        candidates = [f"select {keys} from read_parquet({path_literals(folder / file for file in new)})"] if new else []
        if manifest.superseded_file is not None:
            candidates.append(f"select {keys} from read_parquet({path_literals([folder / manifest.superseded_file])})")
        selected = " union all ".join(candidates) or f"select {empty} where false"
        connection.execute(f"create or replace temp table candidates as {selected}")
        repeated = (
            f"select {keys} from {everything} as landed semi join candidates using ({keys})"
            f" group by {keys} having count(*) > 1"
        )
        restriction = f"semi join repeated using ({keys})"
    connection.execute(f"create or replace temp table repeated as {repeated}")
    if connection.execute("select count(*) from repeated").fetchall()[0][0] > 0:
        connection.execute(
            f"""
            insert into superseded
            select {keys}, file
            from (
                select {keys}, file, row_number() over (partition by {keys} order by delivery desc) as newest
                from {everything} as landed join landed_files using (filename) {restriction}
            ) as ranked
            where newest > 1
            """
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
