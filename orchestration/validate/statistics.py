"""Figures with intervals: pure functions over arrays, one row for each account and day.

Accounts are drawn, not rows: the days of one account are no independent observations. The first row of the weights is the sample itself,
so a figure and its interval come from the same code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

DRAWS = 400
SEED = 20260101
# An interval from fewer draws than this share of them says nothing.
_USABLE_SHARE = 0.95
# Rows x draws at once: bounds the memory.
_CELLS = 8_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its 95% interval; None where the sample does not give it."""

    value: float | None
    low: float | None
    high: float | None


def draw_accounts(accounts: int, draws: int = DRAWS, seed: int = SEED) -> Ints:
    """How often each account is in each bootstrap sample: draws + 1 rows, the first all ones; a column for each account."""
    weights = np.ones((draws + 1, accounts), dtype=np.int32)
    random = np.random.default_rng(seed)
    for row in weights[1:]:
        row[:] = np.bincount(random.integers(accounts, size=accounts), minlength=accounts) if accounts else 0
    return weights


def estimate(figures: Floats) -> Estimate:
    """The figure of the sample and the interval of its draws.

    Args:
        figures: one for each row of the weights; nan where that draw does not give it.
    """
    value, drawn = figures[0], figures[1:]
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Estimate(None, None, None)
    if drawn.size == 0 or drawn.size < _USABLE_SHARE * (figures.size - 1):
        return Estimate(float(value), None, None)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(float(value), float(low), float(high))


def auc(score: Floats, stratum: Ints, account: Ints, leaves: Bools, weights: Ints) -> Floats:
    """The chance that of two accounts of one stratum, one leaving and one staying, the leaving one has the lower score; ties count half.

    Args:
        score, stratum, account, leaves: one for each account and day; `account` is a column of `weights`.
        weights: as `draw_accounts` makes them.

    Returns:
        One figure for each row of the weights; nan where no stratum has both.
    """
    from scipy.sparse import csr_array

    codes = np.unique(score, return_inverse=True)[1].astype(np.int64)
    width = int(codes.max(initial=0)) + 1
    keys = stratum.astype(np.int64) * width + codes
    # A stratum in which nobody leaves has no pair.
    stays = np.flatnonzero(~leaves & np.isin(stratum, stratum[leaves]))
    stays = stays[np.argsort(keys[stays], kind="stable")]
    left = np.flatnonzero(leaves)
    begin = stratum[left].astype(np.int64) * width
    sought = keys[stays]
    bounds = np.stack(
        [
            np.searchsorted(sought, begin, "left"),
            np.searchsorted(sought, keys[left], "left"),
            np.searchsorted(sought, keys[left], "right"),
            np.searchsorted(sought, begin + width, "left"),
        ]
    )
    # Sums are needed at these places in the order of scores only, so what lies between two of them is one row.
    places, at = np.unique(bounds, return_inverse=True)
    first, lower, upper, last = at.reshape(bounds.shape)
    rows = np.searchsorted(places, np.arange(stays.size), "right")
    staying = csr_array((np.ones(stays.size), (rows, account[stays])), shape=(places.size + 1, weights.shape[1]))
    figures = np.full(len(weights), np.nan)
    step = max(1, _CELLS // (places.size + 1))
    for start in range(0, len(weights), step):
        chunk = np.ascontiguousarray(weights[start : start + step].T, dtype=np.float64)
        sums = np.cumsum(staying @ chunk, axis=0)
        drawn = chunk[account[left]]
        twice_won = np.einsum("ij,ij->j", drawn, 2 * sums[last] - sums[upper] - sums[lower])
        pairs = np.einsum("ij,ij->j", drawn, sums[last] - sums[first])
        figures[start : start + step] = share(twice_won, 2 * pairs)
    return figures


def counts_by_group(group: Ints, groups: int, account: Ints, counted: Bools, weights: Ints) -> tuple[Floats, Floats]:
    """Rows, and those that are counted, by group in each draw.

    Args:
        group: 0 to groups - 1 for each row; a negative one is left out.

    Returns:
        (counted, all): a row for each draw, a column for each group.
    """
    accounts, found = weights.shape[1], group >= 0
    cell = account[found].astype(np.int64) * groups + group[found]
    all_rows = np.bincount(cell, minlength=accounts * groups).reshape(accounts, groups)
    chosen = np.bincount(cell, weights=counted[found], minlength=accounts * groups).reshape(accounts, groups)
    drawn = weights.astype(np.float64)
    return drawn @ chosen, drawn @ all_rows


def share(part: Floats, whole: Floats) -> Floats:
    """Part by whole, nan where there is nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def falling(rates: Floats, sizes: Floats) -> Floats:
    """Rates by tenth, lowest scores first, made to fall with the score (isotonic); one without rows lies between its neighbors.

    Args:
        rates: by tenth; nan without rows.
        sizes: rows by tenth.
    """
    from scipy.optimize import isotonic_regression

    known = np.flatnonzero(sizes > 0)
    if known.size == 0:
        return np.full(len(rates), np.nan)
    fitted = isotonic_regression(rates[known], weights=sizes[known], increasing=False).x
    return np.interp(np.arange(len(rates)), known, fitted)
