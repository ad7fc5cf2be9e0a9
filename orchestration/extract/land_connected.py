"""Landing what a connector reads: an API or a database, which it may ask for what is new only, or what it makes up."""

from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any

import duckdb

from orchestration.contract import TABLES, RawTable
from orchestration.extract.connectors.base import Connector, Window, batches_of, faults_named
from orchestration.extract.files.deliveries import Delivery
from orchestration.extract.judge import check_share, judge_of, rates_of
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import WHOLE, LandedDelivery, Manifest, Mode
from orchestration.extract.lake.superseded import supersede
from orchestration.extract.lake.write import LANDING_VERSION, Examples, Incoming, columns_of, land
from orchestration.extract.session import connect, path_literals
from orchestration.extract.staging import create_staged, stage_batches
from orchestration.settings import Settings
from orchestration.warehouse import identifier, literal

# Event days are numbered from here.
_FIRST_NUMBER = date(1970, 1, 1)
# Settings of a source that change nothing about the rows it delivers.
_NOT_OF_THE_ROWS = {
    "max_bad_share", "late_after_days", "min_share", "accept_smaller",
    "timeout_seconds", "max_attempts", "max_retry_delay_seconds",
}  # fmt: skip


def land_connected(
    settings: Settings,
    table: RawTable,
    source: Connector,
    old: Manifest | None,
    whole: Manifest | None,
    first_day: date,
    end: date,
) -> tuple[Manifest, list[str], bool]:
    """Land what a connector reads; the new manifest, the deliveries looked at, and whether there was none before.

    A connector that does not know what is new is read as a whole. From one that can, events land as one delivery per event day, each
    replacing what the day held; of other tables what is new replaces the rows of the same keys, so that the table is as
    one reading of the whole source would leave it. Another configuration lands everything anew. `whole` is the old manifest without
    what the lake has lost: events are read again from the first lost day on, other tables as a whole.
    """
    with faults_named(source, table):
        incremental = source.is_incremental(table)
    mode: Mode = "events" if table.by_day else "snapshot"
    by_day = mode == "events" and incremental
    identity = _identity(settings, table, source, end)
    kept: Mapping[str, LandedDelivery] = {}
    if old is not None and whole is not None and (old.mode, old.by_day) == (mode, by_day):
        kept = whole.deliveries
        if incremental and any(one.source != identity for one in kept.values()):
            kept = {}
    first_landing = not kept
    since, until, is_backfill = None, end, False
    if old is not None and old.through is not None:
        through = date.fromisoformat(old.through)
        if incremental and not first_landing:
            window_starts = min(first_day, through + timedelta(days=1))
            since = min([window_starts, *(date.fromisoformat(day) for day in old.deliveries.keys() - kept.keys() if by_day)])
        else:
            # What is read as a whole takes the place of all that was there: it must reach as far, also in a run of earlier days.
            until, is_backfill = max(end, through), end < through
            identity = _identity(settings, table, source, until)
    lost = not first_landing and whole != old
    superseded_file = None if old is None or first_landing or lost else old.superseded_file
    checksums = lake.known_checksums(whole, kept, superseded_file)
    if source.version(settings, table, until) is not None and {WHOLE: identity} == {key: one.source for key, one in kept.items()}:
        return Manifest(table.name, mode, by_day, kept, superseded_file, checksums=checksums), [WHOLE], first_landing

    window = Window(since, until, is_backfill, _landed(settings) if source.is_remote else frozenset())
    examples = Examples()
    with connect(settings) as connection:
        create_staged(connection, table)
        batches = batches_of(source, settings, table, window)
        stage_batches(connection, table, source.column_names, batches, judge_of(settings, table), source.connector)
        if by_day:
            batch = _split_by_day(connection, table, since, until, identity)
            # Within the window also a day that has no rows any more is replaced.
            first = str(date.min if since is None else window_starts)
            others = {day: one for day, one in kept.items() if not first <= day <= until.isoformat()}
        else:
            others = {}
            batch = {0: Incoming(WHOLE, Delivery(None, ()), identity)}
            if since is not None and old is not None:
                _keep_what_is_not_new(connection, settings, table, old)
        landed = others | land(connection, settings, table, mode, batch, [source.connector], kept, examples)
        looked_at = [one.key for one in batch.values()]
        check_share(settings, table, [landed[key] for key in looked_at], examples.bad)
        manifest = Manifest(table.name, mode, by_day, landed, superseded_file, checksums=checksums)
        if by_day:
            manifest = supersede(connection, settings, table, None if first_landing or lost else old, manifest)
    return manifest, looked_at, first_landing


def _landed(settings: Settings) -> frozenset[str]:
    """The tables with a remote connector of which the lake holds rows that landed from their source as it is configured now."""
    found = set()
    for name, source in settings.sources.items():
        if not isinstance(source, Connector) or not source.is_remote:
            continue
        manifest = lake.read_manifest(settings.lake, name)
        if manifest is not None:
            identity = _identity(settings, TABLES[name], source, date.max)
            landed = [one for one in manifest.deliveries.values() if one.loaded and one.source == identity]
            if any(all((settings.lake / path).is_file() for path in manifest.paths_of(one)) for one in landed):
                found.add(name)
    return frozenset(found)


def _split_by_day(
    connection: duckdb.DuckDBPyConnection, table: RawTable, since: date | None, until: date, identity: str
) -> dict[int, Incoming]:
    """Number the rows of `staged` by their event day and quarantine those outside the window; one delivery for each day with rows.

    Bad rows, whose day may be unreadable, count to the last day.
    """
    fact = f"cast({identifier(table.fact_column)} as date)"
    raw = ", ".join(f"{literal(column.name)}, cast({identifier(column.name)} as varchar)" for column in table.columns)
    outside = f"{fact} > ?" if since is None else f"not {fact} between {literal(since.isoformat())} and ?"
    connection.execute(
        f"update staged set _raw = cast(json_object({raw}) as varchar), _reasons = [?] where _reasons is null and {outside}",
        [f"{table.fact_column}: outside the days that were asked for", until],
    )
    connection.execute(
        f"update staged set _delivery = date_diff('day', date '{_FIRST_NUMBER}', case when _reasons is null then {fact} else ? end)",
        [until],
    )
    found = connection.execute("select distinct _delivery from staged").fetchall()
    days = {number: _FIRST_NUMBER + timedelta(days=number) for (number,) in found}
    return {number: Incoming(day.isoformat(), Delivery(day, ()), identity) for number, day in days.items()}


def _keep_what_is_not_new(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, old: Manifest) -> None:
    """Add to `staged` what the lake has, quarantined rows too, and the source did not deliver again."""
    keys = ", ".join(identifier(name) for name in table.key)
    texts = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in table.key)
    as_delivered = ", ".join(f"json_extract_string(_raw, '$.{name}')" for name in table.key)
    connection.execute(
        f"create or replace temp table renewed as select {texts} from staged union select {keys} from gone"
        f" union select {as_delivered} from staged where _raw is not null"
    )
    same = " and ".join(f"renewed.{identifier(name)} = cast(landed.{identifier(name)} as varchar)" for name in table.key)
    columns = columns_of(table)
    connection.execute(
        f"insert into staged (_file, _delivery, _position, {columns}) select 0, 0, 0, {columns}"
        f" from ({lake.lake_select(settings.lake, table)}) as landed anti join renewed on {same}"
    )
    quarantined = old.quarantine_files()
    if not quarantined:
        return
    paths = path_literals(lake.quarantine_folder(settings.lake, table.name) / name for name in quarantined)
    same = " and ".join(f"renewed.{identifier(name)} = json_extract_string(bad.row, '$.{name}')" for name in table.key)
    # Without a key a row is known by all that it holds.
    connection.execute(
        "insert into staged (_file, _delivery, _position, _reasons, _raw) select 0, 0, line, string_split(reason, '; '), row"
        f" from read_parquet({paths}) as bad anti join renewed on {same}"
        " where row not in (select _raw from staged where _raw is not null)"
    )


def _identity(settings: Settings, table: RawTable, source: Connector, until: date) -> str:
    """What decides how an answer of the source lands, as a hash; secrets count by name.

    Of what is made up, its last day comes before that, in clear.
    """
    rates, currency = rates_of(settings, table)
    mapping = source.model_dump_json(exclude=_NOT_OF_THE_ROWS)
    parts: tuple[Any, ...] = (LANDING_VERSION, repr(table), mapping, sorted(rates.items()), currency)
    with faults_named(source, table):
        version = source.version(settings, table, until)
    if version is not None:
        parts = (*parts, version)
    identity = blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    return f"{until.isoformat()} {identity}" if source.is_made_up else identity
