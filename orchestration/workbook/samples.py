"""Sample accounts from the published mart: a few real ones that show as many tiers, stages, states and caps as possible."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb

from orchestration.publish.generations import PublishError, current_generation, open_published
from orchestration.settings import Settings
from orchestration.warehouse import WarehouseBusy, first_line, rows_of
from orchestration.workbook import WorkbookError

COUNT = 12

# In which order accounts are preferred: whether a cap binds, -arr, account_id.
_Rank = tuple[bool, float, str]

# A metric's row of an account, with what its peers of the day are: the accounts on the scorecard that have a measured value.
_METRICS = """
with day as (

    select account_id, scorecard_key, metric_key, value, state, normalized_score, nominal_weight, effective_weight, points
    from metric_scores_history
    where as_of_date = $day and dimension_key <> 'cap'

),

peers as (

    select
        account_id,
        metric_key,
        count(*) over same_metric as peers,
        rank() over (same_metric order by value) - 1 as peers_less,
        count(*) over (partition by scorecard_key, metric_key, value) as peers_equal,
        avg(value) over same_metric as peers_mean,
        case
            when min(value) over same_metric < max(value) over same_metric then stddev_pop(value) over same_metric
            else 0
        end as peers_deviation
    from day
    where state = 'measured'
    window same_metric as (partition by scorecard_key, metric_key)

)

select day.* exclude (scorecard_key), peers.* exclude (account_id, metric_key)
from day
left join peers on day.account_id = peers.account_id and day.metric_key = peers.metric_key
where list_contains($ids, day.account_id)
order by day.account_id, day.metric_key
"""

# What an account would show that others may not: one row for each.
_FEATURES = """
with accounts as (

    select account_id, scorecard_key, raw_tier, stage, cap_key, cap_key is not null as is_capped, coalesce(arr, 0) as arr
    from account_health
    where list_contains($cards, scorecard_key)

)

select account_id, is_capped, arr, unnest([scorecard_key || ' ' || raw_tier, raw_tier || ' ' || stage, 'cap ' || cap_key])
from accounts
union all
select distinct accounts.account_id, accounts.is_capped, accounts.arr, 'state ' || metrics.state
from metric_scores_history as metrics
inner join accounts on metrics.account_id = accounts.account_id
where metrics.as_of_date = $day
"""

_ACCOUNTS = """
select
    health.account_id, health.account_name, health.scorecard_key, health.stage, health.health_score, health.raw_tier, health.coverage,
    health.cap_key,
    history.config_version, history.rules_hash
from account_health as health
inner join account_health_history as history on health.account_id = history.account_id and health.as_of_date = history.as_of_date
where list_contains($ids, health.account_id)
order by health.scorecard_key, health.health_score desc, health.account_id
"""


@dataclass(frozen=True)
class Sample:
    """An account as it was published on the day.

    Attributes:
        account: columns of account_health, config_version and rules_hash of account_health_history.
        metrics: columns of metric_scores_history by metric, and peers, peers_less, peers_equal, peers_mean, peers_deviation: how many
            accounts have a measured value of it on the scorecard, how many a smaller or the same one, and their mean and deviation.
    """

    account: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Samples:
    """
    Attributes:
        day: the newest scored day; None where nothing is published.
        why_none: a sentence where there is no account to show.
    """

    day: date | None
    accounts: list[Sample] = field(default_factory=list)
    why_none: str | None = None


@contextmanager
def open_mart(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """The mart that is published now, however long it is read; None where nothing is published.

    Raises:
        WorkbookError: it cannot be opened or, while it is open, not be read.
    """
    try:
        number = current_generation(settings)
        if number is None:
            yield None
        else:
            with open_published(settings, number) as mart:
                yield mart
    except (duckdb.Error, PublishError, WarehouseBusy) as error:
        mart_path = settings.published / "current"
        raise WorkbookError(f"{mart_path}: cannot be read: {first_line(error)}. Run `make run` to publish it anew") from error


def newest_day(mart: duckdb.DuckDBPyConnection | None) -> date | None:
    """The newest scored day; None without a mart, or without a scored day."""
    return None if mart is None else _query(mart, "select max(as_of_date) as day from account_health")[0]["day"]


def read_samples(mart: duckdb.DuckDBPyConnection | None, day: date | None, metrics_of_card: Mapping[str, set[str]]) -> Samples:
    """Accounts whose scorecard is one of these, with all of its metrics published."""
    if mart is None or day is None:
        why = "Nothing is published in published/current yet. Run `make run`, then `make scorecard` again."
        return Samples(None, why_none=why)
    published = _query(
        mart,
        "select scorecard_key, list(distinct metric_key) as keys from metric_scores_history where as_of_date = $day group by scorecard_key",
        day=day,
    )
    cards = [
        row["scorecard_key"]
        for row in published
        if row["scorecard_key"] in metrics_of_card and metrics_of_card[row["scorecard_key"]] <= set(row["keys"])
    ]
    features: dict[_Rank, set[str]] = {}
    for account_id, is_capped, arr, feature in (row.values() for row in _query(mart, _FEATURES, day=day, cards=cards)):
        if feature is not None:
            features.setdefault((is_capped, -arr, account_id), set()).add(feature)
    ids = _chosen(features)
    if not ids:
        why = "The published scores come from other scorecards or metrics than this version. Run `make run`, then `make scorecard` again."
        return Samples(day, why_none=why)
    metrics: dict[str, dict[str, Mapping[str, Any]]] = {account_id: {} for account_id in ids}
    for row in _query(mart, _METRICS, day=day, ids=ids):
        metrics[row["account_id"]][row["metric_key"]] = row
    accounts = _query(mart, _ACCOUNTS, ids=ids)
    return Samples(day, [Sample(account, metrics[account["account_id"]]) for account in accounts])


def _chosen(features: dict[_Rank, set[str]]) -> list[str]:
    """Each next account shows the most that none before it shows; of equal ones, and then, those without a cap, the largest first.

    A cap hides what weights do, so there are no more of them than needed.
    """
    left = dict(sorted(features.items()))
    chosen: list[str] = []
    seen: set[str] = set()
    while left and len(chosen) < COUNT:
        best = max(left, key=lambda account: len(left[account] - seen))
        seen |= left.pop(best)
        chosen.append(best[-1])
    return chosen


def _query(mart: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(rows_of(mart.execute(query, parameters)))
