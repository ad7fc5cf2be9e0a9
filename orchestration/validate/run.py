"""All validation tables of a mart, and their publishing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from orchestration.publish import bring_copy
from orchestration.publish.generations import PARQUET, PublishError, generation_path, open_published, require_current
from orchestration.settings import Settings
from orchestration.validate.forecast import forecast_renewals
from orchestration.validate.headline import describe_all, low_skill, read_headline
from orchestration.validate.influence import measure_influence
from orchestration.validate.judge import Calibration, Judgement, calibrate, judge, judge_tiers
from orchestration.validate.points import (
    HORIZONS,
    RESTATED,
    Departures,
    Points,
    Version,
    day_of,
    list_versions,
    prepare,
    quarter_of,
    read_departures,
    read_points,
)
from orchestration.validate.proposals import propose, read_metric_scores
from orchestration.validate.statistics import Bools, Estimate, Ints, draw_accounts
from orchestration.validate.tables import (
    CALIBRATION,
    METRIC_INFLUENCE,
    RENEWAL_FORECAST,
    SCORE_VALIDATION,
    TABLES,
    TIER_VALIDATION,
    WEIGHT_PROPOSALS,
)
from orchestration.warehouse import first_line

Row = dict[str, Any]
ALL = "all"
_SEGMENTS_JUDGED = 20


@dataclass(frozen=True)
class Validated:
    """What was published.

    Attributes:
        generation: its number.
        rows: of each table.
        lines: the verdict of each version and history, for people.
        low_skill: why the skill is below what `[validation]` asks for; None where it is not.
        not_copied: why Postgres does not have it; None where it does, or where no copy is configured.
    """

    generation: int
    rows: dict[str, list[Row]]
    lines: list[str]
    low_skill: str | None
    not_copied: str | None


def validate_and_publish(settings: Settings, published_at: datetime) -> Validated:
    """Validate the current generation, publish the result as the next one and copy it to Postgres. Call it under the writer lock.

    Raises:
        PublishError: nothing is published, or it cannot be read; readers have what they had.
    """
    # With it come the libraries that draw the board.
    from orchestration.publish.publishing import publish_validation

    number = require_current(settings)
    try:
        with open_published(settings, number) as mart:
            rows = validate_mart(mart, generation_path(settings, number) / PARQUET, settings.validation.horizon_days)
    except duckdb.Error as error:
        raise PublishError(f"generation {number} cannot be validated: {first_line(error)}. Run the pipeline, then try again") from error
    generation = publish_validation(settings, rows, published_at)
    with open_published(settings, generation) as mart:
        headline = read_headline(mart, settings.validation.horizon_days)
    lines = describe_all(rows[SCORE_VALIDATION.name], settings.validation.horizon_days)
    lines = lines or ["no account is scored: there is nothing to validate"]
    return Validated(generation, rows, lines, low_skill(settings, headline), bring_copy(settings))


def validate_mart(connection: duckdb.DuckDBPyConnection, parquet: Path, horizon_days: int) -> dict[str, list[Row]]:
    """Compute the rows of every validation table.

    Args:
        connection: with the tables of a mart on its search path; temporary tables are made in it.
        parquet: folder of the mart's Parquet files.
        horizon_days: of the figures that are computed for one horizon only.

    Returns:
        Table name -> rows, in the order of the table's key. No rows where nothing is scored.
    """
    rows: dict[str, list[Row]] = {table.name: [] for table in TABLES}
    as_of = prepare(connection)
    if as_of is None:
        return rows
    known: dict[str, tuple[Points, Departures, dict[str, list[Row]]]] = {}
    weights = None
    for version in list_versions(connection):
        points, departures = read_points(connection, version), read_departures(connection, version)
        weights = draw_accounts(points.accounts) if weights is None else weights
        before = known.get(version.config_version)
        # Where nothing was restated, both histories say the same.
        if before is not None and _are_same(points, before[0]) and _are_same(departures, before[1]):
            found = before[2]
        else:
            found = _validate(points, departures, weights)
            known[version.config_version] = (points, departures, found)
        for name, added in found.items():
            rows[name] += [_of_version(version, as_of) | row for row in added]
    [(in_force,)] = connection.execute("select any_value(config_version) from account_health").fetchall()
    if in_force in known and weights is not None:
        labelled, leaves = known[in_force][0].labelled(horizon_days)
        scores = read_metric_scores(connection, parquet, labelled, in_force)
        influence = measure_influence(connection, labelled, leaves, weights, scores, in_force)
        rows[METRIC_INFLUENCE.name] = [{"as_of_date": as_of} | row for row in influence]
        proposed = propose(labelled, leaves, scores, weights, horizon_days)
        whole = {"as_of_date": as_of, "config_version": in_force, "horizon_days": horizon_days}
        rows[WEIGHT_PROPOSALS.name] = [
            whole | row | {name: day_of(row[name]) for name in ("first_day", "last_day") if name in row} for row in proposed
        ]
    of_version = (row for row in rows[CALIBRATION.name] if row["config_version"] == in_force and row["history"] == RESTATED)
    rows[RENEWAL_FORECAST.name] = forecast_renewals(connection, of_version)
    return rows


def _of_version(version: Version, as_of: date) -> Row:
    return {
        "as_of_date": as_of,
        "config_version": version.config_version,
        "status": "active" if version.is_active else "candidate",
        "history": version.history,
    }


def _are_same(some: Points | Departures, others: Points | Departures) -> bool:
    return all(np.array_equal(value, vars(others)[name]) for name, value in vars(some).items())


def _validate(points: Points, departures: Departures, weights: Ints) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {SCORE_VALIDATION.name: [], TIER_VALIDATION.name: [], CALIBRATION.name: []}
    for horizon in HORIZONS:
        labelled, leaves = points.labelled(horizon)
        whole = judge(labelled, leaves, departures, weights)
        of_horizon = {"horizon_days": horizon}
        rows[SCORE_VALIDATION.name] += [
            of_horizon | _score_row(scope, period, found)
            for scope, period, found in [(ALL, ALL, whole), *_parts(labelled, leaves, weights)]
        ]
        rows[TIER_VALIDATION.name] += [
            of_horizon
            | {"tier": found.tier, "account_days": found.account_days, "accounts": found.accounts, "leavers": found.leavers}
            | _flat("leaving_rate", found.rate)
            | _flat("ratio_to_better", found.ratio)
            | {"is_separable": found.is_separable, "reason": found.reason or None}
            for found in judge_tiers(labelled, leaves, weights)
        ]
        rows[CALIBRATION.name] += [of_horizon | row for row in _tenth_rows(calibrate(labelled, leaves, weights, horizon, whole.verdict))]
    return rows


def _parts(points: Points, leaves: Bools, weights: Ints) -> Iterator[tuple[str, str, Judgement]]:
    """Skill by segment, of the largest ones, and by quarter."""
    counts = np.bincount(points.segment[points.segment >= 0], minlength=len(points.segments))
    largest = sorted(np.argsort(-counts, kind="stable")[:_SEGMENTS_JUDGED])
    for place in largest:
        rows = points.segment == place
        if rows.any():
            yield f"segment: {points.segments[place]}", ALL, judge(points.chosen(rows), leaves[rows], None, weights, with_all=False)
    days, codes = np.unique(points.day, return_inverse=True)
    quarters = np.array(quarter_of(days), dtype=object)[codes] if days.size else np.array([], dtype=object)
    for quarter in sorted(set(quarters)):
        rows = quarters == quarter
        yield ALL, quarter, judge(points.chosen(rows), leaves[rows], None, weights, with_all=False)


def _flat(name: str, figure: Estimate) -> Row:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def _score_row(scope: str, period: str, found: Judgement) -> Row:
    row: Row = {
        "scope": scope,
        "period": period,
        "first_day": None if found.first_day is None else day_of(found.first_day),
        "last_day": None if found.last_day is None else day_of(found.last_day),
        "account_days": found.account_days,
        "accounts": found.accounts,
        "leavers": found.leavers,
    }
    figures = {
        "skill": found.skill,
        "auc_within_day": found.within_day,
        "pooled_auc": found.pooled,
        "lowest_tenth_lift": found.lift,
        "all_below_green": found.all_below_green,
    } | {f"below_green_{days}d": figure for days, figure in found.below_green.items()}
    for name, figure in figures.items():
        row |= _flat(name, figure)
    return row | {"verdict": found.verdict, "reason": found.reason}


def _tenth_rows(found: Calibration) -> list[Row]:
    before, last = found.expected_over_actual
    return [
        {
            "tenth": tenth.tenth,
            "account_days": tenth.account_days,
            "leaving_days": tenth.leaving_days,
            "lowest_score": tenth.lowest_score,
            "highest_score": tenth.highest_score,
        }
        | _flat("leaving_rate", tenth.rate)
        | _flat("probability", tenth.probability)
        | {
            "reason": found.reason or None,
            "base_rate": found.base_rate,
            "brier": found.brier,
            "base_brier": found.base_brier,
            "expected_over_actual_before": before,
            "expected_over_actual_last": last,
        }
        for tenth in found.tenths
    ]
