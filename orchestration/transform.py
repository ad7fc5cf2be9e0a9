"""What a run hands to dbt, and what it notes when dbt is done: the schemas `raw` and `control` of the working warehouse.

dbt models read the lake through the views in `raw` and the run's window through one-row tables in `control`. So no value of a run
goes through `--vars` (which forces a full parse and is rendered as Jinja) or is in the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from itertools import count
from typing import Any
from uuid import uuid4

import duckdb

from orchestration.contract import PLANNED, TABLES, USAGE_TABLES, RawTable
from orchestration.engines import engine_of
from orchestration.extract import land_table
from orchestration.extract.doubts import Orphans, describe_playbooks, describe_values, find_orphans
from orchestration.extract.lake.manifest import (
    LakeError,
    LandingStats,
    covered_through,
    event_day_fingerprints,
    find_faults,
    lake_fingerprint,
    lake_select,
    landing_stats,
    read_manifest,
    unavailable_tables,
)
from orchestration.extract.losses import rows_by_event_day
from orchestration.fingerprint import fingerprint, product_files
from orchestration.scorecard import ConfigurationError, Field, Seeds, configuration_hash, load_seeds, read_playbooks, scorecard_rules
from orchestration.scored_days import read_scored_days, write_scored_days
from orchestration.settings import Settings
from orchestration.shared import LEDGER_DAYS
from orchestration.warehouse import connect, copy_path, discard, discard_if_broken, identifier, keep_copy

# What a build leaves out that checks the SQL rather than the day's data: `make test` runs it (tests/dbt).
DAILY = ("--exclude-resource-type", "unit_test", "--exclude", "tag:ci")
# As of `is_static`. Each check is named by `fqn:*`: else dbt would leave out those of what is left out.
STATIC = ("resource_type:seed", "config.materialized:view")
_WITHOUT_STATIC = ("--select", "fqn:*", "--exclude", *STATIC, "--indirect-selection", "empty")
EPOCH = date(1970, 1, 1)
# Of the tables that outlive a run. A warehouse of another format is rebuilt from the lake.
WAREHOUSE_FORMAT = 9
# What a run scores at a time, where `pipeline.part_days` does not say it: accounts x days, and at least so many days.
_PART_ROWS, _LEAST_PART_DAYS = 1_250_000, 7
# Rows that one statement inserts into a control table.
_ROWS_AT_ONCE = 500
# In place of the fingerprint of an event day while a run rolls it up; equal to none.
_ROLLING_UP = "rolling up"
_CONTROL_TABLES = """
create schema if not exists raw;
create schema if not exists control;
create or replace view control.format as select {WAREHOUSE_FORMAT} as format, '{engine}' as engine;
create table if not exists control.scorecard_rules (scorecard_id varchar, config_version varchar, scorecard_key varchar,
    rules_hash varchar);
create table if not exists control.configurations (configuration_hash varchar, scorecard_id varchar);
create table if not exists control.rolled_up_event_days (activity_day date, fingerprint varchar);
create table if not exists control.built (fingerprint varchar, is_complete boolean);
create table if not exists control.warehouse (warehouse_id varchar);
create table if not exists control.uncovered_days (table_name varchar, as_of_date date);
create table if not exists control.parts (fingerprint varchar);
create table if not exists control.part_days (as_of_date date, is_done boolean);
create or replace table control.run (
    run_id varchar, configuration_hash varchar, reporting_currency varchar, has_contact_names boolean
);
create or replace table control.run_state (
    run_id varchar, status varchar, first_day date, last_day date, configuration_hash varchar, finished_at timestamp,
    previous_run_id varchar
);
create or replace table control.as_of_days (as_of_date date, day integer);
create or replace table control.unfinished_days (as_of_date date);
create or replace table control.restated_days (as_of_date date);
create or replace table control.ledger_days (as_of_date date, k integer, earlier_date date);
create or replace table control.drift_days (as_of_date date);
create or replace table control.playbooks (
    playbook_key varchar, label varchar, priority double, due_days integer, is_fallback boolean, number integer
);
create or replace table control.playbook_conditions (
    playbook_key varchar, field varchar, operator varchar, number_value double, text_value varchar, position integer
);
create or replace table control.playbook_parts (playbook_key varchar, position integer, part varchar, field varchar);
create or replace table control.playbook_fields (field varchar, kind varchar, key varchar, is_text boolean);
create or replace table control.changed_event_days (activity_day date, fingerprint varchar);
create or replace table control.raw_tables (
    table_name varchar, late_after_days integer, covered_through date, unavailable varchar
);
create or replace table control.landing_stats (
    table_name varchar, newest_fact_at timestamp, later_rows bigint, last_fact_at timestamp, delivered bigint, loaded bigint,
    duplicates bigint, quarantined bigint,
    orphans bigint, orphan_warning varchar, value_warning varchar
);
create or replace table control.landing_quarantine (table_name varchar, reason varchar, quarantined bigint);
"""


@dataclass(frozen=True)
class LaterFacts:
    """How many rows of a raw table are dated after the newest scored day, and the last such date."""

    table: str
    after: date
    rows: int
    last: date


@dataclass(frozen=True)
class Plan:
    """What a run will score.

    Attributes:
        as_of_days: the run's own days, and what it re-scores.
        changed_event_days: event days whose usage is rolled up anew.
        counted_days: account-days of them that are in both tables of usage, where `usage_days` alone counts.
        late_days: those of them before the lookback, where scored days are not scored again; scores that depend on them stay as they are.
        later_facts: of the tables of what has happened, the rows that are dated after the newest scored day.
        rest: the days that later parts of the run score.
        done: the days that earlier parts have scored, of this run or of one of the same range that did not finish.
        begins_anew: whether such a run is of no use, because the raw data or the rules have changed since.
        rebuilt: why the working warehouse was removed and is rebuilt; None if it was not.
        dbt_options: what a whole `dbt build` leaves out, as it is in the warehouse and is still the same.
        is_new: the warehouse held nothing before.
    """

    as_of_days: tuple[date, ...]
    changed_event_days: tuple[date, ...]
    counted_days: int
    late_days: tuple[date, ...]
    later_facts: tuple[LaterFacts, ...]
    rest: tuple[date, ...]
    done: tuple[date, ...]
    begins_anew: bool
    rebuilt: str | None
    dbt_options: tuple[str, ...]
    is_new: bool


def part_days(settings: Settings) -> int | None:
    """How many days a run scores at a time: `pipeline.part_days`, else as many as keep accounts x days below 1.25 million, at least a week.
    None for all: Spark bounds its memory itself, and a copy of the working file would not hold its tables."""
    if settings.engine.engine != "duckdb":
        return None
    if settings.pipeline.part_days is not None:
        return settings.pipeline.part_days
    return max(_LEAST_PART_DAYS, _PART_ROWS // max(accounts_landed(settings), 1))


def accounts_landed(settings: Settings) -> int:
    """At most so many accounts are scored on a day: those that landed, or as many as there are subscriptions, where these are fewer. Of a
    product with a free plan most accounts never had one."""
    landed = {stats.table: stats.loaded for stats in landing_stats(settings.lake)}
    accounts = landed.get("accounts", 0)
    return min(accounts, landed.get("subscriptions") or accounts)


def prepare(settings: Settings, run_id: str, start: date, end: date, most_days: int | None = None) -> Plan:
    """Lay the views over the lake and write the control tables for a run over [start, end].

    Scored are the run's days, those of the `lookback_days` before them that were scored already (late facts restate them), those
    that a run left half scored, those that were scored without a table that has been read since, and all days ever scored if the
    warehouse has to be rebuilt. Where these are more than `most_days`, the plan is for the first of them; after `mark_passed`, another
    call plans the next part, also in a later run of the same range over the same raw data.

    Raises:
        ConfigurationError: the seeds are not valid, or no active version of them holds on the first day.
        LakeError: a file of the lake that the run needs is lost or damaged and cannot be landed again.
        WarehouseBusy: another process kept the warehouse open.
    """
    _require_whole_tables(settings)
    seeds = load_seeds(settings.seeds_dir)
    rebuilt = discard_if_broken(settings) or _discard_unusable(settings)
    scored_before = read_scored_days(settings)
    covered = {name: day for name, day in covered_through(settings.lake).items() if name in settings.sources}
    lookback_starts = start - timedelta(days=settings.pipeline.lookback_days)
    unavailable = unavailable_tables(settings.lake)
    with connect(settings, settings.warehouse) as warehouse:
        # What an unfinished run computed along with its days is computed again.
        left: dict[str, set[date]] = {}
        previous = None
        if not _has_table(warehouse, "control", "scorecard_rules"):
            again = scored_before
            unfinished = set()
        else:
            again = {day for day in scored_before if lookback_starts <= day < start}
            left = _unfinished_days(warehouse)
            previous = _last_passed_run(warehouse)
            unfinished = left.get("as_of_days", set()) | left.get("unfinished_days", set())
            again |= (unfinished | _recovered_days(warehouse, covered)) & scored_before
        noted, done, left_over = _parts(warehouse)
        of_run = {start + timedelta(days=n) for n in range((end - start).days + 1)}
        whole = None
        if most_days is not None and (noted is not None or len(again | of_run) > most_days):
            whole = _fingerprint(settings, f"{start} {end} {settings.pipeline.reporting_currency} {lake_fingerprint(settings.lake)}")
        if noted != whole:
            # Of another range or other data: only days that were scored once and are not in a rebuilt warehouse yet are of concern.
            done, left_over = set(), left_over & scored_before
        wanted = sorted((again | left_over | of_run) - done)
        days, rest = wanted[:most_days], wanted[most_days or len(wanted) :]
        present = scored_before - set(rest)
        _check_versions(seeds, wanted[0])
        warehouse.execute("begin")
        warehouse.execute(_CONTROL_TABLES.format(WAREHOUSE_FORMAT=WAREHOUSE_FORMAT, engine=settings.engine.engine))
        is_new = not warehouse.execute("from control.warehouse").fetchall()
        if is_new:
            warehouse.execute("insert into control.warehouse values (?)", [str(uuid4())])
        warehouse.execute("insert into control.unfinished_days select unnest(cast(? as date[]))", [sorted(unfinished)])
        is_built = _is_built(warehouse, _fingerprint(settings))
        hash_ = configuration_hash(seeds)
        warehouse.execute(
            "insert into control.run values (?, ?, ?, ?)",
            [run_id, hash_, settings.pipeline.reporting_currency, settings.privacy.contact_names],
        )
        warehouse.execute("insert into control.run_state values (?, 'running', ?, ?, ?, null, ?)", [run_id, start, end, hash_, previous])
        _insert(warehouse, "as_of_days", [[day, (day - EPOCH).days] for day in days])
        _insert(
            warehouse,
            "raw_tables",
            [[name, settings.late_after_days(name), covered.get(name), unavailable.get(name)] for name in TABLES],
        )
        _note_parts(warehouse, whole, done, wanted if rest or done else [])
        _note_uncovered_days(warehouse)
        for table, touched in _touched_days(present, days).items():
            also = left.get(table, set()) & (present | set(days))
            rows: list[list[Any]] = [[day] for day in sorted(touched | also)]
            if table == "ledger_days":
                rows = [[day, k, day - timedelta(days=k)] for [day] in rows for k in LEDGER_DAYS]
            _insert(warehouse, table, rows)
        _register_scorecards(warehouse, seeds, hash_)
        _load_playbooks(warehouse, seeds)
        as_of = max(present | set(days))
        changed = _lay_views(warehouse, settings, start, end, as_of, is_last=not rest)
        counted_days = _counted_days(warehouse)
        later = _load_landing_stats(warehouse, settings, as_of, (days[0], days[-1]), is_last=not rest)
        warehouse.execute("commit")
        engine_of(settings).hand_over(settings, warehouse)
    return Plan(
        as_of_days=tuple(days),
        changed_event_days=tuple(changed),
        counted_days=counted_days,
        late_days=tuple(day for day in changed if day < lookback_starts) if scored_before - set(days) else (),
        later_facts=tuple(later),
        rest=tuple(rest),
        done=tuple(sorted(done)),
        begins_anew=noted is not None and noted != whole,
        rebuilt=rebuilt,
        dbt_options=_WITHOUT_STATIC if is_built else (),
        is_new=is_new,
    )


def mark_passed(settings: Settings, run_id: str) -> None:
    """Note that dbt built everything and every blocking test passed: only then may the run publish.

    Of a run in parts the warehouse is copied after each part but the last: a process that is killed in the next one leaves it unusable.
    """
    with connect(settings, settings.warehouse) as warehouse:
        warehouse.execute("begin")
        _note_built(warehouse, settings)
        warehouse.execute(
            "update control.run_state set status = 'passed', finished_at = ? where run_id = ?",
            [datetime.now(UTC).replace(tzinfo=None), run_id],
        )
        days = {day for (day,) in warehouse.execute("select as_of_date from control.as_of_days").fetchall()}
        # The file first: a kill in between leaves days that were scored by a run that did not pass, and those are scored again.
        write_scored_days(settings, read_scored_days(settings) | days)
        warehouse.execute("update control.part_days set is_done = true where as_of_date in (select as_of_date from control.as_of_days)")
        is_part = bool(warehouse.execute("from control.part_days where not is_done").fetchall())
        if not is_part:
            _note_parts(warehouse, None, set(), [])
        warehouse.execute("commit")
    if is_part:
        keep_copy(settings)
    else:
        copy_path(settings).unlink(missing_ok=True)


def keep_rollups(settings: Settings) -> None:
    """Of what dbt built keep what is of no as-of day: the rollups, seeds and views. The scored days count as unfinished, so the next run in
    this warehouse removes them. For a day that is provisional."""
    with connect(settings, settings.warehouse) as warehouse:
        warehouse.execute("begin")
        _note_built(warehouse, settings)
        warehouse.execute("commit")


def leave_to_next_run(settings: Settings) -> None:
    """Before somebody builds models by hand: what the last run built counts as unfinished, so the next run builds it anew."""
    with connect(settings, settings.warehouse) as warehouse:
        warehouse.execute("begin")
        _begin_roll_up(warehouse)
        warehouse.execute("update control.run_state set status = 'by hand', previous_run_id = run_id where status = 'passed'")
        warehouse.execute("delete from control.built")
        warehouse.execute("commit")


def is_static(node: Mapping[str, Any]) -> bool:
    """Whether a node of dbt's manifest holds no days of its own: a seed or a view. It only changes with the product or the rules."""
    return node["resource_type"] == "seed" or node["config"].get("materialized") == "view"


def _is_built(warehouse: duckdb.DuckDBPyConnection, fingerprint: str) -> bool:
    """Whether all seeds and views of this fingerprint are in the warehouse. If not, it is noted as begun."""
    if warehouse.execute("from control.built where fingerprint = ? and is_complete", [fingerprint]).fetchall():
        return True
    warehouse.execute("delete from control.built")
    warehouse.execute("insert into control.built values (?, false)", [fingerprint])
    return False


def _note_built(warehouse: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    _forget_rolled_up(warehouse)
    warehouse.execute("insert into control.rolled_up_event_days from control.changed_event_days where fingerprint is not null")
    warehouse.execute("update control.built set is_complete = true where fingerprint = ?", [_fingerprint(settings)])


def _fingerprint(settings: Settings, *more: str) -> str:
    """Of all that seeds and views are made from: the rules, the product (the lake's columns are in its Python), DuckDB and dbt."""
    versions = (version(name) for name in ("duckdb", "dbt-core", *engine_of(settings).packages))
    return fingerprint([*settings.seeds_dir.glob("*.csv"), *product_files()], *versions, *more)


def _parts(warehouse: duckdb.DuckDBPyConnection) -> tuple[str | None, set[date], set[date]]:
    """Of a run in parts that did not finish: what it was of, the days that it has scored, and those that it has not."""
    if not _has_table(warehouse, "control", "part_days"):
        return None, set(), set()
    noted = warehouse.execute("select fingerprint from control.parts").fetchall()
    days = warehouse.execute("select as_of_date, is_done from control.part_days").fetchall()
    return noted[0][0] if noted else None, {day for day, is_done in days if is_done}, {day for day, is_done in days if not is_done}


def _note_parts(warehouse: duckdb.DuckDBPyConnection, whole: str | None, done: set[date], wanted: list[date]) -> None:
    """Note the days of a run in parts; without days to score, that there is no such run."""
    warehouse.execute("delete from control.parts")
    warehouse.execute("delete from control.part_days")
    if wanted:
        warehouse.execute("insert into control.parts values (?)", [whole])
        days = [[day, True] for day in sorted(done)] + [[day, False] for day in wanted]
        _insert(warehouse, "part_days", days)


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables that profiles.yml and dbt_project.yml read."""
    return {
        **engine_of(settings).environment(settings),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _check_versions(seeds: Seeds, first_day: date) -> None:
    active = [row["valid_from"] for row in seeds["config_versions"] if row["status"] == "active"]
    if min(active) > first_day:
        raise ConfigurationError(
            f"{seeds.file('config_versions')}: no active configuration version holds on {first_day}; the first is valid from "
            f"{min(active)}. Set an earlier valid_from or a later start_date"
        )


def _has_table(warehouse: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    query = "select 1 from duckdb_tables() where schema_name = ? and table_name = ?"
    return bool(warehouse.execute(query, [schema, name]).fetchall())


def _insert(warehouse: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows into a control table, many in a statement: one by one each takes as long as ten of these."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        row = f"({', '.join('?' * len(some[0]))})"
        warehouse.execute(f"insert into control.{table} values {', '.join([row] * len(some))}", [value for row in some for value in row])


def _register_scorecards(warehouse: duckdb.DuckDBPyConnection, seeds: Seeds, configuration: str) -> None:
    """Name each scorecard in each state of its rules for good, and note which of them make up the configuration.

    A scorecard whose rules were edited in place gets another name, so the change ledger can distinguish a new rule from new behaviour.
    """
    known = {scorecard for (scorecard,) in warehouse.execute("select scorecard_id from control.scorecard_rules").fetchall()}
    warehouse.execute("delete from control.configurations where configuration_hash = ?", [configuration])
    for (config_version, card), rules in sorted(scorecard_rules(seeds).items()):
        scorecard_id = f"{config_version}/{card}/{rules[:12]}"
        if scorecard_id not in known:
            warehouse.execute("insert into control.scorecard_rules values (?, ?, ?, ?)", [scorecard_id, config_version, card, rules])
        warehouse.execute("insert into control.configurations values (?, ?)", [configuration, scorecard_id])


def _load_playbooks(warehouse: duckdb.DuckDBPyConnection, seeds: Seeds) -> None:
    """Hand the playbooks to the models as rows; their text never becomes SQL."""
    used: dict[str, Field] = {}
    playbooks: list[list[Any]] = []
    conditions: list[list[Any]] = []
    parts: list[list[Any]] = []
    positions = count(1)
    for number, playbook in enumerate(read_playbooks(seeds), 1):
        used |= {field.name: field for field in playbook.fields}
        playbooks.append([playbook.key, playbook.label, playbook.priority, playbook.due_days, playbook.is_fallback, number])
        for field, operator, value in playbook.conditions:
            numeric, text = (None, value) if field.is_text else (value, None)
            conditions.append([playbook.key, field.name, operator, numeric, text, next(positions)])
        parts += [[playbook.key, position, part.text, part.field] for position, part in enumerate(playbook.reason, len(parts))]
    _insert(warehouse, "playbooks", playbooks)
    _insert(warehouse, "playbook_conditions", conditions)
    _insert(warehouse, "playbook_parts", parts)
    _insert(warehouse, "playbook_fields", [[field.name, field.kind, field.key, field.is_text] for field in used.values()])


def _unfinished_days(warehouse: duckdb.DuckDBPyConnection) -> dict[str, set[date]]:
    """The days of the last run, by control table, if it failed or was killed: some models may hold them, others not."""
    if warehouse.execute("from control.run_state where status = 'passed'").fetchall():
        return {}
    tables = ("as_of_days", "unfinished_days", "restated_days", "ledger_days", "drift_days")
    return {table: {day for (day,) in warehouse.execute(f"select as_of_date from control.{table}").fetchall()} for table in tables}


def _last_passed_run(warehouse: duckdb.DuckDBPyConnection) -> str | None:
    """The last run that passed: all later ones left their days to the next. Publishing reads only what changed since that one was
    published."""
    query = "select case when status = 'passed' then run_id else previous_run_id end from control.run_state"
    known = "select 1 from duckdb_columns() where schema_name = 'control' and table_name = 'run_state' and column_name = 'previous_run_id'"
    rows = warehouse.execute(query).fetchall() if warehouse.execute(known).fetchall() else []
    return rows[0][0] if rows else None


def _recovered_days(warehouse: duckdb.DuckDBPyConnection, covered: dict[str, date]) -> set[date]:
    """The days that were scored while the lake did not reach them, for a table that reaches them now."""
    rows = warehouse.execute("select table_name, as_of_date from control.uncovered_days").fetchall()
    return {day for name, day in rows if name not in covered or covered[name] >= day}


def _note_uncovered_days(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Remember which tables are late on the run's days because their source could not be read."""
    warehouse.execute("delete from control.uncovered_days where as_of_date in (select as_of_date from control.as_of_days)")
    warehouse.execute(
        "insert into control.uncovered_days select raw_tables.table_name, as_of_days.as_of_date"
        " from control.raw_tables inner join control.as_of_days on as_of_days.as_of_date > raw_tables.covered_through"
    )


def _touched_days(scored_before: set[date], days: list[date]) -> dict[str, set[date]]:
    """The scored days whose rows depend on the days of the run, by control table.

    restated_days: all from the first day of the run on, since tiers, trends and actions look back without end. ledger_days: where
    one of the run's days is an end of the change. drift_days: where it is the day, or the day before.
    """
    scored = scored_before | set(days)

    def after(lags: tuple[int, ...]) -> set[date]:
        return scored & {day + timedelta(days=lag) for day in days for lag in (0, *lags)}

    return {
        "restated_days": {day for day in scored if day >= days[0]},
        "ledger_days": after(LEDGER_DAYS),
        "drift_days": after((1,)),
    }


def _discard_unusable(settings: Settings) -> str | None:
    """Remove a warehouse whose tables another version of the product laid out, or another engine holds, or that a failed run may have left
    without rows, or that has names which it may no longer have; returns why, None if it stays."""
    if not settings.warehouse.exists():
        return None
    with connect(settings, settings.warehouse, read_only=True) as warehouse:
        tables = {name for (name,) in warehouse.execute("select table_name from duckdb_tables() where schema_name = 'control'").fetchall()}
        views = {name for (name,) in warehouse.execute("select view_name from duckdb_views() where schema_name = 'control'").fetchall()}
        found = warehouse.execute("from control.format").fetchall() if "format" in views else []
        passed = "run_state" in tables and warehouse.execute("from control.run_state where status = 'passed'").fetchall()
        named = (WAREHOUSE_FORMAT, settings.engine.engine) in found and warehouse.execute(
            "from control.run where has_contact_names"
        ).fetchall()
    if "scorecard_rules" not in tables:
        return None
    if found != [(WAREHOUSE_FORMAT, settings.engine.engine)]:
        reason = "another version of the product or another engine laid it out"
    elif not passed and engine_of(settings).rebuilds_after_failure(settings):
        reason = f"the last run did not pass, and tables of {settings.engine.table_format} may lack what it was to replace"
    elif named and not settings.privacy.contact_names:
        # Rows that are replaced stay in the file until their blocks are used again.
        reason = "[privacy] contact_names is off, and it has names of people"
    else:
        return None
    discard(settings, reason)
    return reason


def _require_whole_tables(settings: Settings) -> None:
    """Refuse lost or damaged files of the tables that every run reads whole. Usually the landing of this run has seen to it."""
    for name in TABLES:
        manifest = read_manifest(settings.lake, name) if name not in USAGE_TABLES else None
        faults = find_faults(settings.lake, manifest, settings.pipeline.threads) if manifest is not None else {}
        for path, fault in faults.items():
            raise LakeError(f"{settings.lake / path}: {fault}. Run the extraction of {name} again: it lands the file anew from the source")


def _lay_views(warehouse: duckdb.DuckDBPyConnection, settings: Settings, start: date, end: date, as_of: date, is_last: bool) -> list[date]:
    """Views over the lake; those of usage show only the event days whose content changed since they were rolled up. Event days after
    `as_of` are left to the last part of the run.

    From here until the run has passed these days count as not rolled up, whatever the rollups hold: where it does not pass, the
    next run rolls them up again, also if their source is by then what it was before.
    """
    for name, table in TABLES.items():
        if name not in USAGE_TABLES:
            warehouse.execute(f"create or replace view raw.{name} as {lake_select(settings.lake, table)}")
    rolled_up = dict(warehouse.execute("select activity_day, fingerprint from control.rolled_up_event_days").fetchall())
    while True:
        landed = event_day_fingerprints(settings.lake)
        days = {day for day in landed.keys() | rolled_up.keys() if is_last or day <= as_of}
        changed = sorted(day for day in days if landed.get(day) != rolled_up.get(day))
        # The newest fact and those after `as_of` are looked up, too.
        later = {day for day in landed if day > as_of and is_last}
        read = {*changed, *later, max((day for day in landed if day <= as_of), default=as_of)}
        manifests = [(name, found) for name in USAGE_TABLES if (found := read_manifest(settings.lake, name)) is not None]
        damaged = [name for name, found in manifests if find_faults(settings.lake, found, settings.pipeline.threads, read)]
        if not damaged:
            break
        # Which days are read is known only here. Raises where a file cannot be landed again.
        for name in damaged:
            land_table(settings, TABLES[name], start, end, event_days=read)
    if changed:
        _insert(warehouse, "changed_event_days", [[day, landed.get(day)] for day in changed])
        _begin_roll_up(warehouse)
    for name in USAGE_TABLES:
        select = lake_select(settings.lake, TABLES[name], event_days=set(changed))
        warehouse.execute(f"create or replace view raw.changed_{name} as {select}")
    return changed


def _counted_days(warehouse: duckdb.DuckDBPyConnection) -> int:
    """How many account-days of the changed days are in both tables of usage."""
    [(both,)] = warehouse.execute(
        "select count(*) from (select distinct account_id, activity_day"
        " from (select account_id, cast(occurred_at as date) as activity_day from raw.changed_usage_events) as events"
        " semi join raw.changed_usage_days using (account_id, activity_day)) as counted"
    ).fetchall()
    return both


def _begin_roll_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Count the changed event days as not rolled up. Not just removed: a day that has left the lake must still leave the rollups."""
    _forget_rolled_up(warehouse)
    warehouse.execute("insert into control.rolled_up_event_days select activity_day, ? from control.changed_event_days", [_ROLLING_UP])


def _forget_rolled_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    warehouse.execute(
        "delete from control.rolled_up_event_days where activity_day in (select activity_day from control.changed_event_days)"
    )


def _load_landing_stats(
    warehouse: duckdb.DuckDBPyConnection, settings: Settings, as_of: date, days: tuple[date, date], is_last: bool
) -> list[LaterFacts]:
    """Counts of every raw table, with its newest fact up to `as_of`; returns the tables with facts after it that cannot be planned. Only
    the last part of a run looks for those."""
    later: list[LaterFacts] = []
    for stats in landing_stats(settings.lake):
        newest = _newest_fact(warehouse, settings, stats.table, as_of)
        rows, last = _facts_after(warehouse, settings, stats.table, as_of) if is_last else (0, None)
        if last is not None and stats.table not in PLANNED:
            later.append(LaterFacts(stats.table, as_of, rows, last.date()))
        orphans = _orphans(warehouse, settings, stats, days)
        said = [] if stats.table in USAGE_TABLES else [_contradictions(warehouse, stats)]
        if stats.table == "action_log":
            said.append(describe_playbooks(warehouse, "raw.action_log", _known_playbooks(warehouse)))
        warehouse.execute(
            "insert into control.landing_stats values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                stats.table,
                newest,
                rows,
                last,
                stats.delivered,
                stats.loaded,
                stats.duplicates,
                sum(stats.quarantined.values()),
                orphans.rows,
                orphans.warning,
                "; ".join(filter(None, said)) or None,
            ],
        )
        _insert(warehouse, "landing_quarantine", [[stats.table, reason, rows] for reason, rows in sorted(stats.quarantined.items())])
    return later


def _contradictions(warehouse: duckdb.DuckDBPyConnection, stats: LandingStats) -> str | None:
    # A key that a later delivery brings again is ordinary; within one delivery it is not.
    duplicates = stats.duplicates if stats.mode == "snapshot" else 0
    return describe_values(warehouse, TABLES[stats.table], f"raw.{stats.table}", stats.loaded, duplicates, stats.quarantined)


def _known_playbooks(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    """Those of the seeds, and those that ever had an action: whoever retires a playbook keeps its log."""
    query = "select playbook_key from control.playbooks"
    if _has_table(warehouse, "intermediate", "int_actions__events"):
        query += " union select playbook_key from intermediate.int_actions__events"
    return {key for (key,) in warehouse.execute(query).fetchall()}


def _orphans(warehouse: duckdb.DuckDBPyConnection, settings: Settings, stats: LandingStats, days: tuple[date, date]) -> Orphans:
    """The orphans of a raw table. Of usage only the days that are rolled up anew are read; of the others the rollup knows."""
    table = TABLES[stats.table]
    if not table.has_account:
        return Orphans(0)
    facts = f"select account_id, cast({identifier(table.fact_column)} as date) as day, 1 as facts from raw."
    if not table.by_day:
        return find_orphans(warehouse, table, f"({facts}{stats.table})", "raw.accounts", stats.loaded, days)
    facts += f"changed_{stats.table}"
    if _has_table(warehouse, "intermediate", "int_usage__account_days"):
        counted = "usage_days_rows" if table.is_aggregate else "case when usage_days_rows = 0 then events end"
        facts += (
            f" union all select account_id, activity_day, {counted} from intermediate.int_usage__account_days"
            f" where {counted} > 0 and activity_day not in (select activity_day from control.changed_event_days)"
        )
    manifest = read_manifest(settings.lake, stats.table)
    rows_by_day = {} if manifest is None else rows_by_event_day(manifest)
    return find_orphans(warehouse, table, f"({facts})", "raw.accounts", stats.loaded, days, rows_by_day)


def _newest_fact(warehouse: duckdb.DuckDBPyConnection, settings: Settings, name: str, as_of: date) -> datetime | None:
    """The newest fact up to the end of `as_of`, orphans left out as in `int_accounts__table_states`."""
    table = TABLES[name]
    known = "semi join raw.accounts using (account_id)" if table.has_account else ""
    # Of usage, one day's files hold the answer: the whole table is never read.
    days: list[date | None] = [None]
    if table.by_day:
        days = [*sorted(day for day in _days_of(settings, table) if day <= as_of)]
    for day in reversed(days):
        rows = lake_select(settings.lake, table, None if day is None else {day})
        fact = f"cast({identifier(table.fact_column)} as timestamp)"
        [(newest,)] = warehouse.execute(
            f"select max({fact}) from ({rows}) as facts {known} where cast({fact} as date) <= ?", [as_of]
        ).fetchall()
        if newest is not None:
            return newest
    return None


def _facts_after(warehouse: duckdb.DuckDBPyConnection, settings: Settings, name: str, as_of: date) -> tuple[int, datetime | None]:
    """How many rows are dated after `as_of`, and the last of these times."""
    table = TABLES[name]
    days = {day for day in _days_of(settings, table) if day > as_of} if table.by_day else None
    fact = f"cast({identifier(table.fact_column)} as timestamp)"
    [found] = warehouse.execute(
        f"select count(*), max({fact}) from ({lake_select(settings.lake, table, days)}) as facts where cast({fact} as date) > ?", [as_of]
    ).fetchall()
    return found


def _days_of(settings: Settings, table: RawTable) -> list[date]:
    """The days of which the lake holds usage in this table."""
    manifest = read_manifest(settings.lake, table.name)
    return [] if manifest is None else list(rows_by_event_day(manifest))
