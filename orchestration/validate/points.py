"""The scored Mondays of a version, and when each account left next: labelled in DuckDB, handed over as arrays.

Needs `account_health_history`, `as_first_published`, `candidate_scores_history` and `account_outcomes` of a mart on the search path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np

from orchestration.shared import DEFAULT_TIERS, RETURN_DAYS
from orchestration.validate.statistics import Bools, Floats, Ints

HORIZONS = (30, 90, 180)
TIERS = tuple(DEFAULT_TIERS)
LEAD_DAYS = (30, 60, 90)
FIRST_PUBLISHED, RESTATED = "as_first_published", "as_restated"
BANDS = (90, 365)
TENTHS = 10
NEVER = np.iinfo(np.int32).max
_EPOCH = date(1970, 1, 1)

_HISTORIES = {
    (True, RESTATED): "select account_id, as_of_date, health_score, tier, config_version from account_health_history",
    (True, FIRST_PUBLISHED): "select account_id, as_of_date, health_score, tier, config_version from as_first_published",
    (False, RESTATED): "select account_id, as_of_date, health_score, raw_tier as tier, config_version from candidate_scores_history",
}


@dataclass(frozen=True)
class Version:
    """A version of the rules and one of its histories.

    Attributes:
        is_active: whether its scores were published as the score; a candidate has no history as first published.
    """

    config_version: str
    is_active: bool
    history: str


@dataclass(frozen=True)
class Points:
    """One row for each account and scored Monday; accounts that never paid are left out.

    Attributes:
        as_of: the newest scored day; nothing after it is known.
        settled_days: how many days after the horizon a stay is certain: `RETURN_DAYS` where subscriptions say who leaves, else 0.
        accounts: number of accounts of the history; `account` is below it.
        account, day: the day as days since 1970.
        band: of tenure, 0 to 2.
        score: as published, one decimal.
        tier: place in `TIERS`; -1 for unknown.
        tenth: of the day's scores, 0 holds the lowest; equal scores share a tenth.
        segment: place in `segments`; -1 without one.
        left, removed: the next day on which the account left, or disappeared from the source; `NEVER` without one.
    """

    as_of: int
    settled_days: int
    accounts: int
    account: Ints
    day: Ints
    band: Ints
    score: Floats
    tier: Ints
    tenth: Ints
    segment: Ints
    segments: tuple[str, ...]
    left: Ints
    removed: Ints

    @property
    def stratum(self) -> Ints:
        """One number for each day and band of tenure."""
        return self.day * (len(BANDS) + 1) + self.band

    def chosen(self, rows: Bools) -> "Points":
        """These rows only."""
        arrays = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Points(**{**vars(self), **arrays})

    def labelled(self, horizon: int) -> tuple["Points", Bools]:
        """The points whose end is known, and whether each left within the horizon: in (day, day + horizon].

        A Monday counts once all of its accounts are known, so that leavers, which are known sooner, are not in the majority.
        """
        until = self.day + horizon
        leaves = self.left <= until
        complete = until + self.settled_days <= self.as_of
        known = complete & (leaves | (self.removed > until))
        return self.chosen(known), leaves[known]


@dataclass(frozen=True)
class Departures:
    """Accounts that left, one row each time they did, and whether each was below green some days before.

    Attributes:
        accounts: number of accounts of the history; `account` is below it.
        below_green: a row for each of `LEAD_DAYS`: 1, 0, or -1 where the account was not scored on that day or its tier was unknown.
    """

    accounts: int
    account: Ints
    left: Ints
    below_green: Ints


def prepare(connection: duckdb.DuckDBPyConnection) -> date | None:
    """Lay the temporary tables that `read_points` and `read_departures` read; return the newest scored day, None without any."""
    [(as_of,)] = connection.execute("select max(as_of_date) from account_health_history").fetchall()
    if as_of is not None:
        connection.execute(_PREPARE)
    return as_of


def list_versions(connection: duckdb.DuckDBPyConnection) -> list[Version]:
    """The versions that scored a day: each active one with both histories, then the candidates."""
    active = connection.execute("select distinct config_version from account_health_history order by 1").fetchall()
    candidates = connection.execute("select distinct config_version from candidate_scores_history order by 1").fetchall()
    return [
        *(Version(name, True, history) for (name,) in active for history in (FIRST_PUBLISHED, RESTATED)),
        *(Version(name, False, RESTATED) for (name,) in candidates),
    ]


def read_points(connection: duckdb.DuckDBPyConnection, version: Version) -> Points:
    """The points of a version and history, in the order of days and accounts."""
    read = connection.execute(
        _POINTS.format(history=_HISTORIES[version.is_active, version.history], band=_BAND),
        {"config_version": version.config_version, "tiers": list(TIERS), "tenths": TENTHS, "never": int(NEVER)},
    ).fetchnumpy()
    [(as_of, settled, accounts, segments)] = connection.execute(
        "select as_of, settled_days, (select count(*) from coded_accounts), "
        "(select coalesce(list(segment order by segment), []) from coded_segments) from validated_until"
    ).fetchall()
    columns = {name: np.asarray(values) for name, values in read.items()}
    return Points(as_of=as_of, settled_days=settled, accounts=accounts, segments=tuple(segments), **columns)


def read_departures(connection: duckdb.DuckDBPyConnection, version: Version) -> Departures:
    """Everybody of this version and history who left, with the tiers of some days before."""
    read = connection.execute(
        _DEPARTURES.format(
            history=_HISTORIES[version.is_active, version.history],
            before=", ".join(
                f"max(case when leaving.left_day - scored.day = {days} then "
                "case scored.tier when 'healthy' then 0 when 'unknown' then -1 else 1 end end) "
                f"as below_{days}"
                for days in LEAD_DAYS
            ),
            columns=", ".join(f"cast(coalesce(below_{days}, -1) as integer) as below_{days}" for days in LEAD_DAYS),
            days=", ".join(map(str, LEAD_DAYS)),
        ),
        {"config_version": version.config_version},
    ).fetchnumpy()
    [(accounts,)] = connection.execute("select count(*) from coded_accounts").fetchall()
    return Departures(
        accounts,
        np.asarray(read["account"]),
        np.asarray(read["left_day"]),
        np.stack([np.asarray(read[f"below_{days}"]) for days in LEAD_DAYS]),
    )


def day_of(number: int) -> date:
    """The date of a number of days since 1970."""
    return _EPOCH + timedelta(days=int(number))


def quarter_of(days: Sequence[int] | Ints) -> list[str]:
    """`2026-Q1` for each day."""
    return [f"{day:%Y}-Q{(day.month + 2) // 3}" for day in map(day_of, days)]


_BAND = " + ".join(f"cast(ranked.tenure_days >= {days} as integer)" for days in BANDS)

_PREPARE = f"""
create or replace temp table coded_accounts as
select account_id, cast(row_number() over (order by account_id) - 1 as integer) as account
from (select distinct account_id from account_health_history);

create or replace temp table coded_segments as
select segment, cast(row_number() over (order by segment) - 1 as integer) as segment_code
from (select distinct segment from account_health_history where segment is not null);

create or replace temp table known_outcomes as
select account_id, kind, source, cast(occurred_on - date '1970-01-01' as integer) as day
from account_outcomes
where occurred_on <= (select max(as_of_date) from account_health_history);

create or replace temp table validated_until as
select
    (select cast(max(as_of_date) - date '1970-01-01' as integer) from account_health_history) as as_of,
    case when count(*) > 0 then {RETURN_DAYS} else 0 end as settled_days
from known_outcomes
where source = 'subscriptions';

-- Where subscriptions say who pays, trials that never did are in no label.
create or replace temp table labelled_accounts as
select account_id
from coded_accounts
where
    (select settled_days = 0 from validated_until)
    or account_id in (select account_id from known_outcomes where kind = 'started_paying');

create or replace temp table leaving as
select distinct account_id, day as left_day from known_outcomes where kind in ('churned', 'ended');

create or replace temp table removals as
select distinct account_id, day as removed_day from known_outcomes where kind = 'removed';
"""

# A score of a day on which the account had already left, as is known now, has no row in the history as restated and no label.
_POINTS = """
with history as (

    {history}

),

mondays as (

    select
        coded_accounts.account,
        history.account_id,
        cast(history.as_of_date - date '1970-01-01' as integer) as day,
        history.health_score,
        history.tier,
        restated.tenure_days,
        restated.segment
    from history
    inner join account_health_history as restated
        on history.account_id = restated.account_id
        and history.as_of_date = restated.as_of_date
    inner join coded_accounts on history.account_id = coded_accounts.account_id
    inner join labelled_accounts on history.account_id = labelled_accounts.account_id
    where isodow(history.as_of_date) = 1 and history.config_version = $config_version

),

ranked as (

    select
        *,
        rank() over (partition by day order by health_score) - 1 as lower_scores,
        count(*) over (partition by day, health_score) as equal_scores,
        count(*) over (partition by day) as scores
    from mondays

)

select
    ranked.account,
    ranked.day,
    {band} as band,
    ranked.health_score as score,
    cast(coalesce(list_position($tiers, ranked.tier), 0) - 1 as integer) as tier,
    cast(floor($tenths * (2 * lower_scores + equal_scores - 1) / (2 * scores)) as integer) as tenth,
    coalesce(coded_segments.segment_code, -1) as segment,
    cast(coalesce(leaving.left_day, $never) as integer) as left,
    cast(coalesce(removals.removed_day, $never) as integer) as removed
from ranked
left join coded_segments on ranked.segment = coded_segments.segment
asof left join leaving
    on ranked.account_id = leaving.account_id
    and ranked.day < leaving.left_day
asof left join removals
    on ranked.account_id = removals.account_id
    and ranked.day < removals.removed_day
order by ranked.day, ranked.account
"""

_DEPARTURES = """
with history as (

    {history}

),

scored as (

    select account_id, cast(as_of_date - date '1970-01-01' as integer) as day, tier
    from history
    where config_version = $config_version

),

leaving as (

    select leaving.account_id, leaving.left_day
    from leaving
    inner join labelled_accounts on leaving.account_id = labelled_accounts.account_id

),

before as (

    select
        leaving.account_id,
        leaving.left_day,
        {before}
    from leaving
    inner join scored
        on leaving.account_id = scored.account_id
        and leaving.left_day - scored.day in ({days})
    group by leaving.account_id, leaving.left_day

)

select coded_accounts.account, before.left_day, {columns}
from before
inner join coded_accounts on before.account_id = coded_accounts.account_id
order by before.left_day, coded_accounts.account
"""
