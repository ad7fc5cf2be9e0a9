"""The seeds as plain objects, with the defaults of docs/scoring.md, "Seeds" for blank cells."""

import csv
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class CardMetric:
    metric_key: str
    dimension_key: str
    weight: Fraction
    method: str
    worst: Fraction | None
    best: Fraction | None
    missing_policy: str
    higher_is_better: bool
    bands: tuple[tuple[Fraction, Fraction], ...]  # lower bound, score


@dataclass(frozen=True)
class Cap:
    cap_key: str
    metric_key: str
    operator: str
    threshold: Fraction
    max_score: Fraction


@dataclass(frozen=True)
class Tier:
    tier: str
    min_score: Fraction
    min_percentile: Fraction


@dataclass(frozen=True)
class Scorecard:
    config_version: str
    scorecard_key: str
    priority: Fraction
    segment: str
    stage: str
    min_coverage: Fraction
    confirm_days: int
    tier_mode: str
    tier_margin: Fraction  # points beyond a limit that a score needs to cross it; 0 in quantile mode
    dimensions: dict[str, Fraction]
    metrics: tuple[CardMetric, ...]
    caps: tuple[Cap, ...]
    tiers: tuple[Tier, ...]

    def matches(self, segment: str | None, stage: str) -> bool:
        return self.segment in ("*", segment) and self.stage in ("*", stage)


@dataclass(frozen=True)
class Version:
    config_version: str
    valid_from: date
    status: str
    cards: tuple[Scorecard, ...]

    def card_for(self, segment: str | None, stage: str) -> Scorecard:
        """The scorecard with the greatest priority number that matches; ValueError where none does."""
        return max((card for card in self.cards if card.matches(segment, stage)), key=lambda card: card.priority)


DEFAULT_TIERS = {
    "healthy": (Fraction(70), Fraction("0.75")),
    "at_risk": (Fraction(40), Fraction("0.25")),
    "poor": (Fraction(0), Fraction(0)),
}


def version_on(versions: list[Version], d: date) -> Version:
    """The active version with the latest valid_from <= d."""
    return max(
        (version for version in versions if version.status == "active" and version.valid_from <= d),
        key=lambda version: version.valid_from,
    )


def read_versions(seeds: Path) -> list[Version]:
    """All versions of a seeds folder, candidates included."""
    metrics = {row["metric_key"]: row for row in _rows(seeds / "metrics.csv")}
    bands = _rows(seeds / "metric_bands.csv")
    dimensions = _rows(seeds / "scorecard_dimensions.csv")
    card_metrics = _rows(seeds / "scorecard_metrics.csv")
    caps = _rows(seeds / "score_caps.csv")
    tiers = _rows(seeds / "tiers.csv")
    scorecards = _rows(seeds / "scorecards.csv")

    def card(row: dict[str, str]) -> Scorecard:
        def mine(rows: list[dict[str, str]]) -> list[dict[str, str]]:
            return [r for r in rows if all(r[k] == row[k] for k in ("config_version", "scorecard_key"))]

        return Scorecard(
            row["config_version"],
            row["scorecard_key"],
            Fraction(row["priority"]),
            row["segment"],
            row["stage"],
            Fraction(row["min_coverage"] or "0.5"),
            int(row["confirm_days"] or 3),
            row["tier_mode"] or "threshold",
            Fraction(0) if row["tier_mode"] == "quantile" else Fraction(row.get("tier_margin") or 3),
            {r["dimension_key"]: Fraction(r["weight"]) for r in mine(dimensions)},
            tuple(
                CardMetric(
                    r["metric_key"],
                    metrics[r["metric_key"]]["dimension_key"],
                    Fraction(r["weight"]),
                    r["method"] or "linear",
                    Fraction(r["worst"]) if r["worst"] else None,
                    Fraction(r["best"]) if r["best"] else None,
                    r["missing_policy"] or "exclude",
                    metrics[r["metric_key"]]["higher_is_better"].lower() == "true",
                    tuple((Fraction(b["lower_bound"]), Fraction(b["score"])) for b in mine(bands) if b["metric_key"] == r["metric_key"]),
                )
                for r in mine(card_metrics)
            ),
            tuple(
                Cap(r["cap_key"], r["metric_key"], r["operator"], Fraction(r["threshold"]), Fraction(r["max_score"])) for r in mine(caps)
            ),
            tuple(
                Tier(
                    r["tier"],
                    Fraction(r["min_score"]) if r["min_score"] else DEFAULT_TIERS[r["tier"]][0],
                    Fraction(r["min_percentile"]) if r["min_percentile"] else DEFAULT_TIERS[r["tier"]][1],
                )
                for r in mine(tiers)
            )
            or tuple(Tier(tier, *limits) for tier, limits in DEFAULT_TIERS.items()),
        )

    return [
        Version(
            row["config_version"],
            date.fromisoformat(row["valid_from"]),
            row["status"],
            tuple(card(r) for r in scorecards if r["config_version"] == row["config_version"]),
        )
        for row in _rows(seeds / "config_versions.csv")
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(stream)]
