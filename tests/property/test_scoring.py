"""What must hold for any scorecard and any values: the compiled SQL of the scoring models over generated ones.

dbt compiles the models once, for the company that all tests of the whole pipeline share; each example replays them in a
database in memory with the warehouse's name. Every variant of an example is a scorecard and a day of its own, so
that one replay compares them.
"""

import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.dbt import SETUP
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import SAFE_OPTIONS, connect
from tests.company import Company

# What the replayed models get instead of the models of that name: who is scored, and the values.
SCORINGS = "int_scoring__scorings"
GENERATED = (SCORINGS, *(f"int_metrics__{dimension}" for dimension in ("adoption", "commercial", "support", "voice", "outcomes")))
# What assigns scorecards to accounts; the generated scorings say that.
LEFT_OUT = ("int_scoring__matching_scorecards", "int_scoring__account_days", "int_scoring__account_dimensions")


def _seed(name: str) -> list[dict[str, str]]:
    with open(PROJECT_ROOT / "seeds" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The compiled SQL has as many bands of a metric as a shipped scorecard has, and no shipped one ranks among peers: ranks are checked by the
# oracle on random worlds (tests/integration/test_oracle.py) and by dbt's unit tests.
_BANDS = Counter((row["scorecard_key"], row["metric_key"]) for row in _seed("metric_bands"))
COMPARED = {metric for (_, metric), bands in _BANDS.items() if bands >= 3}
_USED = COMPARED | {"active_days_28d", "stickiness_28d", "overdue_ratio", "csat_180d", "escalations_90d"}
METRICS = {row["metric_key"]: row["dimension_key"] for row in _seed("metrics") if row["metric_key"] in _USED}
LOWER_IS_BETTER = {row["metric_key"] for row in _seed("metrics") if row["higher_is_better"].lower() == "false"}
FIRST_DAY = date(2026, 1, 1)
EXAMPLES = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class CardMetric:
    """How a scorecard treats a metric; `bands` are (lower bound, score), the better the higher."""

    weight: float
    method: str
    worst: float
    best: float
    policy: str
    bands: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Variant:
    """A scorecard and the values of its accounts: (account, metric) -> (state, value)."""

    dimensions: dict[str, float]
    metrics: dict[str, CardMetric]
    values: dict[tuple[str, str], tuple[str, float | None]]


@dataclass(frozen=True)
class Score:
    """What the models made of an account; metrics: key -> (nominal weight, effective weight, points, score)."""

    health_score: float
    uncapped_score: float
    exact_score: float
    coverage: float
    raw_tier: str
    metrics: dict[str, tuple[float, float, float, float | None]]


def scoring_models(target: Path) -> dict[str, str]:
    """The compiled SQL of the models that score, each after those that it needs."""
    nodes = json.loads((SETUP / "manifest.json").read_text())["nodes"].values()
    needs = {
        node["name"]: {key.rpartition(".")[2] for key in node["depends_on"]["nodes"]}
        for node in nodes
        if node["resource_type"] == "model" and node["name"].startswith("int_scoring__") and node["name"] not in (*GENERATED, *LEFT_OUT)
    }
    compiled = {path.stem: path for path in (target / "compiled").rglob("int_scoring__*.sql")}
    return {name: compiled[name].read_text() for name in TopologicalSorter(needs).static_order() if name in needs}


class Models:
    """The compiled SQL of the scoring models, and the tables that it reads, empty."""

    def __init__(self, company: Company, artifacts: Path) -> None:
        # Of a first run: later ones compile models that look at what is there.
        self.sql = scoring_models(artifacts)
        self.connection = duckdb.connect(config=SAFE_OPTIONS | {"threads": 2, "memory_limit": "512MB"})
        self.connection.execute("attach ':memory:' as warehouse")
        with connect(company.settings, company.settings.warehouse, read_only=True) as warehouse:
            described = warehouse.execute(
                "select table_schema, table_name, column_name, data_type from information_schema.columns "
                "where table_schema in ('seeds', 'control') or list_contains(?, table_name) order by table_schema, table_name, "
                "ordinal_position",
                [GENERATED],
            ).fetchall()
        self.columns: dict[str, list[str]] = {}
        types: dict[str, list[str]] = {}
        for schema, table, column, kind in described:
            self.columns.setdefault(f"{schema}.{table}", []).append(column)
            types.setdefault(f"{schema}.{table}", []).append(f"{column} {kind}")
        for schema in ("seeds", "control", "intermediate"):
            self.connection.execute(f"create schema warehouse.{schema}")
        for table, definitions in types.items():
            self.connection.execute(f"create table warehouse.{table} ({', '.join(definitions)})")

    def replay(self, variants: Sequence[Variant], dice: random.Random | None = None, shuffled: str = "") -> list[dict[str, Score]]:
        """Score the variants; for each the scores by account. `dice` shuffles the tables named `<shuffled>...`."""
        rows = _rows(variants)
        for table in self.columns:
            self.connection.execute(f"delete from warehouse.{table}")
            name = table.partition(".")[2]
            content = rows.get(table, rows.get(name, []))
            if dice and name.startswith(shuffled):
                dice.shuffle(content)
            if content:
                columns = list(content[0])
                marks = ", ".join("?" * len(columns))
                values = ", ".join([f"({marks})"] * len(content))
                self.connection.execute(
                    f"insert into warehouse.{table} ({', '.join(columns)}) values {values}",
                    [value for row in content for value in row.values()],
                )
        for name, select in self.sql.items():
            self.connection.execute(f"create or replace table warehouse.intermediate.{name} as {select}")
        return self._scores(len(variants))

    def _scores(self, variants: int) -> list[dict[str, Score]]:
        found: list[dict[str, Score]] = [{} for _ in range(variants)]
        for account, day, *score in self.connection.execute(
            "select account_id, as_of_date, scores.health_score, uncapped_score, exact_score, scores.coverage, raw_tier "
            "from warehouse.intermediate.int_scoring__account_scores as scores "
            "inner join warehouse.intermediate.int_scoring__raw_tiers using (account_id, as_of_date)"
        ).fetchall():
            found[(day - FIRST_DAY).days][account] = Score(*score, {})
        for key in METRICS:
            for account, day, nominal, effective, points, normalized in self.connection.execute(
                f"select account_id, as_of_date, {key}__nominal_weight, {key}__effective_weight, "
                f"coalesce({key}__effective_weight * ({key}__score - 50), 0), {key}__score "
                f"from warehouse.intermediate.int_scoring__account_scores where {key}__nominal_weight is not null"
            ).fetchall():
                found[(day - FIRST_DAY).days][account].metrics[key] = (nominal, effective, points, normalized)
        return found


def _rows(variants: Sequence[Variant]) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table that the models read."""
    rows: dict[str, list[dict[str, Any]]] = {
        "config_versions": [{"config_version": "v", "valid_from": date(2000, 1, 1), "status": "active"}],
        "run": [{"run_id": "r", "configuration_hash": "h", "reporting_currency": "USD"}],
        "metrics": [
            {"metric_key": metric, "dimension_key": dimension, "higher_is_better": metric not in LOWER_IS_BETTER}
            for metric, dimension in METRICS.items()
        ],
    }
    for number, variant in enumerate(variants):
        day = FIRST_DAY + timedelta(days=number)
        card = {"config_version": "v", "scorecard_key": f"card{number}"}
        scorecard_id = f"v/card{number}/h"
        accounts = sorted({account for account, _ in variant.values})
        of_variant = {
            "control.scorecard_rules": [card | {"scorecard_id": scorecard_id, "rules_hash": "h"}],
            "configurations": [{"configuration_hash": "h", "scorecard_id": scorecard_id}],
            "seeds.scorecards": [card | {"priority": number, "segment": "*", "stage": "*"}],
            "scorecard_dimensions": [card | {"dimension_key": key, "weight": weight} for key, weight in variant.dimensions.items()],
            "scorecard_metrics": [
                card
                | {"metric_key": key, "weight": metric.weight, "method": metric.method}
                | {"worst": metric.worst, "best": metric.best, "missing_policy": metric.policy}
                for key, metric in variant.metrics.items()
            ],
            "metric_bands": [
                card | {"metric_key": key, "lower_bound": bound, "score": score}
                for key, metric in variant.metrics.items()
                if metric.method == "bands"
                for bound, score in metric.bands
            ],
            SCORINGS: [
                {"account_id": account, "as_of_date": day, "scorecard_id": scorecard_id, "track": "own", "is_member": True}
                for account in accounts
            ],
        }
        for dimension in set(METRICS.values()):
            of_variant[f"int_metrics__{dimension}"] = [
                {"account_id": account, "as_of_date": day} | _wide(variant, account, dimension) for account in accounts
            ]
        for table, content in of_variant.items():
            rows.setdefault(table, []).extend(content)
    return rows


def _wide(variant: Variant, account: str, dimension: str) -> dict[str, Any]:
    """Values and states of an account's metrics of a dimension; null for those that are not on the scorecard."""
    row: dict[str, Any] = {}
    for key in METRICS:
        if METRICS[key] == dimension:
            row[f"{key}__state"], row[key] = variant.values.get((account, key), (None, None))
    return row


# -- generated scorecards and values

AMOUNTS = st.one_of(
    st.integers(-20, 20).map(float),
    st.floats(-1000, 1000, allow_subnormal=False).map(lambda x: round(x, 6)),
)
WEIGHTS = st.one_of(st.sampled_from((0.85, 1.0, 1.25, 3.0)), st.floats(0.001, 1000).map(lambda x: round(x, 3)))
SCORES = st.floats(0, 100).map(lambda x: round(x, 2))
STATE_NAMES = st.sampled_from(("measured",) * 6 + ("not_applicable", "stale", "missing", "late"))


@st.composite
def card_metrics(draw: st.DrawFn, key: str, methods: Sequence[str]) -> CardMetric:
    worst, best = draw(st.lists(AMOUNTS, min_size=2, max_size=2, unique=True))
    bounds = sorted(draw(st.lists(AMOUNTS, min_size=1, max_size=3, unique=True)))
    scores = sorted(draw(st.lists(SCORES, min_size=len(bounds), max_size=len(bounds))))
    return CardMetric(
        weight=draw(st.one_of(WEIGHTS, st.just(0.0))),
        method=draw(st.sampled_from(methods)) if key in COMPARED else "linear",
        worst=worst,
        best=best,
        policy=draw(st.sampled_from(("exclude", "neutral", "worst"))),
        # The lowest band takes every value, as the validation of the seeds asks for.
        bands=tuple(zip([-1e6, *bounds[1:]], scores, strict=True)),
    )


@st.composite
def variants(draw: st.DrawFn, methods: Sequence[str] = ("linear", "bands")) -> Variant:
    keys = draw(st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=7, unique=True))
    metrics = {key: draw(card_metrics(key, methods)) for key in keys}
    # Each card weighs something: the validation refuses others.
    if not any(metric.weight for metric in metrics.values()):
        metrics[keys[0]] = replace(metrics[keys[0]], weight=1.0)
    used = sorted({METRICS[key] for key in keys})
    dimensions = {dimension: draw(st.one_of(WEIGHTS, st.just(0.0))) for dimension in used}
    weighed = next(key for key, metric in metrics.items() if metric.weight)
    dimensions[METRICS[weighed]] = dimensions[METRICS[weighed]] or 1.0
    values = {}
    for account in range(draw(st.integers(1, 4))):
        for key in keys:
            state = draw(STATE_NAMES)
            values[f"a{account}", key] = (state, draw(AMOUNTS) if state == "measured" else None)
    return Variant(dimensions, metrics, values)


def nominal_weight(variant: Variant, key: str) -> Fraction:
    """W_dim / sum(W) x w_m / sum(w of its dimension): docs/scoring.md, "Weights and points"."""
    dimension = METRICS[key]
    peers = sum(Fraction(metric.weight) for other, metric in variant.metrics.items() if METRICS[other] == dimension)
    if peers == 0:
        return Fraction(0)
    total = sum(Fraction(weight) for weight in variant.dimensions.values())
    return Fraction(variant.dimensions[dimension]) / total * Fraction(variant.metrics[key].weight) / peers


def base_weights(variant: Variant, account: str) -> dict[str, Fraction]:
    """W_dim x w_m / sum(w over the applicable metrics of the dimension) of an account's applicable metrics."""
    applicable = {
        key: Fraction(metric.weight) for key, metric in variant.metrics.items() if variant.values[account, key][0] != "not_applicable"
    }
    weights = {}
    for key, weight in applicable.items():
        peers = sum(other for name, other in applicable.items() if METRICS[name] == METRICS[key])
        weights[key] = Fraction(variant.dimensions[METRICS[key]]) * weight / peers if peers else Fraction(0)
    return weights


def changed(variant: Variant, place: tuple[str, str], state: str, value: float | None = None) -> Variant:
    return replace(variant, values=variant.values | {place: (state, value)})


@pytest.fixture(scope="module")
def models(original: Any) -> Models:
    return Models(original.put_back(), original.artifacts)


@EXAMPLES
@given(variant=variants())
def test_scores_are_bounded_and_explained_by_their_points(models: Models, variant: Variant) -> None:
    [scores] = models.replay([variant])
    assert scores.keys() == {account for account, _ in variant.values}
    for score in scores.values():
        assert 0 <= score.health_score <= 100
        assert score.health_score == round(score.health_score, 1)
        assert abs(50 + sum(points for _, _, points, _ in score.metrics.values()) - score.exact_score) <= 1e-9
        assert score.exact_score == score.uncapped_score
        weights = sum(effective for _, effective, _, _ in score.metrics.values())
        counts = any(
            normalized is not None and variant.metrics[key].weight > 0 and variant.dimensions[METRICS[key]] > 0
            for key, (_, _, _, normalized) in score.metrics.items()
        )
        assert abs(weights - (1 if counts else 0)) <= 1e-9
        if not counts:
            assert score.health_score == 50
        assert all(normalized is None or 0 <= normalized <= 100 for _, _, _, normalized in score.metrics.values())


@EXAMPLES
@given(variant=variants())
def test_weights_are_base_weights_over_what_has_a_score(models: Models, variant: Variant) -> None:
    [scores] = models.replay([variant])
    for account, score in scores.items():
        base = base_weights(variant, account)
        scored = {key for key, (_, _, _, normalized) in score.metrics.items() if normalized is not None}
        assert scored <= base.keys()
        total = sum(base[key] for key in scored)
        for key, (nominal, effective, points, normalized) in score.metrics.items():
            assert abs(nominal - nominal_weight(variant, key)) <= 1e-12
            assert abs(effective - (base[key] / total if key in scored and total else 0)) <= 1e-9
            assert points == (0 if normalized is None else effective * (normalized - 50))


@EXAMPLES
@given(variant=variants())
def test_coverage_is_the_measured_share_of_what_applies(models: Models, variant: Variant) -> None:
    [scores] = models.replay([variant])
    for account, score in scores.items():
        base = base_weights(variant, account)
        measured = sum((weight for key, weight in base.items() if variant.values[account, key][0] == "measured"), Fraction(0))
        expected = measured / sum(base.values()) if any(base.values()) else Fraction(0)
        assert 0 <= score.coverage <= 1
        assert abs(score.coverage - expected) <= 1e-9
        if abs(expected - Fraction(1, 2)) > Fraction(1, 10**9):
            assert (score.raw_tier == "unknown") == (expected < Fraction(1, 2))


@EXAMPLES
@given(variant=variants(), data=st.data())
def test_a_metric_that_goes_missing_takes_its_weight_from_the_coverage(models: Models, variant: Variant, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(variant.values)))
    account, key = place
    cases = [
        changed(variant, place, "measured", data.draw(AMOUNTS)),
        changed(variant, place, data.draw(st.sampled_from(("missing", "stale", "late")))),
        changed(variant, place, "not_applicable"),
    ]
    measured, missing, not_applicable = (scores[account] for scores in models.replay(cases))
    base = base_weights(cases[0], account)
    if base[key] > sum(base.values()) / 10**6:
        assert missing.coverage < measured.coverage
    else:
        assert missing.coverage <= measured.coverage + 1e-9
    # Out of the denominator, not only out of the numerator.
    assert not_applicable.coverage >= missing.coverage - 1e-9
    assert not_applicable.metrics[key][1:] == (0, 0, None)


@EXAMPLES
@given(variant=variants(), data=st.data())
def test_what_is_unknown_gives_its_weight_to_everything_known_in_proportion(models: Models, variant: Variant, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(variant.values)))
    account, key = place
    excluded = replace(variant, metrics=variant.metrics | {key: replace(variant.metrics[key], policy="exclude")})
    cases = [
        changed(excluded, place, "measured", data.draw(AMOUNTS)),
        changed(excluded, place, data.draw(st.sampled_from(("missing", "stale", "late")))),
    ]
    known, unknown = (scores[account].metrics for scores in models.replay(cases))
    assert unknown[key][1:] == (0, 0, None)
    left = 1 - known[key][1]
    for other in known.keys() - {key}:
        # Whatever their dimension, all by the same factor.
        assert abs(unknown[other][1] * left - known[other][1]) <= 1e-9


@EXAMPLES
@given(variant=variants(), data=st.data())
def test_what_is_not_applicable_leaves_its_weight_within_the_dimension(models: Models, variant: Variant, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(variant.values)))
    account, key = place
    # Everything else is known, or not applicable too.
    known = replace(
        variant,
        values={
            at: (state, value) if state == "not_applicable" else ("measured", value or 0.0) for at, (state, value) in variant.values.items()
        },
    )
    cases = [changed(known, place, "measured", data.draw(AMOUNTS)), changed(known, place, "not_applicable")]
    before, after = (scores[account].metrics for scores in models.replay(cases))
    dimension = {other for other in variant.metrics if METRICS[other] == METRICS[key]}
    weight_before, weight_after = (sum(metrics[other][1] for other in dimension) for metrics in (before, after))
    if any(before[other][1] > 0 for other in dimension - {key}):
        assert abs(weight_before - weight_after) <= 1e-9
        for other in before.keys() - dimension:
            assert abs(before[other][1] - after[other][1]) <= 1e-9
    else:
        # Nobody is left there: the dimension's weight goes to the others in proportion.
        assert weight_after == 0
        for other in before.keys() - dimension:
            assert abs(after[other][1] * (1 - weight_before) - before[other][1]) <= 1e-9


@EXAMPLES
@given(variant=variants(), data=st.data())
def test_a_better_value_never_lowers_the_score(models: Models, variant: Variant, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(variant.values)))
    account, key = place
    metric = variant.metrics[key]
    worse, better = sorted(data.draw(st.lists(AMOUNTS, min_size=2, max_size=2)))
    if metric.method == "linear" and metric.best < metric.worst:
        worse, better = better, worse
    before, after = models.replay([changed(variant, place, "measured", value) for value in (worse, better)])
    assert after[account].uncapped_score >= before[account].uncapped_score - 1e-9
    assert after[account].health_score >= before[account].health_score
    others = before.keys() - {account}
    assert {name: before[name].health_score for name in others} == {name: after[name].health_score for name in others}


@EXAMPLES
@given(variant=variants(), data=st.data())
def test_doubled_weights_change_nothing(models: Models, variant: Variant, data: st.DataObject) -> None:
    dimension = data.draw(st.sampled_from(sorted(variant.dimensions)))
    all_dimensions = replace(variant, dimensions={key: 2 * weight for key, weight in variant.dimensions.items()})
    all_metrics = replace(
        variant,
        metrics={
            key: replace(metric, weight=2 * metric.weight) if METRICS[key] == dimension else metric
            for key, metric in variant.metrics.items()
        },
    )
    as_is, *doubled = models.replay([variant, all_dimensions, all_metrics])
    for scores in doubled:
        for account, score in scores.items():
            assert abs(score.uncapped_score - as_is[account].uncapped_score) <= 1e-9
            assert (score.health_score, score.raw_tier) == (as_is[account].health_score, as_is[account].raw_tier)
            for key, (_, effective, points, _) in score.metrics.items():
                assert abs(effective - as_is[account].metrics[key][1]) <= 1e-12
                assert abs(points - as_is[account].metrics[key][2]) <= 1e-9


@EXAMPLES
@given(variant=variants(), seed=st.integers(0, 1000))
def test_the_order_of_the_values_changes_not_one_bit(models: Models, variant: Variant, seed: int) -> None:
    assert models.replay([variant]) == models.replay([variant], random.Random(seed), "int_")


@EXAMPLES
@given(variant=variants(), seed=st.integers(0, 1000))
def test_the_order_of_the_seeds_changes_no_score(models: Models, variant: Variant, seed: int) -> None:
    [as_is], [shuffled] = models.replay([variant]), models.replay([variant], random.Random(seed), "")
    for account, score in shuffled.items():
        assert (score.health_score, score.raw_tier) == (as_is[account].health_score, as_is[account].raw_tier)
        assert abs(score.uncapped_score - as_is[account].uncapped_score) <= 1e-11
        assert abs(score.coverage - as_is[account].coverage) <= 1e-11
