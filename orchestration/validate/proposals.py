"""Weights learned from who left, held against the present ones on later days (docs/scoring.md, "Weights from outcomes")."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from orchestration.validate.points import Points
from orchestration.validate.statistics import Bools, Floats, Ints, auc, estimate
from orchestration.warehouse import literal

Row = dict[str, Any]

ALL = "all"
FITTED, PERIODS = "fitted", ("first later", "second later")
# Fewer leavers say nothing, neither to the fit nor to a comparison.
MIN_LEAVERS = 30
_MIN_DAYS = 28
_RIDGE = 1e-3
_NEUTRAL = 50


@dataclass(frozen=True)
class MetricScores:
    """Normalized scores and nominal weights of labelled points: points x metrics, nan where a metric has no score.

    Attributes:
        metrics: the metrics, in the order of the columns.
        measured: whether the score is of a measured value, not of a missing one that counts as neutral or worst.
    """

    metrics: tuple[str, ...]
    scores: Floats
    measured: Bools
    nominal: Floats


def read_metric_scores(connection: duckdb.DuckDBPyConnection, parquet: Path, points: Points, config_version: str) -> MetricScores | None:
    """What the metrics scored at the points, from the Parquet files of all days; None where there are none."""
    if points.day.size == 0:
        return None
    first, last = int(points.day.min()), int(points.day.max())
    read = connection.execute(
        f"""
        select
            metric_key,
            coded_accounts.account,
            cast(as_of_date - date '1970-01-01' as integer) as day,
            normalized_score,
            nominal_weight,
            state = 'measured' as measured
        from metric_scores_history_in({literal(parquet)}) as history
        inner join coded_accounts on history.account_id = coded_accounts.account_id
        where
            isodow(as_of_date) = 1 and as_of_date between date '1970-01-01' + {first} and date '1970-01-01' + {last}
            and config_version = ? and state <> 'not_applicable' and normalized_score is not null and not starts_with(metric_key, 'cap:')
        """,
        [config_version],
    ).fetchnumpy()
    place = points.day.astype(np.int64) * points.accounts + points.account
    order = np.argsort(place, kind="stable")
    wanted = np.asarray(read["day"]).astype(np.int64) * points.accounts + np.asarray(read["account"])
    at = np.minimum(np.searchsorted(place[order], wanted), len(place) - 1)
    known = place[order][at] == wanted
    metrics, codes = np.unique(np.asarray(read["metric_key"]), return_inverse=True)
    scores = np.full((len(place), len(metrics)), np.nan)
    nominal, measured = np.zeros_like(scores), np.zeros(scores.shape, dtype=bool)
    rows = order[at[known]]
    scores[rows, codes[known]] = np.asarray(read["normalized_score"])[known]
    nominal[rows, codes[known]] = np.asarray(read["nominal_weight"])[known]
    measured[rows, codes[known]] = np.asarray(read["measured"])[known]
    return MetricScores(tuple(map(str, metrics)), scores, measured, nominal)


def propose(points: Points, leaves: Bools, found: MetricScores | None, weights: Ints, horizon: int) -> list[Row]:
    """Fit on earlier days, leave out the days whose horizon reaches into later ones, compare on two later periods.

    Returns:
        A row for each later period with the three skills, and one for each metric with its present and its learned weight, as shares. Each
        row says whether the proposal holds, and why not. One row with the reason alone where nothing can be fitted.
    """
    if found is None or points.day.size == 0:
        return [_refusal("no Monday is old enough to know who left")]
    first, last = int(points.day.min()), int(points.day.max())
    room = last - first - horizon
    if room < 3 * _MIN_DAYS:
        need = horizon + 3 * _MIN_DAYS
        text = f"{last - first} days of complete Mondays are too few: {need} are needed to fit, wait {horizon} days and compare twice"
        return [_refusal(text)]
    fit_until = first + room // 2
    begin = fit_until + horizon
    middle = begin + (last - begin) // 2
    spans = (points.day <= fit_until, (points.day > begin) & (points.day <= middle), points.day > middle)
    counts = [int(np.unique(points.account[span & leaves]).size) for span in spans]
    if min(counts) < MIN_LEAVERS:
        text = " and ".join(f"{count} in {name}" for count, name in zip(counts, ("the days of the fit", *PERIODS), strict=True))
        return [_refusal(f"too few accounts left: {text}; {MIN_LEAVERS} are needed in each")]
    use = np.flatnonzero((found.nominal[spans[0]] > 0).any(axis=0))
    learned = np.zeros(len(found.metrics))
    learned[use] = fit(found.scores[spans[0]][:, use], leaves[spans[0]])
    present = found.nominal.mean(axis=0)
    shares = {name: _share(values) for name, values in (("present", present), ("learned", learned))}
    equal = (present > 0).astype(float)
    rows = []
    for name, span in zip(PERIODS, spans[1:], strict=True):
        chosen = points.chosen(span)
        gone = leaves[span]
        scores = found.scores[span]
        drawn = {
            which: auc(values.round(9), chosen.stratum, chosen.account, gone, weights)
            for which, values in (
                ("present", weighed(scores, found.nominal[span])),
                ("equal", weighed(scores, equal)),
                ("learned", weighed(scores, learned)),
            )
        }
        rows.append(_period(name, chosen, gone, drawn))
    holds = learned.any() and all(row["is_better"] for row in rows)
    reason = None if holds else _why(rows, bool(learned.any()))
    rows += [
        {"period": FITTED, "metric_key": metric, "present_weight": float(now), "learned_weight": float(new)}
        for metric, now, new in zip(found.metrics, shares["present"], shares["learned"], strict=True)
        if now > 0 or new > 0
    ]
    return [row | {"holds": bool(holds), "reason": reason} for row in rows]


def fit(scores: Floats, leaves: Bools) -> Floats:
    """Weights, never negative, by logistic regression of leaving on how far each score is below neutral. A missing one is neutral."""
    from scipy.optimize import minimize

    far = np.nan_to_num(_NEUTRAL - scores) / _NEUTRAL
    target = leaves.astype(float)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        line = parameters[0] + far @ parameters[1:]
        chance = 1 / (1 + np.exp(-np.clip(line, -30, 30)))
        value = float(np.mean(np.logaddexp(0, line) - target * line) + _RIDGE * (parameters[1:] ** 2).sum())
        error = (chance - target) / len(target)
        return value, np.concatenate([[error.sum()], far.T @ error + 2 * _RIDGE * parameters[1:]])

    start = np.zeros(far.shape[1] + 1)
    bounds = [(None, None)] + [(0, None)] * far.shape[1]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[1:]


def weighed(scores: Floats, weights: Floats) -> Floats:
    """The score by these weights, shared among the metrics that have a score; 50 without any."""
    given = np.isfinite(scores) * weights
    total = given.sum(axis=1)
    points = (np.nan_to_num(scores - _NEUTRAL) * given).sum(axis=1)
    return _NEUTRAL + np.divide(points, total, out=np.zeros_like(points), where=total > 0)


def _share(values: Floats) -> Floats:
    return values / values.sum() if values.sum() > 0 else values


def _period(name: str, points: Points, leaves: Bools, drawn: Mapping[str, Floats]) -> Row:
    row: Row = {"period": name, "metric_key": ALL, "first_day": int(points.day.min()), "last_day": int(points.day.max())}
    row["leavers"] = int(np.unique(points.account[leaves]).size)
    for which, figures in drawn.items():
        figure = estimate(figures)
        row |= {f"{which}_skill": figure.value, f"{which}_skill_low": figure.low, f"{which}_skill_high": figure.high}
    is_better = True
    for which in ("present", "equal"):
        gain = estimate(drawn["learned"] - drawn[which])
        row |= {f"gain_over_{which}": gain.value, f"gain_over_{which}_low": gain.low, f"gain_over_{which}_high": gain.high}
        is_better &= gain.low is not None and gain.low > 0
    return row | {"is_better": is_better}


def _why(rows: list[Row], learned: bool) -> str:
    if not learned:
        return "no metric raises the chance to leave, so there are no weights to learn"
    lost = [
        f"{which} weights in the {row['period']} period"
        for row in rows
        for which in ("present", "equal")
        if not (row[f"gain_over_{which}_low"] or 0) > 0
    ]
    return f"the learned weights are not shown to beat {', '.join(lost)}"


def _refusal(reason: str) -> Row:
    return {"period": FITTED, "metric_key": ALL, "holds": False, "reason": reason}
