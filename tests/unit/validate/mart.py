"""A mart in memory with no more than validation reads, filled by hand."""

from collections.abc import Iterable
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

# A Monday.
FIRST_DAY = date(2024, 1, 1)


def day(number: int) -> date:
    """The day so many days after the first Monday."""
    return date.fromordinal(FIRST_DAY.toordinal() + number)


def empty_mart() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        """
        create table account_health_history (
            account_id varchar, as_of_date date, health_score double, tier varchar, config_version varchar,
            tenure_days bigint, segment varchar
        );
        create table published_revisions (
            account_id varchar, as_of_date date, revision integer, health_score double, tier varchar, config_version varchar
        );
        create view as_first_published as select * from published_revisions where revision = 1;
        create table candidate_scores_history (
            account_id varchar, as_of_date date, config_version varchar, health_score double, raw_tier varchar
        );
        create table account_outcomes (
            outcome_id varchar, account_id varchar, occurred_on date, kind varchar, arr_delta double, source varchar
        );
        create table metric_scores_history (
            account_id varchar, as_of_date date, metric_key varchar, dimension_key varchar, value double, state varchar,
            normalized_score double, nominal_weight double, effective_weight double, points double,
            scorecard_key varchar, config_version varchar
        );
        create table scorecard (
            scorecard_key varchar, dimension_key varchar, metric_key varchar, weight double, dimension_weight double
        );
        create table scorecard_tiers (
            config_version varchar, scorecard_key varchar, tier_mode varchar, tier varchar, min_score double
        );
        create table account_health (account_id varchar, raw_tier varchar, config_version varchar);
        """
    )
    return connection


def add_scores(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple], is_published: bool = True) -> None:
    """(account, day number, score, tier, tenure) each; as published first too, unless told otherwise."""
    listed = [(account, day(number), score, tier, "v1", tenure, None) for account, number, score, tier, tenure in rows]
    connection.executemany("insert into account_health_history values (?, ?, ?, ?, ?, ?, ?)", listed)
    if is_published:
        connection.executemany("insert into published_revisions values (?, ?, 1, ?, ?, ?)", [row[:5] for row in listed])


def add_outcomes(connection: duckdb.DuckDBPyConnection, rows: Iterable[tuple]) -> None:
    """(account, day number, kind) each, as subscriptions tell them."""
    connection.executemany(
        "insert into account_outcomes values (null, ?, ?, ?, null, ?)",
        [(account, day(number), kind, "account_outcomes" if kind == "churned" else "subscriptions") for account, number, kind in rows],
    )


def world(
    accounts: int = 900,
    weeks: int = 80,
    seed: int = 1,
    signal: float = 0.0,
    tenure: float = 0.0,
    hazards: tuple[float, float] = (0.012, 0.012),
) -> duckdb.DuckDBPyConnection:
    """A company whose accounts leave by a weekly chance; who leaves is replaced by a new account.

    Args:
        signal: how much a low score raises the chance to leave.
        tenure: how much being new raises it, and lowers the score.
        hazards: chance to leave in a week, in the first and in the second half.
    """
    random = np.random.default_rng(seed)
    connection = empty_mart()
    created = -random.integers(0, 900, accounts)
    name = np.arange(accounts)
    health = random.normal(0, 1, accounts)
    scores, left = [], []
    for week in range(weeks):
        today = 7 * week
        health = 0.95 * health + np.sqrt(1 - 0.95**2) * random.normal(0, 1, accounts)
        age = today - created
        youth = np.exp(-age / 200)
        score = np.clip(np.round(62 + 14 * health - 40 * tenure * youth, 1), 0, 100)
        scores.append((name.copy(), np.full(accounts, today), score, age))
        chance = hazards[week >= weeks // 2] * np.exp(-signal * health + 2.2 * tenure * youth)
        gone = random.random(accounts) < chance
        left += [(int(account), today + int(days)) for account, days in zip(name[gone], random.integers(1, 8, gone.sum()), strict=True)]
        name[gone] = name.max() + 1 + np.arange(gone.sum())
        created[gone] = today + 7
        health[gone] = random.normal(0, 1, gone.sum())
    account, number, score, age = (np.concatenate(columns) for columns in zip(*scores, strict=True))
    connection.register("scored", pa.table({"account": account, "number": number, "score": score, "age": age}))
    connection.execute(
        f"""
        insert into account_health_history
        select
            'a' || lpad(cast(account as varchar), 6, '0'), date '{FIRST_DAY}' + cast(number as integer), score,
            case when score >= 70 then 'healthy' when score >= 40 then 'at_risk' else 'poor' end, 'v1', greatest(age, 0), 's' || account % 2
        from scored
        """
    )
    connection.execute(
        "insert into published_revisions select account_id, as_of_date, 1, health_score, tier, config_version from account_health_history"
    )
    connection.executemany(
        "insert into account_outcomes values (null, ?, ?, 'ended', null, 'subscriptions')",
        [(f"a{account:06d}", day(number)) for account, number in left],
    )
    connection.execute(
        "insert into account_outcomes select null, account_id, min(as_of_date), 'started_paying', null, 'subscriptions' "
        "from account_health_history group by account_id"
    )
    return connection


def deal_scores_anew(connection: duckdb.DuckDBPyConnection) -> None:
    """Deal the scores of each day out among its accounts, whoever left."""
    connection.execute(
        """
        create table dealt as
        with numbered as (
            select
                *,
                row_number() over (partition by as_of_date order by account_id) as place,
                row_number() over (partition by as_of_date order by hash(account_id, as_of_date)) as dealt_place
            from account_health_history
        )
        select takers.account_id, takers.as_of_date, givers.health_score
        from numbered as takers
        inner join numbered as givers on takers.as_of_date = givers.as_of_date and takers.dealt_place = givers.place;
        update account_health_history set health_score = dealt.health_score from dealt
        where account_health_history.account_id = dealt.account_id and account_health_history.as_of_date = dealt.as_of_date;
        """
    )
