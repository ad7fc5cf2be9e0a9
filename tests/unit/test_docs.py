"""What the documentation says is there: headings that the code cites, links, metrics, targets, examples of configuration."""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT, load_settings
from tests.oracle.cards import DEFAULT_TIERS, CardMetric, Scorecard, Tier
from tests.oracle.metrics import METRICS, MISSING, NOT_APPLICABLE, Measure, measure, measured
from tests.oracle.raw import Raw, clean
from tests.oracle.score import normalize, threshold_tier, weigh
from tests.oracle.trend import ScoredDay, model_tiers
from tests.own_connector import write_package
from tests.pages import DOCS, anchor, blocks, headings, pages

EXAMPLES = blocks("toml")
OF_SOURCES = [example for example in EXAMPLES if "[sources." in example]
ACCOUNTS = '[sources.accounts]\nconnector = "demo"\n'
SCORING = (DOCS / "scoring.md").read_text(encoding="utf-8")

CODE = ("orchestration", "dbt_project", "tests", "seeds", "examples")
KINDS = {".py", ".sql", ".yml", ".csv", ".toml", ".html", ".js"}
# docs/scoring.md, "Tiers" and "Trend"
CITATION = re.compile(r'docs/([\w-]+)\.md((?:(?:,| and) "[^"]+")*)')


def code() -> Iterator[tuple[Path, str]]:
    """Path in the repository and text of each file of code; a comment that goes on in the next line is one line."""
    for folder in CODE:
        for path in sorted((PROJECT_ROOT / folder).rglob("*")):
            if path.suffix in KINDS and "target" not in path.parts:
                yield path.relative_to(PROJECT_ROOT), re.sub(r"\s*\n\s*(--|#)?\s*", " ", path.read_text(encoding="utf-8"))


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading or an "Example, ..." of docs/scoring.md, without the header's."""
    _, _, below = SCORING.partition(heading)
    found = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert found is not None, heading
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[0].splitlines()[2:]]


def test_every_cited_heading_exists() -> None:
    cited = [(path, *found) for path, text in code() for found in CITATION.findall(text) if path.name != "test_docs.py"]
    assert len(cited) > 40
    unknown = [
        f"{path}: docs/{page}.md, {heading!r}"
        for path, page, quoted in cited
        for heading in re.findall('"([^"]+)"', quoted)
        if not (DOCS / f"{page}.md").exists() or heading not in headings((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    ]
    assert not unknown


def test_the_code_cites_no_document_that_is_not_here() -> None:
    vega = {"assets.py", "charts.py"}  # a chart is a Vega-Lite specification
    found = [str(path) for path, text in code() if re.search(r"(?i)\bspecification", text) and path.name not in vega]
    assert found == ["tests/unit/test_docs.py"]


def test_every_metric_has_its_row() -> None:
    with (PROJECT_ROOT / "seeds" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        seeded = {row["metric_key"]: row["dimension_key"] for row in csv.DictReader(stream)}
    found = {
        cells[0].strip("`"): name.lower()
        for name in ("Adoption", "Commercial", "Support", "Voice", "Outcomes")
        for cells in rows(f"\n### {name}\n")
    }
    assert found == seeded


@pytest.mark.parametrize("dimension", ["Commercial", "Support", "Voice", "Outcomes"])
def test_the_raw_table_of_a_metric_is_that_of_the_oracle(dimension: str) -> None:
    shown = {metric.strip("`"): (dimension.lower(), table) for metric, table, _ in rows(f"\n### {dimension}\n")}
    assert shown.items() >= {key: (group, table) for key, (group, table, _) in METRICS.items() if group == dimension.lower()}.items()


@pytest.mark.parametrize("page", sorted(pages()), ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", pages()[page], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, place = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if place:
            assert place in map(anchor, headings(linked.read_text(encoding="utf-8"))), target


@pytest.mark.parametrize("page", sorted(pages()), ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    folders = "|".join((*CODE, "docs"))
    named = re.findall(rf"`((?:{folders})/[^`\s<>]+)`", pages()[page])
    assert not [name for name in named if not any(PROJECT_ROOT.glob(name))]


def test_every_page_is_in_the_navigation() -> None:
    """Else `make docs` fails."""
    navigation = (PROJECT_ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [path for path in pages() if not re.search(rf": {path.relative_to(PROJECT_ROOT)}$", navigation, re.MULTILINE)]


def test_the_readme_is_short() -> None:
    assert len((PROJECT_ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_targets_that_the_pages_name_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    fenced = "\n".join(blocks(""))
    shown = {name for text in pages().values() for name in re.findall(r"`make ([a-z-]+)", text)}
    shown |= set(re.findall(r"^make ([a-z-]+)", fenced, re.MULTILINE))
    assert shown
    assert shown <= targets


def test_the_parts_of_the_architecture_keep_apart() -> None:
    """docs/architecture.md, "Map of the code"."""

    def imported(part: str) -> set[str]:
        files = (PROJECT_ROOT / "orchestration" / part).rglob("*.py")
        return {
            name for path in files for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        }

    for part, closed in (
        ("extract", ("publish", "transform", "defs")),
        ("publish", ("extract", "transform", "defs")),
        ("validate", ("extract", "transform", "defs")),
    ):
        names = imported(part)
        assert len(names) > 10
        assert not [name for name in names if name.startswith(("dagster", *(f"orchestration.{other}" for other in closed)))]


# -- the worked examples of docs/scoring.md

TIERS = tuple(Tier(tier, *limits) for tier, limits in DEFAULT_TIERS.items())


def metric(key: str, weight: int, worst: str, best: str, policy: str = "exclude") -> CardMetric:
    return CardMetric(key, METRICS[key][0], Fraction(weight), "linear", Fraction(worst), Fraction(best), policy, True, ())


def card(policy: str = "exclude") -> Scorecard:
    """The scorecard of the chapter "Coverage"."""
    return Scorecard(
        *("2026.1", "standard", Fraction(1), "*", "*", Fraction("0.5"), 3, "threshold", Fraction(3)),
        {"adoption": Fraction(60), "support": Fraction(40)},
        (
            metric("active_days_28d", 3, "0", "16"),
            metric("license_utilization_28d", 1, "0.15", "0.85"),
            metric("critical_open_tickets", 2, "2", "0"),
            metric("csat_180d", 1, "2.5", "4.8", policy),
        ),
        (),
        TIERS,
    )


def weighed(measures: dict[str, Measure], policy: str = "exclude"):
    scores = {
        metric.metric_key: normalize(metric, measures[metric.metric_key].value, [])
        for metric in card().metrics
        if measures[metric.metric_key].state == "measured"
    }
    return weigh(card(policy), measures, scores)


TODAY = {
    "active_days_28d": measured(12),
    "license_utilization_28d": NOT_APPLICABLE,
    "critical_open_tickets": measured(0),
    "csat_180d": MISSING,
}


def number(cell: str) -> float:
    """The last number of a cell: `26.67 / 86.67 = 0.3077`."""
    return float(re.findall(r"-?[\d.]+", cell)[-1])


def company(**tables: tuple[str, ...]) -> Raw:
    """An account `a`; of each table the columns, and a line for each row, `-` where a cell is blank."""
    given = {"accounts": ("account_id account_name created_at", "a A 2024-01-01"), **tables}
    parsed = {
        name: [dict(zip(header.split(), (None if cell == "-" else cell for cell in line.split()), strict=True)) for line in lines]
        for name, (header, *lines) in given.items()
    }
    return clean(parsed, [{"currency": "EUR", "valid_from": day, "rate": Fraction(rate)} for day, rate in RATES])


RATES = ((date(2025, 1, 1), "1.1"), (date(2026, 3, 1), "1.2"))
SUBSCRIPTIONS = "subscription_id account_id mrr currency started_on"


def value(raw: Raw, key: str, day: date) -> Fraction | None:
    [account] = raw.all("accounts")
    return measure(raw, account, key, day).value


def test_the_example_of_an_overdue_claim() -> None:
    raw = company(
        subscriptions=(SUBSCRIPTIONS, "s a 500 - 2025-01-01"),
        invoices=(
            "invoice_id account_id issued_on due_on paid_on amount open_amount",
            *("A a 2026-02-01 2026-03-01 - 600 200", "B a 2026-02-11 2026-03-11 2026-03-21 500 -", "C a 2026-03-01 2026-03-31 - 500 -"),
            *("D a 2025-11-01 2025-12-01 - 300 0", "E a 2026-03-05 2026-03-05 - -100 -"),
        ),
    )
    end = date(2026, 3, 31)
    assert [value(raw, key, end) for key in ("days_late_180d", "days_overdue_oldest", "overdue_ratio")] == [10, 30, Fraction("0.4")]
    assert value(raw, "overdue_ratio", date(2026, 3, 15)) == Fraction("1.4")


@pytest.mark.parametrize(("second", "trend"), [("t a 600 USD 2026-03-01", Fraction("0.5")), (None, 0)])
def test_the_example_of_a_trend_of_mrr(second: str | None, trend: Fraction) -> None:
    raw = company(subscriptions=(SUBSCRIPTIONS, "s a 1000 EUR 2025-01-01", *([second] if second else [])))
    assert value(raw, "mrr_trend_90d", date(2026, 3, 31)) == trend


@pytest.mark.parametrize(
    ("method", "numbers", "shown"),
    [
        ("linear", ("12", "0", "16"), "75"),
        ("linear", ("25", "48", "2"), "50"),
        ("bands", ("2.5",), "85"),
        ("bands", ("3",), "45"),
        ("percentile", ("4", "2", "4", "4", "7", "9"), "37.5"),
        ("zscore", ("7", "2", "4", "4", "4", "5", "5", "7", "9"), "84.6"),
    ],
)
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_examples_of_normalization(method: str, numbers: tuple[str, ...], shown: str, higher_is_better: bool) -> None:
    found, *others = map(Fraction, numbers)
    worst, best = others if method == "linear" else (None, None)
    bands = tuple((Fraction(bound), Fraction(score)) for bound, score in (("0", "65"), ("0.1", "85"), ("3", "45"), ("6", "30")))
    rule = CardMetric("key", "support", Fraction(1), method, worst, best, "exclude", higher_is_better, bands)
    turned = method in ("percentile", "zscore") and not higher_is_better
    expected = 100 - Fraction(shown) if turned else Fraction(shown)
    assert float(normalize(rule, found, others)) == pytest.approx(float(expected), abs=0.05)
    [line] = re.findall(rf"^\* `{method}`: .*(?:\n  .*)*", SCORING, re.MULTILINE)
    assert re.search(rf"\b{float(expected):g}\b", line)


def test_the_example_of_base_weights_and_coverage() -> None:
    shown = rows("Example, base weights and coverage.")
    found, coverage, score = weighed(TODAY)
    for cells, row in zip(shown, found, strict=True):
        assert cells[0] == f"`{row.metric_key}`"
        assert cells[1].startswith(row.measure.state)
        if cells[3]:
            assert number(cells[3]) == pytest.approx(row.base_weight, abs=0.005)
        assert number(cells[4]) == pytest.approx(row.effective_weight, abs=0.00005)
        assert number(cells[5]) == pytest.approx(row.points, abs=0.005)
    assert (round(float(score), 1), round(float(coverage), 3)) == (82.7, 0.867)
    _, coverage, score = weighed(TODAY, "neutral")
    assert (round(float(score), 1), round(float(coverage), 3)) == (78.3, 0.867)


def test_the_example_of_the_ledger() -> None:
    then = {**TODAY, "active_days_28d": measured(8), "critical_open_tickets": measured(1)}
    before, after = weighed(then)[2], weighed({**TODAY, "csat_180d": measured(Fraction("3.65"))})[2]
    both = tuple(metric for metric in card().metrics if metric.metric_key in ("active_days_28d", "critical_open_tickets"))
    alone = weigh(replace(card(), metrics=both), TODAY, {"active_days_28d": Fraction(75), "critical_open_tickets": Fraction(100)})[0]
    assert before == 50  # so each metric had 0 points
    assert [row.points for row in alone] == [15, 20]
    assert float(after - before) == pytest.approx(28.33, abs=0.005)
    assert float(after - before - 35) == pytest.approx(-6.67, abs=0.005)


def test_the_example_of_held_tiers() -> None:
    days, expected = [], []
    for when, score, raw, _, tier, _ in rows("\n### Held tiers\n"):
        first, _, last = when.partition(" to ")
        for day in range(int(first), int(last or first) + 1):
            health_score = Fraction(score)
            assert raw == "unknown" or raw == threshold_tier(card(), health_score)
            coverage = Fraction(raw != "unknown")
            days.append(ScoredDay(date(2026, 1, day), health_score, raw, card(), coverage, Fraction(1), None))
            expected.append((tier, 11 <= day <= 17))
    assert all(later.day - earlier.day == timedelta(days=1) for earlier, later in pairwise(days))
    assert model_tiers(days) == expected


# -- examples of configuration


def test_the_connectors_have_examples() -> None:
    found = set(re.findall(r'connector = "(\w+)"', "".join(OF_SOURCES)))
    assert found == {"files", "stripe", "zendesk", "sql", "rest"}


@pytest.mark.parametrize("number", range(len(OF_SOURCES)))
def test_an_example_is_a_configuration(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = OF_SOURCES[number]
    if "[pipeline]" not in text:
        text = f"[pipeline]\nstart_date = 2026-01-01\n{text}"
    if "[sources.accounts]" not in text:
        text += ACCOUNTS
    (tmp_path / "health.toml").write_text(text)
    assert len(load_settings(tmp_path / "health.toml").sources) >= (2 if ACCOUNTS in text else 1)


@pytest.mark.parametrize("option", re.findall(r"^# gs://: (storage = .*)$|^# az://: (storage = .*)$", "\n".join(EXAMPLES), re.MULTILINE))
def test_the_options_of_other_stores_are_accepted(tmp_path: Path, option: tuple[str, str]) -> None:
    scheme = "gs" if option[0] else "az"
    (tmp_path / "health.toml").write_text(
        "[pipeline]\nstart_date = 2026-01-01\n"
        f'{ACCOUNTS}[sources.tickets]\nconnector = "files"\npath = "{scheme}://bucket/t.csv"\n{option[0] or option[1]}\n'
    )
    assert load_settings(tmp_path / "health.toml").sources["tickets"].secrets()
