"""The workbook's formulas, computed by LibreOffice, against what was published and against the oracle under changed rules."""

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from orchestration.publish.tiers import TIER_LABELS
from orchestration.settings import Settings
from orchestration.workbook.adopt import import_workbook
from orchestration.workbook.samples import COUNT, Sample, newest_day, open_mart, read_samples
from orchestration.workbook.write import write_workbook
from tests.oracle.cards import read_versions
from tests.oracle.metrics import Measure
from tests.oracle.score import DayFacts, MetricScore, binding_cap, normalize_all, published, threshold_tier, weigh
from tests.workbooks import Edited, needs_libreoffice, recalculated, settings_with_seeds

pytestmark = needs_libreoffice

QUANTILE = "all accounts needed"
# The hidden column of the details that names the metric.
METRIC = 15
HOSTILE = '=HYPERLINK("http://example.invalid")\x00\u202e<script>'


@dataclass(frozen=True)
class Result:
    """An account as a workbook shows it; `points` by metric."""

    score: float
    tier: str
    coverage: float
    cap: str | None
    points: dict[str, float]
    normalized: dict[str, float | None]


@pytest.fixture(scope="module")
def published_mart(original: Any) -> Path:
    """What the first run of the small company published."""
    return original.backup / "data" / "published"


@pytest.fixture(scope="module")
def mart(published_mart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with what a small company does not show: late data, equal values, a single measured one, and a hostile name."""
    published = tmp_path_factory.mktemp("mart")
    folder = published / "generations" / "1"
    folder.mkdir(parents=True)
    (published / "current").symlink_to(folder.relative_to(published))
    database = shutil.copy(published_mart / "current" / "health.duckdb", folder)
    Path(database).chmod(0o600)
    with duckdb.connect(str(database)) as connection:
        for table in ("account_health", "metric_scores_history"):
            kind = "view" if table == "metric_scores_history" else "table"
            connection.execute(f"create temp table copied as select * from {table}")
            connection.execute(f"drop {kind} {table}")
            connection.execute(f"create table {table} as select * from copied")
            connection.execute("drop table copied")
        measured = "state = 'measured' and as_of_date = (select max(as_of_date) from account_health)"
        connection.execute("update metric_scores_history set state = 'late', value = null where metric_key = 'stickiness_28d'")
        connection.execute(f"update metric_scores_history set value = 0.1 where metric_key = 'feature_breadth_90d' and {measured}")
        connection.execute(
            f"update metric_scores_history set state = 'stale', value = null where metric_key = 'csat_180d' and {measured} and "
            f"account_id <> (select min(account_id) from metric_scores_history where metric_key = 'csat_180d' and scorecard_key = "
            f"'standard' and {measured})"
        )
        connection.execute("update account_health set account_name = ? || account_id", [HOSTILE])
    return published


def results(book: openpyxl.Workbook, accounts: list[str]) -> dict[str, Result]:
    """What a computed workbook shows, by account in the order of its rows."""
    lines = [row for row in book["Samples"].iter_rows(min_row=8, max_col=14, values_only=True) if row[4] is not None and row[0] == "text"]
    details = [row for row in book["Sample details"].iter_rows(min_row=5, max_col=16, values_only=True) if row[METRIC]]
    assert len(lines) == len(accounts)
    found = {}
    for account, line in zip(accounts, lines, strict=True):
        mine: list[tuple] = []
        # Each account's lines follow those of the one before; its metrics are all different.
        while details and details[0][METRIC] not in {row[METRIC] for row in mine}:
            mine.append(details.pop(0))
        found[account] = Result(
            line[5], line[8], line[11], line[13], {row[METRIC]: row[9] for row in mine}, {row[METRIC]: row[7] for row in mine}
        )
    assert not details
    return found


def sample_accounts(settings: Settings) -> list[Sample]:
    """The sample accounts in the order of the sheet."""
    with open_mart(settings) as mart:
        return read_samples(mart, newest_day(mart), {"onboarding": set(), "standard": set()}).accounts


def expected(settings: Settings, version: str, accounts: list[str]) -> dict[str, Result]:
    """What docs/scoring.md gives for the published values under a version of the seeds, by the independent oracle."""
    with duckdb.connect(str(settings.published / "current" / "health.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select account_id, scorecard_key, metric_key, state, value from metric_scores_history "
            "where dimension_key <> 'cap' and as_of_date = (select max(as_of_date) from account_health)"
        ).fetchall()
    measures: dict[str, dict[str, Measure]] = {}
    card_of = {}
    for account, card, metric, state, value in rows:
        measures.setdefault(account, {})[metric] = Measure(state, Fraction(value) if state == "measured" else None)
        card_of[account] = card
    facts = DayFacts(date(2026, 3, 9), (), measures)
    cards = {card.scorecard_key: card for v in read_versions(settings.seeds_dir) if v.config_version == version for card in v.cards}
    found = {}
    for account in accounts:
        card = cards[card_of[account]]
        peers = [other for other, key in card_of.items() if key == card.scorecard_key]
        lines: tuple[MetricScore, ...]
        lines, coverage, uncapped = weigh(card, measures[account], normalize_all(card, facts, account, peers))
        cap = binding_cap(card, measures[account], uncapped)
        score = published(uncapped + (cap[1] if cap else 0))
        tier = "unknown" if coverage < card.min_coverage else "quantile" if card.tier_mode == "quantile" else threshold_tier(card, score)
        found[account] = Result(
            float(score),
            QUANTILE if tier == "quantile" else TIER_LABELS[tier],
            float(coverage),
            cap[0] if cap else None,
            {line.metric_key: float(line.points) for line in lines},
            {line.metric_key: None if line.normalized_score is None else float(line.normalized_score) for line in lines},
        )
    return found


def differences(wanted: dict[str, Result], shown: dict[str, Result]) -> Iterator[str]:
    for account, result in wanted.items():
        other = shown[account]
        for name in ("score", "tier", "coverage", "cap"):
            if not _same(getattr(result, name), getattr(other, name)):
                yield f"{account} {name}: {getattr(result, name)} expected, {getattr(other, name)} shown"
        for name in ("points", "normalized"):
            for metric in getattr(result, name).keys() | getattr(other, name).keys():
                pair = getattr(result, name).get(metric), getattr(other, name).get(metric)
                if not _same(*pair):
                    yield f"{account} {name} of {metric}: {pair[0]} expected, {pair[1]} shown"


def _same(wanted: Any, shown: Any) -> bool:
    if isinstance(wanted, float) and isinstance(shown, int | float):
        return math.isclose(wanted, shown, abs_tol=1e-9)
    return (wanted or None) == (shown or None)


def _everything_else(edited: Edited) -> None:
    """Each method, policy, operator and mode on some metric, weights and anchors that nobody would choose, ties and blanks."""
    edited.set("scorecards", {"scorecard_key": "standard"}, min_coverage=0.865)
    for dimension, weight in {"adoption": 1, "commercial": 0.001, "support": 1000, "voice": 33.3, "outcomes": 0}.items():
        edited.set("scorecard_dimensions", {"scorecard_key": "standard", "dimension_key": dimension}, weight=weight)
    metrics = {
        "license_utilization_28d": {"method": "percentile", "weight": 2},
        "active_days_28d": {"method": "zscore"},
        "days_since_last_activity": {"method": "percentile"},
        "overdue_ratio": {"method": "zscore", "missing_policy": "worst"},
        "stickiness_28d": {"missing_policy": "worst"},  # late everywhere
        "feature_breadth_90d": {"method": "zscore", "weight": 4},  # the same value everywhere: no deviation
        "csat_180d": {"method": "percentile", "missing_policy": "neutral"},  # a single account has one
        "days_late_180d": {"method": "bands", "missing_policy": "exclude"},
        "mrr_trend_90d": {"method": "bands"},
        "nps_180d": {"worst": 60, "best": -50},
        "contact_sentiment_90d": {"worst": -1, "best": 1, "weight": 0},
        "csm_pulse": {"method": None, "missing_policy": None, "weight": 0.125},
        "escalations_90d": {"weight": 0},
    }
    for metric, values in metrics.items():
        edited.set("scorecard_metrics", {"scorecard_key": "standard", "metric_key": metric}, **values)
    # In no order, below zero, and one that starts above the lowest values, which then score 0.
    for metric, bound, score in (
        ("days_late_180d", 10, 12.5), ("days_late_180d", 1, 60), ("mrr_trend_90d", 0.000001, 90), ("mrr_trend_90d", -0.5, 20),
         ("mrr_trend_90d", 0, 55),
    ):  # fmt: skip
        edited.fill("metric_bands", scorecard_key="standard", metric_key=metric, lower_bound=bound, score=score)
    for cell in edited.row("metric_bands", scorecard_key="standard", metric_key="tickets_per_10_users_28d", lower_bound=0.1).values():
        cell.value = None
    for metric in ("active_days_28d", "csm_pulse"):
        edited.set("scorecard_metrics", {"scorecard_key": "onboarding", "metric_key": metric}, method="zscore", missing_policy="worst")
    edited.set("scorecard_dimensions", {"scorecard_key": "onboarding", "dimension_key": "adoption"}, weight=2.5)
    edited.set("tiers", {"scorecard_key": "standard", "tier": "healthy"}, min_score=75)
    edited.set("tiers", {"scorecard_key": "standard", "tier": "at_risk"}, min_score=65)


def _caps(edited: Edited) -> None:
    """Every operator, and caps of one score, of which the smallest name counts."""
    for row in edited.rows("score_caps"):
        for cell in row.values():
            cell.value = None
    edited.set("scorecard_dimensions", {"scorecard_key": "standard", "dimension_key": "adoption"}, weight=20)
    for key, metric, operator, threshold, most in (
        ("zebra", "active_days_28d", ">=", 24, 71.25),
        ("ant", "active_days_28d", ">", 23, 71.25),
        ("bee", "escalations_90d", "=", 0, 99),
        ("cat", "escalations_90d", "!=", 0, 44.44),
        ("dog", "critical_open_tickets", "<=", 0, 99),
        ("elk", "active_days_28d", "<", 20, 33),
        ("fox", "stickiness_28d", "<", 1, 1),  # late: never tested
    ):
        edited.fill(
            "score_caps", scorecard_key="standard", cap_key=key, metric_key=metric, operator=operator, threshold=threshold, max_score=most
        )
    edited.fill(
        "score_caps",
        scorecard_key="onboarding",
        cap_key="all",
        metric_key="days_since_last_activity",
        operator=">=",
        threshold=0,
        max_score=50,
    )


def _weights_only(edited: Edited) -> None:
    """All weight on what is missing for many, tiers by quantile, and a scorecard on which hardly anything counts."""
    for row in edited.rows("scorecard_metrics", scorecard_key="standard"):
        row["weight"].value = 0
    edited.set("scorecard_metrics", {"scorecard_key": "standard", "metric_key": "csat_180d"}, weight=1)
    edited.set("scorecard_metrics", {"scorecard_key": "standard", "metric_key": "nps_180d"}, weight=1e-6)
    edited.set("scorecards", {"scorecard_key": "standard"}, min_coverage=0.3)
    edited.set("scorecards", {"scorecard_key": "onboarding"}, tier_mode="quantile")
    edited.set("tiers", {"scorecard_key": "standard", "tier": "healthy"}, min_score=50.1)


CHANGES: tuple[Callable[[Edited], None], ...] = (_everything_else, _caps, _weights_only)


@dataclass(frozen=True)
class Computed:
    """A workbook as it was written or edited, as LibreOffice computes it, and the file that LibreOffice saved."""

    settings: Settings
    path: Path
    book: openpyxl.Workbook
    saved: Path


@pytest.fixture(scope="module")
def computed(published_mart: Path, mart: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Computed]:
    """The unchanged workbook, and one for each set of changes, which is imported too. One start of LibreOffice for all."""
    folder = tmp_path_factory.mktemp("workbooks")
    made = {}
    for name, change in {"unchanged": None, **{change.__name__: change for change in CHANGES}}.items():
        (folder / name).mkdir()
        settings = settings_with_seeds(folder / name, mart if change else published_mart)
        path = folder / name / "scorecard.xlsx"
        write_workbook(settings, path)
        if change:
            edited = Edited(path)
            change(edited)
            import_workbook(settings, edited.save())
        made[name] = (settings, path)
    books = recalculated(folder, *(path for _, path in made.values()))
    return {name: Computed(*made[name], *book) for name, book in zip(made, books, strict=True)}


@pytest.fixture(scope="module")
def changed(computed: dict[str, Computed]) -> dict[str, tuple[dict[str, Result], dict[str, Result]]]:
    """For each set of changes: what the imported seeds give by the oracle, and what the workbook shows."""
    accounts = [sample.account["account_id"] for sample in sample_accounts(computed[CHANGES[0].__name__].settings)]
    return {
        change.__name__: (expected(one.settings, "2026.2", accounts), results(one.book, accounts))
        for change in CHANGES
        if (one := computed[change.__name__])
    }


def test_unchanged_rules_give_the_published_scores(computed: dict[str, Computed], published_mart: Path) -> None:
    one = computed["unchanged"]
    samples = sample_accounts(one.settings)
    with duckdb.connect(str(published_mart / "current" / "health.duckdb"), read_only=True) as connection:
        accounts = connection.execute(
            "select h.account_id, h.health_score, h.raw_tier, h.coverage, h.cap_key, map(list(m.metric_key), list(m.points)), "
            "map(list(m.metric_key), list(m.normalized_score)) from account_health as h join metric_scores_history as m "
            "using (account_id, as_of_date) where m.dimension_key <> 'cap' group by all"
        ).fetchall()
    ids = [sample.account["account_id"] for sample in samples]
    wanted = {row[0]: Result(row[1], TIER_LABELS[row[2]], *row[3:]) for row in accounts if row[0] in ids}
    assert len(ids) == COUNT
    # What makes the comparison worth something: the samples show most of what can happen.
    assert {"onboarding", "standard"} <= {sample.account["scorecard_key"] for sample in samples}
    assert {metric["state"] for sample in samples for metric in sample.metrics.values()} >= {"measured", "missing", "not_applicable"}
    assert any(result.cap for result in wanted.values()) and len({result.tier for result in wanted.values()}) >= 2
    assert list(differences(wanted, results(one.book, ids))) == []

    # What viewers without a calculation engine show is what the formulas give.
    shown = openpyxl.load_workbook(one.path, data_only=True)
    hidden = {"Caps": range(11, 100), "Bands": (7,), "Samples": (15, 16, 17), "Sample details": range(13, 30)}
    compared = 0
    for sheet in openpyxl.load_workbook(one.path):
        formulas = (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f")
        for cell in (cell for cell in formulas if cell.column not in hidden.get(sheet.title, ())):
            stored, computed = shown[sheet.title][cell.coordinate].value, one.book[sheet.title][cell.coordinate].value
            assert _same(float(stored) if isinstance(stored, int | float) else stored, computed), f"{sheet.title} {cell.coordinate}"
            compared += 1
    assert compared > 1000


def test_a_workbook_saved_by_libreoffice_is_read_as_the_same_rules(computed: dict[str, Computed]) -> None:
    one = computed["unchanged"]
    assert import_workbook(one.settings, one.saved) == [
        f"{one.saved.name}: nothing changed: its rules are those of version 2026.1. Nothing was written"
    ]


@pytest.mark.parametrize("change", [change.__name__ for change in CHANGES])
def test_changed_rules_give_what_the_imported_seeds_give(
    changed: dict[str, tuple[dict[str, Result], dict[str, Result]]], change: str
) -> None:
    wanted, shown = changed[change]
    assert list(differences(wanted, shown)) == []


def test_the_changes_reach_every_rule(changed: dict[str, tuple[dict[str, Result], dict[str, Result]]]) -> None:
    """The comparison above would be worth little if nothing happened in it."""
    of = {name: [result for _, result in sorted(wanted.items())] for name, (wanted, _) in changed.items()}
    assert {result.tier for result in of["_everything_else"]} >= {"Healthy", "At risk", "Poor", "Unknown"}
    assert {result.cap for result in of["_caps"]} >= {"ant", "cat", "elk", "all", None}
    assert QUANTILE in {result.tier for result in of["_weights_only"]}
    assert 50.0 in {result.score for result in of["_weights_only"]}
    scores = {
        metric: {result.normalized[metric] for result in of["_everything_else"] if metric in result.normalized}
        for metric in ("csat_180d", "stickiness_28d", "feature_breadth_90d", "mrr_trend_90d", "days_late_180d")
    }
    assert scores["stickiness_28d"] >= {0.0}, "worst, where it is late"
    assert 50.0 in scores["csat_180d"] and 50.0 in scores["feature_breadth_90d"], "neutral, an only peer, no deviation"
    assert scores["mrr_trend_90d"] & {20.0, 55.0, 90.0} and 0.0 in scores["days_late_180d"], "bands, and a value below the lowest"


def test_an_account_name_is_text(computed: dict[str, Computed]) -> None:
    shown = '=HYPERLINK("http://example.invalid")<script>'
    for sheet in ("Samples", "Sample details"):
        names = [
            row[1]
            for row in computed["_caps"].book[sheet].iter_rows(min_row=8, max_col=6, values_only=True)
            if row[1] and row[5] is not None
        ]
        assert len(names) >= COUNT and all(str(name).startswith(shown) for name in names)
