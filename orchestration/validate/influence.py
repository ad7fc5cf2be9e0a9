"""What each metric really does to the score of the newest day, beside what its weight says (docs/scoring.md, "Influence")."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np

from orchestration.validate.points import Points
from orchestration.validate.proposals import MetricScores
from orchestration.validate.statistics import Bools, Floats, Ints, auc, estimate
from orchestration.warehouse import rows_of

WHOLE = "all"
SATURATED = 0.6
TWINS = 0.8
JITTER, JITTER_DRAWS, JITTER_SEED = 0.2, 1_000, 20260102
# Fewer accounts with both metrics say nothing of their correlation.
_MIN_PAIRED = 30
_CELLS = 4_000_000

Row = dict[str, Any]

_MEANS = """
with newest as (

    select * from metric_scores_history where as_of_date = (select max(as_of_date) from account_health_history)

),

scores as (

    select
        account_id,
        50 + sum(points) as score
    from newest
    group by account_id

),

whole as (

    select
        count(*) as accounts,
        avg(score) as mean_score,
        var_pop(score) as variance
    from scores

)

select
    newest.metric_key,
    any_value(newest.dimension_key) as dimension_key,
    any_value(newest.config_version) as config_version,
    count(*) as accounts,
    avg(cast(newest.state = 'measured' as integer)) as measured_share,
    avg(newest.nominal_weight) as nominal_weight,
    sum(newest.effective_weight) / count(*) as effective_weight,
    -- An account without the metric has no points of it.
    case when any_value(whole.variance) > 1e-9
        then (sum(newest.points * scores.score) / any_value(whole.accounts)
            - sum(newest.points) / any_value(whole.accounts) * any_value(whole.mean_score)) / any_value(whole.variance)
    end as variance_share,
    avg(cast(newest.normalized_score = 0 as integer)) filter (newest.state = 'measured') as share_at_0,
    avg(cast(newest.normalized_score = 100 as integer)) filter (newest.state = 'measured') as share_at_100
from newest
inner join scores on newest.account_id = scores.account_id
cross join whole
group by newest.metric_key
order by newest.metric_key
"""

_NEWEST = """
select account_id, metric_key, dimension_key, scorecard_key, value, state, normalized_score, points
from metric_scores_history
where as_of_date = (select max(as_of_date) from account_health_history)
order by account_id, metric_key
"""


def measure_influence(
    connection: duckdb.DuckDBPyConnection, points: Points, leaves: Bools, weights: Ints, found: MetricScores | None, config_version: str
) -> list[Row]:
    """One row for each metric and cap of the newest day, and one, `all`, for the scorecards as a whole.

    Args:
        connection: as `points.prepare` left it.
        points, leaves: labelled points of the version in force, as restated.
        weights: of the accounts, for the intervals of each metric's skill.
        found: what the metrics scored at the points.
        config_version: the version in force.
    """
    rows = list(rows_of(connection.execute(_MEANS)))
    newest = connection.execute(_NEWEST).fetchnumpy()
    twins = _twins(newest)
    skills = _skills(points, leaves, weights, found)
    for row in rows:
        metric = row["metric_key"]
        shares = (row["share_at_0"] or 0, row["share_at_100"] or 0)
        row["separates"] = max(shares) <= SATURATED if row["share_at_0"] is not None else None
        row["twins"] = twins.get(metric)
        row |= skills.get(metric, {})
    changed = _jitter(connection, newest)
    if rows and changed is not None:
        accounts = len(np.unique(newest["account_id"]))
        mean, low, high = changed
        rows.append(
            {"metric_key": WHOLE, "config_version": config_version, "accounts": accounts, "tier_changes": mean, "tier_changes_low": low}
            | {"tier_changes_high": high}
        )
    return rows


def _matrix(newest: Mapping[str, Any], column: str, accounts: Ints, metrics: Ints, shape: tuple[int, int]) -> Floats:
    """Accounts x metrics; nan where there is nothing."""
    found = np.full(shape, np.nan)
    values: Floats = np.ma.filled(np.ma.asarray(newest[column], dtype=float), np.nan)
    found[accounts, metrics] = values
    return found


def _twins(newest: Mapping[str, Any]) -> dict[str, str]:
    """Metric -> the metrics that say nearly the same: rank correlation above `TWINS`, in either direction."""
    from scipy.stats import spearmanr

    measured = newest["state"] == "measured"
    keys, metrics = np.unique(newest["metric_key"], return_inverse=True)
    names, accounts = np.unique(newest["account_id"], return_inverse=True)
    values = _matrix(newest, "value", accounts, metrics, (len(names), len(keys)))
    values[accounts[~measured], metrics[~measured]] = np.nan
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for first in range(len(keys)):
        for second in range(first + 1, len(keys)):
            both = np.isfinite(values[:, first]) & np.isfinite(values[:, second])
            pair = values[both][:, [first, second]]
            if len(pair) < _MIN_PAIRED or (pair == pair[0]).all(axis=0).any() or keys[first].startswith("cap:"):
                continue
            correlation = float(spearmanr(pair[:, 0], pair[:, 1]).statistic)
            if abs(correlation) > TWINS and not keys[second].startswith("cap:"):
                found[keys[first]].append((correlation, keys[second]))
                found[keys[second]].append((correlation, keys[first]))
    return {
        metric: ", ".join(f"{other} ({value:.2f})" for value, other in sorted(others, key=lambda pair: -abs(pair[0])))
        for metric, others in found.items()
    }


def _skills(points: Points, leaves: Bools, weights: Ints, found: MetricScores | None) -> dict[str, Row]:
    """Each metric's own skill: that of its normalized score, where it was measured."""
    if found is None or not leaves.any():
        return {}
    skills = {}
    for column, metric in enumerate(found.metrics):
        rows = found.measured[:, column]
        figure = estimate(auc(found.scores[rows, column].round(9), points.stratum[rows], points.account[rows], leaves[rows], weights))
        skills[metric] = {"skill": figure.value, "skill_low": figure.low, "skill_high": figure.high}
    return skills


def _jitter(connection: duckdb.DuckDBPyConnection, newest: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """How many accounts change tier if every weight is off by up to a fifth: mean and 95% range over the draws.

    Tiers by threshold and of one day; accounts below minimum coverage and scorecards with tiers by rank are left out.
    """
    rules: dict[str, dict[str, tuple[str, float, float]]] = defaultdict(dict)
    for card, dimension, metric, weight, dimension_weight in connection.execute(
        "select scorecard_key, dimension_key, metric_key, weight, dimension_weight from scorecard "
        "where weight > 0 and dimension_weight > 0 order by 1, 3"
    ).fetchall():
        rules[card][metric] = (dimension, weight, dimension_weight)
    limits: dict[str, list[float]] = defaultdict(list)
    for card, score in connection.execute(
        "select scorecard_key, min_score from scorecard_tiers where tier_mode = 'threshold' "
        "and config_version = (select any_value(config_version) from account_health) order by 1, 2"
    ).fetchall():
        limits[card].append(score)
    known = {account for (account,) in connection.execute("select account_id from account_health where raw_tier <> 'unknown'").fetchall()}
    # numpy's isin compares every text with every other.
    is_known = np.array([account in known for account in newest["account_id"]], dtype=bool)
    changed = None
    for card in sorted(rules.keys() & limits.keys()):
        mine = (newest["scorecard_key"] == card) & is_known
        if mine.any():
            found = _jitter_card({name: values[mine] for name, values in newest.items()}, rules[card], limits[card])
            changed = found if changed is None else changed + found
    if changed is None:
        return None
    low, high = np.quantile(changed, (0.025, 0.975))
    return float(changed.mean()), float(low), float(high)


def _jitter_card(rows: Mapping[str, Any], rules: Mapping[str, tuple[str, float, float]], limits: list[float]) -> Ints:
    """Accounts of one scorecard that change tier in each draw."""
    names, accounts = np.unique(rows["account_id"], return_inverse=True)
    keys = list(rules)
    column = {key: place for place, key in enumerate(keys)}
    listed = np.array([column.get(key, -1) for key in rows["metric_key"]])
    on_card = listed >= 0
    shape = (len(names), len(keys))
    applies = np.zeros(shape)
    applies[accounts[on_card], listed[on_card]] = rows["state"][on_card] != "not_applicable"
    scores = np.full(shape, np.nan)
    scores[accounts[on_card], listed[on_card]] = np.ma.filled(np.ma.asarray(rows["normalized_score"], dtype=float), np.nan)[on_card]
    scored = np.isfinite(scores).astype(float)
    distance = np.nan_to_num(scores - 50) * scored
    # A cap that binds is its own row of points; the score it leaves is the most that there can be.
    is_cap = np.char.startswith(rows["metric_key"].astype(str), "cap:")
    total = 50 + np.bincount(accounts, weights=np.ma.filled(np.ma.asarray(rows["points"], dtype=float), 0), minlength=len(names))
    most = np.where(np.bincount(accounts[is_cap], minlength=len(names)) > 0, total, 100)
    random = np.random.default_rng(JITTER_SEED)
    dimensions = sorted({dimension for dimension, _, _ in rules.values()})
    by_metric = np.array([rules[key][1] for key in keys]) * random.uniform(1 - JITTER, 1 + JITTER, (JITTER_DRAWS + 1, len(keys)))
    by_dimension = random.uniform(1 - JITTER, 1 + JITTER, (JITTER_DRAWS + 1, len(dimensions)))
    by_metric[0], by_dimension[0] = [rules[key][1] for key in keys], 1
    changed = np.zeros(JITTER_DRAWS + 1, dtype=np.int64)
    step = max(1, _CELLS // max(1, len(names)))
    base = None
    for start in range(0, JITTER_DRAWS + 1, step):
        draws = slice(start, start + step)
        points, weight = np.zeros((len(names), len(by_metric[draws]))), 0.0
        for place, dimension in enumerate(dimensions):
            mine = [column[key] for key in keys if rules[key][0] == dimension]
            own = by_metric[draws][:, mine].T
            whole = applies[:, mine] @ own
            factor = np.divide(by_dimension[draws, place] * rules[keys[mine[0]]][2], whole, out=np.zeros_like(whole), where=whole > 0)
            points += factor * (distance[:, mine] @ own)
            weight = weight + factor * (scored[:, mine] @ own)
        score = np.minimum(50 + np.divide(points, weight, out=np.zeros_like(points), where=weight > 0), most[:, None])
        tiers = np.searchsorted(limits, np.round(score + 1e-9, 1), side="right")
        base = tiers[:, :1] if base is None else base
        changed[draws] = (tiers != base).sum(axis=0)
    return changed[1:]
