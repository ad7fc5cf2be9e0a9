"""What may be wrong with what landed although every row keeps the contract: facts that find no account, rows that contradict each other.

None of it stops a run: an id that no account has may be a visitor's, and a reply before its question two clocks. Each doubt is a sentence
that a person reads in the run's summary, on the board, as a check in Dagster and from `make check-sources`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

import duckdb

from orchestration.contract import Column, NotBefore, RangeBy, RawTable
from orchestration.extract.judge import doubtful_reasons
from orchestration.plain_text import one_line
from orchestration.warehouse import identifier, literal

# From this share of a table's rows on, orphans are reported. Some events are always of visitors and trials.
_MANY, _MANY_EVENTS = 0.2, 0.5
# A day with fewer rows may be all orphans by chance.
_ROWS_OF_A_DAY = 3
_EXAMPLES, _DAYS_SHOWN, _LONGEST_ID = 3, 3, 40
_IDS_COMPARED = 1_000
# Moments before the opening, amounts above their limit: so many, and this share, are two time zones or units rather than slips.
_MANY_ROWS, _MANY_SHARE = 2, 0.1

# From so many rows on, a column that always has the same value says something.
_ENOUGH_ROWS = 20
# Two neighboring values so far apart, with this share of the rows and so many on either side, are two units: dollars and cents, shares and
# percent.
_APART, _SIDE_SHARE, _SIDE_ROWS = 30, 0.1, 3
_ROWS_OF_SCALES = 100_000
# Each goal has a unit of its own.
_OWN_SCALE = ("target_value", "actual_value")
_NUMBER = r"[+-]?\d+([.,]\d+)?"

# Columns without which metrics are 0 for everybody, by the contract of scores: a count of what no row names is 0.
_COUNTED = {
    "tickets": {"priority": "critical_open_tickets", "topic": "negative_ticket_share_90d"},
    "touchpoints": {"responded": "response_rate_90d and two_way_touchpoints_90d", "duration_minutes": "contact_minutes_90d"},
}

# An id without what is lost or added on its way (case, white space, the separator, `.0`, leading zeros); and that without its prefix.
_PLAIN = r"""
    regexp_replace(regexp_replace(regexp_replace(lower(trim({id})), '\.0+$', ''), '[^\p{{L}}\p{{N}}.@]+', '-', 'g'), '(^|-)0+([^-])',
    '\1\2', 'g')"""
_BARE = "regexp_replace({plain}, '^.*-', '')"


@dataclass(frozen=True)
class Orphans:
    """Rows of a table whose account_id no account has.

    Attributes:
        rows: how many.
        warning: what a person should know; None where their share is nothing unusual.
    """

    rows: int
    warning: str | None = None


def find_orphans(
    connection: duckdb.DuckDBPyConnection,
    table: RawTable,
    facts: str,
    known: str,
    total: int,
    days: tuple[date, date] | None = None,
    rows_by_day: Mapping[date, int] | None = None,
) -> Orphans:
    """Count the orphans of a table and say what is unusual: many of them, whole days of them, or ids that resemble a known one.

    Args:
        connection: with the relations.
        table: the contract.
        facts: a relation of `account_id`, `day` and `facts` (how many rows).
        known: a relation of `account_id`, the accounts.
        total: rows of the table.
        days: of the run; whole days of orphans are looked for among these.
        rows_by_day: rows of each day, where that is known without reading the facts.
    """
    connection.execute(
        "create or replace temp table unknown_facts as select account_id, day, sum(facts) as facts"
        f" from {facts} as facts anti join {known} as known using (account_id) group by account_id, day"
    )
    [(orphans,)] = connection.execute("select cast(coalesce(sum(facts), 0) as bigint) from unknown_facts").fetchall()
    if orphans == 0:
        return Orphans(0)
    full_days = _days_of_orphans(connection, facts, days, rows_by_day) if days is not None else {}
    if orphans >= (_MANY_EVENTS if table.by_day else _MANY) * total:
        said, where = f"{orphans} of {total} rows ({orphans / total:.0%})", ""
    elif full_days:
        shown = ", ".join(f"{day} ({rows})" for day, rows in sorted(full_days.items())[-_DAYS_SHOWN:])
        said = f"all rows of {shown}"
        where = f"where day in ({', '.join(literal(str(day)) for day in full_days)})"
    else:
        said, where = None, ""
    examples = _examples(connection, known, where)
    alike = sum(rows for _, rows, nearest in examples if nearest is not None)
    if said is None and alike == 0:
        return Orphans(orphans)
    # Of people only what resembles the id of an account: another column may have been taken for it.
    named = [_shown(account_id, nearest) for account_id, _, nearest in examples if nearest is not None or not table.is_personal]
    said = said or f"{alike} of {total} rows"
    such_as = f", for example {', '.join(named[:_EXAMPLES])}" if named else ""
    return Orphans(orphans, f"no account for {said}, which count for nothing{such_as}")


def _days_of_orphans(
    connection: duckdb.DuckDBPyConnection, facts: str, days: tuple[date, date], rows_by_day: Mapping[date, int] | None
) -> dict[date, int]:
    """The days, of those given, all of whose rows are orphans, with their rows."""
    found = dict(
        connection.execute(
            "select day, cast(sum(facts) as bigint) from unknown_facts where day between ? and ? group by day having sum(facts) >= ?",
            [*days, _ROWS_OF_A_DAY],
        ).fetchall()
    )
    if found and rows_by_day is None:
        rows_by_day = dict(
            connection.execute(f"select day, sum(facts) from {facts} as facts where day between ? and ? group by day", [*days]).fetchall()
        )
    return {day: rows for day, rows in found.items() if rows_by_day and rows == rows_by_day.get(day)}


def _examples(connection: duckdb.DuckDBPyConnection, known: str, where: str) -> list[tuple[str, int, str | None]]:
    """Orphans' ids with their rows and the known id that they resemble; those that resemble one come first."""
    keys = (
        "select account_id, facts, plain as key, false as is_bare from {0}"
        " union all select account_id, facts, {1}, true from {0} where contains(plain, '-')"
    )
    bare = _BARE.format(plain="plain")
    return connection.execute(
        f"""
        with unknown as (
            select account_id, cast(sum(facts) as bigint) as facts, {_PLAIN.format(id="account_id")} as plain
            from unknown_facts {where} group by account_id order by facts desc, account_id limit {_IDS_COMPARED}
        ),
        accounts as (select account_id, 0 as facts, {_PLAIN.format(id="account_id")} as plain from {known}),
        unknown_keys as ({keys.format("unknown", bare)}),
        account_keys as ({keys.format("accounts", bare)})
        select unknown_keys.account_id, any_value(unknown_keys.facts), min(account_keys.account_id) as nearest
        from unknown_keys
        left join account_keys on unknown_keys.key = account_keys.key and not (unknown_keys.is_bare and account_keys.is_bare)
        group by unknown_keys.account_id order by nearest is null, 2 desc, 1
        """
    ).fetchall()


def _shown(account_id: str, nearest: str | None) -> str:
    shown = one_line(account_id, _LONGEST_ID)
    return shown if nearest is None else f"{shown} (did you mean {one_line(nearest, _LONGEST_ID)}?)"


def describe_values(
    connection: duckdb.DuckDBPyConnection, table: RawTable, rows: str, total: int, duplicates: int, quarantined: Mapping[str, int]
) -> str | None:
    """What the values of a landed table contradict, in one text; None where they contradict nothing.

    Args:
        connection: with the relation.
        table: the contract.
        rows: a relation of the table's rows.
        total: rows in it.
        duplicates: rows that a later row with the same key replaced.
        quarantined: rows by reason.
    """
    said = doubtful_reasons(table.name, quarantined)
    if table.name == "accounts" and duplicates:
        said.append(f"{duplicates} more rows have the account_id of a later row, which alone counts")
    if table.period is not None and total:
        said += _overlaps(connection, table, rows, table.period)
    if table.doubt is not None and total:
        column, limit = table.doubt.column, table.doubt.limit
        [(above, known)] = connection.execute(
            f"select count(*) filter (abs({column}) > abs({limit})), count({column}) from {rows} as landed"
        ).fetchall()
        if _are_many(above, known):
            said.append(f"{above} of {known} {column} are above {limit}: are both in one unit, and of one date?")
    if (counted_by := _COUNTED.get(table.name)) and total >= _ENOUGH_ROWS:
        [values] = connection.execute(f"select {', '.join(f'count({column})' for column in counted_by)} from {rows} as landed").fetchall()
        said += [
            f"no row has a value of {column}, which counts as none in {metrics}: map the column, or take the metric off the scorecard"
            for (column, metrics), known in zip(counted_by.items(), values, strict=True)
            if known == 0
        ]
    kinds = {column.name: column.kind for column in table.columns}
    moments = [rule for rule in table.rules if isinstance(rule, NotBefore) and rule.years and kinds[rule.column] == "timestamp"]
    if moments and total:
        counted = ", ".join(f"count(*) filter ({rule.column} < {rule.earlier}), count({rule.column})" for rule in moments)
        counts = connection.execute(f"select {counted} from {rows} as landed").fetchall()[0]
        for rule, early, known in zip(moments, counts[::2], counts[1::2], strict=True):
            if _are_many(early, known):
                said.append(
                    f"{early} of {known} {rule.column} lie before {rule.earlier}: are they of one time zone? They count as at "
                    f"{rule.earlier}"
                )
    return "; ".join(said) or None


def describe_playbooks(connection: duckdb.DuckDBPyConnection, rows: str, known: Collection[str]) -> str | None:
    """What of the action log no action has, since its playbook is not a known one; None where all are.

    Args:
        connection: with the relation.
        rows: a relation of the rows of `action_log`.
        known: keys of the playbooks that there are or were.
    """
    found = connection.execute(f"select playbook_key, count(*) from {rows} as landed group by all order by 2 desc, 1").fetchall()
    unknown = {key: count for key, count in found if key not in known}
    if not unknown:
        return None
    total = sum(count for _, count in found)
    named = [_shown(key, next(iter(get_close_matches(key, known, n=1)), None)) for key in unknown][:_EXAMPLES]
    return (
        f"{sum(unknown.values())} of {total} rows name a playbook that is not in playbooks.csv, so they count for no action, for example "
        f"{', '.join(named)}"
    )


def _are_many(rows: int, known: int) -> bool:
    return rows >= _MANY_ROWS and rows >= _MANY_SHARE * known


def _overlaps(connection: duckdb.DuckDBPyConnection, table: RawTable, rows: str, period: tuple[str, str]) -> list[str]:
    """Rows of one thing that go on while the next one is in force."""
    begins, ends = (identifier(name) for name in period)
    same = [name for name in table.key if name != period[0]]
    things, thing = ", ".join(identifier(name) for name in same), identifier(same[0])
    [(count, example, began, followed)] = connection.execute(
        f"""
        select count(*), min_by({thing}, ({begins}, {thing})), min_by({begins}, ({begins}, {thing})), min_by(followed, ({begins}, {thing}))
        from (select {thing}, {begins}, {ends},
            lead({begins}) over (partition by {things} order by {begins}) as followed from {rows} as landed)
        where followed < {ends} or (followed is not null and {ends} is null)
        """
    ).fetchall()
    if not count:
        return []
    are = "row overlaps" if count == 1 else "rows overlap"
    shown = "" if table.is_personal else f", for example {one_line(example, _LONGEST_ID)} of {began} with that of {followed}"
    return [f"{count} {are} the next row of the same {' and '.join(same)}{shown}: each ends where the next one begins"]


@dataclass(frozen=True)
class OddColumns:
    """What a person should look at in the columns of a table, one sentence each; `remarks` are ordinary in many companies."""

    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def describe_columns(connection: duckdb.DuckDBPyConnection, table: RawTable, rows: str, present: Collection[str]) -> OddColumns:
    """Find columns without a value or with a single one, names that are all numbers, and numbers of two scales.

    Args:
        connection: with the relation.
        table: the contract.
        rows: a relation of the table's rows.
        present: the columns that the source has.
    """
    columns = [column for column in table.columns if column.name in present]
    counted = "".join(f", {_counts(column)}" for column in columns)
    [(total, *counts)] = connection.execute(f"select count(*){counted} from {rows} as landed").fetchall()
    doubts: list[str] = []
    empty: list[str] = []
    single: list[str] = []
    for column, known, least, greatest, numbers in zip(columns, *(counts[place::4] for place in range(4)), strict=True):
        if known == 0:
            empty.append(column.name)
        elif known == numbers:
            such_as = "" if table.is_personal else f", such as {one_line(least, _LONGEST_ID)}"
            doubts.append(f"all {known} {column.name} are numbers{such_as}: is it the right column?")
        elif column.kind not in ("text", "boolean") and known == total and least == greatest:
            is_hidden = column.is_personal or (table.is_personal and column.kind == "id")
            single.append(column.name if is_hidden else f"{column.name} ({one_line(least, _LONGEST_ID)})")
        elif column.kind == "number" and column.name not in _OWN_SCALE:
            doubts += _scales(connection, table, column, rows)
    remarks = []
    if empty and total >= _ENOUGH_ROWS:
        remarks.append(f"no value in any row: {', '.join(empty)}")
    if single and total >= _ENOUGH_ROWS:
        remarks.append(f"one value in all rows: {', '.join(single)}")
    return OddColumns(tuple(doubts), tuple(remarks))


def _counts(column: Column) -> str:
    """Values, the least, the greatest, and how many are numbers although the column is for text."""
    name = identifier(column.name)
    numbers = f"count(*) filter (regexp_full_match({name}, {literal(_NUMBER)}))" if column.kind == "text" else "0"
    return f"count({name}), cast(min({name}) as varchar), cast(max({name}) as varchar), {numbers}"


def _scales(connection: duckdb.DuckDBPyConnection, table: RawTable, column: Column, rows: str) -> list[str]:
    """Whether the values of a column fall in two groups that lie far apart; of each currency or survey by itself."""
    kinds = [rule.by for rule in table.rules if isinstance(rule, RangeBy)] + ["currency"]
    kind = next((identifier(name) for name in kinds if name in table.by_name), "null")
    found = connection.execute(
        f"""
        with spread as (
            select {kind} as kind, abs({identifier(column.name)}) as value, count(*) as rows
            from (select * from {rows} as landed limit {_ROWS_OF_SCALES}) where {identifier(column.name)} <> 0 group by all
        ),
        steps as (
            select kind, value, lag(value) over ordered as before, sum(rows) over (partition by kind) as total,
                sum(rows) over (partition by kind order by value rows between unbounded preceding and 1 preceding) as below
            from spread window ordered as (partition by kind order by value)
        )
        select kind, before, value, below, total from steps
        where value >= {_APART} * before and least(below, total - below) >= greatest({_SIDE_ROWS}, {_SIDE_SHARE} * total)
        order by value / before desc limit 1
        """
    ).fetchall()
    return [
        f"two scales in {column.name}{f' of {one_line(kind, _LONGEST_ID)}' if kind else ''}? {below} of {total} values are at most"
        f" {before:g}, the others at least {value:g}"
        for kind, before, value, below, total in found
    ]
