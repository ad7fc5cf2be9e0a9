"""Tables of which each delivery is the whole (`delivery = "full"`): what the deliveries, one after another, say about each row.

Of facts that happened (tickets, answers, touchpoints) the last delivery counts alone. Where the contract has an end (`Ending`), a row
ends on the day of the first delivery that lacks it. Of subscriptions a row also ends, and the next begins, on the day whose
delivery brings other values; of contacts where it brings another role. A row in quarantine is not lacking: its values are those of before.
"""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import Manifest
from orchestration.extract.session import fingerprint, path_literals
from orchestration.settings import Settings
from orchestration.warehouse import identifier, literal


def merge(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, manifest: Manifest) -> Manifest:
    """The manifest in which the rows of the last delivery count, with the file of all rows that hold or held (`history_file`)."""
    last = max(manifest.deliveries, default=None)
    deliveries = {
        key: replace(one, partitions={
            day: replace(part, superseded=0 if key == last else part.rows) for day, part in one.partitions.items()
        })
        for key, one in manifest.deliveries.items()
    }  # fmt: skip
    written = None if table.ending is None else _write_history(connection, settings, table, manifest)
    return replace(manifest, deliveries=deliveries, history_file=written)


def _write_history(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, manifest: Manifest) -> str | None:
    folder = lake.raw_folder(settings.lake, table.name).resolve()
    places = [
        (folder / file, number)
        for number, key in enumerate(sorted(manifest.deliveries))
        for part in manifest.deliveries[key].partitions.values()
        for file in part.files
    ]
    if not places:
        return None
    days = [date.fromisoformat(key) for key in sorted(manifest.deliveries)]
    connection.register("days", pa.table({"number": pa.array(range(len(days)), pa.int64()), "day": pa.array(days, pa.date32())}))
    columns = ", ".join(identifier(column.name) for column in table.columns)
    connection.execute(
        f"create or replace temp view delivered as select {columns}, list_extract({[number for _, number in places]}, cast(file_index as "
        f"bigint) + 1) as number from read_parquet({path_literals(path for path, _ in places)}, hive_partitioning = false)"
    )
    _find_held(connection, settings, table, manifest)
    connection.execute(f"create or replace temp table history as {_history(table)}")
    connection.unregister("days")
    columns = ", ".join(identifier(name) for (name, *_) in connection.execute("describe history").fetchall())
    [(content,)] = connection.execute(f"select {fingerprint(columns)} from history").fetchall()
    name = f"history-{content}.parquet"
    if name != manifest.history_file:
        temporary = lake.temporary_folder(settings.lake, table.name)
        connection.execute(f"copy history to {literal(temporary / name)} (format parquet, compression zstd)")
        lake.keep([(temporary / name, folder / name)])
        shutil.rmtree(temporary)
    return name


def _find_held(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, manifest: Manifest) -> None:
    """Fill `held`: of which ids (`id`) a row was in quarantine in the deliveries from `number` to `last`."""
    folder = lake.quarantine_folder(settings.lake, table.name)
    numbers = {key: number for number, key in enumerate(sorted(manifest.deliveries))}
    files = {str(folder / file): numbers[key] for key, one in manifest.deliveries.items() if (file := one.quarantine_file) is not None}
    connection.execute("create or replace temp table held (id varchar, number bigint, last bigint)")
    for path, number in files.items():
        connection.execute(
            f"insert into held select distinct trim(json_extract_string(row, '$.{table.key[0]}')), ?, null"
            f" from read_parquet({path_literals([Path(path)])})",
            [number],
        )
    connection.execute(
        "create or replace temp table held as select id, number, max(number) over (partition by id, run) as last"
        " from (select *, number - row_number() over (partition by id order by number) as run from held where id is not null) as runs"
    )


def _history(table: RawTable) -> str:
    """SQL for the rows that hold or held, over `delivered`, `days` and `held`."""
    assert table.ending is not None
    end, begins = table.ending.column, table.ending.begins
    keys = ", ".join(identifier(name) for name in table.key)
    own_end = f"delivered.{identifier(end)}" if end in table.by_name else "cast(null as date)"
    version, is_stretch = "0", "true"
    starts_on, holds = "cast(null as date)", "true"
    if begins is not None:
        values = [
            identifier(column.name)
            for column in table.columns
            if column.name not in (*table.key, end) and (not table.ending.by or column.name in table.ending.by)
        ]
        version = f"hash({', '.join(values)})"
        is_stretch = "last - number + 1 = deliveries"
        starts_on = f"case when part = 1 then {identifier(begins)} else greatest(days.day, {identifier(begins)}) end"
        # What would begin after its own end, or after what follows it begins, never held.
        holds = "coalesce(starts_on < least(next_on, lacked_on), true) and (part = 1 or coalesce(starts_on < own_end, true))"
    computed = {begins: "starts_on", end: "least(own_end, next_on, lacked_on)"}
    columns = [*table.by_name, *([] if end in table.by_name else [end])]
    selected = ", ".join(
        f"{computed[name]} as {identifier(name)}" if name in computed else f"delivered.{identifier(name)}" for name in columns
    )
    return f"""
with versions as (

    select {keys}, number, {version} as version from delivered

),

found as (

    select {keys}, version, min(number) as number, max(number) as last, count(*) as deliveries
    from versions
    group by {keys}, version

),

-- Deliveries one after another in which the key has the same values; where only its end matters, from the first to the last.
-- Few came back to what they were: sorting all rows for them would take ten times longer.
stretches as (

    select {keys}, version, number, last from found where {is_stretch}
    union all
    select {keys}, version, min(number), max(number)
    from (
        select {keys}, version, number, number - row_number() over (partition by {keys}, version order by number) as stretch
        from versions
        semi join (from found where not ({is_stretch})) as interrupted using ({keys}, version)
    ) as parts
    group by {keys}, version, stretch

),

-- The delivery up to which the key was there, quarantined rows included, and the day of the one after it, which lacks the key.
seen as (

    select
        stretches.*,
        lag(version) over same_key as version_before,
        lead(stretches.number) over same_key as next_number,
        coalesce(held.last, stretches.last) as seen_to
    from stretches
    left join held on cast(stretches.{identifier(table.key[0])} as varchar) = held.id and held.number = stretches.last + 1
    window same_key as (partition by {keys} order by stretches.number)

),

lacking as (

    select seen.*, days.day as lacked_on
    from seen
    left join days on days.number = seen.seen_to + 1 and (seen.next_number is null or days.number < seen.next_number)

),

-- The same values before and after a quarantined row are one.
parted as (

    select
        *,
        sum(case when is_same then 0 else 1 end) over (partition by {keys} order by number) as part
    from (
        select *, coalesce(version = version_before and lag(lacked_on) over (partition by {keys} order by number) is null, false) as is_same
        from lacking
    ) as compared

),

parts as (

    select {keys}, part, min(number) as number, max(last) as last, max(lacked_on) as lacked_on
    from parted
    group by {keys}, part

),

started as (

    select parts.*, {starts_on} as starts_on, max(last) over (partition by {keys}) as newest
    from parts
    inner join days using (number)

),

followed as (

    select started.*, lead(starts_on) over (partition by {keys} order by number) as next_on
    from started

),

newest_rows as (

    select {keys}, {own_end} as own_end
    from delivered
    inner join (select distinct {keys}, newest as number from started) as newest using ({keys}, number)

)

select {selected}
from followed
inner join newest_rows using ({keys})
inner join delivered on {" and ".join(f"delivered.{identifier(name)} = followed.{identifier(name)}" for name in table.key)}
    and delivered.number = followed.{"newest" if begins is None else "last"}
where {holds}
-- A row that the source itself began on that day is the better one.
qualify row_number() over (
    partition by {", ".join(computed.get(name, f"delivered.{identifier(name)}") for name in table.key)} order by part
) = 1
order by all
"""
