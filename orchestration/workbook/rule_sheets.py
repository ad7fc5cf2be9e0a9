"""The sheets that a person edits: one per scorecard, bands, caps, tiers, and the new version's name and date."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from orchestration.publish.tiers import TIER_LABELS
from orchestration.scorecard import OPERATORS, SEEDS
from orchestration.shared import DIMENSIONS
from orchestration.workbook.book import Book, Sheet, Style
from orchestration.workbook.rules import Metric, Rules, Values

BANDS, CAPS, TIERS, NEW_VERSION = "Bands", "Caps", "Tiers", "New version"
SPARE_ROWS = 20
_YELLOW = "#E8B93F"
_ANY_NUMBER = (-1e15, 1e15)

# Columns of a scorecard's sheet.
CARD, LABEL, WEIGHT, SHARE, METHOD, WORST, BEST, POLICY, UNIT, BETTER, CHECK, MEANING, KEY = range(1, 14)
_NOT_SHOWN = "not on this scorecard: Samples cannot show this cap"
# The row of a scorecard's sheet that says what the changes do to the samples.
EFFECT_ROW = 2
# Columns of the sheets of bands and caps.
BAND_CARD, BAND_METRIC, BAND_BOUND, BAND_SCORE, BAND_LABEL, BAND_KEY = range(1, 7)
CAP_CARD, CAP_KEY, CAP_METRIC, CAP_OPERATOR, CAP_THRESHOLD, CAP_SCORE, CAP_REASON, CAP_LABEL, CAP_NOTE, CAP_RANK, CAP_SAMPLES = range(1, 12)


@dataclass
class RuleCells:
    """Where the rules are, as references for formulas.

    Attributes:
        metrics: by scorecard and metric: the columns of its row by name (`weight`, `share`, `method`, ...).
        dimensions: by scorecard and dimension: its weight.
        cards: by scorecard: min_coverage and tier_mode, and `key`, its name.
        checks: by scorecard: range of the column that says what is wrong.
        tiers: by scorecard: the lowest score of each tier, best first.
        bands: the ranges `key` (scorecard|metric|position), `bound`, `score`, `card`, `metric`.
        quantile: by scorecard: whether its tiers are by quantile, before anybody edits.
        caps: first and last row on the sheet of caps.
    """

    metrics: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    dimensions: dict[tuple[str, str], str] = field(default_factory=dict)
    cards: dict[str, dict[str, str]] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    tiers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    bands: dict[str, str] = field(default_factory=dict)
    quantile: dict[str, bool] = field(default_factory=dict)
    caps: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Lists:
    """Ranges for dropdowns and look-ups: scorecards, metrics and their labels, and scorecard|metric for each metric on a scorecard."""

    cards: str
    metrics: str
    labels: str
    on_cards: str


def new_version_sheet(book: Book, name: str, valid_from: date, base: str) -> Sheet:
    """The row of the version itself, with a name and a first day to start from."""
    sheet = book.sheet(NEW_VERSION, _YELLOW, {"B": 16, "C": 14, "D": 12, "E": 20, "F": 70})
    sheet.line("The new version", "title", 1)
    sheet.line(f"What the changed rules are called and from which day they hold. They start from version {base}.", column=1)
    sheet.line(
        "candidate: scored beside the rules in force, so that you can compare before you decide. active: in force from its day on.",
        column=1,
    )
    sheet.next_row += 1
    columns = {"config_version": 1, "valid_from": 2, "status": 3, "author": 4, "note": 5}
    sheet.columns("config_versions", columns)
    sheet.heads({1: "Name of the version", 2: "Holds from (day)", 3: "Status", 4: "Your name", 5: "Why (for those who read it later)"})
    values = {"config_version": name, "valid_from": valid_from, "status": "candidate"}
    styles: dict[str, Style] = dict.fromkeys(columns, "input_text")
    row = sheet.seed_row("config_versions", values, styles | {"valid_from": "input_date"})
    sheet.choose((row, row), 3, list(SEEDS["config_versions"].columns["status"].choices))
    return sheet


def card_sheet(book: Book, title: str, card: Values, rules: Rules, metrics: Mapping[str, Metric]) -> Sheet:
    """A scorecard: its dimensions, each with its metrics beneath. Fill in the formulas with `card_formulas` once the bands are there."""
    widths = {"C": 30, "D": 9, "E": 10, "F": 11, "G": 10, "H": 10, "I": 12, "J": 16, "K": 8, "L": 24, "M": 70, "N": 28}
    sheet = book.sheet(title, _YELLOW, widths)
    sheet.worksheet.set_column(CARD, CARD, None, None, {"hidden": True})
    key = card["scorecard_key"]
    sheet.line(f"Scorecard: {card['label'] or key}", "title")
    sheet.line("Change the yellow cells; the sheet Samples shows what becomes of real accounts. Weight 0 switches a line off.")
    sheet.line("", column=LABEL)
    sheet.next_row += 1
    sheet.columns(
        "scorecards",
        {
            "scorecard_key": CARD, "label": LABEL, "priority": WEIGHT, "segment": SHARE, "stage": METHOD, "min_coverage": WORST,
            "confirm_days": BEST, "tier_mode": POLICY, "tier_margin": UNIT,
        },
    )  # fmt: skip
    sheet.heads(
        {
            LABEL: "Name", WEIGHT: "Priority", SHARE: "For segment", METHOD: "For stage", WORST: "Least data for a tier",
            BEST: "Days to confirm a tier", POLICY: "Tiers by", UNIT: "Margin",
        }
    )  # fmt: skip
    styles: dict[str, Style] = {
        "label": "input_text", "min_coverage": "input_share", "confirm_days": "input", "tier_mode": "input_text", "tier_margin": "input",
    }  # fmt: skip
    row = sheet.seed_row("scorecards", card, styles)
    sheet.number((row, row), WORST, 0, 1)
    sheet.number((row, row), BEST, 1, 10_000)
    sheet.choose((row, row), POLICY, ["threshold", "quantile"])
    sheet.number((row, row), UNIT, 0, 100)
    sheet.next_row += 1
    sheet.columns("scorecard_dimensions", {"scorecard_key": CARD, "dimension_key": KEY, "weight": WEIGHT})
    sheet.columns(
        "scorecard_metrics",
        {
            "scorecard_key": CARD, "metric_key": KEY, "weight": WEIGHT, "method": METHOD, "worst": WORST, "best": BEST,
            "missing_policy": POLICY,
        },
    )  # fmt: skip
    head = sheet.heads(
        {
            LABEL: "What counts", WEIGHT: "Weight", SHARE: "Share of the score", METHOD: "Method", WORST: "Worst value (score 0)",
            BEST: "Best value (score 100)", POLICY: "Without data", UNIT: "Unit", BETTER: "Better is", CHECK: "To fix",
            MEANING: "What it means", KEY: "Name in the data",
        }
    )  # fmt: skip
    sheet.worksheet.freeze_panes(head + 1, WEIGHT)
    for dimension in DIMENSIONS:
        _dimension_rows(sheet, dimension, key, rules, metrics)
    lines = (head + 1, sheet.next_row - 1)
    sheet.number(lines, WEIGHT, 0, 1e6)
    sheet.number(lines, WORST, *_ANY_NUMBER)
    sheet.number(lines, BEST, *_ANY_NUMBER)
    for column, name in {METHOD: "method", POLICY: "missing_policy"}.items():
        sheet.choose(lines, column, list(SEEDS["scorecard_metrics"].columns[name].choices))
    return sheet


def _dimension_rows(sheet: Sheet, dimension: str, card: str, rules: Rules, metrics: Mapping[str, Metric]) -> None:
    weighed = next((row for row in rules.of_card("scorecard_dimensions", card) if row["dimension_key"] == dimension), None)
    mine = [row for row in rules.of_card("scorecard_metrics", card) if metrics[row["metric_key"]].dimension_key == dimension]
    if weighed is None and not mine:
        return
    group = sheet.next_row
    for column in range(LABEL, KEY + 1):
        sheet.value(group, column, None, "group")
    if weighed is None:
        # Allowed while all of its metrics weigh 0.
        sheet.mark(group)
        sheet.value(group, WEIGHT, 0, "group")
        sheet.next_row += 1
    else:
        sheet.seed_row("scorecard_dimensions", weighed, {"weight": "input", "dimension_key": "group"})
    sheet.text(group, LABEL, dimension.capitalize(), "group")
    styles: dict[str, Style] = {
        "weight": "input",
        "worst": "input",
        "best": "input",
        "method": "input_text",
        "missing_policy": "input_text",
    }
    for values in mine:
        metric = metrics[values["metric_key"]]
        row = sheet.seed_row("scorecard_metrics", values, styles)
        for column, text in {LABEL: metric.label, UNIT: metric.unit, BETTER: metric.better, MEANING: metric.description}.items():
            sheet.text(row, column, text, "member" if column == LABEL else "key")


def card_formulas(sheet: Sheet, card: str, rules: Rules, metrics: Mapping[str, Metric], cells: RuleCells) -> None:
    """The share of the score and the check of each row of a scorecard's sheet; enters the rows into `cells`."""
    (card_row,) = (row for row, seed, _ in sheet.rows_of if seed == "scorecards")
    dimension_rows = {values["dimension_key"]: row for row, seed, values in sheet.rows_of if seed == "scorecard_dimensions"}
    metric_rows = {values["metric_key"]: row for row, seed, values in sheet.rows_of if seed == "scorecard_metrics"}
    cells.cards[card] = {
        "key": sheet.ref(card_row, CARD), "min_coverage": sheet.ref(card_row, WORST), "tier_mode": sheet.ref(card_row, POLICY),
    }  # fmt: skip
    cells.quantile[card] = rules.of_card("scorecards", card)[0]["tier_mode"] == "quantile"
    weights = {values["dimension_key"]: values["weight"] for values in rules.of_card("scorecard_dimensions", card)}
    total, total_weight = f"SUM({','.join(sheet.ref(row, WEIGHT) for row in dimension_rows.values())})", sum(weights.values())
    for dimension, row in dimension_rows.items():
        weight = sheet.ref(row, WEIGHT)
        cells.dimensions[card, dimension] = weight
        shown = weights[dimension] / total_weight if total_weight else 0
        sheet.formula(row, SHARE, f"IF({total}>0,N({weight})/{total},0)", shown, "group_share")
        sheet.formula(row, CHECK, _weight_check(weight), "", "group_check")
    for dimension in DIMENSIONS:
        # The metrics of a dimension are beneath each other.
        mine = [row for row in rules.of_card("scorecard_metrics", card) if metrics[row["metric_key"]].dimension_key == dimension]
        rows = [metric_rows[values["metric_key"]] for values in mine]
        for row, values in zip(rows, mine, strict=True):
            rule = {name: sheet.ref(row, column) for name, column in _METRIC_COLUMNS.items()}
            cells.metrics[card, values["metric_key"]] = rule
            sheet.formula(row, CHECK, _weight_check(rule["weight"], _method_check(rule, cells)), "", "check")
            if dimension in dimension_rows:
                beside = f"SUM({sheet.range(min(rows), max(rows), WEIGHT)})"
                share = f"N({cells.dimensions[card, dimension]})/{total}*N({rule['weight']})/{beside}"
                beside_weight = sum(other["weight"] for other in mine)
                is_weighed = total_weight > 0 and beside_weight > 0
                shown = weights[dimension] / total_weight * values["weight"] / beside_weight if is_weighed else 0
                sheet.formula(row, SHARE, f"IF(AND({total}>0,{beside}>0),{share},0)", shown, "share")
    lines = [*dimension_rows.values(), *metric_rows.values()]
    cells.checks[card] = sheet.range(min(lines), max(lines), CHECK)


_METRIC_COLUMNS = {
    "weight": WEIGHT, "method": METHOD, "worst": WORST, "best": BEST, "policy": POLICY, "better": BETTER, "key": KEY, "card": CARD,
}  # fmt: skip


def _weight_check(weight: str, otherwise: str = '""') -> str:
    return f'IF(NOT(ISNUMBER({weight})),"weight: enter a number",IF({weight}<0,"weight: 0 or more",{otherwise}))'


def _method_check(rule: Mapping[str, str], cells: RuleCells) -> str:
    """What a person still has to do for the method that is chosen in this row."""
    method, worst, best, bands = rule["method"], rule["worst"], rule["best"], cells.bands
    linear = f'OR({method}="linear",{method}="")'
    mine = f"({bands['card']}={rule['card']})*({bands['metric']}={rule['key']})*ISNUMBER({bands['bound']})"
    return (
        f'IF(AND({linear},COUNT({worst},{best})<2),"fill in worst and best",'
        f'IF(AND({linear},{worst}={best}),"worst and best must differ",'
        f'IF(AND({method}="bands",SUMPRODUCT({mine})=0),"add bands on the sheet {BANDS}",'
        f'IF(AND(OR({method}="percentile",{method}="zscore"),{rule["better"]}=""),"choose linear or bands",""))))'
    )


def bands_sheet(book: Book, rules: Rules, metrics: Mapping[str, Metric], lists: Lists, cells: RuleCells) -> Sheet:
    """The bands of all scorecards, and free rows; enters the ranges into `cells`."""
    sheet = book.sheet(BANDS, _YELLOW, {"B": 16, "C": 32, "D": 14, "E": 12, "F": 34})
    sheet.line("Bands", "title", 1)
    sheet.line("For metrics whose method is bands: from which value on which score holds. Below the lowest band the score is 0.", column=1)
    sheet.line("To add a band fill in a free row at the end; to remove one clear its four cells.", column=1)
    sheet.next_row += 1
    columns = {"scorecard_key": BAND_CARD, "metric_key": BAND_METRIC, "lower_bound": BAND_BOUND, "score": BAND_SCORE}
    sheet.columns("metric_bands", columns)
    heads = {
        BAND_CARD: "Scorecard",
        BAND_METRIC: "Metric",
        BAND_BOUND: "From value",
        BAND_SCORE: "Score (0 to 100)",
        BAND_LABEL: "Is called",
    }
    first = sheet.heads(heads) + 1
    sheet.worksheet.freeze_panes(first, 0)
    rows = rules["metric_bands"]
    last = first + len(rows) + SPARE_ROWS - 1
    ranges = {name: sheet.range(first, last, column) for name, column in {"card": 1, "metric": 2, "bound": 3, "score": 4}.items()}
    cells.bands = ranges | {"key": sheet.range(first, last, BAND_KEY)}
    styles: dict[str, Style] = {"scorecard_key": "input_text", "metric_key": "input_text", "lower_bound": "input", "score": "input"}
    for values in [*rows, *[{}] * SPARE_ROWS]:
        row = sheet.seed_row("metric_bands", values, styles)
        card, metric, bound = (sheet.ref(row, column) for column in (BAND_CARD, BAND_METRIC, BAND_BOUND))
        _label(sheet, row, BAND_LABEL, metric, values, metrics, lists)
        # The position of a band among those of its metric, lowest first: the look-up needs no order of rows.
        mine = f"({ranges['card']}={card})*({ranges['metric']}={metric})*ISNUMBER({ranges['bound']})"
        position = f"SUMPRODUCT({mine}*({ranges['bound']}<={bound}))"
        sheet.formula(row, BAND_KEY, f'IF(ISNUMBER({bound}),{card}&"|"&{metric}&"|"&{position},"")', None, "hidden")
    sheet.choose((first, last), BAND_CARD, f"={lists.cards}")
    sheet.choose((first, last), BAND_METRIC, f"={lists.metrics}")
    sheet.number((first, last), BAND_BOUND, *_ANY_NUMBER)
    sheet.number((first, last), BAND_SCORE, 0, 100)
    sheet.worksheet.set_column(BAND_KEY, BAND_KEY, None, None, {"hidden": True})
    return sheet


def caps_sheet(book: Book, rules: Rules, metrics: Mapping[str, Metric], lists: Lists, cells: RuleCells) -> Sheet:
    """The caps of all scorecards, and free rows; enters their rows into `cells`."""
    sheet = book.sheet(CAPS, _YELLOW, {"B": 16, "C": 18, "D": 30, "E": 8, "F": 11, "G": 11, "H": 56, "I": 28, "J": 34})
    sheet.line("Caps", "title", 1)
    sheet.line(
        "However good the rest is: where the condition holds, the score is at most this. The lowest cap that holds counts.", column=1
    )
    sheet.line("To add a cap fill in a free row at the end (any name of its own); to remove one clear its seven cells.", column=1)
    sheet.next_row += 1
    sheet.columns(
        "score_caps",
        {
            "scorecard_key": CAP_CARD, "cap_key": CAP_KEY, "metric_key": CAP_METRIC, "operator": CAP_OPERATOR,
            "threshold": CAP_THRESHOLD, "max_score": CAP_SCORE, "reason": CAP_REASON,
        },
    )  # fmt: skip
    heads = {
        CAP_CARD: "Scorecard", CAP_KEY: "Name of the cap", CAP_METRIC: "Metric", CAP_OPERATOR: "is", CAP_THRESHOLD: "Threshold",
        CAP_SCORE: "Score at most", CAP_REASON: "Reason that people read", CAP_LABEL: "Metric is called", CAP_NOTE: "Note",
    }  # fmt: skip
    first = sheet.heads(heads) + 1
    sheet.worksheet.freeze_panes(first, 0)
    rows = rules["score_caps"]
    last = first + len(rows) + SPARE_ROWS - 1
    cells.caps = (first, last)
    styles: dict[str, Style] = dict.fromkeys(SEEDS["score_caps"].columns, "input_text")
    styles |= {"threshold": "input", "max_score": "input"}
    keys = sheet.range(first, last, CAP_KEY)
    weighed = {(row["scorecard_key"], row["metric_key"]) for row in rules["scorecard_metrics"]}
    for values in [*rows, *[{}] * SPARE_ROWS]:
        row = sheet.seed_row("score_caps", values, styles)
        metric, key = sheet.ref(row, CAP_METRIC), sheet.ref(row, CAP_KEY)
        _label(sheet, row, CAP_LABEL, metric, values, metrics, lists)
        given = f"COUNTA({sheet.ref(row, CAP_CARD)}:{sheet.ref(row, CAP_SCORE).partition('!')[2]})"
        on_card = f'ISNUMBER(MATCH({sheet.ref(row, CAP_CARD)}&"|"&{metric},{lists.on_cards},0))'
        note = f'IF({given}=0,"",IF({given}<6,"fill in all of the row",IF({on_card},"","{_NOT_SHOWN}")))'
        is_shown = not values or (values["scorecard_key"], values["metric_key"]) in weighed
        sheet.formula(row, CAP_NOTE, note, "" if is_shown else _NOT_SHOWN, "check")
        # Of two caps with the same score the smaller name is the one that counts.
        sheet.formula(row, CAP_RANK, f'SUMPRODUCT(({keys}<>"")*({keys}<{key}))', None, "hidden")
    sheet.choose((first, last), CAP_CARD, f"={lists.cards}")
    sheet.choose((first, last), CAP_METRIC, f"={lists.metrics}")
    sheet.choose((first, last), CAP_OPERATOR, list(OPERATORS))
    sheet.number((first, last), CAP_THRESHOLD, *_ANY_NUMBER)
    sheet.number((first, last), CAP_SCORE, 0, 100)
    sheet.worksheet.set_column(CAP_RANK, CAP_RANK, None, None, {"hidden": True})
    return sheet


def _label(sheet: Sheet, row: int, column: int, metric: str, values: Values, metrics: Mapping[str, Metric], lists: Lists) -> None:
    """What the metric that is chosen in this row is called."""
    shown = metrics[values["metric_key"]].label if values else ""
    formula = f'IF({metric}="","",IFERROR(INDEX({lists.labels},MATCH({metric},{lists.metrics},0)),"not in the list of metrics"))'
    sheet.formula(row, column, formula, shown, "key")


def tiers_sheet(book: Book, rules: Rules, cells: RuleCells) -> Sheet:
    """Where each tier of each scorecard starts; enters the scores into `cells`."""
    sheet = book.sheet(TIERS, _YELLOW, {"B": 16, "C": 14, "D": 14, "E": 16, "F": 22, "G": 12})
    sheet.line("Tiers", "title", 1)
    sheet.line("From which score on an account is in a tier. The lowest tier of a scorecard starts at 0.", column=1)
    sheet.line("The column for quantiles counts only on scorecards whose tiers are by quantile: 75% means the best quarter.", column=1)
    sheet.next_row += 1
    columns = {"scorecard_key": 1, "tier": 2, "min_score": 4, "min_percentile": 5, "colour": 6}
    sheet.columns("tiers", columns)
    sheet.heads({1: "Scorecard", 2: "Tier", 3: "Is called", 4: "From score", 5: "Above this share of accounts (quantile)", 6: "Colour"})
    first = sheet.next_row
    for card in rules["scorecards"]:
        key = card["scorecard_key"]
        mine = {row["tier"]: row for row in rules.of_card("tiers", key)}
        cells.tiers[key] = []
        for tier in (tier for tier in TIER_LABELS if tier in mine):
            row = sheet.seed_row("tiers", mine[tier], {"min_score": "input", "min_percentile": "input_share"})
            sheet.text(row, 3, TIER_LABELS[tier], "label")
            cells.tiers[key].append((TIER_LABELS[tier], sheet.ref(row, 4)))
    sheet.number((first, sheet.next_row - 1), 4, 0, 100)
    sheet.number((first, sheet.next_row - 1), 5, 0, 1)
    book.colour_tiers(sheet.worksheet, f"D1:D{sheet.next_row}")
    return sheet
