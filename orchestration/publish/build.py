"""Writing a generation: `health.duckdb` and the Parquet files, from the warehouse's schema `marts`.

Days that the run did not touch are taken from the current generation: their Parquet files by hard link, their rows by
copying its `health.duckdb`. They are not read again, neither here nor by the audit. That keeps a day's publishing as cheap after two years
as after two weeks.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from orchestration.integrity import FileEntry, copy_hashed, find_damaged
from orchestration.progress import now_at
from orchestration.publish.descriptions import Described, describe, read_descriptions
from orchestration.publish.generations import (
    DATABASE,
    PARQUET,
    Manifest,
    PublishError,
    generation_path,
    is_as_sealed,
    link,
    with_names,
)
from orchestration.publish.revision_log import Part
from orchestration.publish.revisions import TABLE as REVISIONS
from orchestration.publish.revisions import add_revisions
from orchestration.publish.tables import (
    BY_NAME,
    DATE_COLUMN,
    HISTORY,
    PART_ORDER,
    SCHEMA,
    TABLES,
    WIDE_SCHEMA,
    PublishedTable,
    on_days,
    part_name,
)
from orchestration.publish.today import write_views
from orchestration.publish.validation import carry_over, write_parquet
from orchestration.publish.validation import descriptions as validation_descriptions
from orchestration.settings import Settings
from orchestration.warehouse import first_line, identifier, literal

# The oldest storage format: the drivers that BI tools ship open it.
STORAGE_VERSION = "v1.0.0"
_EPOCH = date(1970, 1, 1)
# What the columns of a wide table hold, by the part of their names after a metric or dimension.
_WIDE_COLUMNS = {
    "": "Column or value of",
    "state": "Data state of",
    "score": "Normalized score of",
    "nominal_weight": "Nominal weight of",
    "effective_weight": "Effective weight of",
    "coverage": "Coverage of",
}

_log = logging.getLogger(__name__)


class PublishRefused(PublishError):
    """The run's result may not be published; what was current is current."""


@dataclass(frozen=True)
class RunState:
    """The one row of `control.run_state`: how far the run that last wrote the warehouse came.

    previous_run_id: the run before it that passed in this warehouse; None if that is not known.
    """

    run_id: str
    status: str
    configuration_hash: str
    previous_run_id: str | None


@dataclass(frozen=True)
class Mart:
    """What the warehouse holds to be published.

    Attributes:
        columns: per table, (name, type) of what `health.duckdb` stores for it.
        views: SQL of the tables that are views in `health.duckdb` too, as it is there.
        days: as-of day -> fingerprint of its rows in account_health_history.
        touched: the days of which the run may have changed any row, in any table.
    """

    columns: dict[str, list[list[str]]]
    views: dict[str, str]
    days: dict[date, str]
    touched: frozenset[date]

    def database_days(self, table: PublishedTable, history_days: int) -> list[date]:
        """The days of a history that `health.duckdb` holds, ascending."""
        if not self.days:
            return []
        first = max(self.days) - timedelta(days=history_days - 1)
        return sorted(day for day in self.days if not table.is_limited or day >= first)


@dataclass(frozen=True)
class Built:
    """A generation's content before it is sealed.

    Attributes:
        new_files: written by this run, names in the generation's folder.
        linked: names of the files shared with the current generation, with their entries.
        rows: rows of each table that `health.duckdb` must hold.
        changed: the days that were not taken from the current generation, ascending.
        revisions: number of published revisions that the generation adds.
    """

    new_files: tuple[str, ...]
    linked: dict[str, FileEntry]
    rows: dict[str, int]
    changed: tuple[date, ...]
    revisions: int


def read_run_state(connection: duckdb.DuckDBPyConnection) -> RunState:
    """Read the state of the run from the attached warehouse.

    Raises:
        PublishRefused: there is not exactly one.
    """
    try:
        query = "select run_id, status, configuration_hash, previous_run_id from warehouse.control.run_state"
        rows = connection.execute(query).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise PublishRefused("control.run_state is not in the warehouse: run the transform first") from error
    if len(rows) != 1:
        raise PublishRefused(f"control.run_state has {len(rows)} rows instead of one: run the transform again")
    return RunState(*rows[0])


def read_mart(connection: duckdb.DuckDBPyConnection, state: RunState, base: Manifest | None) -> Mart:
    """Look at what the attached warehouse holds.

    Where the generation `base` is of the run before this one, what this one did not touch is what was published: only the days that it
    touched are read.

    Raises:
        PublishRefused: a table is missing, or history has a row without its day.
    """
    stored = {table.source: table.name for table in TABLES}
    columns: dict[str, list[list[str]]] = {name: [] for name in stored.values()}
    for source, column, kind in connection.execute(
        "select concat_ws('.', database_name, schema_name, table_name), column_name, data_type from duckdb_columns() "
        "where database_name = 'warehouse' order by column_index"
    ).fetchall():
        if source in stored:
            name = stored[source]
            # Clients hand an enum out as a category instead of a text. What is wide is read through a view, which makes it a text.
            columns[name].append([column, "VARCHAR" if kind.startswith("ENUM") and BY_NAME[name].wide is None else kind])
    if missing := [name for name, found in columns.items() if not found]:
        raise PublishRefused(f"{BY_NAME[missing[0]].source.partition('.')[2]} is not in the warehouse: run the transform again")
    views = _read_views(connection)
    for name, query in views.items():
        shown = set(re.findall(r"\w+", query))
        columns[name] = [column for column in columns[name] if column[0] in shown]
    touched = {day for (day,) in connection.execute(f"select {DATE_COLUMN} from warehouse.control.restated_days").fetchall()}
    days: dict[date, str] = {}
    history = f"select {_select_list(columns[HISTORY])} from warehouse.{SCHEMA}.{HISTORY}"
    if base is not None and base.run_id == state.previous_run_id and base.columns.get(HISTORY) == columns[HISTORY]:
        published = ((date.fromisoformat(day), fingerprint) for day, fingerprint in base.days.items())
        days = {day: fingerprint for day, fingerprint in published if day not in touched}
        history += f" where {on_days(touched)}"
    days |= fingerprint_days(connection, history)
    if None in days:
        raise PublishRefused(f"{SCHEMA}.{HISTORY} has rows without {DATE_COLUMN}: run the transform again")
    return Mart(columns, views, days, frozenset(touched))


def _read_views(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The warehouse's own views, with the names that their tables have in `health.duckdb`."""
    found = dict(
        connection.execute(
            "select view_name, sql from duckdb_views() where database_name = 'warehouse' and schema_name = ?", [SCHEMA]
        ).fetchall()
    )
    # DuckDB 2 leaves out the name of the database.
    names = {table.source.removeprefix("warehouse."): table.stored_as for table in TABLES}
    names |= {f"{SCHEMA}.{table.name}": f"main.{table.name}" for table in TABLES}
    # One pass: a view has hundreds of selects.
    read = re.compile(rf"\b(?:warehouse\.)?({'|'.join(map(re.escape, names))})\b")
    views: dict[str, str] = {}
    for table in TABLES:
        if table.wide is not None:
            _, _, query = found[table.name].partition(" AS ")
            views[table.name] = read.sub(lambda found: names[found[1]], query).rstrip("; \n")
    return views


def fingerprint_days(connection: duckdb.DuckDBPyConnection, query: str) -> dict[date, str]:
    """Row count and order-independent content hash of each as-of day of a query."""
    rows = connection.execute(
        f"select {DATE_COLUMN}, count(*) || '-' || bit_xor(hash(*columns(*))) from ({query}) group by {DATE_COLUMN}"
    ).fetchall()
    return dict(rows)


def count_of(fingerprint: str) -> int | None:
    """The row count in a day's fingerprint; None if the day is not there."""
    return int(fingerprint.partition("-")[0]) if fingerprint else None


def build_generation(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    building: Path,
    mart: Mart,
    base: Manifest | None,
    generation: int,
    run_id: str,
    published_at: datetime,
    logged: Sequence[Part],
) -> Built:
    """Write `health.duckdb` and the Parquet files, published revisions included.

    Args:
        settings: history days and threads.
        connection: in memory, with the warehouse attached as `warehouse`.
        building: empty folder of the new generation.
        mart: what the warehouse holds.
        base: the generation to share unchanged days with; None writes everything anew.
        generation: number of the new generation.
        run_id, published_at: for the revisions that it adds.
        logged: the log of revisions so far.
    """
    kept = _kept_days(mart, base)
    links, fresh = _reusable(settings, mart, base, kept, building)
    # Weighing up this method costs a quarter of the writing time, and codes and keys pack better by dictionary.
    connection.execute("set disabled_compression_methods = 'fsst'")
    connection.execute(f"attach {literal(building / DATABASE)} as health (storage_version {literal(STORAGE_VERSION)})")
    history_days = settings.pipeline.metric_history_days
    connection.execute(f"create schema if not exists health.{WIDE_SCHEMA}")
    connection.execute("use health")
    rows = _write_small_tables(connection, mart)
    rows |= {table.stored_as: _write_history(connection, table, mart, kept, history_days, fresh) for table in TABLES if table.is_history}
    for name, query in mart.views.items():
        connection.execute(f"create or replace view main.{name} as {query}")
        connection.execute(f"create or replace macro main.{name}_in(folder) as table {_over_parquet(BY_NAME[name], query)}")
    today = write_views(settings, connection)
    connection.execute("use memory")
    validated = carry_over(settings, connection, base)
    describe(connection, _descriptions(connection) | validation_descriptions() | today)
    changed = mart.days.keys() - kept
    at = published_at.astimezone(UTC).replace(tzinfo=None)
    revisions = add_revisions(settings, connection, building, generation, mart.days, changed, run_id, at, base, logged)
    rows[REVISIONS] = revisions.rows
    now_at("publish", "Parquet")
    new_files = [DATABASE, *_write_parquet(settings, connection, building, mart, set(links))]
    new_files += [write_parquet(connection, building, name) for name in validated]
    connection.execute("checkpoint health")
    connection.execute("detach health")
    for name in links:
        assert base is not None
        link(generation_path(settings, base.generation) / name, building / name)
    if revisions.new_file:
        new_files.append(revisions.new_file)
    return Built(tuple(new_files), links | revisions.linked, rows | validated, tuple(sorted(changed)), revisions.added)


def _kept_days(mart: Mart, base: Manifest | None) -> frozenset[date]:
    """The days whose published rows still are the warehouse's."""
    if base is None:
        return frozenset()
    return frozenset(
        day for day, fingerprint in mart.days.items() if day not in mart.touched and base.days.get(day.isoformat()) == fingerprint
    )


def _reusable(
    settings: Settings, mart: Mart, base: Manifest | None, kept: frozenset[date], building: Path
) -> tuple[dict[str, FileEntry], bool]:
    """The Parquet files to link, and whether `health.duckdb` starts empty. Else it is in the building: a copy of the unchanged, undamaged
    one.

    What is copied is compared with its hash. A file that is only linked is not read: it is when somebody changed it since it was sealed;
    what a disk does in silence is found by `orchestration.verify`. So a day's publishing does not read all history.
    """
    if base is None or not kept:
        return {}, True
    same = [table for table in TABLES if table.is_history and base.columns.get(table.name) == mart.columns[table.name]]
    base_days = [date.fromisoformat(day) for day in base.days]
    names = []
    for table in same:
        for place in _places(settings, table):
            base_parts = _parts(place, base_days)
            for name, days in _parts(place, mart.days).items():
                if kept.issuperset(days) and days == base_parts.get(name) and name in base.files:
                    names.append(name)
    entries = {name: base.files[name] for name in names}
    folder = generation_path(settings, base.generation)
    changed = {name: entry for name, entry in entries.items() if not is_as_sealed(folder, name, entry)}
    damaged = find_damaged(folder, changed, settings.pipeline.threads)
    # Beyond half of the days it is faster to write the file anew, and the result is better packed. Rows that are replaced in a copy stay in
    # its file until their blocks are used again: not where they are names that are no longer allowed.
    histories = [table for table in TABLES if table.is_history]
    fresh = same != histories or 2 * len(kept) < len(mart.days) or DATABASE not in base.files
    fresh = fresh or bool(with_names(settings, [base.generation]))
    if not fresh and copy_hashed(folder / DATABASE, building / DATABASE) != base.files[DATABASE]:
        (building / DATABASE).unlink(missing_ok=True)
        damaged, fresh = damaged | {DATABASE}, True
    for name in damaged:
        _log.warning("%s: is not what was published; written anew", folder / name)
        entries.pop(name, None)
    return entries, fresh


def _places(settings: Settings, table: PublishedTable) -> list[str]:
    """The folders of a history's Parquet files: as it is stored, and long where that is asked for."""
    return [table.parquet, *([table.name] if table.name in settings.exports.long_parquet else [])]


def _parts(place: str, days: Iterable[date]) -> dict[str, list[date]]:
    """File name in the generation -> the days it holds, ascending."""
    parts: dict[str, list[date]] = {}
    for day in sorted(days):
        parts.setdefault(f"{PARQUET}/{place}/{part_name(day)}", []).append(day)
    return parts


def _over_parquet(table: PublishedTable, view: str) -> str:
    """The view over a wide table as one over its Parquet files below `folder`."""
    files = f"read_parquet(folder || '/{table.parquet}/*/*.parquet', hive_partitioning = false)"
    return re.sub(rf"\b{re.escape(table.stored_as)}\b", files, view)


def _write_small_tables(connection: duckdb.DuckDBPyConnection, mart: Mart) -> dict[str, int]:
    """Make the tables that are no histories anew, with their keys; return the rows that each must have.

    Raises:
        PublishRefused: two rows have the same key, or a foreign key leads nowhere.
    """
    # What others refer to is dropped last and made first.
    tables = sorted((table for table in TABLES if not table.is_history), key=lambda table: len(table.references) > 0)
    for table in reversed(tables):
        connection.execute(f"drop table if exists {table.stored_as}")
    rows = {}
    for table in tables:
        parts = [f"{identifier(name)} {kind}" for name, kind in mart.columns[table.name]]
        parts += [f"primary key ({', '.join(table.key)})"] if table.key else []
        parts += [f"foreign key ({column}) references {other} ({BY_NAME[other].key[0]})" for column, other in table.references.items()]
        connection.execute(f"create table {table.stored_as} ({', '.join(parts)})")
        query = f"select {_select_list(mart.columns[table.name])} from {table.source} order by {', '.join(table.key or table.order_by)}"
        try:
            rows[table.stored_as] = _scalar(connection, f"insert into {table.stored_as} {query}")
        except duckdb.ConstraintException as error:
            raise PublishRefused(f"{table.name}: {first_line(error)}") from error
    return rows


def _write_history(
    connection: duckdb.DuckDBPyConnection,
    table: PublishedTable,
    mart: Mart,
    kept: frozenset[date],
    history_days: int,
    fresh: bool,
) -> int:
    """Bring one history in `health.duckdb` to what the warehouse holds; return the number of rows that it must have."""
    source, target = table.source, f"health.{table.stored_as}"
    columns = _select_list(mart.columns[table.name])
    wanted = mart.database_days(table, history_days)
    # No day at all: an interval that holds none.
    first, last = (wanted[0], wanted[-1]) if wanted else (_EPOCH, _EPOCH - timedelta(days=1))
    in_range = f"from {source} where {DATE_COLUMN} between ? and ?"
    # The warehouse has its rows in the order in which they were computed. In this one the days that are asked for are in one place, an
    # account's values repeat from row to row, so that they take less than half of the space, and Parquet files are read off.
    order = f"order by {PART_ORDER}, 1, {DATE_COLUMN}"
    if fresh:
        return _scalar(connection, f"create table {target} as select {columns} {in_range} {order}", [first, last])
    connection.execute(f"delete from {target} where not ({on_days([day for day in wanted if day in kept])})")
    held = dict(connection.execute(f"select {DATE_COLUMN}, count(*) from {target} group by {DATE_COLUMN}").fetchall())
    rows = sum(held.values())
    if missing := [day for day in wanted if day not in held]:
        rows += _scalar(connection, f"insert into {target} select {columns} from {source} where {on_days(missing)} {order}")
    return rows


def _descriptions(connection: duckdb.DuckDBPyConnection) -> dict[Described, str]:
    """Those of the warehouse's marts, and of the wide tables behind their views."""
    described = read_descriptions(connection, "warehouse")
    wanted = {("main", name, column): text for (schema, name, column), text in described.items() if schema == SCHEMA and name in BY_NAME}
    for table in TABLES:
        if table.wide is not None:
            schema, _, wide = table.stored_as.partition(".")
            wanted[schema, wide, None] = f"The rows of {table.name}, wide: read them through that view."
            for column, *_ in connection.execute(f"describe health.{table.stored_as}").fetchall():
                base, _, part = column.partition("__")
                wanted[schema, wide, column] = f"{_WIDE_COLUMNS[part]} {base}, as {table.name} shows it."
    return wanted


def _write_parquet(settings: Settings, connection: duckdb.DuckDBPyConnection, building: Path, mart: Mart, linked: set[str]) -> list[str]:
    """Write every Parquet file that is not linked; return their names."""
    copies: dict[str, tuple[str, list[date] | None]] = {}
    for table in TABLES:
        if not table.is_history:
            copies[f"{PARQUET}/{table.parquet}"] = (f"select * from health.main.{table.name}", None)
            continue
        for place in _places(settings, table):
            parts = {name: days for name, days in _parts(place, mart.days).items() if name not in linked}
            if not parts:
                continue
            if place == table.parquet:
                held = set(mart.database_days(table, settings.pipeline.metric_history_days))
                stored = f"select * from health.{table.stored_as}"
                computed = f"select {_select_list(mart.columns[table.name])} from {table.source}"
            else:
                days = [day for part in parts.values() for day in part]
                columns = _select_repeated(connection, table, mart, min(days), max(days))
                held, stored, computed = set(), "", f"select {columns} from warehouse.{SCHEMA}.{table.name}"
            for name, days in parts.items():
                # Where health.duckdb has a day, it has it at hand: in one place, with what the warehouse's views compute.
                query = stored if held.issuperset(days) else computed
                copies[name] = (f"{query} where {DATE_COLUMN} between ? and ?", [days[0], days[-1]])

    def copy(name: str) -> None:
        query, bounds = copies[name]
        path = building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with connection.cursor() as cursor:
            cursor.execute(f"copy ({query}) to {literal(path)} (format parquet, compression zstd, write_bloom_filter false)", bounds)

    # A part is too small for DuckDB to share it among its threads; several at a time are not.
    with ThreadPoolExecutor(settings.pipeline.threads) as pool:
        list(pool.map(copy, copies))
    return list(copies)


def _select_repeated(connection: duckdb.DuckDBPyConnection, table: PublishedTable, mart: Mart, first: date, last: date) -> str:
    """The columns of a view over a wide table, its repeated strings as an enum: their values are looked up once instead of for each row and
    metric.

    That takes half the time, and the file has strings as before.
    """
    wide = {name for name, kind in mart.columns[table.name] if kind == "VARCHAR"}
    columns = [row[0] for row in connection.execute(f"describe warehouse.{SCHEMA}.{table.name}").fetchall()]
    repeated = [name for name in columns if name in wide]
    words = f"words_of_{table.name}"
    values = " union ".join(
        f"select {identifier(name)} as text from {table.source} where {DATE_COLUMN} between {literal(str(first))} and {literal(str(last))}"
        for name in repeated
    )
    connection.execute(f"create type {words} as enum (select text from ({values}) where text is not null)")
    return ", ".join(
        f"cast({identifier(name)} as {words}) as {identifier(name)}" if name in repeated else identifier(name) for name in columns
    )


def _select_list(columns: list[list[str]]) -> str:
    return ", ".join(f"cast({identifier(name)} as {kind}) as {identifier(name)}" for name, kind in columns)


def _scalar(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[date] | None = None) -> int:
    return connection.execute(query, parameters).fetchall()[0][0]
